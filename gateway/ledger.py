"""What the log answers: decisions, newest first, and what they cost. Reads only, from Redis alone.

Shared by HTTP and the command line; writing is decision_log.py, and finding decisions listing.py.
"""

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from datetime import datetime, timedelta
from operator import itemgetter
from typing import Any, Final, cast

from redis.asyncio import Redis

from gateway import redis_keys, rollup_rows, rollups, spool_files
from gateway.filters import FILTERS, parse_time
from gateway.listing import MAX_LIMIT, Listing, LogUnavailable, Page, redis_answer
from gateway.redis_keys import By
from gateway.rollup_rows import StoredRow

__all__ = ["FILTERS", "MAX_LIMIT", "Ledger", "LogUnavailable", "Page", "parse_time", "redis_answer"]

HASHES_AT_ONCE: Final = 20  # of at most a thousand rows, or an hour's: some milliseconds of Redis
ROWS_AT_ONCE: Final = 1000  # two milliseconds, then requests have their turn

# Of a group's values while they are summed up: first those of rows, then those of buckets.
_ORDER: Final = (*rollups.MAIN, *rollups.TWINS, "hour", "day")

Found = tuple[str, By | None, Iterable[StoredRow]]  # a bucket's rows, and what they are kept by


class Ledger:
    """Reads through one client. Every method raises LogUnavailable, within a few seconds at most,
    if Redis does not answer, and ValueError if it was asked for something that does not exist.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self.listing = Listing(redis)

    async def decision(self, decision_id: str) -> dict[str, Any] | None:
        """The whole record."""
        text = await redis_answer(self._redis.get(redis_keys.decision(decision_id)))
        return None if text is None else spool_files.parse(text)

    async def decisions(
        self, *, filters: Mapping[str, str], limit: int, cursor: str | None
    ) -> Page:
        """Those that match every filter; see Listing.page."""
        return await self.listing.page(filters=filters, limit=limit, cursor=cursor)

    async def costs(
        self,
        *,
        group_by: tuple[str, ...],
        since: datetime | str | float | None = None,
        until: datetime | str | float | None = None,
        key: str | None = None,
    ) -> list[dict[str, Any]]:
        """One row for each group, newest time first, then the costliest; `key`: of its requests.

        Times count by the hour (UTC) in which a request came: the hour of `since` and the hour of
        the last moment before `until` are counted whole; by user or session the days. Raises
        ValueError for an unknown group, or groups that nothing is summed up by.
        """
        by = _twin(group_by)
        first = None if since is None else _floor_hour(parse_time("since", since))
        last = None if until is None else _ceil_hour(parse_time("until", until))
        sums: dict[rollups.Row, rollups.Measures] = {}
        names = [name for name in _ORDER if name in group_by]
        own_of: dict[By | None, Callable[[str], rollups.Row]] = {}
        async for bucket, kept_by, stored in self._found(group_by, by, first, last, key):
            await asyncio.sleep(0)  # requests have their turn
            if kept_by not in own_of:
                own_of[kept_by] = _own(kept_by, names)
            own, rest = own_of[kept_by], _rest(bucket, kept_by, names)
            for field, measures in stored:
                group = own(field) + rest
                before = sums.get(group)
                sums[group] = rollups.summed(before, measures) if before else measures
        found = sorted(sums.items(), key=_dearness, reverse=True)
        for name in ("hour", "day"):  # sorting is stable: within a time the order above holds
            if name in names:
                place = names.index(name)
                found.sort(key=lambda item: item[0][place], reverse=True)
        asked = _picked([names.index(name) for name in group_by])
        rows: list[dict[str, Any]] = []
        for start in range(0, len(found), ROWS_AT_ONCE):
            await asyncio.sleep(0)
            some = found[start : start + ROWS_AT_ONCE]
            rows += rollups.to_rows(group_by, ((asked(group), its) for group, its in some))
        return rows

    async def _found(
        self,
        group_by: tuple[str, ...],
        by: By | None,
        first: datetime | None,
        last: datetime | None,
        key: str | None,
    ) -> AsyncIterator[Found]:
        """All rollups that hold a range, each request in one of them: whole days where hours are
        not asked for, and only such where there are no hours."""
        if by in rollups.BY_DAY_ONLY:
            first = None if first is None else first.replace(hour=0)
            last = None if last is None else _ceil_day(last)
            days = await self._existing(redis_keys.DAYS, first, last)
            async for day, stored in self._read(days, by):
                if stored:
                    yield day, by, rollup_rows.read(stored, by, key=key)
                else:  # an earlier version kept none: the day is nobody's
                    async for _, main in self._read([day], None):
                        yield day, None, rollup_rows.read(main, key=key)
            return
        hours = await self._existing(redis_keys.HOURS, first, last)
        if "hour" not in group_by:
            first_day = None if first is None else _ceil_day(first)
            last_day = None if last is None else last.replace(hour=0)
            days = await self._existing(redis_keys.DAYS, first_day, last_day)
            async for day, stored in self._read(days, by):
                yield day, by, rollup_rows.read(stored, by, key=key)
            whole = set(days)
            hours = [hour for hour in hours if hour[:10] not in whole]
        elif by is None and key is None and "key" not in group_by:
            wanted = set(hours)
            async for day, rows in self._hours_of_days(sorted({hour[:10] for hour in hours})):
                kept = [row for row in rows if rollup_rows.last_of(row[0])[0][:13] in wanted]
                yield day, "hour", kept
                wanted -= {hour for hour in wanted if hour[:10] == day}
            hours = sorted(wanted)
        async for hour, stored in self._read(hours, by):
            yield hour, by, rollup_rows.read(stored, by, key=key)

    async def _hours_of_days(self, days: list[str]) -> AsyncIterator[tuple[str, list[StoredRow]]]:
        """The hours of those days whose hours add up to the day. Those of a day on which an earlier
        version wrote don't."""
        requests: dict[str, int] = {}
        async for day, stored in self._read(days, None):
            requests[day] = _requests(rollup_rows.read(stored))
        async for day, stored in self._read(days, "hour"):
            rows = rollup_rows.read(stored, "hour")
            if _requests(rows) == requests[day]:
                yield day, rows

    async def _read(
        self, buckets: list[str], by: By | None
    ) -> AsyncIterator[tuple[str, Mapping[str, str]]]:
        """Each bucket's hash, some at a time."""
        for start in range(0, len(buckets), HASHES_AT_ONCE):
            chunk = buckets[start : start + HASHES_AT_ONCE]
            pipeline = self._redis.pipeline(transaction=False)
            for bucket in chunk:
                pipeline.hgetall(redis_keys.rollup(bucket, by))
            for bucket, stored in zip(chunk, await redis_answer(pipeline.execute()), strict=True):
                yield bucket, stored

    async def _existing(
        self, index: str, first: datetime | None, last: datetime | None
    ) -> list[str]:
        low = "-inf" if first is None else str(int(first.timestamp()))
        high = "+inf" if last is None else f"({int(last.timestamp())}"
        found = await redis_answer(self._redis.zrangebyscore(index, low, high))
        return cast(list[str], found)


