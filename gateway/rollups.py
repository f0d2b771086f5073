"""The sums of an hour and of a day: what a record adds to them, and what they add up to.

Pure values; delivery.py writes them and ledger.py reads them. A rollup is a hash whose fields are
`["model","key","mode"] measure`, in the by-tag twins `["model","key","mode","tag"] measure`. A
measure that was never known has no field, so that unknown money is not a zero.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, Final

from gateway import money

MEASURES: Final = (
    "requests",
    "prompt_tokens",
    "completion_tokens",
    "unknown_cost_requests",
    "cost_picodollars",
    "baseline_picodollars",
    "savings_picodollars",
)
GROUPS: Final = ("model", "key", "mode", "tag", "day", "hour")

# Tags are the callers' free text and rollups are kept for ever: what comes after the first
# thousand different rows of a bucket is counted under one tag.
MAX_TAG_ROWS: Final = 1000
MAX_TAGS: Final = 16  # of one request
MAX_TAG_CHARS: Final = 64
OTHER_TAG: Final = "(other)"

_MAX_PICODOLLARS: Final = 10**18  # a million dollars for one request is an error, not a price

Measures = list[int | None]  # in the order of MEASURES
Row = tuple[str, ...]  # model, key, mode and, in the twins by tag, tag
Rows = dict[Row, Measures]

_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class Increments:
    """What a batch of records adds: rows by hour, without tags and by tag."""

    def __init__(self) -> None:
        self.hours: dict[str, Rows] = {}
        self.hours_by_tag: dict[str, Rows] = {}

    def add(self, record: Mapping[str, Any]) -> None:
        hour = _hour_of(record.get("ts"))
        measures = _measures(record)
        row = (model_of(record), _text(record.get("key_id")), _text(record.get("mode")))
        _add(self.hours.setdefault(hour, {}), row, measures)
        by_tag = self.hours_by_tag.setdefault(hour, {})
        for tag in tags_of(record) or ("",):
            _add(by_tag, (*row, tag), measures)


def days(hours: Mapping[str, Rows]) -> dict[str, Rows]:
    """The same increments by day."""
    by_day: dict[str, Rows] = {}
    for hour, rows in hours.items():
        of_day = by_day.setdefault(hour[:10], {})
        for row, measures in rows.items():
            _add(of_day, row, measures)
    return by_day


def field_of(row: Row) -> str:
    """The part of a field's name before the measure."""
    return _json(row)


def other_field(row: Row) -> str:
    """The same under the tag that takes what is too many."""
    return _json((*row[:-1], OTHER_TAG))


def model_of(record: Mapping[str, Any]) -> str:
    """The profile that a record's cost belongs to."""
    return _text(record.get("served_by") or record.get("chosen"))


def tags_of(record: Mapping[str, Any]) -> tuple[str, ...]:
    """The different tags, shortened to what is counted."""
    tags = record.get("tags")
    if not isinstance(tags, list | tuple):
        return ()
    return tuple(dict.fromkeys(str(tag)[:MAX_TAG_CHARS] for tag in tags[:MAX_TAGS]))


def read(stored: Mapping[str, str]) -> Iterator[tuple[Row, Measures]]:
    """The rows of a rollup hash."""
    fields: dict[str, Measures] = {}
    for name, value in stored.items():
        row, _, measure = name.rpartition(" ")
        fields.setdefault(row, [None] * len(MEASURES))[MEASURES.index(measure)] = int(value)
    for row, measures in fields.items():
        yield tuple(json.loads(row)), measures


def _add(rows: Rows, row: Row, measures: Measures) -> None:
    sums = rows.get(row)
    rows[row] = measures if sums is None else summed(sums, measures)


def summed(one: Measures, other: Measures) -> Measures:
    """Measure by measure; known and unknown is known.

    >>> summed([1, None, 3], [1, None, None])
    [2, None, 3]
    """
    return [b if a is None else a if b is None else a + b for a, b in zip(one, other, strict=True)]


def to_row(measures: Measures) -> dict[str, Any]:
    """The part of a costs row after its group fields."""
    requests, prompt, completion, unknown, cost, baseline, savings = measures
    return {
        "requests": requests or 0,
        "prompt_tokens": prompt or 0,
        "completion_tokens": completion or 0,
        "cost_usd": _dollars(cost),
        "baseline_cost_usd": _dollars(baseline),
        "savings_usd": _dollars(savings),
        "unknown_cost_requests": unknown or 0,
    }


def _measures(record: Mapping[str, Any]) -> Measures:
    usage = record.get("usage")
    if not isinstance(usage, Mapping):
        usage = {}
    cost = _picodollars(record.get("cost_usd"))
    return [
        1,
        _tokens(usage.get("prompt")),
        _tokens(usage.get("completion")),
        1 if cost is None else None,
        cost,
        _picodollars(record.get("baseline_cost_usd")),
        _picodollars(record.get("savings_usd")),
    ]


def _tokens(value: object) -> int | None:
    return value if isinstance(value, int) and 0 < value < 2**40 else None


def _picodollars(value: object) -> int | None:
    if not isinstance(value, str | Decimal | int):
        return None
    try:
        amount = Decimal(value)
        if not amount.is_finite() or abs(amount) > _MAX_PICODOLLARS // money.PICODOLLARS_PER_USD:
            return None
        return money.to_picodollars(amount)
    except InvalidOperation:
        return None


def _dollars(picodollars: int | None) -> str | None:
    return money.to_text(None if picodollars is None else money.from_picodollars(picodollars))


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _hour_of(ts: object) -> str:
    """The hour of a time stamp; a record without a readable one counts in the present hour."""
    if isinstance(ts, str) and unix_time(ts[:13]) is not None:
        return ts[:13]
    return datetime.now(UTC).strftime("%Y-%m-%dT%H")


@lru_cache(maxsize=4096)
def unix_time(bucket: str) -> int | None:
    """Of an hour "2026-11-23T18" or a day "2026-11-23"; None if it is neither."""
    form = "%Y-%m-%dT%H" if len(bucket) == 13 else "%Y-%m-%d"
    try:
        parsed = datetime.strptime(bucket, form).replace(tzinfo=UTC)
    except ValueError:
        return None
    # strptime takes "2026-1-2T 3" too; a bucket has one spelling
    return int(parsed.timestamp()) if parsed.strftime(form) == bucket else None
