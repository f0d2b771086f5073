"""What the log answers: decisions, newest first, and what they cost. Reads only, from Redis alone.

Shared by HTTP and the command line; writing is decision_log.py. "Newest" is the order of the
stream, in which answers ended. A listing scans the stream backwards and filters, for about a second
at most; a page that ran out of time says so with a cursor that goes on where it stopped.
"""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast

from redis.asyncio import Redis

from gateway import redis_keys, rollups, spool_files, stream_fields
from gateway.redis_connection import RedisFailure, describe

FILTERS: Final = ("model", "key", "session", "mode", "reason", "status", "tag", "since", "until")
MAX_LIMIT: Final = 1000
ANSWER_S: Final = 2.0  # a free connection, connecting and the answer together
SCAN_COUNT: Final = 500  # entries of one read
SCAN_S: Final = 1.0
HASHES_AT_ONCE: Final = 100
# A request is entered when its answer ended, by Redis' clock; its time stamp is when it came, by
# ours. So an entry is never much older than its record.
CLOCK_SKEW: Final = timedelta(minutes=5)

_CURSOR: Final = re.compile(r"[1-9][0-9]{0,17}-[0-9]{1,18}")  # Redis' ids are 64 bits twice
_FIRST_YEAR: Final = 1970
_LAST_YEAR: Final = 9998  # hours and days after it must exist, too


class LogUnavailable(Exception):
    """The log can't be read, or can't take a record; the message is for a person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some decisions, and where the next ones begin."""

    data: list[dict[str, Any]]
    has_more: bool
    next_cursor: str | None


