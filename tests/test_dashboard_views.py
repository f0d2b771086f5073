"""What the page says, from values alone: the sentence, the bill, the sums of a period."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.costing import price_of
from gateway.dashboard import bill, one_decision, overview
from gateway.dashboard.why import sentence
from gateway.decision import Usage
from gateway.price import Price, Rates, Tier

NOW = datetime(2026, 11, 24, 17, 29, 23, tzinfo=UTC)


def candidate(model: str, shortfall: float, cost: str | None, **more: Any) -> dict[str, Any]:
    return {
        "model": model,
        "capabilities": {"reasoning": 0.4, "tool_use": 0.1},
        "shortfall": shortfall,
        "p_solve": 0.7,
        "expected_output_tokens": 600,
        "expected_cost_usd": cost,
        "eligible": "excluded_by" not in more,
        "excluded_by": None,
        **more,
    }


def record(reason: str, *candidates: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "reason": reason,
        "rule": "threshold",
        "threshold": 0.2,
        "value_usd": None,
        "mode": "iso",
        "requirements": {"reasoning": 0.3, "tool_use": 0.6},
        "candidates": list(candidates),
        "chosen": "a",
        "runner_up": None,
        **more,
    }


A, B, C = candidate("a", 0.1, "0.002"), candidate("b", 0.3, "0.001"), candidate("c", 0.0, "0.004")


@pytest.mark.parametrize(
    ("decision", "words"),
    [
        pytest.param(
            record("cheapest_sufficient", A, C),
            "a is chosen because it is the cheapest of the 2 models within the threshold of 0.2, at"
            " about $0.002.",
            id="the cheapest",
        ),
        pytest.param(
            record("cheapest_sufficient", A, B),
            "a is chosen because it is the only model within the threshold of 0.2, at about $0.002;"
            " b is cheaper but falls short by 0.300, most in tool use.",
            id="a cheaper one falls short",
        ),
        pytest.param(
            record("least_shortfall", A, B, threshold=0.05),
            "a is chosen because no model is within the threshold of 0.05, and it falls short the"
            " least, by 0.100.",
            id="nobody is within",
        ),
        pytest.param(
            record("only_eligible", A, candidate("b", 0.3, "0.001", excluded_by="vision")),
            "a is chosen because it is the only one of 2 models that can take the request"
            " (b: vision).",
            id="gates",
        ),
        pytest.param(
            record(
                "cheapest_sufficient",
                A,
                C,
                rule="value",
                threshold=None,
                value_usd=0.22,
                runner_up="c",
            ),
            "a is chosen as the best value of 2 models: 70.0% likely to solve this for about"
            " $0.002, where a solved request is worth $0.22 (mode iso); next is c, 70.0% for"
            " $0.004.",
            id="value",
        ),
        pytest.param(
            record(
                "fallback",
                A,
                C,
                served_by="c",
                attempts=[{"model": "a", "status": 503, "error": "no"}],
            ),
            "a was chosen but failed with status 503, so c answered, the next by the same rule.",
            id="fallback",
        ),
        pytest.param(
            record("predictor_unavailable", A, requirements=None),
            "a is chosen because the predictor did not answer and it is the pool's fallback, or"
            " else its strongest.",
            id="no prediction",
        ),
        pytest.param(
            record("cheapest_sufficient", candidate("a", 0.1, None)),
            "a is chosen because it is the only model within the threshold of 0.2, at about"
            " unknown.",
            id="an unknown price",
        ),
        pytest.param(
            {"reason": "of_tomorrow", "chosen": "a"},
            "a is chosen (of tomorrow).",
            id="a new reason",
        ),
        pytest.param({}, "Nobody is chosen (no reason is recorded).", id="an empty record"),
    ],
)
def test_one_sentence_says_why(decision: dict[str, Any], words: str) -> None:
    assert sentence(decision) == words


def test_a_drawing_has_the_marks_of_the_numbers() -> None:
    drawn = one_decision.drawing(record("cheapest_sufficient", B, A))
    assert drawn["scale"]["dimension"] == 0.7
    first = drawn["candidates"][0]
    assert (first["model"], first["is_chosen"], first["is_within"]) == ("a", True, True)
    reasoning, tools = first["cells"]
    assert (reasoning["missing"], reasoning["gap"]) == (0.0, 0.0)
    assert tools["missing"] == 0.5
    assert tools["bar"] + tools["gap"] == pytest.approx(tools["mark"], abs=0.02)
    assert first["cost_bar"] == 100
    assert drawn["candidates"][1]["is_within"] is False


def test_a_record_of_an_earlier_version_is_drawn_as_far_as_it_goes() -> None:
    old = {name: value for name, value in A.items() if name != "capabilities"}
    drawn = one_decision.drawing(record("cheapest_sufficient", old))
    assert [cell["capability"] for cell in drawn["candidates"][0]["cells"]] == [None, None]


def test_what_a_model_is_worth_is_what_was_compared() -> None:
    drawn = one_decision.drawing(record("cheapest_sufficient", A, rule="value", value_usd=0.22))
    assert drawn["candidates"][0]["worth_usd"] == "0.152"


rates = st.decimals("0", "100", places=3)
tokens = st.integers(0, 10**6)


@given(
    st.builds(
        Usage,
        **{
            name: tokens
            for name in (
                *("prompt", "cached", "cache_write", "cache_write_1h", "completion", "reasoning"),
                *("audio", "audio_output", "image_input", "image_output"),
            )
        },
        web_searches=st.integers(0, 3),
        service=st.sampled_from(["", "flex"]),
    ),
    st.lists(rates, min_size=12, max_size=12),
)
def test_a_bill_is_what_is_charged(usage: Usage, numbers: list[Decimal]) -> None:
    names = Rates.__dataclass_fields__
    base = Rates(**dict(zip(names, numbers, strict=False)))
    price = Price(
        base=base,
        tiers=(
            Tier(rates=Rates(**dict(zip(names, numbers[::-1], strict=False))), service="flex"),
            Tier(rates=base, above_prompt_tokens=500_000),
        ),
        request_usd=numbers[10],
        web_search_usd=numbers[11],
    )
    assert bill.total(bill.lines(usage, price)) == price_of(usage, price)


def test_no_rates_are_shown_where_they_do_not_give_the_cost() -> None:
    price = Price(base=Rates(input_usd_per_mtok=Decimal(1), output_usd_per_mtok=Decimal(5)))
    usage = {"prompt": 10, "completion": 2}
    billed = {"usage": usage, "cost_usd": "0.00002", "chosen": "a"}
    assert one_decision.view(billed, price)["bill"]["lines"] is not None
    assert one_decision.view(billed | {"cost_usd": "0.00003"}, price)["bill"]["lines"] is None
    assert one_decision.view(billed | {"cost_usd": None}, price)["bill"]["lines"] is None


def row(model: str, hour: str, cost: str | None, **more: Any) -> dict[str, Any]:
    return {
        "model": model,
        "key": "",
        "hour": hour,
        "requests": 1,
        "prompt_tokens": 10,
        "completion_tokens": 2,
        "cost_usd": cost,
        "baseline_cost_usd": None if cost is None else "1",
        "savings_usd": None if cost is None else str(1 - Decimal(cost)),
        "unknown_cost_requests": int(cost is None),
        **more,
    }


def test_a_period_has_its_buckets_and_what_was_in_them() -> None:
    rows = [
        row("a", "2026-11-24T17:00:00Z", "0.25"),
        row("b", "2026-11-24T17:00:00Z", None),
        row("a", "2026-11-23T18:00:00Z", "0.5"),
    ]
    shown = overview.view(overview.PERIODS["24h"], NOW, rows, [])
    first, last = shown["buckets"][0], shown["buckets"][-1]
    assert (first["label"], last["label"]) == ("18:00", "17:00")
    assert first["cost_by_model"] == {"a": "0.5"}
    assert last["cost_by_model"] == {"a": "0.25", "b": None}
    assert shown["buckets"][1]["cost_usd"] == "0"  # no request, no cost
    assert shown["totals"]["cost_usd"] == "0.75"
    assert shown["totals"]["unknown_cost_requests"] == 1
    assert shown["totals"]["savings_share"] == pytest.approx(0.625)
    assert [(each["model"], each["cost_usd"]) for each in shown["models"]] == [
        ("a", "0.75"),
        ("b", None),
    ]


def test_more_models_than_colours_are_taken_together() -> None:
    rows = [row(f"m{n}", "2026-11-24T17:00:00Z", f"0.{9 - n}") for n in range(9)]
    shown = overview.view(overview.PERIODS["24h"], NOW, rows, [])
    assert shown["series"] == [*(f"m{n}" for n in range(7)), overview.OTHER]
    assert shown["buckets"][-1]["cost_by_model"][overview.OTHER] == "0.3"


def test_what_no_sum_has_is_of_the_last_decisions() -> None:
    def one(status: str, latency: float, cached: int) -> dict[str, Any]:
        usage = {"prompt": 100, "cached": cached}
        return {"status": status, "latency_ms": latency, "usage": usage, "ts": "t"}

    found = overview.recent([one("ok", 100, 50), one("ok", 300, 0), one("error", 9, 0)])
    assert found["decisions"] == 3
    assert found["error_share"] == pytest.approx(1 / 3)
    assert found["latency_p50_ms"] == 200
    assert found["cached_share"] == pytest.approx(50 / 300)
    assert overview.recent([])["error_share"] is None
    assert overview.recent([{"status": "ok"}])["latency_p50_ms"] is None
