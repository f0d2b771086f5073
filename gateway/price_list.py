"""A catalog's prices for a person: with source and age, and beside litellm's bundled table.

Not what anything costs (costing.py) and not where a price comes from (profile_file.py). Plain
values, as `hydra-gateway prices --json` prints them; tables.py draws them.
"""

import datetime
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from gateway import bundled_prices, money
from gateway.catalog import Catalog
from gateway.price import KINDS, OLD_DAYS, Price, Rates, Tier
from gateway.profile import Profile


def rows(catalog: Catalog, today: datetime.date) -> list[dict[str, Any]]:
    """Every profile's price, its tiers after it; null where it is unknown."""
    return [
        {"name": name, "litellm_model": profile.litellm_model, "price": _price(profile, today)}
        for name, profile in sorted(catalog.profiles.items())
    ]


def differences(catalog: Catalog) -> dict[str, Any]:
    """Where profiles would be billed at other rates than litellm's table has, and those that the
    table does not know."""
    found: list[dict[str, Any]] = []
    unknown: list[str] = []
    for name, profile in sorted(catalog.profiles.items()):
        bundled = bundled_prices.price(profile.litellm_model)
        if bundled is None or profile.price is None:
            unknown.append(name)
        else:
            found += ({"name": name, **each} for each in _between(profile.price, bundled))
    return {"differences": found, "not_in_the_table": unknown}


def warnings(catalog: Catalog, today: datetime.date) -> list[str]:
    """Prices that are too old to be trusted; an unknown age is not one."""
    found = []
    for name, profile in sorted(catalog.profiles.items()):
        days = None if profile.price is None else profile.price.age_days(today)
        if profile.price is not None and days is not None and days > OLD_DAYS:
            found.append(
                f"{name}: its price is {days} days old ({profile.price.source or 'no source'});"
                " compare it with the provider's (with litellm's: hydra-gateway prices --diff)"
                " and set its date"
            )
    return found


def _price(profile: Profile, today: datetime.date) -> dict[str, Any] | None:
    price = profile.price
    if price is None:
        return None
    days = price.age_days(today)
    return {
        **_rates(price.base),
        "request_usd": money.to_text(price.request_usd),
        "web_search_usd": money.to_text(price.web_search_usd),
        "varies_by_hour": price.varies_by_hour,
        "tiers": [{**_when(tier), **_rates(tier.rates)} for tier in price.tiers],
        "source": price.source,
        "date": price.date,
        "age_days": days,
        "is_old": days is not None and days > OLD_DAYS,
    }


def _rates(rates: Rates) -> dict[str, str | None]:
    return {kind: money.to_text(getattr(rates, kind)) for kind in KINDS}


def _when(tier: Tier) -> dict[str, Any]:
    return {"above_prompt_tokens": tier.above_prompt_tokens, "service_tier": tier.service}


def _between(own: Price, bundled: Price) -> Iterator[dict[str, Any]]:
    """What differs in the bill, so a price left out is what its tokens are billed at."""
    tiers = (Tier(rates=own.base), *own.tiers, *bundled.tiers)
    whens = dict.fromkeys((tier.above_prompt_tokens, tier.service) for tier in tiers)
    for above, service in sorted(whens):
        when = {"above_prompt_tokens": above, "service_tier": service}
        ours, theirs = (price.tier(above + 1, service).rates for price in (own, bundled))
        for kind in KINDS:
            yield from _apart({**when, "field": kind}, ours.billed(kind), theirs.billed(kind))
    for fee in ("request_usd", "web_search_usd"):
        when = {"above_prompt_tokens": 0, "service_tier": "", "field": fee}
        yield from _apart(when, getattr(own, fee), getattr(bundled, fee))


def _apart(
    entry: dict[str, Any], own: Decimal | None, bundled: Decimal | None
) -> Iterator[dict[str, Any]]:
    if own != bundled:
        yield {**entry, "own": money.to_text(own), "bundled": money.to_text(bundled)}
