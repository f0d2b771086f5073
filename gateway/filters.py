"""The filters of the log: what matches one, and in which indexes a record's id is kept for them.

Pure. delivery.py writes the indexes, listing.py reads them. An index is a stream that holds ids of
the decision stream and nothing else: one for each value of what a catalog or we name (`LISTED`), a
fixed number of shared ones for callers' free text (`SHARED`), in which a mark tells most values
apart. A stream takes four kilobytes before its first entry, so that one for each session would
cost more than the decisions. What tells values apart in the end is `matcher`, on the entries.
"""

import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from operator import itemgetter
from typing import Any, Final, NamedTuple

from gateway import redis_keys, stream_fields

LISTED: Final = ("model", "key", "mode", "reason", "status", "pool")
SHARED: Final = ("session", "tag", "user")
FILTERS: Final = (
    *("model", "key", "session", "user", "mode", "reason", "status", "pool", "tag"),
    *("since", "until"),
)
BUCKETS: Final = 1024  # of each name in SHARED; a million decisions fill one with a thousand ids
MAX_TAGS: Final = 16  # of one record
FIRST: Final = "first"  # beside the newest ids of hours: the first id that these know of

_FIRST_YEAR: Final = 1970
_LAST_YEAR: Final = 9998  # hours and days after it must exist, too
_listed_fields: Final = itemgetter(
    *map(stream_fields.FIELDS.index, ("chosen", "served_by", "key_id", *LISTED[2:]))
)
_SESSION: Final = stream_fields.FIELDS.index("session")


class Place(NamedTuple):
    """An index, and the mark of a value in it; "" in an entry is every value's."""

    key: str
    mark: str


class Postings:
    """The indexes of a batch of records, each with the records that belong in it."""

    def __init__(self) -> None:
        self._listed: dict[tuple[str, ...], list[int]] = {}  # most records of a batch are alike
        self._shared: dict[str, list[tuple[int, str]]] = {}

    def add(self, number: int, record: Mapping[str, Any], values: Sequence[str]) -> None:
        """The record of that number in the batch; `values` are those of stream_fields.encode."""
        self._listed.setdefault(_listed_values(values), []).append(number)
        if values[_SESSION]:
            self._share(number, "session", values[_SESSION])
        user = record.get("user")
        if user and isinstance(user, str):
            self._share(number, "user", user)
        tags = record.get("tags")
        if tags and isinstance(tags, list):
            for tag in tags[:MAX_TAGS]:
                if tag and isinstance(tag, str):
                    self._share(number, "tag", tag)

    def by_index(self) -> dict[str, str]:
        """Keys, each with the numbers in order and, where it has one, the mark: "3=77 5=12"."""
        listed: dict[str, list[int]] = {}
        for values, numbers in self._listed.items():
            for name, value in zip(LISTED, values, strict=True):
                if value:
                    listed.setdefault(place(name, value).key, []).extend(numbers)
        texts = {key: " ".join(map(str, sorted(numbers))) for key, numbers in listed.items()}
        for key, marked in self._shared.items():
            texts[key] = " ".join(f"{number}={mark}" for number, mark in marked)
        return texts

    def _share(self, number: int, name: str, value: str) -> None:
        key, mark = place(name, value)
        entries = self._shared.setdefault(key, [])
        if entries and entries[-1][0] == number:  # another tag of it: an id is in a stream once
            if entries[-1][1] != mark:
                entries[-1] = (number, "")
        else:
            entries.append((number, mark))


def _listed_values(values: Sequence[str]) -> tuple[str, ...]:
    """Those of LISTED, in its order."""
    chosen, served_by, *rest = _listed_fields(values)
    return (served_by or chosen, *rest)


@lru_cache(maxsize=8192)
def place(name: str, value: str) -> Place:
    """Where the ids of a value are."""
    if name in LISTED:
        return Place(redis_keys.index(name, value), "")
    number = zlib.crc32(value.encode("utf-8", "replace"))  # "replace": as the connection writes it
    return Place(redis_keys.shared_index(name, number % BUCKETS), str(number // BUCKETS))


def indexed(filters: Mapping[str, str]) -> list[Place]:
    """Indexes whose common ids hold all that matches; none: it is anywhere in the stream.

    An empty value asks for records without one, which no index has.
    """
    return [
        place(name, value)
        for name, value in filters.items()
        if value and (name in LISTED or name in SHARED)
    ]


def matcher(filters: Mapping[str, str]) -> Callable[[Mapping[str, str]], bool]:
    """One predicate of all filters. It takes a stream entry as it is: reading back a hundred
    thousand of them for the few that match would take seconds. Raises ValueError.
    """
    for name in filters:
        if name not in FILTERS:
            raise ValueError(f"filter: expected some of {', '.join(FILTERS)}, got '{name}'")
    wanted = {name: value for name, value in filters.items() if name not in ("since", "until")}
    since = parse_time("since", filters["since"]) if "since" in filters else None
    until = parse_time("until", filters["until"]) if "until" in filters else None

    def matches(entry: Mapping[str, str]) -> bool:
        for name, value in wanted.items():
            match name:
                case "model":
                    found = (entry.get("served_by") or entry.get("chosen")) == value
                case "tag":
                    found = value in (stream_fields.value("tags", entry.get("tags", "")) or ())
                case "key":
                    found = entry.get("key_id") == value
                case _:
                    found = entry.get(name, "") == value
            if not found:
                return False
        if since is None and until is None:
            return True
        try:
            at = parse_time("ts", entry.get("ts", ""))
        except ValueError:
            return False
        return (since is None or at >= since) and (until is None or at < until)

    return matches


def parse_time(name: str, value: datetime | str | float) -> datetime:
    """A moment from ISO 8601 (UTC where no zone is named) or Unix seconds. Raises ValueError.

    >>> parse_time("since", "2026-11-23T18:40:01Z") == parse_time("since", "1795459201")
    True
    """
    try:
        if isinstance(value, datetime):
            moment = value
        elif isinstance(value, int | float) or re.fullmatch(r"\d+(\.\d+)?", value):
            moment = datetime.fromtimestamp(float(value), UTC)
        else:
            moment = datetime.fromisoformat(value)
        moment = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
        if not _FIRST_YEAR <= moment.year <= _LAST_YEAR:
            raise ValueError("no request was served then")
    except (ValueError, OverflowError, OSError):
        raise ValueError(
            f"{name}: expected an ISO 8601 time or Unix seconds, got '{str(value)[:40]}'"
        ) from None
    return moment
