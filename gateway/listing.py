"""Pages of decisions and what came after one, from the stream and its indexes.

A page asks the indexes of its filters for the ids that they have in common, fetches these entries
and checks them. Without such a filter, and for what an earlier version wrote, it reads the stream
itself. A look that finds little is given up after a twentieth of a second; the page says so with a
cursor that goes on where it stopped. "Newest" is the order of the stream, in which answers ended.
"""

import asyncio
import hashlib
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal, NamedTuple, cast

from redis import exceptions
from redis.asyncio import Redis

from gateway import redis_keys, stream_fields
from gateway.filters import FIRST, Place, indexed, matcher, parse_time
from gateway.redis_connection import RedisFailure, describe
from gateway.rollups import unix_time

MAX_LIMIT: Final = 1000
ANSWER_S: Final = 2.0  # a free connection, connecting and the answer together
SCAN_COUNT: Final = 500  # entries of one read
SCAN_S: Final = 0.05  # then a step must bring a tenth of the page for the look to go on
STEPS_AT_ONCE: Final = 500  # of the script below, which holds Redis up for two milliseconds
# A request is entered when its answer ended, by Redis' clock; its time stamp is when it came, by
# ours. So an entry is never much older than its record.
CLOCK_SKEW: Final = timedelta(minutes=5)

BEGINNING: Final = "0-0"  # before every id of the stream

_ID: Final = re.compile(r"[1-9][0-9]{0,17}-[0-9]{1,18}")  # Redis' ids are 64 bits twice

# The ids that all indexes hold, in either direction. Each index in turn is asked for its next id
# from the candidate on: as many in a row as there are indexes make a match, one that lies further
# is the new candidate. So the work is that of the rarest value, and of the ids that share its
# index. Answers the ids, the last id that is settled, and whether that was the end.
# KEYS: indexes. ARGV: command, from, to, how many ids, how many steps, then each index' mark.
COMMON: Final = """
local read, from, to = ARGV[1], ARGV[2], ARGV[3]
local wanted, steps = tonumber(ARGV[4]), tonumber(ARGV[5])
local found, settled, candidate, agreed, k = {}, '', nil, 0, 1
while steps > 0 do
  local mark, count, id = ARGV[5 + k], 1, nil
  while not id and steps > 0 do
    local entries = redis.call(read, KEYS[k], from, to, 'COUNT', count)
    if #entries == 0 then return {found, settled, 1} end
    for i = 1, #entries do
      steps = steps - 1
      local its = entries[i][2][2]
      if its == mark or its == '' then id = entries[i][1]; break end
      settled = entries[i][1]
    end
    from = id or '(' .. settled
    count = 100
  end
  if id and id == candidate then
    agreed = agreed + 1
  elseif id then
    settled, candidate, agreed = candidate or settled, id, 1
  end
  if id and agreed == #KEYS then
    found[#found + 1] = id
    settled, candidate, from = id, nil, '(' .. id
    if #found == wanted then break end
  elseif id then
    k = k % #KEYS + 1
  end
end
return {found, settled, 0}
"""
_COMMON_SHA: Final = hashlib.sha1(COMMON.encode(), usedforsecurity=False).hexdigest()

Entry = tuple[str, dict[str, str]]
Matches = Callable[[Mapping[str, str]], bool]
Direction = Literal["XRANGE", "XREVRANGE"]


class LogUnavailable(Exception):
    """The log can't be read, or can't take a record; the message is for a person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some decisions, and where the next ones begin."""

    data: list[dict[str, Any]]
    has_more: bool
    next_cursor: str | None


class Step(NamedTuple):
    """Some entries that match, and how far the look for them went."""

    found: list[Entry]
    reached: str  # the last id looked at, whether it matched or not
    is_last: bool


class Span(NamedTuple):
    """What the stream holds; all "0-0" and 0 before the first decision."""

    first: str  # the id of the oldest entry; where all were removed, `last`
    last: str  # the newest id that was given, though its entry may have been removed since
    length: int


