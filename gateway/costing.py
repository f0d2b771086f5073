"""What an answer cost, in exact decimals: usage times the profile's price.

Pure. Prices come from the catalog, usage from the provider; where one of them is missing the cost
is unknown, never a silent zero.
"""

from decimal import Decimal

from gateway import money
from gateway.decision import Cost, CostStatus, Usage
from gateway.profile import Price, Profile

_MTOK = Decimal(1_000_000)


def price_of(usage: Usage, price: Price) -> Decimal:
    """Dollars, to the picodollar. Cached and written tokens are parts of the prompt's count.

    >>> flat = Price(input_usd_per_mtok=Decimal(1), output_usd_per_mtok=Decimal(5),
    ...     cached_input_usd_per_mtok=Decimal("0.1"))
    >>> money.to_text(price_of(Usage(prompt=1000, cached=800, completion=10), flat))
    '0.00033'
    """
    cached, written = price.cached_input_usd_per_mtok, price.cache_write_usd_per_mtok
    plain = max(0, usage.prompt - usage.cached - usage.cache_write)
    usd = (
        plain * price.input_usd_per_mtok
        + usage.cached * (price.input_usd_per_mtok if cached is None else cached)
        + usage.cache_write * (price.input_usd_per_mtok if written is None else written)
        + usage.completion * price.output_usd_per_mtok
    ) / _MTOK
    return money.rounded(usd)


def settle(
    usage: Usage | None,
    served_by: Profile | None,
    baseline: Profile | None,
    *,
    is_estimate: bool = False,
) -> Cost:
    """The cost of an answer and of the same usage on the baseline."""
    baseline_name = None if baseline is None else baseline.name
    if usage is None or served_by is None or served_by.price is None:
        status: CostStatus = "unknown"
        usd = None
    else:
        status = "estimated" if is_estimate else "exact"
        usd = price_of(usage, served_by.price)
    baseline_usd = None
    if usage is not None and baseline is not None and baseline.price is not None:
        baseline_usd = price_of(usage, baseline.price)
    return Cost(usd=usd, status=status, baseline=baseline_name, baseline_usd=baseline_usd)


def nothing_billed(baseline: Profile | None) -> Cost:
    """The cost of a request that every provider refused: exactly nothing, on any model."""
    return Cost(
        usd=Decimal(0),
        status="exact",
        baseline=None if baseline is None else baseline.name,
        baseline_usd=Decimal(0),
    )
