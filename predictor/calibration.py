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

    Returns: alpha (mean over files, each file counting alike), beta, and the likelihood gained in
    nats per outcome over strengths without requirements.
    """
    low = np.array([a for a, _ in ranges])
    width = np.maximum(np.array([b - a for a, b in ranges]), LEAST_WIDTH)
    full, alphas, beta = _fit(benchmarks, low, width, fixed_beta=None)
    base, _, _ = _fit(benchmarks, low, width, fixed_beta=0.0)
    return float(np.mean(alphas)), beta, base - full


def _fit(
    benchmarks: Sequence[Benchmark],
    low: NDArray[np.float64],
    width: NDArray[np.float64],
    *,
    fixed_beta: float | None,
) -> tuple[float, list[float], float]:
    """Mean negative log-likelihood, alphas, beta. With beta 0, strength enters by itself."""
    log_beta = np.log(4.0)
    alphas = np.zeros(len(benchmarks))
    strengths = [np.zeros(b.scores.shape[1]) for b in benchmarks]
    seen = [~np.isnan(b.scores) for b in benchmarks]
    place = [(b.requirements - low) / width for b in benchmarks]  # (n, K) in band widths
    total = sum(float(s.sum()) for s in seen)
    size = 2 + len(benchmarks) + sum(map(len, strengths))
    first, second = np.zeros(size), np.zeros(size)
    loss = 0.0
    for step in range(1, _STEPS + 1):
        loss, gradient_beta = 0.0, 0.0
        gradients: list[NDArray[np.float64]] = []
        gradient_alpha = np.zeros(len(benchmarks))
        for i, benchmark in enumerate(benchmarks):
            a = _sigmoid(strengths[i])  # (models,)
            if fixed_beta is None:
                gap = place[i][:, None, :] - a[None, :, None]  # (n, models, K)
                on = _sigmoid(_SOFT * gap)
                hinge = np.logaddexp(0, _SOFT * gap) / _SOFT
                short = hinge.mean(2)  # (n, models, K) -> (n, models)
                slope = -on.mean(2)  # of short by a, (n, models)
                beta = float(np.exp(log_beta))
            else:
                short, slope, beta = np.zeros_like(benchmark.scores), np.zeros(1), 0.0
            score = alphas[i] - beta * short + (4 * a - 2 if fixed_beta is not None else 0.0)
            chance = np.clip(_sigmoid(score), 1e-6, 1 - 1e-6)
            y = np.where(seen[i], benchmark.scores, 0.0)
            loss -= float(((y * np.log(chance) + (1 - y) * np.log(1 - chance)) * seen[i]).sum())
            error = (chance - y) * seen[i] / total  # d loss / d score
            gradient_alpha[i] = error.sum()
            gradient_beta += float((error * -short).sum()) * beta
            by_a = (error * -beta * slope).sum(0) if fixed_beta is None else 4 * error.sum(0)
            gradients.append(by_a * a * (1 - a) + 1e-5 * strengths[i])
        gradient = np.concatenate([[gradient_beta, 0.0], gradient_alpha, *gradients])
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        move = _RATE * first / (1 - 0.9**step) / (np.sqrt(second / (1 - 0.999**step)) + 1e-10)
        log_beta -= move[0]
        alphas -= move[2 : 2 + len(benchmarks)]
        at = 2 + len(benchmarks)
        for strength in strengths:
            strength -= move[at : at + len(strength)]
            at += len(strength)
    return loss / total, [float(a) for a in alphas], float(np.exp(log_beta))
