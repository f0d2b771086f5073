"""One batch of finished records to Redis, in one round trip, so that it counts exactly once.

Not when or how often (shipper.py). The details are written first; writing them again changes
nothing. Stream, indexes, rollups and position then change in one script, and only if the writer's
position in Redis is the one this batch follows on. So a batch that arrived although its answer did
not, a late one from a connection given up, and a Redis that went back a second all show in the
answer, and nothing is counted twice or skipped. Nor does the script write for a gateway that does
not know the schema, or the last deletion of somebody's records.
"""

import asyncio
import hashlib
from collections.abc import Sequence
from typing import Any, Final, cast

from redis import exceptions
from redis.asyncio import Redis

from gateway import filters, redis_keys, rollup_rows, rollups, schema, stream_fields
from gateway.forgotten import CHANGE, NOBODY, Forgotten
from gateway.spool_files import Event

# KEYS: positions, stream, hours, days, indexed, schema, forgotten, newest, then the indexes, then
# the rollups. An index entry has the id of the stream's, which is given here; "3=77 5=12" are the
# third and the fifth entry of the batch with their marks (filters.py). All that follows the first
# write is `pcall`: a script is not undone when a command in its middle fails, so one bad value must
# not stop it half-way. What makes Redis refuse writes altogether (no memory, no disk, a replica)
# already fails at the first one.
SCRIPT: Final = (
    rollup_rows.ADDED
    + """
local here = redis.call('HGET', KEYS[1], ARGV[1]) or '0'
if here ~= ARGV[2] then return {here, 0} end
if (tonumber(redis.call('GET', KEYS[6]) or '') or 0) > tonumber(ARGV[4]) then return {here, -1} end
if (redis.call('HGET', KEYS[7], ARGV[5]) or '') ~= ARGV[6] then return {here, -2} end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
local failed, at = 0, 7
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
for k = 9, 8 + indexes do
  for n, mark in string.gmatch(next_text(), '(%d+)=?(%d*)') do
    local id = ids[tonumber(n)]
    if id then try('XADD', KEYS[k], id, 'm', mark) end
  end
  try('XTRIM', KEYS[k], 'MINID', '~', oldest)
end
if ids[1] then try('HSETNX', KEYS[8], 'first', ids[1]) end
local function milliseconds(id) return tonumber(string.match(id, '^%d+')) end
for _ = 1, next_number() do
  local hour, id = next_text(), ids[next_number()]
  if id and try('HSET', KEYS[8], hour, id) == 1 then
    local newest = redis.pcall('HGETALL', KEYS[8])
    for i = 1, #newest, 2 do
      if newest[i] ~= 'first' and milliseconds(newest[i + 1]) < milliseconds(oldest) then
        try('HDEL', KEYS[8], newest[i])
      end
    end
  end
end
for k = 9 + indexes, #KEYS do
  local max_rows = next_number()
  for _ = 1, next_number() do
    local row, other, amounts = next_text(), next_text(), next_text()
    local sums = redis.pcall('HGET', KEYS[k], row)
    if not sums and max_rows > 0 and redis.pcall('HLEN', KEYS[k]) >= max_rows then
      row, sums = other, redis.pcall('HGET', KEYS[k], other)
    end
    local totals, left = added(type(sums) == 'string' and sums or '', amounts)
    failed = failed + left
    try('HSET', KEYS[k], row, totals)
  end
end
return {ARGV[3], failed}
"""
)
RECORDS_AT_ONCE: Final = 10  # about a millisecond, then requests have their turn
_NEWER: Final = -1  # a newer gateway's schema
_OUTDATED: Final = -2  # somebody was forgotten meanwhile
_SHA: Final = hashlib.sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()


