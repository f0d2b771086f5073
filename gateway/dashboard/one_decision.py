"""One decision as it is drawn: what was asked for on each dimension beside what each model offers.

Pure: a record of the log or of the dry run in, the numbers of the drawing out. Lengths are percent
of a track's width. Nothing is decided or priced anew, but for what a solved request is worth on
each model under the rule `value`, which is shown because it is what was compared.
"""

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from gateway import money
from gateway.dashboard.bill import lines, total, usage_of
from gateway.dashboard.formats import decimal_of
from gateway.dashboard.why import sentence
from gateway.price import Price

Json = Mapping[str, Any]

_STEP: Final = 0.1  # tracks end at a whole tenth
_ROOM: Final = 1.05


def view(record: Json, price: Price | None = None, baseline: str | None = None) -> dict[str, Any]:
    """The whole view; `price` is what the model that served is billed at now."""
    return {
        "record": record,
        **drawing(record, baseline),
        "bill": _bill(record, price),
    }


def drawing(record: Json, baseline: str | None = None) -> dict[str, Any]:
    """Why this one. Raises ValueError or TypeError for what is no record."""
    candidates = list(record.get("candidates") or ())
    requirements = dict(record.get("requirements") or {})
    dimensions = list(requirements) or list(
        next((each["capabilities"] for each in candidates if each.get("capabilities")), {})
    )
    ends = _Ends.of(record, candidates, requirements)
    return {
        "why": sentence(record),
        "chosen": record.get("chosen"),
        "served_by": record.get("served_by"),
        "dimensions": dimensions,
        "requirements": requirements or None,
        "scale": {
            "dimension": ends.dimension,
            "shortfall": ends.shortfall,
            "cost_usd": money.to_text(ends.cost),
        },
        "threshold": record.get("threshold"),
        "value_usd": record.get("value_usd"),
        "baseline": record.get("baseline") or baseline,
        "candidates": [
            _candidate(each, record, requirements, dimensions, ends)
            for each in sorted(candidates, key=lambda each: _order(each, record.get("chosen")))
        ],
    }


class _Ends:
    """Where the tracks end."""

    def __init__(self, dimension: float, shortfall: float, cost: Decimal) -> None:
        self.dimension, self.shortfall, self.cost = dimension, shortfall, cost

    @classmethod
    def of(cls, record: Json, candidates: list[Json], requirements: Json) -> "_Ends":
        offered = [
            float(value)
            for each in candidates
            for value in (each.get("capabilities") or {}).values()
        ]
        needed = [float(value) for value in requirements.values()]
        gaps = [
            float(each["shortfall"]) for each in candidates if each.get("shortfall") is not None
        ]
        costs = [decimal_of(each.get("expected_cost_usd")) for each in candidates]
        return cls(
            dimension=min(1.0, _up((*offered, *needed))),
            shortfall=_up((*gaps, float(record.get("threshold") or 0))),
            cost=max((cost for cost in costs if cost is not None), default=Decimal(0)),
        )


def _candidate(
    candidate: Json, record: Json, requirements: Json, dimensions: list[str], ends: _Ends
) -> dict[str, Any]:
    offered = candidate.get("capabilities") or {}
    gap, threshold = candidate.get("shortfall"), record.get("threshold")
    cost = decimal_of(candidate.get("expected_cost_usd"))
    return {
        "model": candidate.get("model"),
        "is_chosen": candidate.get("model") == record.get("chosen"),
        "has_served": candidate.get("model") == record.get("served_by"),
        "eligible": bool(candidate.get("eligible")),
        "excluded_by": candidate.get("excluded_by"),
        "cells": [
            _cell(name, requirements.get(name), offered.get(name), ends.dimension)
            for name in dimensions
        ],
        "shortfall": gap,
        "shortfall_bar": _share(gap, ends.shortfall),
        "threshold_mark": _share(threshold, ends.shortfall),
        "is_within": None if gap is None or threshold is None else float(gap) <= float(threshold),
        "p_solve": candidate.get("p_solve"),
        "expected_output_tokens": candidate.get("expected_output_tokens"),
        "expected_cost_usd": candidate.get("expected_cost_usd"),
        "cost_bar": _share(None if cost is None else float(cost), float(ends.cost)),
        "worth_usd": _worth(candidate, record, cost),
    }


def _cell(name: str, needed: Any, offered: Any, end: float) -> dict[str, Any]:
    """One bullet: the bar is the capability, the mark the requirement, the gap what is missing."""
    missing = None
    if needed is not None and offered is not None:
        missing = round(max(0.0, float(needed) - float(offered)), 4)
    return {
        "dimension": name,
        "requirement": needed,
        "capability": offered,
        "missing": missing,
        "bar": _share(offered, end),
        "mark": _share(needed, end),
        "gap": _share(missing, end),
    }


def _worth(candidate: Json, record: Json, cost: Decimal | None) -> str | None:
    """Dollars: the chance to solve times what that is worth, less the expected cost."""
    value, chance = record.get("value_usd"), candidate.get("p_solve")
    if value is None or chance is None or cost is None:
        return None
    return money.to_text(round(Decimal(str(chance)) * Decimal(str(value)) - cost, 6) + Decimal(0))


def _order(candidate: Json, chosen: object) -> tuple[bool, bool, float, str]:
    """The chosen one, then who could have taken it, the cheapest first."""
    cost = decimal_of(candidate.get("expected_cost_usd"))
    return (
        candidate.get("model") != chosen,
        not candidate.get("eligible"),
        math.inf if cost is None else float(cost),
        str(candidate.get("model")),
    )


def _bill(record: Json, price: Price | None) -> dict[str, Any]:
    """The kinds of tokens; with rates where today's prices give the cost that was recorded."""
    usage = usage_of(record)
    charged = decimal_of(record.get("cost_usd"))
    found = () if usage is None or price is None else lines(usage, price)
    is_whole = charged is not None and total(found) == charged
    return {
        "lines": [line.to_dict() for line in found] if is_whole else None,
        "cost_usd": record.get("cost_usd"),
        "cost_status": record.get("cost_status"),
        "cost_source": record.get("cost_source", "prices"),
        "baseline": record.get("baseline"),
        "baseline_cost_usd": record.get("baseline_cost_usd"),
        "savings_usd": record.get("savings_usd"),
    }


def _up(values: tuple[float, ...]) -> float:
    """The whole tenth that leaves some room above all values."""
    return max(1, math.ceil(round(max(values, default=0.0) * _ROOM / _STEP, 6))) / round(1 / _STEP)


def _share(value: Any, end: float) -> float | None:
    """Percent of a track."""
    if value is None or not end:
        return None
    return round(min(100.0, max(0.0, 100 * float(value) / end)), 2)
