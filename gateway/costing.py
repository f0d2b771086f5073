"""What an answer cost, in exact decimals: usage times the profile's price.

Pure. Prices come from the catalog, usage from the provider; where one of them is missing the cost
is unknown, never a silent zero. What a provider says that it bills is stronger than our prices.
docs/costs.md has the cases, each with its arithmetic.
"""

from decimal import Decimal

from gateway import money
from gateway.decision import Cost, CostStatus, Usage
from gateway.price import Price, Rates
from gateway.profile import Profile

_MTOK = Decimal(1_000_000)


def price_of(usage: Usage, price: Price) -> Decimal:
    """Dollars, to the picodollar: every token of the request at the rates of one tier, plus fees.

    >>> base = Rates(input_usd_per_mtok=Decimal(1), output_usd_per_mtok=Decimal(5),
    ...     cached_input_usd_per_mtok=Decimal("0.1"))
    >>> usage = Usage(prompt=1000, cached=800, completion=10)
    >>> money.to_text(price_of(usage, Price(base=base)))
    '0.00033'
    """
    rates = price.tier(usage.prompt, usage.service).rates
    tokens = _input_usd(usage, rates) + _output_usd(usage, rates)
    searches = usage.web_searches * (price.web_search_usd or 0)
    return money.rounded(tokens / _MTOK + price.request_usd + searches)


def _input_usd(usage: Usage, rates: Rates) -> Decimal:
    """Millionths of a dollar. The kinds are parts of the prompt's count: what is none of them is
    plain. A provider that counts one of them beside the prompt pays no one back."""
    long = min(usage.cache_write_1h, usage.cache_write)
    rest = max(0, usage.prompt - usage.cached - usage.cache_write)
    audio = min(max(0, usage.audio - usage.audio_output), rest)
    image = min(usage.image_input, rest - audio)
    return (
        usage.cached * rates.billed("cached_input_usd_per_mtok")
        + (usage.cache_write - long) * rates.billed("cache_write_usd_per_mtok")
        + long * rates.billed("cache_write_1h_usd_per_mtok")
        + audio * rates.billed("audio_input_usd_per_mtok")
        + image * rates.billed("image_input_usd_per_mtok")
        + (rest - audio - image) * rates.input_usd_per_mtok
    )


def _output_usd(usage: Usage, rates: Rates) -> Decimal:
    """Millionths of a dollar; likewise, of the completion's count."""
    reasoning = min(usage.reasoning, usage.completion)
    rest = usage.completion - reasoning
    audio = min(usage.audio_output, rest)
    image = min(usage.image_output, rest - audio)
    return (
        reasoning * rates.billed("reasoning_usd_per_mtok")
        + audio * rates.billed("audio_output_usd_per_mtok")
        + image * rates.billed("image_output_usd_per_mtok")
        + (rest - audio - image) * rates.output_usd_per_mtok
    )


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
