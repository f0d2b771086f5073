"""`python -m predictor.reference`: fits the reference table's scale to the models of training.

A score of a public benchmark should say where its model stands on the scale that training found:
`predictor.train` leaves every model's capabilities, the outcome files say what the model scored.
For each outcome file, floor and ceiling are those of the least-squares line from score to place in
the band, so that a new model joins by its scores alone. What that is worth is shown on models left
out, one at a time: their place foretold from their score, against their place as fitted, beside the
error of guessing the mean of the others; and the log loss of their outcomes under either.
Prints the table; the last line is JSON.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from predictor.calibration import fit_curves, shortfalls
from predictor.corpus import Outcome, is_held_out, read_outcomes
from predictor.labels import score_matrix
from predictor.predictor import SHIPPED, Predictor, load
from predictor.render import render

# Entry of the reference table -> the outcome file that holds the same benchmark.
SAME: Mapping[str, str] = {
    "mmlu_pro": "mmlu_pro_2024",
    "livecodebench": "livecodebench_to_2024_06",
    "swe_bench_pro": "swebench_pro",
}
LEAST_MODELS, LEAST_ROWS = 5, 4
_ROWS = 400  # held-out queries of a file that are read for the log loss

Floats = NDArray[np.float64]


def places(predictor: Predictor, capabilities: Floats, dimension: str) -> Floats:
    """Where models (m, K) stand in the band of one dimension: 0 its floor, 1 its top; (m,)."""
    k = predictor.dimensions.index(dimension)
    low, high = predictor.bands[k]
    found: Floats = (capabilities[:, k] - low) / (high - low)
    return found


def line(scores: Floats, place: Floats) -> tuple[float, float]:
    """(floor, ceiling) in percent of the least-squares line from scores (m,) to places (m,).

    >>> line(np.array([20.0, 60.0]), np.array([0.0, 0.5]))
    (20.0, 100.0)
    """
    slope, start = np.polyfit(scores, place, 1)
    return float(-start / slope), float((1 - start) / slope)


def log_loss(chance: Floats, scores: Floats) -> float:
    seen = ~np.isnan(scores)
    if not seen.any():
        return float("nan")  # a model that none of these queries was given to
    chance, scores = np.clip(chance[seen], 1e-4, 1 - 1e-4), scores[seen]
    return float(-np.mean(scores * np.log(chance) + (1 - scores) * np.log(1 - chance)))


def held_out_models(
    predictor: Predictor, rows: Sequence[Outcome], capabilities: Mapping[str, Floats]
) -> dict[str, float]:
    """Each model left out in turn: place and outcomes foretold from its score alone."""
    scores, models = score_matrix(rows)  # (n, m)
    offered = np.array([capabilities[model] for model in models])  # (m, K)
    dimension = rows[0].dimension
    k = predictor.dimensions.index(dimension)
    low, high = predictor.bands[k]
    percent = 100 * np.nanmean(scores, axis=0)  # (m,)
    place = places(predictor, offered, dimension)
    tried = [row for row in rows if is_held_out(row.id)][:_ROWS]
    texts = [render([{"role": "user", "content": row.text}]) for row in tried]
    needed = np.array([predictor.predict(text) for text in texts])  # (h, K)
    outcomes = np.array(
        [[row.scores.get(m, np.nan) for m in models] for row in tried], float
    )  # (h, m)
    errors, losses = [], []
    for left in range(len(models)):
        others = np.arange(len(models)) != left
        floor, ceiling = line(percent[others], place[others])
        foretold = (percent[left] - floor) / (ceiling - floor)
        guess = float(place[others].mean())
        errors.append((abs(foretold - place[left]), abs(guess - place[left])))
        short = shortfalls(needed, offered[others], predictor.bands)
        _, (alpha,), beta = fit_curves([short], [outcomes[:, others]])
        row = []
        for where in (foretold, place[left], guess):
            own = offered[others].mean(0)  # what the score does not exercise: as others have it
            own[k] = low + (high - low) * where
            short = shortfalls(needed, own[None], predictor.bands)
            chance = 1 / (1 + np.exp(-(alpha - beta * short)))
            row.append(log_loss(chance, outcomes[:, [left]]))
        losses.append(row)
    by_score, by_guess = np.mean(errors, axis=0)
    told, fitted, guessed = np.nanmean(losses, axis=0)
    floor, ceiling = line(percent, place)
    return {
        "models": len(models),
        "floor": round(floor, 1),
        "ceiling": round(ceiling, 1),
        "place_error": round(float(by_score), 3),
        "place_error_of_mean": round(float(by_guess), 3),
        "log_loss_by_score": round(float(told), 4),
        "log_loss_fitted": round(float(fitted), 4),
        "log_loss_of_mean": round(float(guessed), 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m predictor.reference", description=__doc__)
    parser.add_argument("--outcomes", type=Path, required=True, help="those of predictor.train")
    parser.add_argument("--work", type=Path, required=True, help="work folder of predictor.train")
    parser.add_argument("--model", type=Path, default=SHIPPED, help="folder of the predictor")
    arguments = parser.parse_args()
    predictor = load(arguments.model)
    learned = torch.load(arguments.work / "likelihood.pt")
    vectors = learned["capabilities"].double().numpy()
    capabilities = dict(zip(learned["models"], vectors, strict=True))
    files: dict[str, list[Outcome]] = defaultdict(list)
    for row in read_outcomes(arguments.outcomes):
        if row.dimension in predictor.dimensions and set(row.scores) <= set(capabilities):
            files[row.benchmark].append(row)
    entries = {file: name for name, file in SAME.items()}
    found = {}
    for file, rows in sorted(files.items()):
        held_out = sum(is_held_out(row.id) for row in rows)
        if len(score_matrix(rows)[1]) >= LEAST_MODELS and held_out > LEAST_ROWS:
            found[file] = held_out_models(predictor, rows, capabilities)
            print(entries.get(file, file), found[file])
    print(json.dumps(found))


if __name__ == "__main__":
    main()
