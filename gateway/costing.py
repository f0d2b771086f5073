"""What an answer cost, in exact decimals: usage times the profile's price.

Pure. Prices come from the catalog, usage from the provider; where one of them is missing the cost
is unknown, never a silent zero. What a provider says that it bills is stronger than our prices.
docs/costs.md has the cases, each with its arithmetic.
"""

from decimal import Decimal

from gateway import money
from gateway.decision import Cost, CostStatus, Usage
from gateway.price import Price
from gateway.profile import Profile

_MTOK = Decimal(1_000_000)


def price_of(usage: Usage, price: Price) -> Decimal:
    """Dollars, to the picodollar: every token of the request at the rates of one tier, plus fees.

    >>> from gateway.price import Rates
    >>> base = Rates(input_usd_per_mtok=Decimal(1), output_usd_per_mtok=Decimal(5),
    ...     cached_input_usd_per_mtok=Decimal("0.1"))
    >>> usage = Usage(prompt=1000, cached=800, completion=10)
    >>> money.to_text(price_of(usage, Price(base=base)))
    '0.00033'
    """
    rates = price.tier(usage.prompt, usage.service).rates
    billed = (n * rates.billed(kind) for kind, n in tokens(usage).items() if n)
    for_tokens = sum(billed, Decimal(0)) / _MTOK
    searches = usage.web_searches * (price.web_search_usd or 0)
    return money.rounded(for_tokens + price.request_usd + searches)


def tokens(usage: Usage) -> dict[str, int]:
    """How many tokens are billed at each kind of rate.

    The kinds are parts of the prompt's and of the completion's count: what is none of them is
    plain. A provider that counts one of them beside the prompt pays no one back.
    """
    long = min(usage.cache_write_1h, usage.cache_write)
    prompt = max(0, usage.prompt - usage.cached - usage.cache_write)
    heard = min(max(0, usage.audio - usage.audio_output), prompt)
    seen = min(usage.image_input, prompt - heard)
    reasoning = min(usage.reasoning, usage.completion)
    completion = usage.completion - reasoning
    spoken = min(usage.audio_output, completion)
    drawn = min(usage.image_output, completion - spoken)
    return {
        "input_usd_per_mtok": prompt - heard - seen,
        "cached_input_usd_per_mtok": usage.cached,
        "cache_write_usd_per_mtok": usage.cache_write - long,
        "cache_write_1h_usd_per_mtok": long,
        "audio_input_usd_per_mtok": heard,
        "image_input_usd_per_mtok": seen,
        "output_usd_per_mtok": completion - spoken - drawn,
        "reasoning_usd_per_mtok": reasoning,
        "audio_output_usd_per_mtok": spoken,
        "image_output_usd_per_mtok": drawn,
    }


def _is_exact(usage: Usage, price: Price) -> bool:
    """Whether the price has all that this usage is billed by."""
    if usage.web_searches and price.web_search_usd is None:
        return False
    return not price.varies_by_hour and price.tier(usage.prompt, usage.service).service == (
        usage.service
    )


def settle(
    usage: Usage | None,
    served_by: Profile | None,
    baseline: Profile | None,
    *,
    is_estimate: bool = False,
) -> Cost:
    """The cost of an answer and of the same usage on the baseline."""
    baseline_usd = None
    if usage is not None and baseline is not None and baseline.price is not None:
        baseline_usd = price_of(usage, baseline.price)
    baseline_name = None if baseline is None else baseline.name
    if usage is not None and usage.cost_usd is not None and served_by is not None:
        return Cost(
            usd=money.rounded(usage.cost_usd),
            status="exact",
            baseline=baseline_name,
            baseline_usd=baseline_usd,
            source="provider",
        )
    usd: Decimal | None = None
    status: CostStatus = "unknown"
    if usage is not None and served_by is not None and served_by.price is not None:
        usd = price_of(usage, served_by.price)
        is_exact = not is_estimate and _is_exact(usage, served_by.price)
        status = "exact" if is_exact else "estimated"
    return Cost(usd=usd, status=status, baseline=baseline_name, baseline_usd=baseline_usd)


def nothing_billed(baseline: Profile | None) -> Cost:
    """The cost of a request that every provider refused: exactly nothing, on any model."""
    return Cost(
        usd=Decimal(0),
        status="exact",
        baseline=None if baseline is None else baseline.name,
        baseline_usd=Decimal(0),
    )
