"""Fits a pool's three modes on one half of the queries and measures them on the other.

Of outcome files the queries have seen outcomes, of the log expected ones.

- `peak`: the setting that resolves most;
- `iso`: the cheapest within .3 points of the strongest single model;
- `aggressive`: the cheapest within 3.2 points of it. (Both margins are the paper's results.)
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.evaluation import rules
from gateway.evaluation.crossfit import Foreknowledge, Scale
from gateway.evaluation.curves import Curves, Expected
from gateway.evaluation.evaluation import choose
from gateway.evaluation.fitting import Curve, fit
from gateway.evaluation.outcomes import Floats, Table, folds
from gateway.evaluation.ruler import Point, Ruler

MIN_ROWS: Final = 20
_MARGINS: Final = {"iso": 0.003, "aggressive": 0.032}  # of resolved, below the strongest model
_GRID: Final = 400
_DIGITS: Final = 4  # significant, of a fitted knob


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """One mode: its knob, and what it does on the half it was not fitted on.

    `is_reached` is false where no setting came within the margin on the fitting half; the knob is
    then peak's.
    """

    knob: float
    is_reached: bool
    point: Point


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """The fitted modes, and the strongest single model on the half that they are reported on."""

    rule: str
    modes: Mapping[str, Fitted]
    strongest: Point
    baseline: str  # what savings are measured against
    fitted_rows: int
    reported_rows: int
    # of the profiles that were fitted too
    capabilities: Mapping[str, tuple[float, ...]] = field(default_factory=dict)


def calibrate(
    table: Table,
    requirements: Floats,
    scale: Scale,
    *,
    rule: str,
    capabilities: Floats,
    unscored: tuple[str, ...],
    baseline: str | None,
    resamples: int,
    seed: int,
) -> Calibration:
    """Fit the modes of `rule`, and the capabilities of the `unscored` models, to outcomes.

    Args: requirements (n, K); capabilities (m, K) of the models in the table's order; the curve
    stays the scale's, as it is what serving uses.
    """
    half = folds(table.texts, 2, seed) == 0
    first = table.rows(half)
    offered = capabilities.copy()
    columns = [table.models.index(name) for name in unscored]
    if columns:
        offered[columns] = fit(
            requirements[half],
            first.solved[:, columns],
            scale.weights,
            scale.bands,
            scale.curve,
            fit_curve=False,
        ).capabilities.round(4)
    known = _known(table, requirements, offered, first.cost_usd.mean(axis=0), scale)
    found = fit_modes(
        table, known, half, rule=rule, baseline=baseline, resamples=resamples, seed=seed
    )
    fitted = {
        name: tuple(offered[column].tolist())
        for name, column in zip(unscored, columns, strict=True)
    }
    return replace(found, capabilities=fitted)


def fit_modes(
    table: Table,
    known: Foreknowledge,
    half: NDArray[np.bool_],
    *,
    rule: str,
    baseline: str | None,
    resamples: int,
    seed: int,
    curves: Curves | None = None,
) -> Calibration:
    """Fit the modes of `rule` to the rows where `half` (n,) is true, measure them on the others.

    Args: curves, where the table's outcomes are expected ones: those that they may come from.
    """
    first, second = table.rows(half), table.rows(~half)
    on_first, on_second = known.rows(half), known.rows(~half)
    knobs = _grid(on_first, rule)
    chosen = choose(on_first, rule, knobs)
    resolved = np.take_along_axis(first.solved, chosen, axis=1).mean(axis=0)  # (G,)
    cost = np.take_along_axis(first.cost_usd, chosen, axis=1).mean(axis=0)
    picked = pick(resolved, cost, float(first.solved.mean(axis=0).max()))
    expected = None if curves is None else Expected(curves=curves, shortfalls=on_second.shortfalls)
    ruler = Ruler(second, baseline=baseline, resamples=resamples, seed=seed, expected=expected)
    modes = {}
    for mode, (index, is_reached) in picked.items():
        knob = knobs[index]
        point = ruler.points(mode, choose(on_second, rule, [knob]), [knob])[0]
        modes[mode] = Fitted(knob=knob, is_reached=is_reached, point=point)
    return Calibration(
        rule=rule,
        modes=modes,
        strongest=ruler.single(ruler.strongest),
        baseline=table.models[ruler.baseline],
        fitted_rows=len(first),
        reported_rows=len(second),
    )


def pick(resolved: Floats, cost: Floats, strongest: float) -> dict[str, tuple[int, bool]]:
    """Mode -> the index of its setting, and whether it keeps the mode's margin.

    Of settings that choose alike, the one that would spend most on harder requests than these.
    Args: resolved, cost (G,) of the settings, thrifty first; strongest, what the best single model
    resolves.

    >>> pick(np.array([0.6, 0.7, 0.75]), np.array([1.0, 2.0, 4.0]), 0.73)
    {'peak': (2, True), 'iso': (2, True), 'aggressive': (1, True)}
    """
    lavish = -np.arange(len(cost))  # as thrifty as it must be on these rows, and no more
    peak = int(np.lexsort((lavish, cost, -resolved))[0])
    found = {"peak": (peak, True)}
    for mode, margin in _MARGINS.items():
        enough = resolved >= strongest - margin - 1e-12
        cheapest = int(np.lexsort((lavish, np.where(enough, cost, np.inf)))[0])
        found[mode] = (cheapest, True) if enough.any() else (peak, False)
    return found


def _grid(known: Foreknowledge, rule: str) -> list[float]:
    """Settings as they would be written into the catalog, from thrifty to lavish."""
    if rule == "threshold":
        fine = rules.threshold_grid(known.shortfalls, known.expected_cost_usd, _GRID)
    else:
        fine = rules.value_grid(known.chances, known.expected_cost_usd, _GRID)
    return list(dict.fromkeys(float(f"{knob:.{_DIGITS}g}") for knob in fine))


def _known(
    table: Table, requirements: Floats, capabilities: Floats, costs: Floats, scale: Scale
) -> Foreknowledge:
    gaps = rules.shortfalls(requirements, capabilities, scale.weights, scale.bands)
    curve: Curve = scale.curve
    return Foreknowledge(
        shortfalls=gaps,
        chances=rules.chances(gaps, curve.alpha, curve.beta),
        expected_cost_usd=np.broadcast_to(costs, table.solved.shape),
        fold=np.zeros(len(table), np.int64),
        capabilities=capabilities,
        curve=curve,
    )
