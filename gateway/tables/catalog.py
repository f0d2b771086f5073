"""The catalog's profiles: what they can do, what they cost."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.text import Text

from gateway import money
from gateway.catalog import Catalog
from gateway.tables.decisions import usd
from gateway.tables.terminal import Column, Grid


def models(catalog: Catalog) -> Grid:
    """The profiles, their capabilities and prices, and why one can't be used."""
    axes = [dimension.name for dimension in catalog.dimensions]
    grid = Grid(
        [
            Column(name="model"),
            *(Column(name=axis, is_number=True, rank=2) for axis in axes),
            *(Column(name=name, is_number=True) for name in ("$/M in", "$/M out")),
            Column(name="context", is_number=True, rank=1),
            Column(name="usable", wraps=True),
        ]
    )
    for name, profile in sorted(catalog.profiles.items()):
        price = profile.price
        grid.add(
            name,
            *(f"{value:.2f}" for value in profile.capabilities),
            "?" if price is None else usd(money.to_text(price.base.input_usd_per_mtok)),
            "?" if price is None else usd(money.to_text(price.base.output_usd_per_mtok)),
            str(profile.limits.context_tokens or "?"),
            catalog.unusable.get(name, "yes"),
        )
    return grid


def prices(rows: Sequence[Mapping[str, Any]]) -> Grid:
    """Every profile's rates in dollars per million tokens, a line for each tier."""
    grid = Grid(
        [
            *(Column(name=name) for name in ("model", "when")),
            *(Column(name=name, is_number=True) for name in ("in", "out", "cached", "written")),
            Column(name="others", wraps=True, rank=1),
            Column(name="age", is_number=True),
            Column(name="source", wraps=True, rank=2),
        ]
    )
    for row in rows:
        price = row["price"]
        if price is None:
            grid.add(row["name"], "", *("?",) * 4, "", "?", "unknown")
            continue
        days = price["age_days"]
        grid.add(
            *(row["name"], "", *_rates(price)),
            Text("?" if days is None else f"{days} d", style="red" if price["is_old"] else ""),
            price["source"],
        )
        for tier in price["tiers"]:
            grid.add("", _when(tier), *_rates(tier), "", "")
    return grid


def price_differences(entries: Sequence[Mapping[str, Any]]) -> Grid:
    """Where a profile's own price and litellm's table part."""
    grid = Grid(
        [
            *(Column(name=name) for name in ("model", "when", "field")),
            *(Column(name=name, is_number=True) for name in ("own $", "litellm's $")),
        ]
    )
    for each in entries:
        own, bundled = usd(each["own"]), usd(each["bundled"])
        grid.add(each["name"], _when(each), each["field"], own, bundled)
    return grid


def _when(tier: Mapping[str, Any]) -> str:
    """The requests that a tier is for."""
    above, service = tier["above_prompt_tokens"], tier["service_tier"]
    return " ".join(filter(None, (f"above {above:,}" if above else "", service)))


def _rates(price: Mapping[str, Any]) -> list[str]:
    """The rates that most prices have, and the others with their names."""
    usual = ("input", "output", "cached_input", "cache_write")
    rates = {
        name.removesuffix("_usd_per_mtok"): value
        for name, value in price.items()
        if name.endswith("_usd_per_mtok")
    }
    fees = {name: price[name] for name in ("request_usd", "web_search_usd") if price.get(name)}
    others = {name: value for name, value in rates.items() if name not in usual and value}
    others |= {name.replace("_usd", ""): fee for name, fee in fees.items() if fee != "0"}
    words = ", ".join(f"{name} {value}" for name, value in others.items())
    return [*("-" if rates[name] is None else rates[name] for name in usual), words]
