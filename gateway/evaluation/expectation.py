"""Logged decisions as the table that modes are fitted to, with expected in place of seen outcomes.

Only the served model's outcome is ever seen, so the curve stands in for all of them: what comes of
this is as good as the curve. n decisions, m models, K dimensions.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gateway.evaluation import inputs, rules
from gateway.evaluation.crossfit import Foreknowledge, Scale
from gateway.evaluation.fitting import Curve
from gateway.evaluation.outcomes import Floats, OutcomeError, Table
from gateway.evaluation.traffic import Logged
from gateway.profile import Pool


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """The table, what the router knows of it, and what could not become part of it.

    `absent` are profiles of the pool that were no candidates of the newest decision: without their
    key, or newer than it. `left_out` decisions are counted by the keys of traffic.WHY.
    """

    table: Table
    known: Foreknowledge
    absent: tuple[str, ...]
    left_out: Mapping[str, int]


def scored_gaps(scored: Sequence[Logged], pool: Pool, scale: Scale) -> Floats:
    """Shortfall (n,) of whoever served, by the capabilities that the catalog has now."""
    models = [profile.name for profile in pool.profiles]
    gaps = _gaps(scored, pool, models, scale)
    served = [models.index(str(each.served_by)) for each in scored]
    return np.asarray(gaps[np.arange(len(scored)), served])


def expect(
    decisions: Sequence[Logged],
    pool: Pool,
    scale: Scale,
    curve: Curve,
    unit_cost: Mapping[str, float],
) -> Expectation:
    """Decisions, newest first, with the pool's models of now and the costs of then.

    Where a gate keeps a model from a request, its column holds the values of the eligible model
    with the least shortfall, which stands in: choosing either is choosing the latter. Args:
    unit_cost, dollars per request instead of the expected ones. Raises OutcomeError when no
    second model is left, or a price is unknown throughout.
    """
    newest = decisions[0].cost_usd if decisions else {}
    models = sorted(profile.name for profile in pool.profiles if profile.name in newest)
    absent = tuple(profile.name for profile in pool.profiles if profile.name not in newest)
    if len(models) < 2:
        raise OutcomeError(
            f"pool {pool.name}: its newest decision has {len(models)} of its profiles as"
            " candidates, and a router needs at least two"
        )
    kept: list[Logged] = []
    left_out: Counter[str] = Counter()
    unpriced: set[str] = set()
    for each in decisions:
        eligible = each.eligible & set(models)
        unknown = {name for name in eligible if _cost(each, name, unit_cost) is None}
        if not each.cost_usd.keys() >= set(models) or not eligible:
            left_out["other_candidates"] += 1
        elif unknown:
            left_out["unknown_cost"] += 1
            unpriced |= unknown
        else:
            kept.append(each)
    if not kept and unpriced:
        names = ", ".join(sorted(unpriced))
        raise OutcomeError(f"no expected cost of {names} is in the log; give --unit-cost MODEL=USD")
    shape = (len(kept), len(models))
    is_eligible = np.array([[name in each.eligible for name in models] for each in kept], bool)
    costs = np.array([[_cost(each, name, unit_cost) or 0.0 for name in models] for each in kept])
    gaps, costs = _stood_in(
        _gaps(kept, pool, models, scale), costs.reshape(shape), is_eligible.reshape(shape)
    )
    chances = rules.chances(gaps, curve.alpha, curve.beta)
    return Expectation(
        table=Table(
            models=tuple(models),
            texts=tuple(map(str, range(len(kept)))),
            benchmarks=("log",) * len(kept),
            solved=chances,
            cost_usd=costs,
        ),
        known=Foreknowledge(
            shortfalls=gaps,
            chances=chances,
            expected_cost_usd=costs,
            fold=np.zeros(len(kept), np.int64),
            capabilities=inputs.pool_capabilities(pool, models),
            curve=curve,
        ),
        absent=absent,
        left_out=left_out,
    )


def _gaps(found: Sequence[Logged], pool: Pool, models: Sequence[str], scale: Scale) -> Floats:
    requirements = np.array([each.requirements for each in found], np.float64)
    return rules.shortfalls(
        requirements.reshape(len(found), len(scale.weights)),
        inputs.pool_capabilities(pool, models),
        scale.weights,
        scale.bands,
    )


def _cost(each: Logged, name: str, unit_cost: Mapping[str, float]) -> float | None:
    return unit_cost.get(name, each.cost_usd.get(name))


def _stood_in(gaps: Floats, costs: Floats, is_eligible: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Both (n, m) with the values of each row's stand-in where a model was not eligible."""
    order = np.lexsort((np.where(is_eligible, costs, np.inf), np.where(is_eligible, gaps, np.inf)))
    best = order[:, :1]  # (n, 1)
    return (
        np.where(is_eligible, gaps, np.take_along_axis(gaps, best, axis=1)),
        np.where(is_eligible, costs, np.take_along_axis(costs, best, axis=1)),
    )
