"""Hull gain on training outcome files, for a predictor that has not seen some of them.

Train a predictor without a benchmark, then see here what it does on it, and on mixtures of it with
another kind of work. The files have up to 70 models and no costs, so both follow a fixed rule:

- The pool: of the models that have an outcome in 95% of the file's rows, ranked by mean score, the
  ones at quantiles .1, .35, .6, .85 and 1 of the ranking; with fewer than five models, all of them.
- They are named tier1 (weakest) to tier5, so that files without a common model can be mixed, and
  cost .001, .003, .009, .027 and .081 dollars a query by that rank. Real prices are not so tidy:
  the figures compare predictors with each other, they are no forecast for a pool.

At most `--rows` rows a file, in the order of their digests. `--only-held-out` keeps to the rows
that training sets aside, for a predictor that was trained on the file. Last line: JSON.

    python bench/held_out_benchmarks.py --predictor FOLDER OUTCOMES.jsonl.gz [...] [--rows 800]
"""

import argparse
import gzip
import json
from collections import defaultdict
from pathlib import Path
from typing import Final

from hull_gains import add_options, instrument, summary

from gateway.evaluation import outcomes
from gateway.evaluation.outcomes import Row, Table
from predictor.corpus import is_held_out

QUANTILES: Final = (0.1, 0.35, 0.6, 0.85, 1.0)
COSTS_USD: Final = (0.001, 0.003, 0.009, 0.027, 0.081)
MIN_SHARE: Final = 0.95  # of the file's rows that a model of the pool has
# Half and half, of two kinds of work each; measured when both files are given.
MIXTURES: Final = (
    ("reasoning_gym_hard", "swebench_pro"),
    ("bfcl_v1_2024_08", "livecodebench_to_2024_06"),
    ("mmlu_pro_2024", "swebench_pro"),
    ("shaberi_ja_judge_gpt41", "reasoning_gym_hard"),
)


def tiers(rows: list[Row]) -> dict[str, str]:
    """Model -> tier of the file's pool, weakest first."""
    scores: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        for model, score in row.outcomes.items():
            scores[model].append(score)
    ranked = sorted(
        (sum(found) / len(found), model)
        for model, found in scores.items()
        if len(found) >= MIN_SHARE * len(rows)
    )
    places = list(range(len(ranked)))
    if len(ranked) > len(QUANTILES):
        places = sorted({round(quantile * (len(ranked) - 1)) for quantile in QUANTILES})
    return {ranked[place][1]: f"tier{rank}" for rank, place in enumerate(places, start=1)}


def held_out_texts(path: Path) -> set[str]:
    """The prompts that training sets aside under every id that they have."""
    sides: dict[str, set[bool]] = defaultdict(set)
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            fields = json.loads(line)
            sides[fields["prompt"]].add(is_held_out(fields["id"]))
    return {text for text, found in sides.items() if found == {True}}


def rows_of(path: Path, count: int, *, only_held_out: bool) -> tuple[list[Row], dict[str, str]]:
    """The rows to measure, models named by tier, and that naming. The whole file names the pool."""
    rows = outcomes.read(path)
    names = tiers(rows)
    if only_held_out:
        kept = held_out_texts(path)
        rows = [row for row in rows if row.text in kept]
    return outcomes.renamed(sorted(rows, key=lambda row: row.digest)[:count], names), names


def table(rows: list[Row], count: int) -> Table:
    """The rows with the first `count` tiers."""
    models = [f"tier{rank}" for rank in range(1, count + 1)]
    return outcomes.table(rows, models, dict(zip(models, COSTS_USD, strict=False)))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--rows", type=int, default=800)
    parser.add_argument("--only-held-out", action="store_true")
    add_options(parser)
    options = parser.parse_args()
    tool = instrument(options)
    found: dict[str, list[Row]] = {}
    pools, measured = {}, {}
    for path in options.files:
        name = path.name.partition(".")[0]
        rows, names = rows_of(path, options.rows, only_held_out=options.only_held_out)
        found[name], pools[name] = rows, {tier: model for model, tier in names.items()}
        measured[name] = tool.measure(name, table(rows, len(names)))
        print("  " + ", ".join(f"{tier} {model}" for tier, model in pools[name].items()))
    for pair in MIXTURES:
        if set(pair) <= set(found):
            rows = outcomes.mixed([found[name] for name in pair], [0.5, 0.5], seed=0)
            name = "half " + ", half ".join(pair)
            measured[name] = tool.measure(name, table(rows, len(COSTS_USD)))
    print(f"\n{summary(measured)}\n")
    about = {
        "version": tool.model.version,
        "predictor_sha": tool.model.sha256[:16],
        "rows": options.rows,
        "only_held_out": options.only_held_out,
    }
    print(
        json.dumps({"bench": "held_out_benchmarks", **about, "pools": pools, "measured": measured})
    )


if __name__ == "__main__":
    main()
