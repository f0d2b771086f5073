"""The sums of an hour and of a day: what a record adds to them, and what they add up to.

Pure values; delivery.py writes them and ledger.py reads them. What a row looks like in Redis is
rollup_rows.py.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, Final, TypeVar

from gateway import money
from gateway.filters import MAX_TAGS
from gateway.redis_keys import By

MEASURES: Final = (
    "requests",
    "prompt_tokens",
    "completion_tokens",
    "unknown_cost_requests",
    "cost_picodollars",
    "baseline_picodollars",
    "savings_picodollars",
)
_SHOWN: Final = (
    *("requests", "prompt_tokens", "completion_tokens"),
    *("cost_usd", "baseline_cost_usd", "savings_usd", "unknown_cost_requests"),
)
GROUPS: Final = ("model", "key", "mode", "pool", "tag", "user", "session", "day", "hour")
MAIN: Final = ("model", "key", "mode", "pool")  # what each row has
TWINS: Final[tuple[By, ...]] = ("tag", "user", "session")  # kept apart, so that one can be asked
BY_DAY_ONLY: Final[tuple[By, ...]] = ("user", "session")
# What a row of each rollup names. The hours of a day are beside it once more, since a month's own
# rollups of hours are too much to read at once.
COLUMNS: Final[Mapping[By | None, tuple[str, ...]]] = {
    None: MAIN,
    "hour": ("model", "mode", "pool", "hour"),
    **{by: (*MAIN, by) for by in TWINS},
}

# The twins' values are the callers' free text and rollups are kept for ever: what comes after the
# first thousand different rows of a bucket is counted under one value.
MAX_TWIN_ROWS: Final = 1000
MAX_TAG_CHARS: Final = 64
MAX_NAME_CHARS: Final = 256  # of a session or a user, as long as a request may give one
OTHER: Final = "(other)"

_MAX_PICODOLLARS: Final = 10**18  # a million dollars for one request is an error, not a price

Measures = list[int | None]  # in the order of MEASURES
Row = tuple[str, ...]  # the values of COLUMNS
Rows = dict[Row, Measures]
_Alike = tuple[
    str, str, str, str, str, tuple[str, ...], str, str
]  # hour, MAIN, tags, user, session
_T = TypeVar("_T", bound=tuple[Any, ...])


class Increments:
    """What a batch of records adds."""

    def __init__(self) -> None:
        self._sums: dict[_Alike, Measures] = {}  # most records of a batch are alike

    def add(self, record: Mapping[str, Any]) -> None:
        alike = (
            hour_of(record.get("ts")),
            model_of(record),
            _text(record.get("key_id")),
            _text(record.get("mode")),
            _text(record.get("pool")),
            tags_of(record),
            _text(record.get("user"))[:MAX_NAME_CHARS],
            _text(record.get("session"))[:MAX_NAME_CHARS],
        )
        _add(self._sums, alike, _measures(record))

    def by_bucket(self) -> dict[tuple[By | None, str], Rows]:
        """The rows of each hour and day, and of their twins."""
        found: dict[tuple[By | None, str], Rows] = {}
        for (hour, *main, tags, user, session), measures in self._sums.items():
            row = tuple(main)
            day = hour[:10]
            model, _, mode, pool = main
            _add(found.setdefault((None, hour), {}), row, measures)
            _add(
                found.setdefault(("hour", day), {}), (model, mode, pool, f"{hour}:00:00Z"), measures
            )
            for tag in tags or ("",):
                _add(found.setdefault(("tag", hour), {}), (*row, tag), measures)
            _add(found.setdefault(("user", day), {}), (*row, user), measures)
            _add(found.setdefault(("session", day), {}), (*row, session), measures)
        for (by, hour), rows in list(found.items()):
            if is_hour(hour):
                of_day = found.setdefault((by, hour[:10]), {})
                for row, measures in rows.items():
                    _add(of_day, row, measures)
        return found


def is_hour(bucket: str) -> bool:
    """Whether a bucket is an hour or a day."""
    return len(bucket) == 13


def model_of(record: Mapping[str, Any]) -> str:
    """The profile that a record's cost belongs to."""
    return _text(record.get("served_by") or record.get("chosen"))


def tags_of(record: Mapping[str, Any]) -> tuple[str, ...]:
    """The different tags, shortened to what is counted."""
    tags = record.get("tags")
    if not isinstance(tags, list | tuple):
        return ()
    return tuple(dict.fromkeys(str(tag)[:MAX_TAG_CHARS] for tag in tags[:MAX_TAGS]))


def _add(sums: dict[_T, Measures], of: _T, measures: Measures) -> None:
    before = sums.get(of)
    sums[of] = measures if before is None else summed(before, measures)


def summed(one: Measures, other: Measures) -> Measures:
    """Measure by measure, spelt out since it is done for each row; known and unknown is known.

    >>> summed([1, 9, None, 1, 5, None, None], [1, None, None, 1, 7, 3, None])
    [2, 9, None, 2, 12, 3, None]
    """
    a, b, c, d, e, f, g = one
    n, o, p, q, r, s, t = other
    return [
        a if n is None else n if a is None else a + n,
        b if o is None else o if b is None else b + o,
        c if p is None else p if c is None else c + p,
        d if q is None else q if d is None else d + q,
        e if r is None else r if e is None else e + r,
        f if s is None else s if f is None else f + s,
        g if t is None else t if g is None else g + t,
    ]


def to_rows(
    group_by: tuple[str, ...], sums: Iterable[tuple[tuple[str, ...], Measures]]
) -> list[dict[str, Any]]:
    """Rows of costs, from the values of groups and what they add up to."""
    blank: dict[str, Any] = dict.fromkeys((*group_by, *_SHOWN))  # quicker copied than built
    rows = []
    for group, (requests, prompt, completion, unknown, cost, baseline, savings) in sums:
        row = blank.copy()
        row.update(zip(group_by, group, strict=True))
        row["requests"] = requests or 0
        row["prompt_tokens"] = prompt or 0
        row["completion_tokens"] = completion or 0
        row["cost_usd"] = money.text_of_picodollars(cost)
        row["baseline_cost_usd"] = money.text_of_picodollars(baseline)
        row["savings_usd"] = money.text_of_picodollars(savings)
        row["unknown_cost_requests"] = unknown or 0
        rows.append(row)
    return rows


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


def _text(value: object) -> str:
    return "" if value is None else str(value)


def hour_of(ts: object) -> str:
    """The hour of a time stamp; a record without a readable one counts in the present hour."""
    if isinstance(ts, str) and unix_time(ts[:13]) is not None:
        return ts[:13]
    return datetime.now(UTC).strftime("%Y-%m-%dT%H")


@lru_cache(maxsize=4096)
def unix_time(bucket: str) -> int | None:
    """Of an hour "2026-11-23T18" or a day "2026-11-23"; None if it is neither."""
    form = "%Y-%m-%dT%H" if is_hour(bucket) else "%Y-%m-%d"
    try:
        parsed = datetime.strptime(bucket, form).replace(tzinfo=UTC)
    except ValueError:
        return None
    # strptime takes "2026-1-2T 3" too; a bucket has one spelling
    return int(parsed.timestamp()) if parsed.strftime(form) == bucket else None