def _twin(group_by: tuple[str, ...]) -> By | None:
    """The rollups that are kept by one of the groups. Raises ValueError."""
    for name in group_by:
        if name not in rollups.GROUPS:
            raise ValueError(
                f"group_by: expected some of {', '.join(rollups.GROUPS)}, got '{name}'"
            )
    twins = [name for name in rollups.TWINS if name in group_by]
    if len(twins) > 1:
        raise ValueError(f"group_by: {' and '.join(twins)} are summed up apart, ask for one")
    if twins and twins[0] in rollups.BY_DAY_ONLY and "hour" in group_by:
        raise ValueError(f"group_by: {twins[0]} is summed up by the day, not by the hour")
    return twins[0] if twins else None


def _own(kept_by: By | None, names: list[str]) -> Callable[[str], rollups.Row]:
    """What a row's field says of its group: the first of the names."""
    columns = rollups.COLUMNS[kept_by]
    own = [name for name in names if name in columns]
    if own == [columns[-1]]:
        return rollup_rows.last_of
    pick = _picked([columns.index(name) for name in own])

    def parsed(field: str) -> rollups.Row:
        return pick(rollup_rows.values_of(field))

    # Users and sessions are others each day, the rest is the same in hundreds of hours.
    return parsed if kept_by in rollups.BY_DAY_ONLY else functools.cache(parsed)


def _rest(bucket: str, kept_by: By | None, names: list[str]) -> rollups.Row:
    """What its bucket says of it: the others."""
    times = {"day": bucket[:10], "hour": f"{bucket}:00:00Z"}
    return tuple(times.get(name, "") for name in names if name not in rollups.COLUMNS[kept_by])


def _picked(places: list[int]) -> Callable[[rollups.Row], rollups.Row]:
    """itemgetter answers a tuple for two places or more."""
    if len(places) > 1:
        return itemgetter(*places)
    return itemgetter(slice(places[0], places[0] + 1) if places else slice(0))


def _requests(rows: Iterable[StoredRow]) -> int:
    return sum(measures[0] or 0 for _, measures in rows)


def _dearness(item: tuple[rollups.Row, rollups.Measures]) -> tuple[int, int]:
    requests, _, _, _, cost, _, _ = item[1]
    return cost or 0, requests or 0


def _floor_hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def _ceil_hour(moment: datetime) -> datetime:
    floor = _floor_hour(moment)
    return floor if floor == moment else floor + timedelta(hours=1)


def _ceil_day(moment: datetime) -> datetime:
    floor = moment.replace(hour=0)
    return floor if floor == moment else floor + timedelta(days=1)
