"""What the router would have known of every query, with nothing taken from the query itself.

Whatever is learned from outcomes (capabilities, the solve curve, what a model costs) is learned on
the other folds than the one it is used on. n queries, m models, K dimensions.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gateway.evaluation.fitting import Curve, fit
from gateway.evaluation.outcomes import Floats, Ints, Table, digest, folds
from gateway.evaluation.rules import chances, shortfalls


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How shortfall is measured: weights (K,) summing to 1, the predictor's bands and curve."""

    dimensions: tuple[str, ...]
    weights: tuple[float, ...]
    bands: tuple[tuple[float, float], ...]
    curve: Curve


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreknowledge:
    """Per query and model (n, m): shortfall, chance of solving, expected dollars.

    `fold` (n,) is the one that a query is in: what was learned is the same inside it.
    `capabilities` (m, K) and `curve` are means over the folds, for a reader.
    """

    shortfalls: Floats
    chances: Floats
    expected_cost_usd: Floats
    fold: Ints
    capabilities: Floats
    curve: Curve

    def rows(self, chosen: NDArray[np.bool_]) -> "Foreknowledge":
        """The queries where `chosen` (n,) is true."""
        return replace(
            self,
            shortfalls=self.shortfalls[chosen],
            chances=self.chances[chosen],
            expected_cost_usd=self.expected_cost_usd[chosen],
            fold=self.fold[chosen],
        )


def foreknow(
    table: Table,
    requirements: Floats,
    scale: Scale,
    *,
    capabilities: Floats | None,
    fit_curve: bool,
    count: int,
    seed: int,
) -> Foreknowledge:
    """Cross-fit over `count` folds. `capabilities` (m, K) are used as given, or fitted if None."""
    part = folds(table.texts, count, seed)
    shape = table.solved.shape
    gaps, chance, costs = (np.zeros(shape) for _ in range(3))
    offered, curves = [], []
    for fold in range(count):
        scored = part == fold
        if not scored.any():
            continue
        others = ~scored if (~scored).any() else scored  # a file of one query
        found = fit(
            requirements[others],
            table.solved[others],
            scale.weights,
            scale.bands,
            scale.curve,
            capabilities=capabilities,
            fit_curve=fit_curve,
        )
        gaps[scored] = shortfalls(
            requirements[scored], found.capabilities, scale.weights, scale.bands
        )
        chance[scored] = chances(gaps[scored], found.curve.alpha, found.curve.beta)
        costs[scored] = table.cost_usd[others].mean(axis=0)
        offered.append(found.capabilities)
        curves.append(found.curve)
    return Foreknowledge(
        shortfalls=gaps,
        chances=chance,
        expected_cost_usd=costs,
        fold=part,
        capabilities=np.mean(offered, axis=0),
        curve=_mean(curves) if fit_curve else scale.curve,
    )


def _mean(curves: Sequence[Curve]) -> Curve:
    return Curve(
        alpha=float(np.mean([curve.alpha for curve in curves])),
        beta=float(np.mean([curve.beta for curve in curves])),
    )


def neighbours(
    states: Floats, texts: Sequence[str], solved: Floats, count: int | None = None
) -> Floats:
    """k-NN's chance of solving, (n, m): the mean outcome of the nearest other queries by cosine.

    Args: states (n, h), the encoder's; count, default the square root of n, 5 to 50. Queries with
    the same text are no neighbours of each other: that would be looking the answer up.
    """
    size = len(states)
    count = min(count or int(np.clip(round(size**0.5), 5, 50)), max(size - 1, 1))
    unit = states / np.maximum(np.linalg.norm(states, axis=1, keepdims=True), 1e-12)
    unit = unit.astype(np.float32)
    _, same = np.unique([digest(text) for text in texts], return_inverse=True)
    found = np.zeros_like(solved)
    for start in range(0, size, 1024):  # rows at a time: all pairs of 10,000 would take 400 MB
        rows = slice(start, start + 1024)
        alike = unit[rows] @ unit.T  # (rows, n)
        is_self = same[rows, None] == same[None, :]
        alike[is_self] = -np.inf
        nearest = np.argpartition(-alike, count - 1, axis=1)[:, :count]
        usable = np.isfinite(np.take_along_axis(alike, nearest, axis=1))  # (rows, count)
        weight = usable / np.maximum(usable.sum(axis=1, keepdims=True), 1)
        found[rows] = np.einsum("rc,rcm->rm", weight, solved[nearest])
    return found
