"""The decisions of the log that calibrating can learn from, and why it can't from the others.

Reads through the ledger; nothing is fitted here. No prompt is needed: what was required of a model,
what each would have cost, who served and the score are in the record and its feedback.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gateway.decision import SCHEMA
from gateway.feedback import Feedback
from gateway.ledger import Ledger
from gateway.profile import Pool

MAX_DECISIONS: Final = 10_000  # whose costs the modes are fitted to; of scores all count
_PAGE: Final = 1000

WHY: Final = {  # what is left out, in words
    "other_schema": "recorded in another form of the log",
    "not_predicted": "without requirements: a named model, or the predictor did not answer",
    "other_predictor": "decided by another predictor than the running one",
    "other_dimensions": "on other dimensions than the pool's",
    "no_candidates": "without candidates",
    "sticky": "of conversations that stayed where they were",
    "older": "older than the newest 10,000",
    "other_candidates": "of before a profile joined the pool, or without a candidate that is left",
    "unknown_cost": "with a candidate whose price was unknown",
    "no_answer": "without a whole answer",
    "other_model": "served by a model that is not in the pool",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Logged:
    """One decision: `requirements` (K,) in the pool's order, the rest by candidate.

    `served_by` is None where nobody answered in full, `score` where there is no feedback.
    """

    requirements: tuple[float, ...]
    cost_usd: Mapping[str, float | None]  # expected; None: unknown
    eligible: frozenset[str]
    served_by: str | None
    score: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What the log holds, newest first, and how much was left out by the keys of WHY."""

    decisions: tuple[Logged, ...]  # the newest MAX_DECISIONS that the router had a say in
    scored: tuple[Logged, ...]
    decisions_left_out: Mapping[str, int]
    scores_left_out: Mapping[str, int]


async def read(
    ledger: Ledger,
    feedback: Feedback,
    pool: Pool,
    *,
    predictor_sha: str,
    filters: Mapping[str, str],
) -> Traffic:
    """Everything of the pool that matches. Raises LogUnavailable, and ValueError for a filter."""
    decisions: list[Logged] = []
    scored: list[Logged] = []
    decisions_left_out: Counter[str] = Counter()
    scores_left_out: Counter[str] = Counter()
    cursor: str | None = None
    while True:
        page = await ledger.decisions(
            filters={**filters, "pool": pool.name}, limit=_PAGE, cursor=cursor
        )
        await feedback.join(page.data)
        for record in page.data:
            found = logged(record, pool.dimensions, predictor_sha)
            if isinstance(found, str):
                decisions_left_out[found] += 1
                scores_left_out[found] += "feedback" in record
                continue
            if record.get("reason") == "sticky":  # the router had no say
                decisions_left_out["sticky"] += 1
            elif len(decisions) == MAX_DECISIONS:
                decisions_left_out["older"] += 1
            else:
                decisions.append(found)
            if found.score is None:
                continue
            why = _unjudged(found, pool)
            if why is not None:
                scores_left_out[why] += 1
            else:
                scored.append(found)
        cursor = page.next_cursor
        if cursor is None:
            break
    return Traffic(
        decisions=tuple(decisions),
        scored=tuple(scored),
        decisions_left_out=+decisions_left_out,
        scores_left_out=+scores_left_out,
    )


def logged(
    record: Mapping[str, Any], dimensions: Sequence[str], predictor_sha: str
) -> Logged | str:
    """The decision of a record, or the key of WHY that says why not."""
    if record.get("schema") != SCHEMA:
        return "other_schema"
    needed = record.get("requirements")
    if needed is None:
        return "not_predicted"
    if record.get("predictor_sha") != predictor_sha:
        return "other_predictor"
    if not isinstance(needed, dict) or needed.keys() != set(dimensions):
        return "other_dimensions"
    candidates = record.get("candidates")
    if not isinstance(candidates, list) or not candidates:
        return "no_candidates"
    costs = {str(each["model"]): each["expected_cost_usd"] for each in candidates}
    given = record.get("feedback")
    # A provider that failed says nothing of what its model is capable of.
    served_by = None if record.get("status") == "error" else record.get("served_by")
    return Logged(
        requirements=tuple(float(needed[name]) for name in dimensions),
        cost_usd={name: None if usd is None else float(usd) for name, usd in costs.items()},
        eligible=frozenset(str(each["model"]) for each in candidates if each["eligible"]),
        served_by=served_by,
        score=None if given is None else float(given["score"]),
    )


def _unjudged(found: Logged, pool: Pool) -> str | None:
    """Why a score tells nothing of a model of the pool."""
    if found.served_by is None:
        return "no_answer"
    return None if pool.profile(found.served_by) else "other_model"
