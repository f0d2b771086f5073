"""Which labels pay: recipes of training compared on benchmarks that they have not seen.

Every recipe reads the same frozen vectors of multilingual-e5-small, which has seen no outcome, and
learns requirements from all outcome files but one family; then it is measured on that family with
`gateway.evaluation` (five tiers of models, capabilities fitted on other folds of it). Families:
the two Reasoning Gym files together, and SWE-bench Pro also by repository (each repository's issues
are read by weights that saw every other one's). Recipes:

- likelihood: a linear map to K heads, trained through the router's likelihood and, weakly, to the
  difficulty; held near zero, since without that it gave -0.8 (value) and -2.7 (threshold) points;
- solve rate: ridge regression of each query's difficulty (Rasch), on the head of its kind;
- nearest: the difficulty of the 20 nearest queries of the other files, on the head of its kind;
- length: the logarithm of the prompt's length, on the head of its kind.

Figures are mean hull gains in points under both rules. Vectors are kept in --cache; the first run
takes some minutes for them. Needs the train extra. Last line: JSON.

    python bench/recipes.py DATA/outcomes/train [--rows 400]
"""

import argparse
import json
import tempfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from held_out_benchmarks import COSTS_USD, tiers
from hull_gains import points
from numpy.typing import NDArray
from tokenizers import Tokenizer

from gateway.evaluation import outcomes as tables
from gateway.evaluation import report
from gateway.evaluation.crossfit import Scale
from gateway.evaluation.evaluation import Options, evaluate
from gateway.evaluation.fitting import Curve
from gateway.evaluation.outcomes import Row
from gateway.evaluation.readings import Readings
from predictor.calibration import bands
from predictor.corpus import Outcome, read_outcomes
from predictor.labels import DIMENSIONS, item_difficulty, score_matrix
from predictor.likelihood import Likelihood
from predictor.teacher import embed, load_teacher, packaged_file

