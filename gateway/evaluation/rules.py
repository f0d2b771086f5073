"""Both rules of routing.py over many queries and many settings of the knob at once.

The same arithmetic in the same order as `routing.shortfall` and `routing.decide`, on arrays: a test
holds the two against each other, row by row. n queries, m models, K dimensions, G settings.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Final

import numpy as np

from gateway.evaluation.outcomes import Floats, Ints
from gateway.routing import MIN_BAND_WIDTH

Bands = Sequence[tuple[float, float]]

_ROWS_FOR_GRID: Final = 400  # queries by which settings are spaced; all are measured
_BISECTIONS: Final = 30


def shortfalls(
    requirements: Floats, capabilities: Floats, weights: Sequence[float], bands: Bands
) -> Floats:
    """Shortfall in band widths, (n, m) >= 0, of requirements (n, K) and capabilities (m, K)."""
    total = np.zeros((len(requirements), len(capabilities)))
    for axis, (weight, (low, high)) in enumerate(zip(weights, bands, strict=True)):
        gap = requirements[:, None, axis] - capabilities[None, :, axis]  # (n, m)
        total += weight * np.maximum(0.0, gap) / max(high - low, MIN_BAND_WIDTH)
    return total


def chances(gaps: Floats, alpha: float, beta: float) -> Floats:
    """P_m = sigmoid(alpha - beta * s), (n, m) in [0, 1]."""
    return np.asarray(1.0 / (1.0 + np.exp(-(alpha - beta * gaps))))


def by_threshold(gaps: Floats, costs: Floats, thresholds: Sequence[float]) -> Ints:
    """The model chosen under each threshold, (n, G): the cheapest within it, else the nearest.

    Args: gaps, costs (n, m), columns in the order of the models' names, which breaks ties.
    """
    cheapest = _ranks(costs, gaps)
    nearest = _ranks(gaps, costs)
    behind = gaps.shape[1]  # whoever is not within the threshold ranks after all who are
    return np.stack(
        [
            np.argmin(np.where(gaps <= threshold, cheapest, behind + nearest), axis=1)
            for threshold in thresholds
        ],
        axis=1,
    )


def by_value(chance: Floats, gaps: Floats, costs: Floats, values_usd: Sequence[float]) -> Ints:
    """The model with the most P - cost / value under each value, (n, G).

    Args: chance, gaps, costs (n, m), columns in the order of names; values in dollars, > 0.
    """
    nearest = _ranks(gaps, costs)
    chosen = []
    for value in values_usd:
        net = chance - costs / value
        best = net == net.max(axis=1, keepdims=True)
        chosen.append(np.argmin(np.where(best, nearest, gaps.shape[1]), axis=1))
    return np.stack(chosen, axis=1)


def by_score(scores: Floats, ladder: Sequence[int], steps: int) -> Ints:
    """For each two neighbours of a ladder of models, the lower one below a cut of `scores` (n,)
    and the upper one above it; (n, G), from all on the lowest to all on the highest.

    The cuts are the scores' quantiles, `steps` for every rung.
    """
    cuts = np.quantile(scores, np.linspace(1, 0, steps + 1))
    cuts[-1] = -np.inf
    above = scores[:, None] > cuts[None, :]  # (n, steps + 1)
    rungs = [np.where(above, upper, lower) for lower, upper in pairwise(ladder)]
    return np.hstack(rungs or [np.full((len(scores), 1), ladder[0])]).astype(np.int64)


def threshold_grid(gaps: Floats, costs: Floats, steps: int) -> list[float]:
    """Thresholds from everything is good enough down to nothing may be missing.

    Spaced evenly in expected cost, see `_evenly`. Args: gaps, costs (n, m).
    """
    few, prices = gaps[:_ROWS_FOR_GRID], costs[:_ROWS_FOR_GRID]
    cheapest, nearest = _ranks(prices, few), _ranks(few, prices)

    def spent(knobs: Floats) -> Floats:
        within = few[..., None] <= knobs
        behind = few.shape[1] + nearest[..., None]
        return _spent(np.where(within, cheapest[..., None], behind).argmin(axis=1), prices)

    return _evenly(spent, float(gaps.max()), 0.0, steps)


def value_grid(chance: Floats, costs: Floats, steps: int) -> list[float]:
    """Dollars per solved request, from where price decides alone to where the chance does.

    Spaced evenly in expected cost, see `_evenly`. Args: chance, costs (n, m).
    """
    few, prices = chance[:_ROWS_FOR_GRID], costs[:_ROWS_FOR_GRID]
    spread = float(costs.max() - costs.min()) or float(costs.max()) or 1.0

    def spent(knobs: Floats) -> Floats:
        net = few[..., None] - prices[..., None] / np.exp(knobs)
        return _spent(net.argmax(axis=1), prices)

    found = _evenly(spent, float(np.log(spread * 1e-4)), float(np.log(spread * 1e4)), steps)
    return [float(np.exp(knob)) for knob in found]


def _spent(chosen: Ints, costs: Floats) -> Floats:
    """Mean expected dollars (T,) of choices (n, T)."""
    return np.asarray(np.take_along_axis(costs, chosen, axis=1).mean(axis=0))


def _evenly(
    spent: Callable[[Floats], Floats], thrifty: float, lavish: float, steps: int
) -> list[float]:
    """Settings from `thrifty` to `lavish` at which expected cost rises in even steps.

    Models that differ little in what they promise change places within a hair's breadth of the
    knob; a grid that is even in the knob would jump over all that lies between. Only expected costs
    are looked at, never outcomes. They rise from thrifty to lavish, so each step is bisected.
    """
    ends = spent(np.array([thrifty, lavish]))
    targets = np.linspace(ends[0], ends[1], steps)[1:-1]
    left, right = np.full(len(targets), thrifty), np.full(len(targets), lavish)
    for _ in range(_BISECTIONS):
        middle = (left + right) / 2
        is_short = spent(middle) < targets
        left, right = np.where(is_short, middle, left), np.where(is_short, right, middle)
    return list(dict.fromkeys([thrifty, *right.tolist(), lavish]))


def _ranks(first: Floats, second: Floats) -> Ints:
    """Each model's place in its row by first, then second, then column; (n, m) from 0."""
    columns = np.broadcast_to(np.arange(first.shape[1]), first.shape)
    order = np.lexsort((columns, second, first), axis=-1)
    places = np.empty_like(order)
    np.put_along_axis(places, order, columns, axis=-1)
    return places
