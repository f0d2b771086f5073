"""The ruler: what choices of models resolve and cost, against single models, hull and oracle.

It is given choices and knows nothing of how they came about. R resamples, n queries, m models,
G settings of a router's knob.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from gateway.evaluation.curves import Expected
from gateway.evaluation.hull import envelope, hull_at, ladder, path_at
from gateway.evaluation.outcomes import Floats, Ints, Table
from gateway.evaluation.resampling import Figure, figure, figures, resample_weights

QUOTED: Final = (0.25, 0.5, 0.75)  # of the way in cost from the cheapest to the strongest model
_SOLVED: Final = 0.5  # a score from which a query counts as solved, where it must be yes or no


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One way to choose, measured. Shares of 1; dollars per query; gain in share, not points."""

    name: str
    knob: float | None
    resolved: Figure
    cost_usd: Figure
    quality_retention: Figure  # of what the oracle resolves
    cost_savings: Figure  # against the baseline model
    misroute: Figure  # queries that a cheaper model solves too
    hull_gain: Figure  # over the static hull at the same cost


@dataclass(frozen=True, slots=True, kw_only=True)
class Frontier:
    """A router over its knob: every setting, and its hull gain at the quoted costs."""

    name: str
    points: tuple[Point, ...]
    gains: tuple[Figure, ...]
    mean_gain: Figure

    def nearest(self, cost_usd: float) -> Point:
        """The setting whose cost is nearest; chosen by cost alone, never by what it resolves."""
        return min(self.points, key=lambda point: abs(point.cost_usd.value - cost_usd))


