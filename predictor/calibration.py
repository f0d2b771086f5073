"""Fits what the router needs beside the model: bands, and how shortfall becomes P(solved).

Training only (numpy). All of it is fitted on held-out rows, which the model was not trained on;
only the capabilities of the models come from training.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

LOW, HIGH = 10, 90  # percentiles of own predictions, as in the paper
LEAST_WIDTH = 0.1  # a band is never narrower when shortfall is measured in band widths
_NEWTON_STEPS = 40
_RIDGE = 1e-5  # keeps a file that everybody solves from an infinite alpha
_BINS = 10

Floats = NDArray[np.float64]
Bands = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """Held-out queries of one outcome file.

    `requirements` (n, K); `scores` (n, m), NaN where not run; `capabilities` (m, K), learned on
    other queries; `ids` (n,) split the queries in halves; `dimension` is the file's hint.
    """

    name: str
    dimension: str
    ids: Sequence[str]
    requirements: Floats
    scores: Floats
    capabilities: Floats


class Reliability(TypedDict):
    """How P(solved) agrees with outcomes: expected calibration error, and a curve over bins."""

    outcomes: int
    ece: float
    said: list[float]
    found: list[float]


def bands(predictions: Floats) -> list[tuple[float, float]]:
    """The 10th and 90th percentile of each head over predictions (n, K)."""
    low, high = np.percentile(predictions, [LOW, HIGH], axis=0)  # (n, K) -> 2 x (K,)
    return [(round(float(a), 4), round(float(b), 4)) for a, b in zip(low, high, strict=True)]


def shortfalls(requirements: Floats, capabilities: Floats, ranges: Bands) -> Floats:
    """Shortfall in band widths, all dimensions alike; (n, K) and (m, K) -> (n, m)."""
    width = np.maximum([high - low for low, high in ranges], LEAST_WIDTH)
    gap = (requirements[:, None] - capabilities[None]) / width  # (n, m, K)
    found: Floats = np.maximum(gap, 0).mean(2)
    return found


def solve_curve(benchmarks: Sequence[Benchmark], ranges: Bands) -> tuple[float, float, float]:
    """alpha and beta of P(m solves q) = sigmoid(alpha - beta * shortfall(r(q), c_m)).

    Each file has its own alpha (its format makes it easier or harder at shortfall 0), beta is
    common, each file weighs alike. Maximum likelihood by Newton steps.

    Returns: alpha (mean over files), beta, and the likelihood gained, in nats per outcome, over the
    same curve with every query at its file's mean requirements.
    """
    short = [shortfalls(b.requirements, b.capabilities, ranges) for b in benchmarks]
    flat = [
        shortfalls(np.broadcast_to(b.requirements.mean(0), b.requirements.shape), b.capabilities,
                   ranges)
        for b in benchmarks
    ]  # fmt: skip
    scores = [b.scores for b in benchmarks]
    loss, alphas, beta = fit_curves(short, scores)
    return float(np.mean(alphas)), beta, fit_curves(flat, scores)[0] - loss


def fit_curves(
    short: Sequence[Floats], scores: Sequence[Floats]
) -> tuple[float, list[float], float]:
    """Mean negative log-likelihood, each file's alpha, and beta >= 0: a logistic regression."""
    files = len(scores)
    values = np.zeros(files + 1)
    values[-1] = 4.0
    loss = 0.0
    for _ in range(_NEWTON_STEPS):
        gradient, curvature = _RIDGE * values, _RIDGE * np.eye(files + 1)
        loss = 0.0
        for i in range(files):
            seen = ~np.isnan(scores[i])
            s, y = short[i][seen], scores[i][seen]  # (outcomes,)
            chance = _sigmoid(values[i] - values[-1] * s)
            loss -= float(np.mean(y * np.log(chance) + (1 - y) * np.log(1 - chance))) / files
            error, curve = chance - y, chance * (1 - chance)
            gradient[i] += error.mean()
            gradient[-1] -= (error * s).mean()
            curvature[i, i] += curve.mean()
            curvature[-1, -1] += (curve * s * s).mean()
            curvature[i, -1] -= (curve * s).mean()
            curvature[-1, i] -= (curve * s).mean()
        values -= np.clip(np.linalg.solve(curvature, gradient), -2, 2)
        values[-1] = max(values[-1], 0.0)
    return loss, [float(a) for a in values[:-1]], float(values[-1])


def reliability(
    benchmarks: Sequence[Benchmark], ranges: Bands, *, own_curves: bool = False
) -> dict[str, Reliability]:
    """By dimension hint, P(solved) of one half of the queries under a curve of the other half.

    Each file keeps its alpha and shares beta; with `own_curves` each dimension has its beta too,
    which shows whether a temperature of its own would help.
    """
    said: dict[str, list[Floats]] = {}
    found: dict[str, list[Floats]] = {}
    groups = (
        [
            [b for b in benchmarks if b.dimension == d]
            for d in sorted({b.dimension for b in benchmarks})
        ]
        if own_curves
        else [list(benchmarks)]
    )
    for group in groups:
        half = [np.array([_half(name) for name in b.ids]) for b in group]
        short = [shortfalls(b.requirements, b.capabilities, ranges) for b in group]
        for side in (0, 1):
            other = [(s[h != side], b.scores[h != side])
                     for s, b, h in zip(short, group, half, strict=True)]  # fmt: skip
            _, alphas, beta = fit_curves([s for s, _ in other], [y for _, y in other])
            for b, s, h, alpha in zip(group, short, half, alphas, strict=True):
                scores = b.scores[h == side]
                seen = ~np.isnan(scores)
                said.setdefault(b.dimension, []).append(_sigmoid(alpha - beta * s[h == side])[seen])
                found.setdefault(b.dimension, []).append(scores[seen])
    return {name: binned(np.concatenate(said[name]), np.concatenate(found[name])) for name in said}


def binned(said: Floats, found: Floats) -> Reliability:
    """Ten bins of equal mass over chances (n,) and outcomes (n,) in [0, 1]."""
    order = np.argsort(said, kind="stable")
    parts = [part for part in np.array_split(order, _BINS) if len(part)]
    means = [(float(said[p].mean()), float(found[p].mean()), len(p)) for p in parts]
    return Reliability(
        outcomes=len(said),
        ece=round(sum(abs(a - b) * n for a, b, n in means) / len(said), 4),
        said=[round(a, 3) for a, _, _ in means],
        found=[round(b, 3) for _, b, _ in means],
    )


def _half(name: str) -> int:
    return hashlib.blake2b(name.encode(), digest_size=1).digest()[0] % 2


def _sigmoid(x: Floats) -> Floats:
    found: Floats = 1 / (1 + np.exp(-np.clip(x, -15, 15)))
    return found
