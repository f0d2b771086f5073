"""The static hull, and what a router solves at a given cost.

The static hull is the best that mixing single models at random can do: the upper concave envelope
of their (cost, resolved) points. A router that is not above it is not worth running. R resamples,
m models, G settings of a knob, T costs.
"""

import numpy as np

from gateway.evaluation.outcomes import Floats


def envelope(costs: Floats, resolved: Floats) -> tuple[Floats, Floats]:
    """The corners of the static hull by rising cost, from the cheapest to the most resolved model.

    >>> costs, resolved = envelope(np.array([1.0, 2.0, 3.0, 4.0]), np.array([0.2, 0.3, 0.6, 0.5]))
    >>> costs.tolist(), resolved.tolist()
    ([1.0, 3.0], [0.2, 0.6])
    """
    corners: list[tuple[float, float]] = []
    for index in np.lexsort((-resolved, costs)):
        point = (float(costs[index]), float(resolved[index]))
        if corners and point[1] <= corners[-1][1]:
            continue  # costs more, solves no more
        while len(corners) > 1 and _is_below(corners[-2], corners[-1], point):
            corners.pop()
        corners.append(point)
    found = np.array(corners)
    return found[:, 0], found[:, 1]


def ladder(costs: Floats, resolved: Floats) -> list[int]:
    """The models (m,) at the corners of the hull, by rising cost."""
    on_cost, on_resolved = envelope(costs, resolved)
    return [
        int(np.flatnonzero((costs == cost) & (resolved == solved))[0])
        for cost, solved in zip(on_cost, on_resolved, strict=True)
    ]


def _is_below(
    left: tuple[float, float], middle: tuple[float, float], right: tuple[float, float]
) -> bool:
    """Whether the middle point lies on or under the line from left to right."""
    return (middle[1] - left[1]) * (right[0] - left[0]) <= (right[1] - left[1]) * (
        middle[0] - left[0]
    )


def hull_at(costs: Floats, resolved: Floats, at: Floats) -> Floats:
    """What the hull solves at costs `at` (R, T) or less, for models' costs, resolved (R, m).

    Below the cheapest model's cost it counts as the cheapest model: a router that is cheaper still
    gets no credit for what it leaves unsolved.
    """
    return np.stack(
        [
            np.interp(wanted, *envelope(cost, solved))
            for cost, solved, wanted in zip(costs, resolved, at, strict=True)
        ]
    )


def path_at(costs: Floats, resolved: Floats, at: Floats) -> Floats:
    """What a router solves at costs `at` (R, T), along its settings (R, G) in order of the knob.

    Between neighbouring settings it is their random mixture. Where the path passes a cost more
    than once, the passes are averaged: taking the best would reward noise. NaN where it never
    comes by.
    """
    left, right = costs[:, :-1, None], costs[:, 1:, None]  # (R, G-1, 1)
    wanted = at[:, None, :]  # (R, 1, T)
    step = right - left
    share = np.divide(
        wanted - left,
        step,
        out=np.full(np.broadcast_shapes(wanted.shape, step.shape), 0.5),
        where=step != 0,
    )
    passes = np.where(step != 0, (share >= 0) & (share <= 1), wanted == left)
    found = resolved[:, :-1, None] + share * np.diff(resolved, axis=1)[:, :, None]
    count = passes.sum(axis=1)
    total = np.where(passes, found, 0.0).sum(axis=1)
    return np.asarray(np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0))