class Ledger:
    """Reads through one client. Every method raises LogUnavailable, within a few seconds at most,
    if Redis does not answer, and ValueError if it was asked for something that does not exist.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def decision(self, decision_id: str) -> dict[str, Any] | None:
        """The whole record."""
        text = await _answer(self._redis.get(redis_keys.decision(decision_id)))
        return None if text is None else spool_files.parse(text)

    async def decisions(
        self, *, filters: Mapping[str, str], limit: int, cursor: str | None
    ) -> Page:
        """Those that match every filter. Raises ValueError for an unknown filter, a time that is
        none, a limit outside 1 to 1000 or a foreign cursor.
        """
        if not 1 <= limit <= MAX_LIMIT:
            raise ValueError(f"limit: expected 1 to {MAX_LIMIT}, got {limit}")
        if cursor is not None and not _CURSOR.fullmatch(cursor):
            raise ValueError("cursor: expected the next_cursor of an earlier page")
        matches = _matcher(filters)
        since = parse_time("since", filters["since"]) if "since" in filters else None
        oldest = "-" if since is None else str(max(0, _milliseconds(since - CLOCK_SKEW)))
        deadline = time.monotonic() + SCAN_S
        found: list[tuple[str, dict[str, str]]] = []
        newest = "+" if cursor is None else f"({cursor}"
        count = limit + 1  # without filters one read is the page
        while True:
            entries = await _answer(
                self._redis.xrevrange(redis_keys.DECISIONS, newest, oldest, count=count)
            )
            for entry_id, entry in entries:
                if not matches(entry):
                    continue
                if len(found) == limit:
                    return Page(data=_records(found), has_more=True, next_cursor=found[-1][0])
                found.append((entry_id, entry))
            if len(entries) < count:
                return Page(data=_records(found), has_more=False, next_cursor=None)
            newest, count = f"({entries[-1][0]}", SCAN_COUNT
            if time.monotonic() > deadline:
                last = entries[-1][0]
                return Page(data=_records(found), has_more=True, next_cursor=last)

    async def costs(
        self,
        *,
        group_by: tuple[str, ...],
        since: datetime | str | float | None = None,
        until: datetime | str | float | None = None,
    ) -> list[dict[str, Any]]:
        """One row for each group, newest time first, then the costliest.

        Times count by the hour (UTC) in which a request came: the hour of `since` and the hour of
        the last moment before `until` are counted whole. Raises ValueError for an unknown group.
        """
        for name in group_by:
            if name not in rollups.GROUPS:
                raise ValueError(
                    f"group_by: expected some of {', '.join(rollups.GROUPS)}, got '{name}'"
                )
        by_tag = "tag" in group_by
        hours, days = await self._buckets(
            None if since is None else parse_time("since", since),
            None if until is None else parse_time("until", until),
            hourly="hour" in group_by,
        )
        keys = [(day, redis_keys.day(day, by_tag=by_tag)) for day in days]
        keys += [(hour, redis_keys.hour(hour, by_tag=by_tag)) for hour in hours]
        sums: dict[rollups.Row, rollups.Measures] = {}
        for start in range(0, len(keys), HASHES_AT_ONCE):
            chunk = keys[start : start + HASHES_AT_ONCE]
            pipeline = self._redis.pipeline(transaction=False)
            for _, key in chunk:
                pipeline.hgetall(key)
            for (bucket, _), stored in zip(chunk, await _answer(pipeline.execute()), strict=True):
                for group, measures in _groups(bucket, stored, group_by):
                    before = sums.get(group)
                    sums[group] = rollups.summed(before, measures) if before else measures
        rows = [
            dict(zip(group_by, group, strict=True)) | rollups.to_row(measures)
            for group, measures in sorted(sums.items(), key=lambda item: _dearest(item[1]))
        ]
        for name in ("hour", "day"):  # sorting is stable: within a time the order above holds
            if name in group_by:
                rows.sort(key=lambda row: str(row[name]), reverse=True)
        return rows

    async def _buckets(
        self, since: datetime | None, until: datetime | None, *, hourly: bool
    ) -> tuple[list[str], list[str]]:
        """The hours and days that hold a range: whole days where hours are not asked for."""
        first = None if since is None else _floor_hour(since)
        last = None if until is None else _ceil_hour(until)
        hours = await self._existing(redis_keys.HOURS, first, last)
        if hourly:
            return hours, []
        first_day = None if first is None else _ceil_day(first)
        last_day = None if last is None else last.replace(hour=0)
        days = await self._existing(redis_keys.DAYS, first_day, last_day)
        whole = set(days)
        return [hour for hour in hours if hour[:10] not in whole], days

    async def _existing(
        self, index: str, first: datetime | None, last: datetime | None
    ) -> list[str]:
        low = "-inf" if first is None else str(int(first.timestamp()))
        high = "+inf" if last is None else f"({int(last.timestamp())}"
        found = await _answer(self._redis.zrangebyscore(index, low, high))
        return cast(list[str], found)


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


async def _answer(waiting: Any) -> Any:
    """redis-py's answer; its types are unions of sync and async, so they end here."""
    try:
        async with asyncio.timeout(ANSWER_S):
            return await cast(Awaitable[Any], waiting)
    except RedisFailure as error:
        raise LogUnavailable(f"the decision log cannot be read: {describe(error)}") from error


def _matcher(filters: Mapping[str, str]) -> Callable[[Mapping[str, str]], bool]:
    """One predicate of all filters. It takes a stream entry as it is: reading back a hundred
    thousand of them for the few that match would take seconds."""
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
                    found = entry.get(name) == value
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


def _groups(
    bucket: str, stored: Mapping[str, str], group_by: tuple[str, ...]
) -> Iterator[tuple[rollups.Row, rollups.Measures]]:
    for dimensions, measures in rollups.read(stored):
        model, key, mode, *tag = dimensions
        values = {
            "model": model,
            "key": key,
            "mode": mode,
            "tag": tag[0] if tag else "",
            "day": bucket[:10],
            "hour": f"{bucket}:00:00Z",
        }
        yield tuple(values[name] for name in group_by), measures


def _dearest(measures: rollups.Measures) -> tuple[int, int]:
    row = dict(zip(rollups.MEASURES, measures, strict=True))
    return -(row["cost_picodollars"] or 0), -(row["requests"] or 0)


def _records(found: list[tuple[str, dict[str, str]]]) -> list[dict[str, Any]]:
    return [stream_fields.decode(entry) for _, entry in found]


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def _floor_hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def _ceil_hour(moment: datetime) -> datetime:
    floor = _floor_hour(moment)
    return floor if floor == moment else floor + timedelta(hours=1)


def _ceil_day(moment: datetime) -> datetime:
    floor = moment.replace(hour=0)
    return floor if floor == moment else floor + timedelta(days=1)
