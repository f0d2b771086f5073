"""An evaluation: both rules and what they must beat, measured on one table of outcomes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from gateway.evaluation import baselines, rules
from gateway.evaluation.crossfit import Foreknowledge, Scale, foreknow, neighbours
from gateway.evaluation.fitting import Curve
from gateway.evaluation.outcomes import Floats, Ints, Table
from gateway.evaluation.readings import Readings
from gateway.evaluation.ruler import Frontier, Point, Reliability, Ruler

GRID: Final = 80  # settings of a knob; between two of them a router is their mixture
BINARY: Final = "binary (predictor)"
VALUE_SHIPPED: Final = "value, shipped curve"
OURS: Final = ("threshold", "value", VALUE_SHIPPED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to evaluate. `capabilities` (m, K) as given, or None: fitted on the other folds.

    `fit_curve` fits alpha and beta along; else they are the predictor's. `modes` are settings of
    the pool's `rule` to be shown by name.
    """

    capabilities: Floats | None = None
    fit_curve: bool = True
    baseline: str | None = None
    rule: str = "threshold"
    modes: Mapping[str, float] | None = None
    folds: int = 5
    resamples: int = 1000
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Everything measured. Frontiers by router, cheapest setting first; dollars per query."""

    table: Table
    dimensions: tuple[str, ...]
    singles: tuple[Point, ...]  # by cost
    cheapest: Point
    strongest: Point
    baseline: Point
    oracle: Point
    modes: tuple[Point, ...]
    frontiers: Mapping[str, Frontier]
    reliability: Mapping[str, Reliability]  # by rule
    hull: tuple[tuple[float, float], ...]  # corners, (dollars, resolved)
    quoted_costs: tuple[float, ...]
    capabilities: Mapping[str, tuple[float, ...]]
    curve: Curve


def evaluate(table: Table, readings: Readings, scale: Scale, options: Options) -> Evaluation:
    """Measure the routers on the table. Nothing that a router uses comes from the row it scores."""
    known = _foreknow(table, readings, scale, options, fit_curve=options.fit_curve)
    ruler = Ruler(table, baseline=options.baseline, resamples=options.resamples, seed=options.seed)
    values = {"value": known}
    if options.fit_curve:
        values[VALUE_SHIPPED] = _foreknow(table, readings, scale, options, fit_curve=False)
    singles = sorted(
        (ruler.single(model) for model in range(len(table.models))),
        key=lambda point: (point.cost_usd.value, point.name),
    )
    by_name = {point.name: point for point in singles}
    return Evaluation(
        table=table,
        dimensions=scale.dimensions,
        singles=tuple(singles),
        cheapest=by_name[table.models[ruler.cheapest]],
        strongest=by_name[table.models[ruler.strongest]],
        baseline=by_name[table.models[ruler.baseline]],
        oracle=ruler.points("oracle", ruler.oracle, [None])[0],
        modes=tuple(
            ruler.points(
                f"{mode} ({options.rule} {knob:g})", choose(known, options.rule, [knob]), [knob]
            )[0]
            for mode, knob in (options.modes or {}).items()
        ),
        frontiers=_frontiers(ruler, values, readings, scale, options.seed),
        reliability={name: ruler.reliability(each.chances) for name, each in values.items()},
        hull=tuple(zip(*(axis.tolist() for axis in ruler.corners), strict=True)),
        quoted_costs=tuple(ruler.quoted_costs[0].tolist()),
        capabilities={
            model: tuple(row.tolist())
            for model, row in zip(table.models, known.capabilities, strict=True)
        },
        curve=known.curve,
    )


def _foreknow(
    table: Table, readings: Readings, scale: Scale, options: Options, *, fit_curve: bool
) -> Foreknowledge:
    return foreknow(
        table,
        readings.requirements,
        scale,
        capabilities=options.capabilities,
        fit_curve=fit_curve,
        count=options.folds,
        seed=options.seed,
    )


def choose(known: Foreknowledge, rule: str, knobs: Sequence[float]) -> Ints:
    """The rule's choices under each setting of its knob, (n, G)."""
    if rule == "threshold":
        return rules.by_threshold(known.shortfalls, known.expected_cost_usd, knobs)
    return rules.by_value(known.chances, known.shortfalls, known.expected_cost_usd, knobs)


def grid(known: Foreknowledge, rule: str) -> list[float]:
    """Settings of the rule's knob, from thrifty to lavish."""
    if rule == "threshold":
        return rules.threshold_grid(known.shortfalls, known.expected_cost_usd, GRID)
    return rules.value_grid(known.chances, known.expected_cost_usd, GRID)


def by_fold(known: Foreknowledge, rule: str) -> tuple[Ints, list[float]]:
    """Choices (n, G) along the knob, each fold at its own settings, and their medians over folds.

    The g-th setting of every fold spends the same share of what that fold expects to cost. One knob
    for all would sort the folds by what was learned on their others: where those did well the fold
    itself did worse, and a router that knows nothing would read a point or two below the hull.
    """
    chosen = np.zeros((len(known.fold), GRID), np.int64)
    knobs = []
    for fold in np.unique(known.fold):
        rows = known.fold == fold
        inside = known.rows(rows)
        found = grid(inside, rule)
        places = np.linspace(0, len(found) - 1, GRID).round().astype(int)  # settings may coincide
        knobs.append([found[place] for place in places])
        chosen[rows] = choose(inside, rule, knobs[-1])
    return chosen, np.median(knobs, axis=0).tolist()


def _frontiers(
    ruler: Ruler,
    values: Mapping[str, Foreknowledge],
    readings: Readings,
    scale: Scale,
    seed: int,
) -> dict[str, Frontier]:
    table, known = ruler.table, values["value"]
    found = {"threshold": ruler.frontier("threshold", *by_fold(known, "threshold"))}
    for name, each in values.items():
        found[name] = ruler.frontier(name, *by_fold(each, "value"))
    nearby = neighbours(readings.states, table.texts, table.solved)
    near = replace(known, chances=nearby, shortfalls=1 - nearby)
    found["k-NN"] = ruler.frontier("k-NN", *by_fold(near, "value"))
    # Every other router is at its best on the models of the hull, between neighbours; the binary
    # one is what its name says: the cheapest or the strongest.
    ends = list(dict.fromkeys((ruler.cheapest, ruler.strongest)))
    scores = {
        BINARY: (baselines.difficulty(readings.requirements, scale), ends),
        "prompt length": (baselines.length(table.texts), ruler.ladder),
        "keywords": (baselines.keywords(table.texts), ruler.ladder),
        "random": (baselines.chance(table.texts, seed), ruler.ladder),
    }
    for name, (score, models) in scores.items():
        chosen = rules.by_score(score, models, GRID)
        found[name] = ruler.frontier(name, chosen, [None] * chosen.shape[1])
    return found
