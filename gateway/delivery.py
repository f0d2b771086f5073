"""One batch of finished records to Redis, in one round trip, so that it counts exactly once.

Not when or how often (shipper.py). The details are written first; writing them again changes
nothing. Stream, rollups and position then change in one script, and only if the writer's position
in Redis is the one this batch follows on. So a batch that arrived although its answer did not, a
late one from a connection given up, and a Redis that went back a second all show in the answer,
and nothing is counted twice or skipped.
"""

import asyncio
import hashlib
from collections.abc import Sequence
from typing import Any, Final, cast

from redis import exceptions
from redis.asyncio import Redis

from gateway import redis_keys, rollups, stream_fields
from gateway.spool_files import Event

# KEYS: positions, stream, hours, days, then one rollup each. Integers travel as text: Lua's
# numbers are doubles. All that follows the first write is `pcall`: a script is not undone when a
# command in its middle fails, so one bad value must not stop it half-way. What makes Redis refuse
# writes altogether (no memory, no disk, a replica) already fails at the first one.
SCRIPT: Final = """
local here = redis.call('HGET', KEYS[1], ARGV[1]) or '0'
if here ~= ARGV[2] then return {here, 0} end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
local failed, at = 0, 4
local function next_text() at = at + 1; return ARGV[at - 1] end
local function next_number() return tonumber(next_text()) end
local function try(...)
  local answer = redis.pcall(...)
  if type(answer) == 'table' and answer.err then failed = failed + 1 end
  return answer
end
local max_len = next_text()
local names = {}
for i = 1, next_number() do names[i] = next_text() end
for _ = 1, next_number() do
  local entry = {}
  for i = 1, #names do entry[2 * i - 1] = names[i]; entry[2 * i] = next_text() end
  for _ = 1, 2 * next_number() do entry[#entry + 1] = next_text() end
  try('XADD', KEYS[2], '*', unpack(entry))
end
try('XTRIM', KEYS[2], 'MAXLEN', '~', max_len)
for k = 3, 4 do
  for _ = 1, next_number() do try('ZADD', KEYS[k], next_text(), next_text()) end
end
local measures = {}
for i = 1, next_number() do measures[i] = next_text() end
for k = 5, #KEYS do
  local max_rows = next_number()
  for _ = 1, next_number() do
    local row, other = next_text(), next_text()
    if max_rows > 0 and redis.pcall('HEXISTS', KEYS[k], row .. ' requests') == 0 then
      local fields = redis.pcall('HLEN', KEYS[k])
      if type(fields) == 'number' and fields >= max_rows * 4 then row = other end
    end
    for i = 1, #measures do
      local amount = next_text()
      if amount ~= '' then try('HINCRBY', KEYS[k], row .. ' ' .. measures[i], amount) end
    end
  end
end
return {ARGV[3], failed}
"""
RECORDS_AT_ONCE: Final = 10  # about a millisecond, then requests have their turn
_SHA: Final = hashlib.sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()


async def deliver(
    redis: Redis,
    writer_id: str,
    batch: Sequence[Event],
    *,
    after: int,
    stream_max_len: int,
    detail_ttl_s: int,
) -> tuple[int, int]:
    """Write the batch if the writer's position is `after`.

    Returns (position, commands that failed). A position other than the batch's last sequence
    number means that nothing was written, and where Redis stands instead.
    """
    keys, arguments = await _call(writer_id, batch, after=after, stream_max_len=stream_max_len)
    pipeline = redis.pipeline(transaction=False)
    for event in batch:
        pipeline.set(redis_keys.decision(event.id), event.text, ex=detail_ttl_s)
    pipeline.evalsha(_SHA, len(keys), *keys, *arguments)
    answers = await pipeline.execute(raise_on_error=False)
    failure = next((item for item in answers if isinstance(item, Exception)), None)
    if isinstance(failure, exceptions.NoScriptError):  # a server that has not seen it, or forgot
        answers = [await cast(Any, redis.eval(SCRIPT, len(keys), *keys, *arguments))]
    elif failure is not None:
        raise failure
    position, failed = cast(list[Any], answers[-1])
    return int(position), int(failed)


async def positions(redis: Redis, writer_ids: Sequence[str]) -> list[int]:
    """The last delivered sequence number of each writer, 0 where nothing was."""
    found = await cast(Any, redis.hmget(redis_keys.POSITIONS, list(writer_ids)))
    return [int(position or 0) for position in found]


async def _call(
    writer_id: str, batch: Sequence[Event], *, after: int, stream_max_len: int
) -> tuple[list[str], list[str]]:
    """KEYS and ARGV of the script."""
    increments = rollups.Increments()
    names = stream_fields.FIELDS
    arguments = [writer_id, str(after), str(batch[-1].seq), str(stream_max_len)]
    arguments += (str(len(names)), *names, str(len(batch)))
    for number, event in enumerate(batch, 1):
        if number % RECORDS_AT_ONCE == 0:
            await asyncio.sleep(0)
        record = event.record()
        values, extra = stream_fields.encode(record)
        arguments += (*values, str(len(extra) // 2), *extra)
        increments.add(record)
    days = rollups.days(increments.hours)
    for buckets in (increments.hours, days):
        arguments.append(str(len(buckets)))
        for bucket in buckets:
            arguments += (str(rollups.unix_time(bucket)), bucket)
    arguments += (str(len(rollups.MEASURES)), *rollups.MEASURES)
    keys = [redis_keys.POSITIONS, redis_keys.DECISIONS, redis_keys.HOURS, redis_keys.DAYS]
    by_tag = increments.hours_by_tag
    for key_of, rollup, is_by_tag in (
        (redis_keys.hour, increments.hours, False),
        (redis_keys.day, days, False),
        (redis_keys.hour, by_tag, True),
        (redis_keys.day, rollups.days(by_tag), True),
    ):
        for bucket, rows in rollup.items():
            keys.append(key_of(bucket, by_tag=is_by_tag))
            arguments += (str(rollups.MAX_TAG_ROWS if is_by_tag else 0), str(len(rows)))
            for row, measures in rows.items():
                other = rollups.other_field(row) if is_by_tag else ""
                arguments += (rollups.field_of(row), other)
                arguments += ("" if amount is None else str(amount) for amount in measures)
    return keys, arguments