class Ruler:
    """Measures choices on one table. Model columns are in the table's order."""

    def __init__(
        self,
        table: Table,
        *,
        baseline: str | None,
        resamples: int,
        seed: int,
        expected: Expected | None = None,
    ) -> None:
        self.table = table
        self._weights = resample_weights(len(table), resamples, seed)  # (R + 1, n)
        self._expected = expected  # where nobody saw the outcomes: each resample has its own
        every = np.broadcast_to(np.arange(len(table.models)), table.solved.shape)
        self._solved = self._mean_solved(every)  # (R + 1, m)
        self._cost = self._weights @ table.cost_usd
        self.cheapest = int(np.lexsort((-self._solved[0], self._cost[0]))[0])
        self.strongest = int(np.lexsort((self._cost[0], -self._solved[0]))[0])
        self.baseline = self.strongest if baseline is None else table.models.index(baseline)
        self._oracle_resolved, *_ = self._means(self.oracle)

    @cached_property
    def oracle(self) -> Ints:
        """The cheapest of those that score best on each query, (n, 1): nobody can know it."""
        best = self.table.solved == self.table.solved.max(axis=1, keepdims=True)
        chosen: Ints = np.argmin(np.where(best, self.table.cost_usd, np.inf), axis=1)[:, None]
        return chosen

    @cached_property
    def quoted_costs(self) -> Floats:
        """The costs at which gains are quoted, (R + 1, 3), in dollars per query."""
        low, high = self._cost[:, self.cheapest], self._cost[:, self.strongest]
        return np.asarray(low[:, None] + (high - low)[:, None] * np.array(QUOTED))

    @cached_property
    def corners(self) -> tuple[Floats, Floats]:
        """Costs and resolved shares of the static hull's corners."""
        return envelope(self._cost[0], self._solved[0])

    @cached_property
    def ladder(self) -> list[int]:
        """The models at those corners."""
        return ladder(self._cost[0], self._solved[0])

    def single(self, model: int) -> Point:
        """Every query to one model."""
        choices = np.full((len(self.table), 1), model)
        return self.points(self.table.models[model], choices, [None])[0]

    def points(self, name: str, choices: Ints, knobs: Sequence[float | None]) -> tuple[Point, ...]:
        """Each column of `choices` (n, G), measured."""
        resolved, cost, misroute = self._means(choices)
        measured = zip(
            knobs,
            figures(resolved),
            figures(cost),
            figures(_ratio(resolved, self._oracle_resolved)),
            figures(1 - _ratio(cost, self._cost[:, [self.baseline]])),
            figures(misroute),
            figures(resolved - hull_at(self._cost, self._solved, cost)),
            strict=True,
        )
        return tuple(
            Point(
                name=name,
                knob=knob,
                resolved=of_resolved,
                cost_usd=of_cost,
                quality_retention=retention,
                cost_savings=savings,
                misroute=of_misroute,
                hull_gain=gain,
            )
            for knob, of_resolved, of_cost, retention, savings, of_misroute, gain in measured
        )

    def frontier(self, name: str, choices: Ints, knobs: Sequence[float | None]) -> Frontier:
        """A router whose settings, from thrifty to lavish, chose `choices` (n, G).

        Whoever runs it can also send a share of the queries to the cheapest or the strongest model
        whatever it says, so its path begins at the one and ends at the other.
        """
        resolved, cost, _ = self._means(choices)
        ends = ([self.cheapest], [self.strongest])
        path_cost = np.hstack([self._cost[:, ends[0]], cost, self._cost[:, ends[1]]])
        path_resolved = np.hstack([self._solved[:, ends[0]], resolved, self._solved[:, ends[1]]])
        at = self.quoted_costs
        gains = path_at(path_cost, path_resolved, at) - hull_at(self._cost, self._solved, at)
        return Frontier(
            name=name,
            points=self.points(name, choices, knobs),
            gains=figures(gains),
            mean_gain=figure(gains.mean(axis=1)),
        )

    def reliability(self, chance: Floats, bins: int = 10) -> "Reliability":
        """How well chances (n, m) agree with outcomes, in bins of equal mass; ties together."""
        edges = np.unique(np.quantile(chance, np.linspace(0, 1, bins + 1)[1:-1]))
        part = np.searchsorted(edges, chance, side="right")  # (n, m)
        count, said, found = (np.zeros((len(chance), len(edges) + 1)) for _ in range(3))
        for index in range(len(edges) + 1):
            inside = part == index
            count[:, index] = inside.sum(axis=1)
            said[:, index] = (chance * inside).sum(axis=1)
            found[:, index] = (self.table.solved * inside).sum(axis=1)
        mass, said, found = (self._weights @ each for each in (count, said, found))
        error = np.abs(said - found).sum(axis=1) / mass.sum(axis=1)
        kept = mass[0] > 0
        return Reliability(
            error=figure(error),
            said=tuple((said[0] / np.maximum(mass[0], 1e-300))[kept].tolist()),
            found=tuple((found[0] / np.maximum(mass[0], 1e-300))[kept].tolist()),
            share=tuple((mass[0] / mass[0].sum())[kept].tolist()),
        )

    @cached_property
    def _cheaper_solves(self) -> Floats:
        """1 where a model that costs less on average does as well and solves the query, (n, m)."""
        found = np.zeros(self.table.solved.shape)
        for model, cost in enumerate(self._cost[0]):
            enough = np.maximum(self.table.solved[:, model], _SOLVED)[:, None]
            cheaper = self._cost[0] < cost
            found[:, model] = (self.table.solved[:, cheaper] >= enough).any(axis=1)
        return found

    def _means(self, choices: Ints) -> tuple[Floats, Floats, Floats]:
        """Resolved, dollars and misrouted per query under every resample, each (R + 1, G)."""
        cost, misroute = (
            self._weights @ np.take_along_axis(values, choices, axis=1)
            for values in (self.table.cost_usd, self._cheaper_solves)
        )
        return self._mean_solved(choices), cost, misroute

    def _mean_solved(self, choices: Ints) -> Floats:
        """What choices (n, G) solve per query under every resample, (R + 1, G)."""
        if self._expected is not None:
            return self._expected.means(choices, self._weights)
        return np.asarray(self._weights @ np.take_along_axis(self.table.solved, choices, axis=1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Reliability:
    """Expected calibration error, and the curve: per bin what was said, what was found."""

    error: Figure
    said: tuple[float, ...]
    found: tuple[float, ...]
    share: tuple[float, ...]


def _ratio(part: Floats, whole: Floats) -> Floats:
    """part / whole, NaN where there is no whole."""
    shape = np.broadcast_shapes(part.shape, whole.shape)
    return np.asarray(np.divide(part, whole, out=np.full(shape, np.nan), where=whole != 0))
