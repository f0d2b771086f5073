"""The decision record: its fields, its numbers, and what only an outcome adds."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from gateway.costing import nothing_billed
from gateway.decision import (
    Attempt,
    Candidate,
    Circumstances,
    Cost,
    Decision,
    NoEligibleProfile,
    Outcome,
    Usage,
    record,
    timestamp,
)
from gateway.demands import Demands

SMALL = Candidate(
    model="small",
    capabilities=(0.123456, 0.5),
    shortfall=0.12345678,
    p_solve=0.654321,
    expected_output_tokens=600,
    expected_cost_usd=Decimal("0.0000001"),
    eligible=True,
    excluded_by=None,
)
BLIND = replace(
    SMALL,
    model="blind",
    shortfall=None,
    p_solve=None,
    expected_cost_usd=None,
    eligible=False,
    excluded_by="vision",
)
DECISION = Decision(
    pool="default",
    rule="threshold",
    threshold=0.2,
    dimensions=("reasoning", "tool_use"),
    demands=Demands(prompt_tokens=7, features=frozenset({"vision", "tools"})),
    requirements=(0.61234567, 0.1),
    candidates=(SMALL, BLIND),
    chosen="small",
    runner_up=None,
    reason="only_eligible",
)
CIRCUMSTANCES = Circumstances(
    id="0193",
    at=datetime(2026, 11, 23, 18, 40, 1, 123456, tzinfo=UTC),
    key_id="alice",
    session=None,
    endpoint="/v1/chat/completions",
    mode="iso",
    model_requested="auto",
    stream=False,
    tags=("a", "b"),
    catalog_sha="c",
    predictor_sha="p",
    prompt_chars=5,
    prompt_sha256="h",
    predictor_ms=1.23456,
    router_ms=2.0,
)
OUTCOME = Outcome(
    status="ok",
    attempts=(Attempt(model="small", status=200, error=None, latency_ms=12.3456),),
    served_by="small",
    cost=Cost(
        usd=Decimal("0.002"), status="exact", baseline="large", baseline_usd=Decimal("0.0064")
    ),
    usage=Usage(prompt=10, completion=3),
    finish_reason="stop",
    latency_ms=12.3456,
)

# The schema is a public contract: DESIGN.md, section 5.
ROUTING_FIELDS = {
    *("id", "ts", "schema", "key_id", "session", "endpoint", "pool", "rule", "mode"),
    *("model_requested", "threshold", "value_usd", "catalog_sha", "predictor_sha"),
    *("requirements", "candidates", "chosen", "reason", "runner_up", "stream", "tags"),
    *("predictor_ms", "router_ms", "prompt_chars", "prompt_sha256", "demands"),
}
OUTCOME_FIELDS = {
    *("attempts", "served_by", "status", "finish_reason", "disconnected", "error", "usage"),
    *("cost_usd", "cost_status", "baseline", "baseline_cost_usd", "savings_usd"),
    *("ttft_ms", "latency_ms"),
}


def test_without_an_outcome_the_record_is_the_dry_run() -> None:
    assert set(record(DECISION, CIRCUMSTANCES)) == ROUTING_FIELDS


def test_an_outcome_adds_its_fields() -> None:
    assert set(record(DECISION, CIRCUMSTANCES, OUTCOME)) == ROUTING_FIELDS | OUTCOME_FIELDS


@pytest.mark.parametrize("outcome", [None, OUTCOME], ids=["dry run", "answered"])
def test_a_record_is_json(outcome: Outcome | None) -> None:
    entry = record(DECISION, CIRCUMSTANCES, outcome)
    assert json.loads(json.dumps(entry, allow_nan=False)) == entry


def test_candidates_are_written_with_rounded_numbers_and_plain_dollars() -> None:
    entry = json.loads(json.dumps(record(DECISION, CIRCUMSTANCES)))
    assert entry["requirements"] == {"reasoning": 0.6123, "tool_use": 0.1}
    assert entry["candidates"] == [
        {
            "model": "small",
            "capabilities": {"reasoning": 0.1235, "tool_use": 0.5},
            "shortfall": 0.123457,
            "p_solve": 0.6543,
            "expected_output_tokens": 600,
            "expected_cost_usd": "0.0000001",
            "eligible": True,
            "excluded_by": None,
        },
        {
            "model": "blind",
            "capabilities": {"reasoning": 0.1235, "tool_use": 0.5},
            "shortfall": None,
            "p_solve": None,
            "expected_output_tokens": 600,
            "expected_cost_usd": None,
            "eligible": False,
            "excluded_by": "vision",
        },
    ]
    assert entry["demands"]["features"] == ["tools", "vision"]


def test_money_is_text_and_unknown_money_is_null() -> None:
    entry = record(DECISION, CIRCUMSTANCES, OUTCOME)
    assert (entry["cost_usd"], entry["baseline_cost_usd"], entry["savings_usd"]) == (
        "0.002",
        "0.0064",
        "0.0044",
    )
    unknown = replace(
        OUTCOME, cost=Cost(usd=None, status="unknown", baseline=None, baseline_usd=None)
    )
    entry = record(DECISION, CIRCUMSTANCES, unknown)
    assert (entry["cost_usd"], entry["cost_status"], entry["savings_usd"]) == (
        None,
        "unknown",
        None,
    )


def test_the_number_is_named_by_the_rule() -> None:
    assert DECISION.to_dict()["threshold"] == 0.2
    assert DECISION.to_dict()["value_usd"] is None
    valued = replace(DECISION, rule="value", threshold=0.05)
    assert valued.to_dict()["threshold"] is None
    assert valued.to_dict()["value_usd"] == 0.05


def test_nothing_predicted_is_null() -> None:
    unpredicted = replace(DECISION, requirements=None, reason="predictor_unavailable")
    assert unpredicted.to_dict()["requirements"] is None


def test_requirements_without_their_dimensions_are_an_error() -> None:
    with pytest.raises(ValueError, match="zip"):
        replace(DECISION, requirements=(0.5,)).to_dict()


def test_after_a_fallback_the_reason_says_so_and_chosen_stays() -> None:
    fallen = replace(OUTCOME, fallback=True, served_by="large")
    entry = record(DECISION, CIRCUMSTANCES, fallen)
    assert (entry["reason"], entry["chosen"], entry["served_by"]) == ("fallback", "small", "large")


def test_the_end_user_is_there_only_if_the_request_names_one() -> None:
    assert "user" not in record(DECISION, CIRCUMSTANCES)
    assert record(DECISION, replace(CIRCUMSTANCES, user="mary"))["user"] == "mary"


def test_content_is_there_only_when_it_is_logged() -> None:
    answered = replace(OUTCOME, answer=[{"text": "hi"}])
    assert "content" not in record(DECISION, CIRCUMSTANCES, answered)
    logging = replace(CIRCUMSTANCES, content={"messages": []})
    assert record(DECISION, logging)["content"] == {"messages": []}
    assert record(DECISION, logging, answered)["content"] == {
        "messages": [],
        "answer": [{"text": "hi"}],
    }


def test_a_request_that_nobody_answered() -> None:
    failed = Outcome(
        status="error", attempts=(), served_by=None, cost=nothing_billed(None), error="no"
    )
    entry = record(DECISION, CIRCUMSTANCES, failed)
    assert (entry["served_by"], entry["usage"], entry["ttft_ms"]) == (None, None, None)
    assert (entry["cost_usd"], entry["error"]) == ("0", "no")


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        pytest.param(
            datetime(2026, 11, 23, 18, 40, 1, 999999, tzinfo=UTC),
            "2026-11-23T18:40:01.999Z",
            id="cut to milliseconds",
        ),
        pytest.param(
            datetime(2026, 11, 24, 3, 40, 1, tzinfo=timezone(timedelta(hours=9))),
            "2026-11-23T18:40:01.000Z",
            id="from elsewhere",
        ),
    ],
)
def test_times_are_utc_with_milliseconds(moment: datetime, text: str) -> None:
    assert timestamp(moment) == text


def test_a_candidate_is_found_by_its_name() -> None:
    assert DECISION.candidate("blind") is BLIND
    with pytest.raises(KeyError):
        DECISION.candidate("nobody")


def test_when_nobody_is_eligible_each_gate_is_named() -> None:
    assert str(NoEligibleProfile("default", [BLIND])) == (
        "no profile of pool 'default' can take this request (blind: vision)"
    )
    assert str(NoEligibleProfile("default", [])) == (
        "no profile of pool 'default' can take this request (empty)"
    )
