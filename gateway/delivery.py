"""One batch of finished records to Redis, in one round trip, so that it counts exactly once.

Not when or how often (shipper.py). The details are written first; writing them again changes
nothing. Stream, indexes, rollups and position then change in one script, and only if the writer's
position in Redis is the one this batch follows on. So a batch that arrived although its answer did
not, a late one from a connection given up, and a Redis that went back a second all show in the
answer, and nothing is counted twice or skipped.
"""

import asyncio
import hashlib
from collections.abc import Sequence
from typing import Any, Final, cast

from redis import exceptions
from redis.asyncio import Redis

from gateway import filters, redis_keys, rollups, stream_fields
from gateway.spool_files import Event

# KEYS: positions, stream, hours, days, indexed, then the indexes, then the rollups. An index entry
# has the id of the stream's, which is given here; "3=77 5=12" are the third and the fifth record of
# the batch with their marks (filters.py). Integers travel as text: Lua's
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
local names, ids = {}, {}
for i = 1, next_number() do names[i] = next_text() end
for n = 1, next_number() do
  local entry = {}
  for i = 1, #names do entry[2 * i - 1] = names[i]; entry[2 * i] = next_text() end
  for _ = 1, 2 * next_number() do entry[#entry + 1] = next_text() end
  ids[n] = try('XADD', KEYS[2], '*', unpack(entry))
  if type(ids[n]) == 'table' then ids[n] = nil end
end
try('XTRIM', KEYS[2], 'MAXLEN', '~', max_len)
for k = 3, 4 do
  for _ = 1, next_number() do try('ZADD', KEYS[k], next_text(), next_text()) end
end
if ids[1] then try('SET', KEYS[5], ids[1], 'NX') end
local first = redis.pcall('XRANGE', KEYS[2], '-', '+', 'COUNT', 1)[1]
local oldest, indexes = first and first[1] or '0', next_number()
for k = 6, 5 + indexes do
  for n, mark in string.gmatch(next_text(), '(%d+)=?(%d*)') do
    local id = ids[tonumber(n)]
    if id then try('XADD', KEYS[k], id, 'm', mark) end
  end
  try('XTRIM', KEYS[k], 'MINID', '~', oldest)
end
local measures = {}
for i = 1, next_number() do measures[i] = next_text() end
for k = 6 + indexes, #KEYS do
  local max_rows, rows = next_number(), next_number()
  local is_full = false
  if max_rows > 0 then
    local fields = redis.pcall('HLEN', KEYS[k])
    is_full = type(fields) == 'number' and fields + rows * #measures > max_rows * 4
  end
  for _ = 1, rows do
    local row, other = next_text(), next_text()
    if is_full and redis.pcall('HEXISTS', KEYS[k], row .. ' requests') == 0 then
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
    increments, postings = rollups.Increments(), filters.Postings()
    names = stream_fields.FIELDS
    arguments = [writer_id, str(after), str(batch[-1].seq), str(stream_max_len)]
    arguments += (str(len(names)), *names, str(len(batch)))
    for number, event in enumerate(batch, 1):
        if number % RECORDS_AT_ONCE == 0:
            await asyncio.sleep(0)
        record = event.record()
        values, extra = stream_fields.encode(record)
        arguments += (*values, str(len(extra) // 2), *extra)
        postings.add(number, record, values)
        increments.add(record)
    indexes, sums = postings.by_index(), increments.by_bucket()
    buckets = [bucket for by, bucket in sums if by is None]
    for are_hours in (True, False):
        some = [bucket for bucket in buckets if rollups.is_hour(bucket) is are_hours]
        arguments.append(str(len(some)))
        for bucket in some:
            arguments += (str(rollups.unix_time(bucket)), bucket)
    arguments += (str(len(indexes)), *indexes.values())
    arguments += (str(len(rollups.MEASURES)), *rollups.MEASURES)
    keys = [redis_keys.POSITIONS, redis_keys.DECISIONS, redis_keys.HOURS, redis_keys.DAYS]
    keys += (redis_keys.INDEXED, *indexes)
    for (by, bucket), rows in sums.items():
        keys.append(redis_keys.rollup(bucket, by))
        arguments += (str(rollups.MAX_TWIN_ROWS if by else 0), str(len(rows)))
        for row, measures in rows.items():
            arguments += (rollups.field_of(row), rollups.other_field(row) if by else "")
            arguments += ("" if amount is None else str(amount) for amount in measures)
    return keys, arguments