class Listing:
    """Reads through one client. Methods raise LogUnavailable if Redis does not answer, and
    ValueError for an unknown filter, a time that is none or a foreign cursor.
    """

    def __init__(self, redis: Redis, *, scan_s: float = SCAN_S) -> None:
        self._redis = redis
        self._scan_s = scan_s

    async def page(self, *, filters: Mapping[str, str], limit: int, cursor: str | None) -> Page:
        """Newest first, those that match every filter."""
        if not 1 <= limit <= MAX_LIMIT:
            raise ValueError(f"limit: expected 1 to {MAX_LIMIT}, got {limit}")
        if cursor is not None:
            check_id("cursor", cursor)
        found: list[Entry] = []
        deadline = time.monotonic() + self._scan_s
        async for step in self._backwards(filters, cursor, limit + 1):
            found += step.found
            if len(found) > limit:
                found = found[:limit]
                return Page(data=_records(found), has_more=True, next_cursor=found[-1][0])
            if step.is_last:
                break
            if time.monotonic() > deadline and len(step.found) * 10 < limit:
                return Page(data=_records(found), has_more=True, next_cursor=step.reached)
        return Page(data=_records(found), has_more=False, next_cursor=None)

    async def last_id(self) -> str:
        """Of the newest entry; "0-0" before the first."""
        newest = self._redis.xrevrange(redis_keys.DECISIONS, "+", "-", count=1)
        entries = await redis_answer(newest)
        return entries[0][0] if entries else BEGINNING

    async def span(self) -> Span:
        """What the stream holds now."""
        if not await redis_answer(self._redis.exists(redis_keys.DECISIONS)):
            return Span(BEGINNING, BEGINNING, 0)
        found = await redis_answer(self._redis.xinfo_stream(redis_keys.DECISIONS))
        first, last = found["first-entry"], found["last-generated-id"]
        return Span(first[0] if first else last, last, found["length"])

    async def after(self, last: str, filters: Mapping[str, str]) -> Step:
        """The next entries that match, oldest first."""
        matches, places = matcher(filters), indexed(filters)
        known = await redis_answer(self._redis.get(redis_keys.INDEXED)) if places else None
        if known is None or id_order(last) < id_order(known):
            return await self._read("XRANGE", matches, last, f"({last}", "+", SCAN_COUNT)
        return await self._common("XRANGE", places, matches, last, f"({last}", "+", SCAN_COUNT)

    async def _backwards(
        self, filters: Mapping[str, str], cursor: str | None, count: int
    ) -> AsyncIterator[Step]:
        """From the cursor or the newest down, `count` entries at a time, later more of a stream."""
        matches, places = matcher(filters), indexed(filters)
        low = lowest_id(filters)
        reached, high = cursor or "", f"({cursor}" if cursor else "+"
        if "until" in filters:
            high = min(high, await self._highest(parse_time("until", filters["until"])), key=_bound)
        if places:
            pipeline = self._redis.pipeline(transaction=False)
            pipeline.get(redis_keys.INDEXED)
            pipeline.xrange(redis_keys.DECISIONS, "-", "+", count=1)
            known, first = await redis_answer(pipeline.execute())
            if not first:
                return
            if known is not None and _bound(known) <= _bound(high):
                # An index is trimmed after the stream, one that is written no more not at all.
                lowest = max(low, first[0][0], key=id_order)
                rest = id_order(known) > id_order(lowest)
                is_last = False
                while not is_last:
                    step = await self._common(
                        *("XREVRANGE", places, matches, reached, high, lowest, count)
                    )
                    is_last = step.is_last
                    if is_last and rest:
                        step = step._replace(reached=known, is_last=False)
                    yield step
                    reached, high = step.reached, f"({step.reached}"
                if not rest:
                    return
        is_last = False
        while not is_last:
            step = await self._read("XREVRANGE", matches, reached, high, low, count)
            is_last = step.is_last
            yield step
            reached, high, count = step.reached, f"({step.reached}", SCAN_COUNT

    async def _highest(self, until: datetime) -> str:
        """After which no entry is early enough; a late one may have come from any hour."""
        newest = await redis_answer(self._redis.hgetall(redis_keys.NEWEST))
        if not newest:  # an earlier version wrote none
            return "+"
        end = until.timestamp()
        ids = [
            entry_id
            for hour, entry_id in newest.items()
            if hour == FIRST or ((begin := unix_time(hour)) is not None and begin < end)
        ]
        return max(ids, key=id_order, default=BEGINNING)

    async def _read(
        self, command: Direction, matches: Matches, reached: str, start: str, end: str, count: int
    ) -> Step:
        """From the stream itself."""
        read = self._redis.xrange if command == "XRANGE" else self._redis.xrevrange
        entries = await redis_answer(read(redis_keys.DECISIONS, start, end, count=count))
        found = [(entry_id, entry) for entry_id, entry in entries if matches(entry)]
        return Step(found, entries[-1][0] if entries else reached, len(entries) < count)

    async def _common(
        self,
        command: Direction,
        places: Sequence[Place],
        matches: Matches,
        reached: str,
        start: str,
        end: str,
        count: int,
    ) -> Step:
        """By the ids that all indexes hold."""
        arguments = [command, start, end, str(count), str(STEPS_AT_ONCE)]
        arguments += (mark for _, mark in places)
        call = (len(places), *(key for key, _ in places), *arguments)
        ids, settled, is_last = await redis_answer(self._run(call))
        if not ids:
            return Step([], settled or reached, bool(is_last))
        pipeline = self._redis.pipeline(transaction=False)
        for entry_id in ids:
            pipeline.xrange(redis_keys.DECISIONS, entry_id, entry_id)
        answers = await redis_answer(pipeline.execute())
        found = [entry for entries in answers for entry in entries if matches(entry[1])]
        return Step(found, settled, bool(is_last))

    async def _run(self, call: tuple[Any, ...]) -> Any:
        try:
            return await cast(Awaitable[Any], self._redis.evalsha(_COMMON_SHA, *call))
        except exceptions.NoScriptError:
            return await cast(Awaitable[Any], self._redis.eval(COMMON, *call))


