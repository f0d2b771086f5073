"""Leave-one-model-out error of the reference table: does a score follow from the other scores?

For each model of the shipped catalog and each of its scores: the score is hidden, the model's
anchors on the dimensions that the benchmark exercises are formed from its remaining scores, and the
hidden score is foretold as that anchor plus the mean difference which the *other* models show
between the two. Beside it the plain guess: the mean score of the other models. Points of the
benchmark. Last line: JSON.

    python bench/reference_table.py
"""

import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import yaml

from gateway import anchors

ROOT = Path(__file__).parent.parent
Scores = dict[str, float]


def anchor(
    scores: Scores, hidden: str, dimensions: list[Scores], reference: dict[str, anchors.Range]
) -> float | None:
    """A model's anchor in [0, 1] where `hidden` is at home, without it; None if nothing is left."""
    rest = {name: score for name, score in scores.items() if name != hidden}
    found = [
        (weights[hidden], anchors.mean_anchor(rest, weights, reference))
        for weights in dimensions
        if hidden in weights
    ]
    known = [(weight, value) for weight, value in found if value is not None]
    total = sum(weight for weight, _ in known)
    return sum(weight * value for weight, value in known) / total if known else None


def main() -> None:
    table = yaml.safe_load((ROOT / "predictor/model/reference.yaml").read_text("utf-8"))
    reference = {
        name: (float(entry["floor"]), float(entry["ceiling"]))
        for name, entry in table["benchmarks"].items()
    }
    axes = yaml.safe_load((ROOT / "profiles/dimensions.yaml").read_text("utf-8"))["dimensions"]
    dimensions = [axis["benchmarks"] for axis in axes.values()]
    models: dict[str, Scores] = {}
    for path in sorted((ROOT / "profiles").glob("*.yaml")):
        entry = yaml.safe_load(path.read_text("utf-8"))
        if entry.get("benchmarks"):
            models[entry["name"]] = {
                name: float(each["score"]) for name, each in entry["benchmarks"].items()
            }
    errors: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for benchmark, (floor, ceiling) in reference.items():
        known = {
            name: (anchors.normalised(scores[benchmark], (floor, ceiling)), found)
            for name, scores in models.items()
            if benchmark in scores
            and (found := anchor(scores, benchmark, dimensions, reference)) is not None
        }
        if len(known) < 3:
            continue
        for name, (score, found) in known.items():
            others = [pair for other, pair in known.items() if other != name]
            foretold = found + np.mean([theirs - basis for theirs, basis in others])
            guess = np.mean([theirs for theirs, _ in others])
            width = ceiling - floor
            errors[benchmark].append((abs(foretold - score) * width, abs(guess - score) * width))
    print(f"{'benchmark':24}{'models':>7}{'from other scores':>20}{'mean of others':>17}")
    for benchmark, found in errors.items():
        ours, plain = np.mean(found, axis=0)
        print(f"{benchmark:24}{len(found):7}{ours:20.1f}{plain:17.1f}")
    ours, plain = np.mean([pair for found in errors.values() for pair in found], axis=0)
    print(
        json.dumps(
            {"error_points": round(float(ours), 1), "mean_guess_points": round(float(plain), 1)}
        )
    )


if __name__ == "__main__":
    main()