async def deliver(
    redis: Redis,
    writer_id: str,
    batch: Sequence[Event],
    *,
    after: int,
    stream_max_len: int,
    detail_ttl_s: int,
    forgotten: Forgotten = NOBODY,
) -> tuple[int, int]:
    """Write the batch if the writer's position is `after`; `forgotten` is what was last known.

    Returns (position, commands that failed). A position other than the batch's last sequence
    number means that nothing was written, and where Redis stands instead. Raises NewerSchema.
    """
    while True:
        keys, arguments, gone = await _call(
            writer_id, batch, after=after, stream_max_len=stream_max_len, forgotten=forgotten
        )
        pipeline = redis.pipeline(transaction=False)
        for event in batch:
            if event.id in gone:  # a try that did not know of it yet may have written it
                pipeline.unlink(redis_keys.decision(event.id))
            else:
                pipeline.set(redis_keys.decision(event.id), event.text, ex=detail_ttl_s)
        pipeline.evalsha(_SHA, len(keys), *keys, *arguments)
        answers = await pipeline.execute(raise_on_error=False)
        failure = next((item for item in answers if isinstance(item, Exception)), None)
        if isinstance(failure, exceptions.NoScriptError):  # it has not seen it, or forgot
            answers = [await cast(Any, redis.eval(SCRIPT, len(keys), *keys, *arguments))]
        elif failure is not None:
            raise failure
        position, failed = (int(item) for item in cast(list[Any], answers[-1]))
        if failed == _NEWER:
            await schema.claim(redis)
        elif failed == _OUTDATED:
            forgotten = Forgotten(await cast(Any, redis.hgetall(redis_keys.FORGOTTEN)))
        else:
            return position, failed


async def standing(redis: Redis, writer_ids: Sequence[str]) -> tuple[list[int], Forgotten]:
    """The last delivered sequence number of each writer, 0 where nothing was, and who was
    forgotten. Marks what is in Redis as of our schema; raises NewerSchema."""
    pipeline = redis.pipeline(transaction=False)
    pipeline.eval(schema.CLAIM, 1, redis_keys.SCHEMA, str(schema.VERSION))
    pipeline.hmget(redis_keys.POSITIONS, list(writer_ids))
    pipeline.hgetall(redis_keys.FORGOTTEN)
    found, positions, stored = await pipeline.execute()
    schema.check(found)
    return [int(position or 0) for position in positions], Forgotten(stored)


async def _call(
    writer_id: str,
    batch: Sequence[Event],
    *,
    after: int,
    stream_max_len: int,
    forgotten: Forgotten,
) -> tuple[list[str], list[str], set[str]]:
    """KEYS and ARGV of the script, and the ids of the forgotten: they are in no list."""
    increments, postings = rollups.Increments(), filters.Postings()
    names = stream_fields.FIELDS
    arguments = [writer_id, str(after), str(batch[-1].seq), str(schema.VERSION)]
    arguments += (CHANGE, forgotten.change, str(stream_max_len), str(len(names)), *names)
    entries: list[str] = []
    newest: dict[str, int] = {}  # hour: the last of its entries
    count, gone = 0, set()
    for number, event in enumerate(batch, 1):
        if number % RECORDS_AT_ONCE == 0:
            await asyncio.sleep(0)
        record = event.record()
        nameless = forgotten.nameless(record)
        if nameless is not None:
            gone.add(event.id)
            increments.add(nameless)
            continue
        count += 1
        values, extra = stream_fields.encode(record)
        entries += (*values, str(len(extra) // 2), *extra)
        postings.add(count, record, values)
        increments.add(record)
        newest[rollups.hour_of(record.get("ts"))] = count
    arguments += (str(count), *entries)
    indexes, sums = postings.by_index(), increments.by_bucket()
    buckets = [bucket for by, bucket in sums if by is None]
    for are_hours in (True, False):
        some = [bucket for bucket in buckets if rollups.is_hour(bucket) is are_hours]
        arguments.append(str(len(some)))
        for bucket in some:
            arguments += (str(rollups.unix_time(bucket)), bucket)
    arguments += (str(len(indexes)), *indexes.values(), str(len(newest)))
    for hour, number in newest.items():
        arguments += (hour, str(number))
    keys = [redis_keys.POSITIONS, redis_keys.DECISIONS, redis_keys.HOURS, redis_keys.DAYS]
    keys += (redis_keys.INDEXED, redis_keys.SCHEMA, redis_keys.FORGOTTEN, redis_keys.NEWEST)
    keys += indexes
    for (by, bucket), rows in sums.items():
        keys.append(redis_keys.rollup(bucket, by))
        is_free_text = by in rollups.TWINS
        arguments += (str(rollups.MAX_TWIN_ROWS if is_free_text else 0), str(len(rows)))
        for row, measures in rows.items():
            other = rollup_rows.other_field(row) if is_free_text else ""
            arguments += (rollup_rows.field_of(row), other, rollup_rows.amounts_of(measures))
    return keys, arguments, gone
