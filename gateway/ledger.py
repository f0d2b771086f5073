"""What the log answers: decisions, newest first, and what they cost. Reads only, from Redis alone.

Shared by HTTP and the command line; writing is decision_log.py, and finding decisions listing.py.
"""

import asyncio
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, cast

from redis.asyncio import Redis

from gateway import redis_keys, rollups, spool_files
from gateway.filters import FILTERS, parse_time
from gateway.listing import MAX_LIMIT, Listing, LogUnavailable, Page, redis_answer
from gateway.redis_keys import By

__all__ = ["FILTERS", "MAX_LIMIT", "Ledger", "LogUnavailable", "Page", "parse_time", "redis_answer"]

HASHES_AT_ONCE: Final = 20  # a twin's may have seven thousand fields


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
    ) -> list[dict[str, Any]]:
        """One row for each group, newest time first, then the costliest.

        Times count by the hour (UTC) in which a request came: the hour of `since` and the hour of
        the last moment before `until` are counted whole; by user or session the days. Raises
        ValueError for an unknown group, or groups that nothing is summed up by.
        """
        by = _twin(group_by)
        hours, days = await self._buckets(
            None if since is None else parse_time("since", since),
            None if until is None else parse_time("until", until),
            hourly="hour" in group_by,
            daily=by in rollups.BY_DAY_ONLY,
        )
        sums: dict[rollups.Row, rollups.Measures] = {}
        buckets = [*days, *hours]
        for start in range(0, len(buckets), HASHES_AT_ONCE):
            chunk = buckets[start : start + HASHES_AT_ONCE]
            for bucket, (kept_by, stored) in (await self._rollups(chunk, by)).items():
                await asyncio.sleep(0)  # requests have their turn
                for group, measures in _groups(bucket, stored, group_by, kept_by):
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

    async def _rollups(
        self, buckets: list[str], by: By | None
    ) -> dict[str, tuple[By | None, Mapping[str, str]]]:
        """Each bucket's hash, and what it is kept by: an earlier version kept no users or sessions,
        so that its days are those of nobody."""
        found: dict[str, tuple[By | None, Mapping[str, str]]] = {}
        for kept_by in (by, None) if by in rollups.BY_DAY_ONLY else (by,):
            asked = [bucket for bucket in buckets if bucket not in found]
            pipeline = self._redis.pipeline(transaction=False)
            for bucket in asked:
                pipeline.hgetall(redis_keys.rollup(bucket, kept_by))
            answers = await redis_answer(pipeline.execute()) if asked else []
            for bucket, stored in zip(asked, answers, strict=True):
                if stored:
                    found[bucket] = (kept_by, stored)
        return found

    async def _buckets(
        self, since: datetime | None, until: datetime | None, *, hourly: bool, daily: bool
    ) -> tuple[list[str], list[str]]:
        """The hours and days that hold a range: whole days where hours are not asked for, and only
        such where there are no hours."""
        first = None if since is None else _floor_hour(since)
        last = None if until is None else _ceil_hour(until)
        if daily:
            first = None if first is None else first.replace(hour=0)
            last = None if last is None else _ceil_day(last)
            return [], await self._existing(redis_keys.DAYS, first, last)
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


def _groups(
    bucket: str, stored: Mapping[str, str], group_by: tuple[str, ...], kept_by: By | None
) -> Iterator[tuple[rollups.Row, rollups.Measures]]:
    values = dict.fromkeys(rollups.GROUPS, "") | {"day": bucket[:10], "hour": f"{bucket}:00:00Z"}
    names = (*rollups.MAIN, kept_by) if kept_by else rollups.MAIN
    for row, measures in rollups.read(stored, of_twin=kept_by is not None):
        values.update(zip(names, row, strict=True))
        yield tuple(values[name] for name in group_by), measures


def _dearest(measures: rollups.Measures) -> tuple[int, int]:
    row = dict(zip(rollups.MEASURES, measures, strict=True))
    return -(row["cost_picodollars"] or 0), -(row["requests"] or 0)


def _floor_hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def _ceil_hour(moment: datetime) -> datetime:
    floor = _floor_hour(moment)
    return floor if floor == moment else floor + timedelta(hours=1)


def _ceil_day(moment: datetime) -> datetime:
    floor = moment.replace(hour=0)
    return floor if floor == moment else floor + timedelta(days=1)
