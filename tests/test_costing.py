"""What an answer cost: usage times price, unknown where one of them is."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.costing import nothing_billed, price_of, settle
from gateway.decision import Cost, Usage
from gateway.price import Price, Rates, Tier
from gateway.profile import Profile

PLAIN = Price(base=Rates(input_usd_per_mtok=Decimal(1), output_usd_per_mtok=Decimal(5)))
CACHING = Price(
    base=Rates(
        input_usd_per_mtok=Decimal(3),
        output_usd_per_mtok=Decimal(15),
        cached_input_usd_per_mtok=Decimal("0.3"),
        cache_write_usd_per_mtok=Decimal("3.75"),
    )
)
EVERY_KIND = Price(  # each rate another power of ten: a sum tells what was billed as what
    base=Rates(
        input_usd_per_mtok=Decimal("1e6"),
        output_usd_per_mtok=Decimal("1e7"),
        cached_input_usd_per_mtok=Decimal("1e8"),
        cache_write_usd_per_mtok=Decimal("1e9"),
        cache_write_1h_usd_per_mtok=Decimal("1e10"),
        audio_input_usd_per_mtok=Decimal("1e11"),
        image_input_usd_per_mtok=Decimal("1e12"),
        reasoning_usd_per_mtok=Decimal("1e13"),
        audio_output_usd_per_mtok=Decimal("1e14"),
        image_output_usd_per_mtok=Decimal("1e15"),
    ),
    request_usd=Decimal("0.1"),
    web_search_usd=Decimal("0.01"),
)
TIERED = Price(
    base=PLAIN.base,
    tiers=(
        Tier(rates=CACHING.base, above_prompt_tokens=1000),
        Tier(
            rates=Rates(input_usd_per_mtok=Decimal("0.5"), output_usd_per_mtok=Decimal(2)),
            service="flex",
        ),
    ),
)
USAGE = Usage(prompt=1000, completion=200)


def profile(name: str, price: Price | None) -> Profile:
    return Profile(name=name, litellm_model=f"openai/{name}", capabilities=(0.5,), price=price)


SMALL, LARGE = profile("small", PLAIN), profile("large", CACHING)
UNPRICED = profile("unpriced", None)
counts = st.integers(0, 10**9)
parts = ("prompt", "cached", "cache_write", "completion", "reasoning", "audio", "cache_write_1h")
usages = st.builds(
    Usage,
    **dict.fromkeys(
        (*parts, "audio_output", "image_input", "image_output", "web_searches"), counts
    ),
)


@pytest.mark.parametrize(
    ("usage", "price", "usd"),
    [
        pytest.param(USAGE, PLAIN, "0.002", id="prompt and answer"),
        pytest.param(Usage(), PLAIN, "0", id="nothing used"),
        pytest.param(
            Usage(prompt=1000, cached=600, cache_write=300), CACHING, "0.001605", id="cache prices"
        ),
        pytest.param(
            Usage(prompt=1000, cached=600, cache_write=300), PLAIN, "0.001", id="no cache prices"
        ),
        pytest.param(
            Usage(prompt=0, completion=200, reasoning=150, audio=9),
            PLAIN,
            "0.001",
            id="reasoning is part of the answer, and not paid twice",
        ),
        pytest.param(
            Usage(prompt=100, cached=600),
            CACHING,
            "0.00018",
            id="a provider that counts the cached beside the prompt pays no one back",
        ),
        pytest.param(
            Usage(
                **{"prompt": 21, "cached": 2, "cache_write": 9, "cache_write_1h": 5, "audio": 14},
                **{"audio_output": 8, "image_input": 3, "completion": 30, "reasoning": 7},
                **{"image_output": 9, "web_searches": 2},
            ),
            EVERY_KIND,
            "9873654261.12",  # 21-2-9-6-3 plain tokens in, 30-7-8-9 out
            id="every kind at its own price, and fees",
        ),
        pytest.param(
            Usage(prompt=9, cached=4, audio=8, image_input=3, completion=2, reasoning=5),
            EVERY_KIND,
            "20500400.1",
            id="parts that overlap are not billed twice",
        ),
        pytest.param(
            Usage(prompt=10, cache_write=4, cache_write_1h=9), CACHING, "0.000033", id="1h as 5m"
        ),
        pytest.param(Usage(prompt=1000, completion=1), TIERED, "0.001005", id="not yet long"),
        pytest.param(
            Usage(prompt=1001, cached=1, completion=1), TIERED, "0.0030153", id="long, as a whole"
        ),
        pytest.param(Usage(prompt=10, service="flex"), TIERED, "0.000005", id="flex"),
        pytest.param(Usage(prompt=10, service="ultra"), TIERED, "0.00001", id="unknown service"),
        pytest.param(
            Usage(prompt=2000, service="flex"), TIERED, "0.006", id="long goes before flex"
        ),
    ],
)
def test_the_price_of_usage(usage: Usage, price: Price, usd: str) -> None:
    assert price_of(usage, price) == Decimal(usd)


@given(usages)
def test_no_usage_costs_less_than_nothing(
    usage: Usage,
) -> None:
    for price in (PLAIN, CACHING, EVERY_KIND, TIERED):
        assert price_of(usage, price) >= 0


@given(usages, usages)
def test_the_price_of_a_sum_is_the_sum_of_prices(first: Usage, second: Usage) -> None:
    def whole(usage: Usage) -> Usage:  # parts do not exceed the prompt
        prompt = usage.prompt + usage.cached + usage.cache_write
        return Usage(
            prompt=prompt,
            cached=usage.cached,
            cache_write=usage.cache_write,
            completion=usage.completion,
        )

    one, other = whole(first), whole(second)
    both = Usage(
        prompt=one.prompt + other.prompt,
        cached=one.cached + other.cached,
        cache_write=one.cache_write + other.cache_write,
        completion=one.completion + other.completion,
    )
    assert price_of(both, CACHING) == price_of(one, CACHING) + price_of(other, CACHING)


@pytest.mark.parametrize(
    ("usage", "served_by", "baseline", "cost"),
    [
        pytest.param(
            USAGE,
            SMALL,
            LARGE,
            Cost(
                usd=Decimal("0.002"),
                status="exact",
                baseline="large",
                baseline_usd=Decimal("0.006"),
            ),
            id="both known",
        ),
        pytest.param(
            USAGE,
            UNPRICED,
            LARGE,
            Cost(usd=None, status="unknown", baseline="large", baseline_usd=Decimal("0.006")),
            id="an unknown price is never nothing",
        ),
        pytest.param(
            None,
            SMALL,
            LARGE,
            Cost(usd=None, status="unknown", baseline="large", baseline_usd=None),
            id="no usage",
        ),
        pytest.param(
            USAGE,
            None,
            LARGE,
            Cost(usd=None, status="unknown", baseline="large", baseline_usd=Decimal("0.006")),
            id="served by nobody we know",
        ),
        pytest.param(
            USAGE,
            SMALL,
            UNPRICED,
            Cost(usd=Decimal("0.002"), status="exact", baseline="unpriced", baseline_usd=None),
            id="a baseline without a price",
        ),
        pytest.param(
            USAGE,
            SMALL,
            None,
            Cost(usd=Decimal("0.002"), status="exact", baseline=None, baseline_usd=None),
            id="no baseline",
        ),
    ],
)
def test_settling(
    usage: Usage | None, served_by: Profile | None, baseline: Profile | None, cost: Cost
) -> None:
    assert settle(usage, served_by, baseline) == cost


def test_an_estimate_says_so() -> None:
    assert settle(USAGE, SMALL, LARGE, is_estimate=True).status == "estimated"
    assert settle(None, SMALL, LARGE, is_estimate=True).status == "unknown"


@pytest.mark.parametrize(
    ("usage", "price", "status"),
    [
        pytest.param(replace(USAGE, service="flex"), TIERED, "exact", id="a service with a price"),
        pytest.param(replace(USAGE, service="flex"), PLAIN, "estimated", id="one without"),
        pytest.param(
            replace(USAGE, service="flex", prompt=2000), TIERED, "estimated", id="one too long"
        ),
        pytest.param(replace(USAGE, web_searches=1), EVERY_KIND, "exact", id="searches"),
        pytest.param(replace(USAGE, web_searches=1), PLAIN, "estimated", id="of no known price"),
        pytest.param(USAGE, replace(PLAIN, varies_by_hour=True), "estimated", id="by the hour"),
    ],
)
def test_a_cost_is_exact_only_if_everything_in_it_has_a_price(
    usage: Usage, price: Price, status: str
) -> None:
    assert settle(usage, profile("small", price), LARGE).status == status


@pytest.mark.parametrize("price", [PLAIN, None], ids=["a price", "no price"])
def test_what_the_provider_says_that_it_bills_is_stronger_than_prices(price: Price | None) -> None:
    said = replace(USAGE, cost_usd=Decimal("0.0123456789012345"))
    cost = settle(said, profile("small", price), LARGE)
    assert cost.to_dict() == {
        "cost_usd": "0.012345678901",
        "cost_status": "exact",
        "baseline": "large",
        "baseline_cost_usd": "0.006",
        "savings_usd": "-0.006345678901",
        "cost_source": "provider",
    }
    assert "cost_source" not in settle(USAGE, SMALL, LARGE).to_dict()


def test_savings_are_known_only_when_both_costs_are() -> None:
    assert settle(USAGE, SMALL, LARGE).savings_usd == Decimal("0.004")
    assert settle(USAGE, LARGE, SMALL).savings_usd == Decimal("-0.004")
    assert settle(USAGE, UNPRICED, LARGE).savings_usd is None


def test_a_refusal_by_everybody_is_billed_by_nobody() -> None:
    assert nothing_billed(LARGE).to_dict() == {
        "cost_usd": "0",
        "cost_status": "exact",
        "baseline": "large",
        "baseline_cost_usd": "0",
        "savings_usd": "0",
    }
    assert nothing_billed(None).baseline is None
