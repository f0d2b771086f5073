"""Decisions, costs and models as tables for a terminal; the same data as the JSON, for people."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from gateway import money
from gateway.catalog import Catalog

_PIPED_WIDTH = 400  # columns: a file or a pipe is never wrapped

_REASONS = {
    "cheapest_sufficient": "the cheapest whose shortfall is within the threshold",
    "least_shortfall": "nobody is within the threshold: the least shortfall",
    "only_eligible": "the only one that passes the gates",
    "predictor_unavailable": "the predictor did not answer: the pool's fallback",
    "pinned": "named by the caller",
    "fallback": "an earlier choice failed upstream",
    "sticky": "the conversation stays with its model",
    "escalated": "the conversation became harder",
}


def show(*parts: RenderableType) -> None:
    """Print to stdout, in colour where it is a terminal (NO_COLOR is honoured)."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=_PIPED_WIDTH)
    console.print(Group(*parts))


def decision(entry: Mapping[str, Any]) -> Group:
    """One decision: requirements, every candidate, the choice and why."""
    parts: list[RenderableType] = []
    requirements = entry["requirements"]
    candidates = entry["candidates"]
    names = list(requirements or ())
    table = Table(box=None, padding=(0, 2), pad_edge=False)
    table.add_column("")
    for name in names:
        table.add_column(name, justify="right")
    for name in ("shortfall", "P(solved)", "expected $", "gate"):
        table.add_column(name, justify="left" if name == "gate" else "right")
    if requirements:
        table.add_row(
            Text("requirements", style="bold"),
            *(Text(f"{value:.2f}", style="bold") for value in requirements.values()),
        )
    for candidate in sorted(candidates, key=_order):
        chosen = candidate["model"] == entry["chosen"]
        style = "bold green" if chosen else ("dim" if not candidate["eligible"] else "")
        gap = candidate["shortfall"]
        table.add_row(
            ("> " if chosen else "  ") + candidate["model"],
            *(f"{candidate['capabilities'][name]:.2f}" for name in names),
            "-" if gap is None else f"{gap:.3f}",
            "-" if candidate["p_solve"] is None else f"{candidate['p_solve']:.3f}",
            _usd(candidate["expected_cost_usd"]),
            candidate["excluded_by"] or "",
            style=style,
        )
    parts.append(table)
    where = f"pool {entry['pool']}, mode {entry['mode'] or 'custom'}"
    reason = _REASONS[entry["reason"]]
    if entry["value_usd"] is not None:
        where += f", {entry['value_usd']:g} dollars for a solved request"
        if entry["reason"] == "cheapest_sufficient":
            reason = "the most chance to solve it for the money"
    elif entry["threshold"] is not None:
        where += f", threshold {entry['threshold']:g}"
    parts.append(Text(f"\n{entry['chosen']}: {reason} ({where})"))
    return Group(*parts)


def decisions(entries: Sequence[Mapping[str, Any]]) -> Table:
    """A list of decisions, newest first."""
    table = Table(box=None, padding=(0, 2), pad_edge=False)
    for name in ("time", "asked for", "served by", "reason", "status"):
        table.add_column(name, no_wrap=True)
    for name in ("in", "out", "cost $", "saved $", "ms"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("id", no_wrap=True)
    for entry in entries:
        usage = entry.get("usage") or {}
        status = entry.get("status") or "?"
        table.add_row(
            str(entry["ts"])[5:19].replace("T", " "),
            str(entry["model_requested"]),
            str(entry.get("served_by") or "-"),
            str(entry["reason"]),
            Text(status, style="" if status == "ok" else "red"),
            str(usage.get("prompt", "-")),
            str(usage.get("completion", "-")),
            _usd(entry.get("cost_usd")),
            _usd(entry.get("savings_usd")),
            f"{entry.get('latency_ms') or 0:.0f}",
            str(entry["id"]),
        )
    return table


def costs(rows: Sequence[Mapping[str, Any]], group_by: Sequence[str]) -> Table:
    """Spend by group."""
    table = Table(box=None, padding=(0, 2), pad_edge=False)
    for name in group_by:
        table.add_column(name, no_wrap=True)
    for name in ("requests", "in", "out", "cost $", "baseline $", "saved $", "unknown"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            *(str(row[name]) for name in group_by),
            str(row["requests"]),
            str(row["prompt_tokens"]),
            str(row["completion_tokens"]),
            _usd(row["cost_usd"]),
            _usd(row["baseline_cost_usd"]),
            _usd(row["savings_usd"]),
            str(row["unknown_cost_requests"]),
        )
    return table


def models(catalog: Catalog) -> Table:
    """The profiles, their pools and prices, and why one can't be used."""
    table = Table(box=None, padding=(0, 2), pad_edge=False)
    table.add_column("model", no_wrap=True)
    for dimension in catalog.dimensions:
        table.add_column(dimension.name, justify="right")
    for name in ("$/M in", "$/M out", "context"):
        table.add_column(name, justify="right")
    table.add_column("usable")
    for name, profile in sorted(catalog.profiles.items()):
        price = profile.price
        table.add_row(
            name,
            *(f"{value:.2f}" for value in profile.capabilities),
            "?" if price is None else _usd(money.to_text(price.base.input_usd_per_mtok)),
            "?" if price is None else _usd(money.to_text(price.base.output_usd_per_mtok)),
            str(profile.limits.context_tokens or "?"),
            catalog.unusable.get(name, "yes"),
        )
    return table


def prices(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Every profile's rates in dollars per million tokens, a line for each tier."""
    table = Table(box=None, padding=(0, 2), pad_edge=False)
    for name in ("model", "when"):
        table.add_column(name, no_wrap=True)
    for name in ("in", "out", "cached", "written"):
        table.add_column(name, justify="right", no_wrap=True)
    for name in ("others", "age", "source"):
        table.add_column(name, justify="right" if name == "age" else "left")
    for row in rows:
        price = row["price"]
        if price is None:
            table.add_row(row["name"], "", *("?",) * 4, "", "?", "unknown")
            continue
        days = price["age_days"]
        table.add_row(
            *(row["name"], "", *_rates(price)),
            Text("?" if days is None else f"{days} d", style="red" if price["is_old"] else ""),
            price["source"],
        )
        for tier in price["tiers"]:
            table.add_row("", _when(tier), *_rates(tier))
    return table


def price_differences(entries: Sequence[Mapping[str, Any]]) -> Table:
    """Where a profile's own price and litellm's table part."""
    table = Table(box=None, padding=(0, 2), pad_edge=False)
    for name in ("model", "when", "field"):
        table.add_column(name, no_wrap=True)
    for name in ("own $", "litellm's $"):
        table.add_column(name, justify="right", no_wrap=True)
    for each in entries:
        own, bundled = _usd(each["own"]), _usd(each["bundled"])
        table.add_row(each["name"], _when(each), each["field"], own, bundled)
    return table


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
    others |= {name.replace("_usd", ""): usd for name, usd in fees.items() if usd != "0"}
    words = ", ".join(f"{name} {value}" for name, value in others.items())
    return [*("-" if rates[name] is None else rates[name] for name in usual), words]


def _order(candidate: Mapping[str, Any]) -> tuple[bool, float]:
    cost = candidate["expected_cost_usd"]
    return (not candidate["eligible"], float("inf") if cost is None else float(cost))


def _usd(text: object) -> str:
    return "?" if text is None else str(text)
