"""What a pool's knob does on a sample of prompts: expected savings and who answers.

The knob is the pool's rule's: a threshold, or dollars for a solved request.

No outcome is looked at, so this says nothing of quality: it places provisional modes where they do
something, until `hydra-gateway calibrate` fits them to outcomes. Each file is JSON lines (gzip or
not) with a `prompt` and perhaps a `dimension_hint`; hints count equally, whatever their share.
Savings are of the expected cost against always the pool's baseline. Last line: JSON.

    python bench/modes.py PROMPTS.jsonl.gz [...] [--per-hint 200] [--pool default]
"""

import argparse
import gzip
import json
import random
from collections import Counter, defaultdict
from pathlib import Path

import predictor
from gateway import catalog, demands
from gateway.predictor_facts import facts
from gateway.profile import Pool
from gateway.routing import decide
from predictor.render import render

ROOT = Path(__file__).parent.parent
SAVINGS = {"peak": 0.15, "iso": 0.50, "aggressive": 0.65}  # what the provisional modes aim at
GRIDS = {
    "threshold": [step / 200 for step in range(401)],
    "value": [round(10 ** (step / 100 - 4), 6) for step in range(501)],  # 0.0001 to 10 dollars
}


def sample(paths: list[Path], per_hint: int) -> list[list[dict[str, object]]]:
    """As many prompts of each hint, each as the messages of a request; seed 0."""
    by_hint: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                row = json.loads(line)
                by_hint[str(row.get("dimension_hint"))].append(row["prompt"])
    generator = random.Random(0)
    chosen = []
    for hint in sorted(by_hint):
        prompts = sorted(set(by_hint[hint]))
        chosen += generator.sample(prompts, min(per_hint, len(prompts)))
    return [[{"role": "user", "content": prompt}] for prompt in chosen]


def outcome(pool: Pool, requests: list, knob: float) -> tuple[float, Counter[str]]:
    """Expected savings against the baseline, in [0, 1], and how often each profile is chosen."""
    spent = baseline = 0.0
    chosen: Counter[str] = Counter()
    for requirements, needs in requests:
        decision = decide(requirements, needs, pool, knob)
        chosen[decision.chosen] += 1
        spent += float(decision.candidate(decision.chosen).expected_cost_usd or 0)
        baseline += float(decision.candidate(pool.baseline).expected_cost_usd or 0)
    return 1 - spent / baseline, chosen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--per-hint", type=int, default=200)
    parser.add_argument("--pool", default="default")
    options = parser.parse_args()
    model = predictor.load()
    found = catalog.load(ROOT / "profiles", facts(model), {}, usable_without_keys=True)
    pool = found.pools[options.pool]
    requests = []
    for messages in sample(options.files, options.per_hint):
        requirements = tuple(round(value, 4) for value in model.predict(render(messages)))
        requests.append((requirements, demands.of({}, messages)))
    grid = GRIDS[pool.rule]
    curve = [(knob, *outcome(pool, requests, knob)) for knob in grid]
    print(f"{len(requests)} prompts, predictor {model.sha256[:16]}, catalog {found.sha}")
    for knob, savings, chosen in curve[::20]:
        shares = ", ".join(f"{name} {count / len(requests):.0%}" for name, count in chosen.items())
        print(f"{pool.rule} {knob:.4g}   savings {savings:6.1%}   {shares}")
    modes = {}
    for mode, wanted in SAVINGS.items():
        knob, savings, _ = min(curve, key=lambda point: (abs(point[1] - wanted), point[0]))
        modes[mode] = knob
        print(f"{mode}: {pool.rule} {knob:.4g} saves {savings:.1%}")
    print(json.dumps({"bench": "modes", "pool": pool.name, "modes": modes}))


if __name__ == "__main__":
    main()
