"""What was spent and saved over a period, and how the last requests went.

Pure: rows of costs and a page of decisions in, the view out. Money and requests are exact, since
they come from sums; what no sum has (errors, latency, cache hits) is of the last decisions, and
says of how many.
"""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from gateway import money
from gateway.dashboard.formats import decimal_of
from gateway.dashboard.why import sentence

Row = Mapping[str, Any]
_Amounts = tuple[Any, ...]  # those of _COUNTS, then those of _MONEY or None

MAX_SERIES: Final = 7  # models with a colour of their own; what is more is "other models"
OTHER: Final = "other models"
_LATEST: Final = 8  # decisions listed on the page
_MONEY: Final = ("cost_usd", "baseline_cost_usd", "savings_usd")
_COUNTS: Final = ("requests", "prompt_tokens", "completion_tokens", "unknown_cost_requests")


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """A span of time up to now, in buckets of an hour or a day."""

    name: str
    words: str
    bucket: str  # "hour" or "day", as costs are grouped
    buckets: int

    def starts(self, now: datetime) -> list[datetime]:
        """Of each bucket, the oldest first; the last one is still running."""
        if self.bucket == "hour":
            last, step = now.replace(minute=0, second=0, microsecond=0), timedelta(hours=1)
        else:
            last = now.replace(hour=0, minute=0, second=0, microsecond=0)
            step = timedelta(days=1)
        return [last - step * back for back in reversed(range(self.buckets))]

    def key(self, start: datetime) -> str:
        """What a row of costs calls the bucket."""
        return f"{start:%Y-%m-%dT%H}:00:00Z" if self.bucket == "hour" else f"{start:%Y-%m-%d}"

    def label(self, start: datetime) -> str:
        """What an axis calls it."""
        return f"{start:%H}:00" if self.bucket == "hour" else f"{start.day} {start:%b}"


PERIODS: Final = {
    period.name: period
    for period in (
        Period(name="24h", words="last 24 hours", bucket="hour", buckets=24),
        Period(name="7d", words="last 7 days", bucket="day", buckets=7),
        Period(name="30d", words="last 30 days", bucket="day", buckets=30),
    )
}


def view(
    period: Period, now: datetime, rows: Sequence[Row], records: Sequence[Row]
) -> dict[str, Any]:
    """`rows` are costs by model, key and the period's bucket; `records` decisions, newest first."""
    # Thousands of rows: each is read once, and what is larger is summed up from what is smaller.
    of_cell: dict[tuple[str, str], list[_Amounts]] = {}
    of_key: dict[str, list[_Amounts]] = {}
    for row in rows:
        amounts = _amounts(row)
        of_cell.setdefault((row[period.bucket], row["model"]), []).append(amounts)
        of_key.setdefault(row["key"], []).append(amounts)
    cells = {cell: _summed(found) for cell, found in of_cell.items()}
    of_model: dict[str, list[_Amounts]] = {}
    for (_, model), amounts in cells.items():
        of_model.setdefault(model, []).append(amounts)
    totals = _summed(list(cells.values()))
    models = _table("model", of_model, totals[0])
    series = [row["model"] for row in models[:MAX_SERIES]]
    return {
        "period": period.name,
        "period_words": period.words,
        "since": _iso(period.starts(now)[0]),
        "until": _iso(now),
        "totals": _with_share(totals),
        "series": series + ([OTHER] if len(models) > MAX_SERIES else []),
        "buckets": list(_buckets(period, now, cells, series)),
        "models": models,
        "keys": _table("key", of_key, totals[0]),
        "recent": recent(records),
        "last": None if not records else {"why": sentence(records[0]), "record": records[0]},
        "latest": list(records[:_LATEST]),
    }