def lowest_id(filters: Mapping[str, str]) -> str:
    """Before which no entry is late enough for `since`. Raises ValueError."""
    if "since" not in filters:
        return BEGINNING
    since = parse_time("since", filters["since"])
    return f"{max(0, int((since - CLOCK_SKEW).timestamp() * 1000))}-0"


def check_id(name: str, text: str) -> None:
    """Raises ValueError unless it is an id of the stream."""
    if not _ID.fullmatch(text):
        raise ValueError(f"{name}: expected one that an earlier answer gave, got '{text[:40]}'")


async def redis_answer(waiting: Any) -> Any:
    """redis-py's answer; its types are unions of sync and async, so they end here.

    Raises LogUnavailable.
    """
    try:
        async with asyncio.timeout(ANSWER_S):
            return await cast(Awaitable[Any], waiting)
    except RedisFailure as error:
        raise LogUnavailable(f"the decision log cannot be read: {describe(error)}") from error


def _records(found: list[Entry]) -> list[dict[str, Any]]:
    return [stream_fields.decode(entry) for _, entry in found]


def _bound(of_range: str) -> tuple[float, int, bool]:
    """By which the upper ends of ranges are in order: "(7-1" ends before "7-1", "+" is last."""
    if of_range == "+":
        return float("inf"), 0, True
    return *id_order(of_range.lstrip("(")), not of_range.startswith("(")


def id_order(entry_id: str) -> tuple[int, int]:
    """By which the stream's ids are in order."""
    milliseconds, _, number = entry_id.partition("-")
    return int(milliseconds), int(number)
