"""One sentence that says why a request went where it went, from its record alone.

Pure; nothing is decided anew here (routing.py decides). The drawing beside it is one_decision.py.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.dashboard.formats import decimal_of, percent, price, score, words

Json = Mapping[str, Any]


def sentence(record: Json) -> str:
    """
    >>> sentence({"reason": "pinned", "chosen": "gpt-5.4", "candidates": []})
    'gpt-5.4 was asked for by name, so nothing was predicted and no other model was looked at.'
    """
    name = str(record.get("chosen") or "Nobody")
    candidates = [each for each in record.get("candidates") or () if isinstance(each, Mapping)]
    chosen = next((each for each in candidates if each.get("model") == name), {})
    match record.get("reason"):
        case "pinned":
            return (
                f"{name} was asked for by name, so nothing was predicted and no other model was"
                " looked at."
            )
        case "predictor_unavailable":
            return (
                f"{name} is chosen because the predictor did not answer and it is the pool's"
                " fallback, or else its strongest."
            )
        case "only_eligible":
            return f"{name} is chosen because {_nobody_else(candidates, name)}."
        case "fallback":
            return _after_failure(record, name)
        case "sticky":
            return (
                f"{name} is kept because the conversation runs on it, and its prompt cache would"
                " be lost elsewhere."
            )
        case "escalated":
            return f"{name} is chosen because the conversation outgrew the model that it ran on."
        case "least_shortfall":
            return (
                f"{name} is chosen because no model is within the threshold of"
                f" {_number(record.get('threshold'))}, and it falls short the least,"
                f" by {score(chosen.get('shortfall'), 3)}."
            )
    if record.get("rule") == "value" and record.get("value_usd") is not None:
        return _best_value(record, name, chosen, candidates)
    if record.get("threshold") is not None:
        return _cheapest(record, name, chosen, candidates)
    return f"{name} is chosen ({words(record.get('reason') or 'no reason is recorded')})."


def widest_gap(record: Json, candidate: Json) -> tuple[str, float] | None:
    """The dimension on which the requirements exceed a candidate's capabilities most, and by how
    much; None where they exceed none."""
    offered = candidate.get("capabilities") or {}
    gaps = [
        (float(needed) - float(offered[name]), str(name))
        for name, needed in (record.get("requirements") or {}).items()
        if offered.get(name) is not None
    ]
    gap, name = max(gaps, default=(0.0, ""))
    return (name, gap) if gap > 0 else None


def _best_value(record: Json, name: str, chosen: Json, candidates: Sequence[Json]) -> str:
    eligible = [each for each in candidates if each.get("eligible")]
    runner_up = next((c for c in eligible if c.get("model") == record.get("runner_up")), None)
    next_best = f"; next is {_chance(runner_up)}" if runner_up else ""
    mode = f" (mode {record['mode']})" if record.get("mode") else ""
    return (
        f"{name} is chosen as the best value of {_models(len(eligible))}:"
        f" {percent(chosen.get('p_solve'), 1)} likely to solve this for about"
        f" {price(chosen.get('expected_cost_usd'))}, where a solved request is worth"
        f" {price(_text(record.get('value_usd')))}{mode}{next_best}."
    )


def _cheapest(record: Json, name: str, chosen: Json, candidates: Sequence[Json]) -> str:
    threshold = float(record["threshold"])
    eligible = [each for each in candidates if each.get("eligible")]
    enough = [each for each in eligible if _shortfall(each) <= threshold]
    cost = decimal_of(chosen.get("expected_cost_usd"))
    cheaper = [
        each
        for each in eligible
        if _shortfall(each) > threshold
        and cost is not None
        and (its := decimal_of(each.get("expected_cost_usd"))) is not None
        and its < cost
    ]
    but = ""
    if cheaper:
        nearest = min(cheaper, key=_shortfall)
        gap = widest_gap(record, nearest)
        most = f", most in {words(gap[0])}" if gap else ""
        but = (
            f"; {nearest.get('model')} is cheaper but falls short by"
            f" {score(nearest.get('shortfall'), 3)}{most}"
        )
    least = (
        "it is the only model"
        if len(enough) == 1
        else f"it is the cheapest of the {_models(len(enough))}"
    )
    return (
        f"{name} is chosen because {least} within the threshold of {_number(threshold)}, at about"
        f" {price(chosen.get('expected_cost_usd'))}{but}."
    )


def _nobody_else(candidates: Sequence[Json], name: str) -> str:
    gates = [
        f"{each.get('model')}: {each['excluded_by']}"
        for each in candidates
        if each.get("model") != name and each.get("excluded_by")
    ]
    others = f" ({'; '.join(gates)})" if 0 < len(gates) <= 2 else ""
    return f"it is the only one of {_models(len(candidates))} that can take the request{others}"


def _after_failure(record: Json, name: str) -> str:
    served = record.get("served_by") or "nobody"
    attempts: Sequence[Json] = record.get("attempts") or ()
    failed: Json = next((each for each in attempts if each.get("error")), {})
    status = f" with status {failed['status']}" if failed.get("status") else ""
    return f"{name} was chosen but failed{status}, so {served} answered, the next by the same rule."


def _chance(candidate: Json) -> str:
    return (
        f"{candidate.get('model')}, {percent(candidate.get('p_solve'), 1)} for"
        f" {price(candidate.get('expected_cost_usd'))}"
    )


def _shortfall(candidate: Json) -> float:
    value = candidate.get("shortfall")
    return float("inf") if value is None else float(value)


def _models(number: int) -> str:
    return "1 model" if number == 1 else f"{number} models"


def _number(value: Any) -> str:
    return "unknown" if value is None else f"{float(value):g}"


def _text(value: Any) -> str | None:
    return None if value is None else f"{float(value):f}"
