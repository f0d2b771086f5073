"""What an answer cost: usage times price, unknown where one of them is."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.costing import nothing_billed, price_of, settle
from gateway.decision import Cost, Usage
from gateway.profile import Price, Profile

PLAIN = Price(input_usd_per_mtok=Decimal(1), output_usd_per_mtok=Decimal(5))
CACHING = Price(
    input_usd_per_mtok=Decimal(3),
    output_usd_per_mtok=Decimal(15),
    cached_input_usd_per_mtok=Decimal("0.3"),
    cache_write_usd_per_mtok=Decimal("3.75"),
)
USAGE = Usage(prompt=1000, completion=200)


def profile(name: str, price: Price | None) -> Profile:
    return Profile(name=name, litellm_model=f"openai/{name}", capabilities=(0.5,), price=price)


SMALL, LARGE = profile("small", PLAIN), profile("large", CACHING)
UNPRICED = profile("unpriced", None)
counts = st.integers(0, 10**9)
usages = st.builds(
    Usage, prompt=counts, cached=counts, cache_write=counts, completion=counts, reasoning=counts
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
    ],
)
def test_the_price_of_usage(usage: Usage, price: Price, usd: str) -> None:
    assert price_of(usage, price) == Decimal(usd)


@given(usages)
def test_no_usage_costs_less_than_nothing(
    usage: Usage,
) -> None:
    assert price_of(usage, CACHING) >= 0
    assert price_of(usage, PLAIN) >= 0


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
