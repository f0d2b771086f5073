"""Fits what the router needs beside the model: bands, and how shortfall becomes P(solved).

Training only (numpy). Both are fitted on held-out rows, which the model was not trained on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LOW, HIGH = 10, 90  # percentiles of own predictions, as in the paper
LEAST_WIDTH = 0.1  # a band is never narrower when shortfall is measured in band widths
_STEPS = 1500
_RATE = 0.02
_SOFT = 40.0  # sharpness of the soft hinge: 1 / 40 of a band width is where it bends


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """Held-out queries of one outcome file: requirements (n, K), scores (n, models), NaN unseen."""

    name: str
    requirements: NDArray[np.float64]
    scores: NDArray[np.float64]


def bands(predictions: NDArray[np.float64]) -> list[tuple[float, float]]:
    """The 10th and 90th percentile of each head over predictions (n, K)."""
    low, high = np.percentile(predictions, [LOW, HIGH], axis=0)  # (n, K) -> 2 x (K,)
    return [(round(float(a), 4), round(float(b), 4)) for a, b in zip(low, high, strict=True)]


def _sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-np.clip(x, -40, 40)))


def solve_curve(
    benchmarks: Sequence[Benchmark], ranges: Sequence[tuple[float, float]]
) -> tuple[float, float, float]:
    """alpha and beta of P(m solves q) = sigmoid(alpha - beta * shortfall(r(q), c_m)).

    Each model of a file has one free strength a in [0, 1], its place inside the bands on every
    dimension, as an anchor places it; each file its own alpha (its format makes it easier or
    harder at shortfall 0); beta is common. Weights are even. Maximum likelihood by Adam.

    Returns: alpha (mean over files, each file counting alike), beta, and the likelihood gained, in
    nats per outcome, over the same curve with every query at its file's mean requirements.
    """
    low = np.array([a for a, _ in ranges])
    width = np.maximum(np.array([b - a for a, b in ranges]), LEAST_WIDTH)
    scores = [b.scores for b in benchmarks]
    place = [(b.requirements - low) / width for b in benchmarks]  # (n, K), in band widths
    flat = [np.broadcast_to(p.mean(0), p.shape) for p in place]
    loss, alphas, beta = _fit(scores, place)
    return float(np.mean(alphas)), beta, _fit(scores, flat)[0] - loss


def _fit(
    scores: Sequence[NDArray[np.float64]], place: Sequence[NDArray[np.float64]]
) -> tuple[float, list[float], float]:
    """Mean negative log-likelihood, the files' alphas, and beta."""
    files = len(scores)
    seen = [~np.isnan(s) for s in scores]
    solved = [np.nan_to_num(s) for s in scores]
    total = sum(int(s.sum()) for s in seen)
    # one vector of everything fitted: log beta, the alphas, the logits of the models' strengths
    ends = np.cumsum([1 + files, *(s.shape[1] for s in scores)])
    values = np.zeros(ends[-1])
    values[0] = np.log(4.0)
    first, second = np.zeros_like(values), np.zeros_like(values)
    loss = 0.0
    for step in range(1, _STEPS + 1):
        gradient = 1e-5 * values
        loss, beta = 0.0, float(np.exp(values[0]))
        for i in range(files):
            part = slice(ends[i], ends[i + 1])
            strength = _sigmoid(values[part])  # (models,)
            gap = place[i][:, None, :] - strength[None, :, None]  # (n, models, K)
            hinge = np.logaddexp(0, _SOFT * gap) / _SOFT
            short = hinge.mean(2)  # (n, models, K) -> (n, models)
            slope = -_sigmoid(_SOFT * gap).mean(2)  # of short by strength, (n, models)
            chance = np.clip(_sigmoid(values[1 + i] - beta * short), 1e-6, 1 - 1e-6)
            likely = solved[i] * np.log(chance) + (1 - solved[i]) * np.log(1 - chance)
            loss -= float((likely * seen[i]).sum()) / total
            error = (chance - solved[i]) * seen[i] / total  # of the loss by the curve's argument
            gradient[0] -= float((error * short).sum()) * beta
            gradient[1 + i] += error.sum()
            gradient[part] -= beta * (error * slope).sum(0) * strength * (1 - strength)
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        values -= _RATE * first / (1 - 0.9**step) / (np.sqrt(second / (1 - 0.999**step)) + 1e-10)
    return loss, [float(a) for a in values[1 : 1 + files]], float(np.exp(values[0]))