def recent(records: Sequence[Row]) -> dict[str, Any]:
    """How the last decisions went; None where nothing is known of it."""
    served = [record for record in records if record.get("status") == "ok"]
    prompt = sum(_tokens(record, "prompt") for record in records)
    cached = sum(_tokens(record, "cached") for record in records)
    errors = sum(record.get("status") == "error" for record in records)
    aborted = sum(record.get("status") == "aborted" for record in records)
    return {
        "decisions": len(records),
        "since": records[-1].get("ts") if records else None,
        "errors": errors,
        "error_share": errors / len(records) if records else None,
        "aborted": aborted,
        "fallbacks": sum(record.get("reason") == "fallback" for record in records),
        "latency_p50_ms": _quantile(served, "latency_ms", 50),
        "latency_p95_ms": _quantile(served, "latency_ms", 95),
        "ttft_p50_ms": _quantile(served, "ttft_ms", 50),
        "router_p50_ms": _quantile(records, "router_ms", 50),
        "router_p95_ms": _quantile(records, "router_ms", 95),
        "prompt_tokens": prompt,
        "cached_tokens": cached,
        "cached_share": cached / prompt if prompt else None,
    }


def _amounts(row: Row) -> _Amounts:
    money = [None if row[name] is None else Decimal(row[name]) for name in _MONEY]
    return (*(row[name] for name in _COUNTS), *money)


def _summed(rows: Sequence[_Amounts]) -> _Amounts:
    """Counts add up; of money what is known does, and where nothing is, the sum is unknown. No
    request costs nothing."""
    if not rows:
        return (*(0 for _ in _COUNTS), *(Decimal(0) for _ in _MONEY))
    columns = list(zip(*rows, strict=True))
    known = ([usd for usd in column if usd is not None] for column in columns[len(_COUNTS) :])
    return (
        *map(sum, columns[: len(_COUNTS)]),
        *(sum(amounts, Decimal(0)) if amounts else None for amounts in known),
    )


def _named(sums: _Amounts) -> dict[str, Any]:
    counts, amounts = sums[: len(_COUNTS)], sums[len(_COUNTS) :]
    return dict(zip(_COUNTS, counts, strict=True)) | dict(
        zip(_MONEY, map(money.to_text, amounts), strict=True)
    )


def _with_share(sums: _Amounts) -> dict[str, Any]:
    """With the part of the baseline's cost that was saved."""
    _, baseline, savings = sums[len(_COUNTS) :]
    share = float(savings / baseline) if baseline and savings is not None else None
    return _named(sums) | {"savings_share": share}


def _table(name: str, groups: Mapping[str, list[_Amounts]], whole: int) -> list[dict[str, Any]]:
    """One row for each value, the costliest first, with its share of the requests."""
    found = [{name: value, **_with_share(_summed(rows))} for value, rows in groups.items()]
    for row in found:
        row["requests_share"] = row["requests"] / whole if whole else None
    found.sort(key=lambda row: (-(decimal_of(row["cost_usd"]) or 0), -row["requests"], row[name]))
    return found


def _buckets(
    period: Period, now: datetime, cells: Mapping[tuple[str, str], _Amounts], series: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """Each bucket of the period, the oldest first, with what each series cost in it."""
    of_bucket: dict[str, dict[str, list[_Amounts]]] = {}
    for (bucket, model), amounts in cells.items():
        name = model if model in series else OTHER
        of_bucket.setdefault(bucket, {}).setdefault(name, []).append(amounts)
    for start in period.starts(now):
        found = of_bucket.get(period.key(start), {})
        parts = {name: _summed(rows) for name, rows in found.items()}
        yield {
            "start": _iso(start),
            "label": period.label(start),
            **_named(_summed(list(parts.values()))),
            "cost_by_model": {
                name: _named(parts[name])["cost_usd"] for name in (*series, OTHER) if name in parts
            },
        }


def _tokens(record: Row, kind: str) -> int:
    usage = record.get("usage")
    found = usage.get(kind) if isinstance(usage, Mapping) else None
    return found if isinstance(found, int) else 0


def _quantile(records: Sequence[Row], name: str, percent: int) -> float | None:
    values = [
        float(value) for record in records if isinstance(value := record.get(name), int | float)
    ]
    if len(values) < 2:
        return values[0] if values else None
    return round(statistics.quantiles(values, n=100, method="inclusive")[percent - 1], 2)


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
