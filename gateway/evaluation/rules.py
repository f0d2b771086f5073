"""Both rules of routing.py over many queries and many settings of the knob at once.

The same arithmetic in the same order as `routing.shortfall` and `routing.decide`, on arrays: a test
holds the two against each other, row by row. n queries, m models, K dimensions, G settings.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from gateway.evaluation.outcomes import Floats, Ints
from gateway.routing import MIN_BAND_WIDTH

Bands = Sequence[tuple[float, float]]


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


def threshold_grid(gaps: Floats, steps: int) -> list[float]:
    """Thresholds from everything is good enough down to nothing may be missing."""
    positive = np.unique(gaps[gaps > 0])  # each once: a model listed twice must not move the grid
    if not len(positive):
        return [0.0]
    inner = np.unique(np.quantile(positive, np.linspace(0, 1, steps)))
    return [float(value) for value in (*inner[::-1], 0.0)]


def value_grid(chance: Floats, costs: Floats, steps: int) -> list[float]:
    """Dollars per solved request, from where price decides alone to where the chance does."""
    spread = float(costs.max() - costs.min()) or float(costs.max()) or 1.0
    # at the low end one unit of chance never pays for the smallest difference in price
    ordered = np.unique(costs)
    least = float(np.diff(ordered).min()) if len(ordered) > 1 else spread
    return [float(value) for value in np.geomspace(max(least, spread * 1e-4), spread * 1e4, steps)]


def _ranks(first: Floats, second: Floats) -> Ints:
    """Each model's place in its row by first, then second, then column; (n, m) from 0."""
    columns = np.broadcast_to(np.arange(first.shape[1]), first.shape)
    order = np.lexsort((columns, second, first), axis=-1)
    places = np.empty_like(order)
    np.put_along_axis(places, order, columns, axis=-1)
    return places