Floats = NDArray[np.float64]
LOW = 0.03  # of the heads that a query does not need
STEPS, RATE, CURVE_RATE, DECAY, SOFT = 200, 0.01, 0.03, 0.3, 0.3  # of the likelihood
MIN_ROWS = 100  # a file with fewer is learned from and not measured
FAMILIES = {"reasoning_gym_easy": "reasoning_gym", "reasoning_gym_hard": "reasoning_gym"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One query with its frozen vector (384,), difficulty in its file in [0, 1], and family."""

    row: Outcome
    vector: NDArray[np.float32]
    difficulty: float
    family: str


def family_of(row: Outcome) -> str:
    return FAMILIES.get(row.benchmark, row.benchmark)


def repository(row: Outcome) -> str:
    """SWE-bench Pro's ids name the repository: instance_OWNER__NAME-commit."""
    return row.id.split("__")[0]


def queries(folder: Path, count: int, cache: Path) -> list[Query]:
    """At most `count` rows of each file, in the order of their digests, with vectors."""
    files: dict[str, list[Outcome]] = defaultdict(list)
    for row in read_outcomes(folder):
        if row.dimension in DIMENSIONS:
            files[row.benchmark].append(row)
    kept, hard = [], []
    for rows in files.values():
        rows.sort(key=lambda row: tables.digest(row.text))
        kept += rows[:count]
        hard += item_difficulty(score_matrix(rows)[0])[:count].tolist()
    path = cache / f"e5-{tables.digest(' '.join(row.id for row in kept))[:16]}.npy"
    if not path.exists():
        source = packaged_file(
            "semantra_multilingual", "assets/multilingual-e5-small/tokenizer.json"
        )
        tokenizer = Tokenizer.from_file(str(source))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        cache.mkdir(parents=True, exist_ok=True)
        np.save(path, embed([row.text for row in kept], tokenizer, load_teacher()))
    vectors = np.load(path).astype(np.float32)
    vectors -= vectors.mean(0)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return [
        Query(row=row, vector=vector, difficulty=each, family=family_of(row))
        for row, vector, each in zip(kept, vectors, hard, strict=True)
    ]


def on_its_head(scores: Floats, seen: Sequence[Query]) -> Floats:
    """Requirements (n, K): a score (n,) on the head of each query's kind, low elsewhere."""
    found = np.full((len(seen), len(DIMENSIONS)), LOW)
    for place, (score, query) in enumerate(zip(scores, seen, strict=True)):
        found[place, DIMENSIONS.index(query.row.dimension)] = np.clip(score, 0.01, 0.99)
    return found


def by_likelihood(known: Sequence[Query], asked: Sequence[Query]) -> Floats:
    torch.manual_seed(0)
    models = sorted({model for query in known for model in query.row.scores})
    number = {model: i for i, model in enumerate(models)}
    hints = {query.row.benchmark: query.row.dimension for query in known}
    place = {name: i for i, name in enumerate(hints)}
    likelihood = Likelihood(models, hints, DIMENSIONS)
    heads = torch.nn.Linear(len(known[0].vector), len(DIMENSIONS))
    heads.bias.data.fill_(-1.0)
    heads.weight.data.zero_()
    vectors = torch.from_numpy(np.array([query.vector for query in known]))
    soft = torch.from_numpy(
        on_its_head(np.array([query.difficulty for query in known]), known).astype(np.float32)
    )
    most = max(len(query.row.scores) for query in known)
    model = torch.zeros(len(known), most, dtype=torch.long)
    score, ran = torch.zeros(len(known), most), torch.zeros(len(known), most)
    for line, query in enumerate(known):
        width = len(query.row.scores)
        model[line, :width] = torch.tensor([number[name] for name in query.row.scores])
        score[line, :width] = torch.tensor(list(query.row.scores.values()))
        ran[line, :width] = 1
    benchmark = torch.tensor([place[query.row.benchmark] for query in known])
    optimizer = torch.optim.AdamW(
        [
            {"params": heads.parameters(), "lr": RATE, "weight_decay": DECAY},
            {"params": likelihood.parameters(), "lr": CURVE_RATE, "weight_decay": 0.0},
        ]
    )
    for _ in range(STEPS):
        logits = heads(4 * vectors)  # (n, 384) -> (n, K)
        each = likelihood.loss(torch.sigmoid(logits), benchmark, model, score, ran)
        aside = torch.nn.functional.binary_cross_entropy_with_logits(logits, soft)
        loss = each.mean() + SOFT * len(DIMENSIONS) * aside + 2e-5 * likelihood.prior()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    with torch.inference_mode():
        asked_vectors = torch.from_numpy(np.array([query.vector for query in asked]))
        return torch.sigmoid(heads(4 * asked_vectors)).double().numpy()


def by_solve_rate(known: Sequence[Query], asked: Sequence[Query]) -> Floats:
    vectors = np.array([query.vector for query in known], np.float64)
    target = np.array([query.difficulty for query in known])
    ridge = vectors.T @ vectors + 1.0 * np.eye(vectors.shape[1])
    weights = np.linalg.solve(ridge, vectors.T @ (target - target.mean()))
    scores = np.array([query.vector for query in asked]) @ weights + target.mean()
    return on_its_head(scores, asked)


def by_nearest(known: Sequence[Query], asked: Sequence[Query]) -> Floats:
    vectors = np.array([query.vector for query in known])
    target = np.array([query.difficulty for query in known])
    alike = np.array([query.vector for query in asked]) @ vectors.T  # (a, n)
    nearest = np.argsort(-alike, axis=1)[:, :20]
    return on_its_head(target[nearest].mean(1), asked)


def by_length(known: Sequence[Query], asked: Sequence[Query]) -> Floats:
    lengths = np.log([1 + len(query.row.text.encode()) for query in (*known, *asked)])
    low, high = np.quantile(lengths[: len(known)], [0.02, 0.98])
    return on_its_head((lengths[len(known) :] - low) / (high - low), asked)


Recipe = Callable[[Sequence[Query], Sequence[Query]], Floats]
RECIPES: dict[str, Recipe] = {
    "likelihood": by_likelihood,
    "solve rate": by_solve_rate,
    "nearest": by_nearest,
    "length": by_length,
}


def measured(requirements: Floats, asked: Sequence[Query]) -> dict[str, list[float | None]]:
    """Mean hull gain, [value, low, high], of both rules, on queries of one file."""
    rows = [
        Row(text=q.row.text, benchmark=q.row.benchmark, outcomes=dict(q.row.scores), cost_usd={})
        for q in asked
    ]
    names = tiers(rows)
    pool = sorted(names.values())
    table = tables.table(
        tables.renamed(rows, names), pool, dict(zip(pool, COSTS_USD, strict=False))
    )
    by_text = {q.row.text: (r, q.vector) for q, r in zip(asked, requirements, strict=True)}
    found = [by_text[text] for text in table.texts]
    scale = Scale(
        dimensions=DIMENSIONS,
        weights=(1 / len(DIMENSIONS),) * len(DIMENSIONS),
        bands=tuple((low, max(high, low + 0.1)) for low, high in bands(requirements)),
        curve=Curve(alpha=1.5, beta=4.0),
    )
    readings = Readings(
        requirements=np.array([r for r, _ in found]),
        states=np.array([v for _, v in found], np.float64),
    )
    shown = report.as_json(evaluate(table, readings, scale, Options(resamples=300)), {})
    return {rule: shown["routers"][rule]["mean_hull_gain"] for rule in ("threshold", "value")}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("outcomes", type=Path)
    parser.add_argument("--rows", type=int, default=400)
    parser.add_argument(
        "--cache", type=Path, default=Path(tempfile.gettempdir()) / "hydra-bench-readings"
    )
    options = parser.parse_args()
    every = queries(options.outcomes, options.rows, options.cache)
    result: dict[str, dict[str, dict[str, list[float | None]]]] = {}
    for name in sorted({query.row.benchmark for query in every}):
        asked = [query for query in every if query.row.benchmark == name]
        if len(asked) < MIN_ROWS or len(asked[0].row.scores) < 2:
            continue
        known = [query for query in every if query.family != asked[0].family]
        result[name] = {
            recipe: measured(fit(known, asked), asked) for recipe, fit in RECIPES.items()
        }
        show(name, len(asked), result[name])
    issues = [query for query in every if query.row.benchmark == "swebench_pro"]
    if issues:
        result["swebench_pro by repository"] = {}
        for recipe, fit in RECIPES.items():
            requirements = np.zeros((len(issues), len(DIMENSIONS)))
            for each in sorted({repository(query.row) for query in issues}):
                inside = [i for i, q in enumerate(issues) if repository(q.row) == each]
                others = [
                    q
                    for q in every
                    if q.row.benchmark != "swebench_pro" or repository(q.row) != each
                ]
                requirements[inside] = fit(others, [issues[i] for i in inside])
            result["swebench_pro by repository"][recipe] = measured(requirements, issues)
        show("swebench_pro by repository", len(issues), result["swebench_pro by repository"])
    for rule in ("threshold", "value"):
        means = {
            recipe: round(
                100 * float(np.mean([f[recipe][rule][0] or 0 for f in result.values()])), 2
            )
            for recipe in RECIPES
        }
        print(f"mean over files, {rule}: {means}")
    print(json.dumps({"bench": "recipes", **result}))


def show(name: str, count: int, found: dict[str, dict[str, list[float | None]]]) -> None:
    print(f"\n{name}, {count} queries")
    for recipe, rules in found.items():
        gains = "  ".join(f"{rule} {points(gain):>20}" for rule, gain in rules.items())
        print(f"  {recipe:12} {gains}", flush=True)


if __name__ == "__main__":
    main()
