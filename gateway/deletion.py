"""Deleting the decisions of a key, a user or a session from Redis, while gateways write.

Not who may (log_endpoints.py) and not what a selection means (forgotten.py). The tombstone comes
first: from then on no gateway delivers such a record, so that there is an end to what is to be
found. Then, in batches, go the entries of the stream with their indexes, the whole records, also
those that the stream has dropped, and at last the names in the sums (rollup_names.py). Each batch
leaves the log in order and none depends on another, so what was interrupted is finished by doing it
again.
"""

import json
import uuid
from collections.abc import AsyncIterator, Iterable
from typing import Any, Final, NamedTuple, cast

from redis.asyncio import Redis

from gateway import filters, redis_keys, rollup_names, schema, spool_files, stream_fields
from gateway.forgotten import CHANGE, KEPT_DAYS, Forgotten, Selection
from gateway.listing import BEGINNING, Entry, Listing, id_order, redis_answer

ENTRIES_AT_ONCE: Final = 100  # of one call of the script: some milliseconds
IDS_AT_ONCE: Final = 1000  # of an index
KEYS_AT_ONCE: Final = 100  # of a scan
BYTES_AT_ONCE: Final = 2**20  # of whole records; with logged content they are large

# KEYS: forgotten, stream. ARGV: tombstone, now and long ago in milliseconds, the change's field and
# value. Answers the newest entry: what comes after it has passed the tombstone.
REMEMBER: Final = """
local stored = redis.call('HGETALL', KEYS[1])
for i = 1, #stored, 2 do
  if stored[i] ~= ARGV[4] and tonumber(stored[i + 1]) < tonumber(ARGV[3]) then
    redis.call('HDEL', KEYS[1], stored[i])
  end
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2], ARGV[4], ARGV[5])
local newest = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)[1]
return newest and newest[1] or '0-0'
"""
# KEYS: stream, then indexes. ARGV: the ids to delete from each, with spaces between. An index that
# is left without entries goes: its name may be the one to be deleted. Answers how many entries of
# the stream there were.
REMOVE: Final = """
local deleted = 0
for k = 1, #KEYS do
  local ids = {}
  for id in string.gmatch(ARGV[k], '%S+') do ids[#ids + 1] = id end
  if #ids > 0 then
    local count = redis.pcall('XDEL', KEYS[k], unpack(ids))
    if k == 1 then deleted = count end
  end
  if k > 1 and redis.pcall('XLEN', KEYS[k]) == 0 then redis.call('DEL', KEYS[k]) end
end
return deleted
"""


# KEYS: texts. ARGV: about how many bytes to look at, then what all of them must be found in a text.
# Answers how many were looked at, then each key and text. Few match, and the others need not leave
# Redis. (Whole records spread over a cluster's slots: there each slot's would be a call.)
SEARCH: Final = """
local found, size = {0}, 0
for k = 1, #KEYS do
  local text = redis.pcall('GET', KEYS[k])
  local matches = type(text) == 'string'
  for n = 2, #ARGV do
    matches = matches and string.find(text, ARGV[n], 1, true) ~= nil
  end
  if matches then found[#found + 1] = KEYS[k]; found[#found + 1] = text end
  found[1] = k
  size = size + (type(text) == 'string' and #text or 0)
  if size >= tonumber(ARGV[1]) then break end
end
return found
"""


class Progress(NamedTuple):
    """How many decisions were deleted so far, and what is being done."""

    deleted: int
    doing: str


class Deletion:
    """Works through one client. Methods raise LogUnavailable; then call them again."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def forget(self, selection: Selection) -> AsyncIterator[Progress]:
        """Delete; the last progress has the number."""
        redis, deleted = self._redis, 0
        await schema.claim(redis)
        tombstone, newest = await _remember(redis, selection)
        async for entries in _listed(redis, selection, newest):
            deleted += await _remove(redis, selection, entries)
            yield Progress(deleted, "the list")
        await _remove_from_index(redis, selection, newest)
        async for records, keys in _whole(redis, selection, tombstone):
            await rollup_names.move_sessions_of(redis, selection, records.values())
            deleted += await _unlink(redis, list(records), keys)
            yield Progress(deleted, "whole records")
        async for _ in rollup_names.take_out(redis, selection):
            yield Progress(deleted, "the sums")

    async def count(self, selection: Selection) -> AsyncIterator[Progress]:
        """The same without deleting anything."""
        redis, seen = self._redis, set[str]()
        tombstone = Forgotten({selection.tombstone: str(await _now_ms(redis))})
        async for entries in _listed(redis, selection, await Listing(redis).last_id()):
            seen.update(entry["id"] for _, entry in entries)
            yield Progress(len(seen), "the list")
        async for records, _ in _whole(redis, selection, tombstone):
            seen.update(records)
            yield Progress(len(seen), "whole records")

    async def forgotten(self) -> Forgotten:
        """All tombstones."""
        return Forgotten(await redis_answer(self._redis.hgetall(redis_keys.FORGOTTEN)))


async def _remember(redis: Redis, selection: Selection) -> tuple[Forgotten, str]:
    """Leave the tombstone; returns it and the newest entry that was there before it."""
    now = await _now_ms(redis)
    then = now - KEPT_DAYS * 86_400_000
    keys = [redis_keys.FORGOTTEN, redis_keys.DECISIONS]
    arguments = (selection.tombstone, str(now), str(then), CHANGE, uuid.uuid4().hex)
    newest = await _run(redis, REMEMBER, keys, *arguments)
    return Forgotten({selection.tombstone: str(now)}), newest


async def _now_ms(redis: Redis) -> int:
    """By the one clock that all gateways share."""
    seconds, microseconds = await redis_answer(redis.time())
    return int(seconds) * 1000 + int(microseconds) // 1000


async def _listed(redis: Redis, selection: Selection, newest: str) -> AsyncIterator[list[Entry]]:
    """What the stream has up to an entry, oldest first."""
    listing, reached = Listing(redis), BEGINNING
    while True:
        step = await listing.after(reached, selection.filters)
        reached = step.reached
        found = [entry for entry in step.found if id_order(entry[0]) <= id_order(newest)]
        for start in range(0, len(found), ENTRIES_AT_ONCE):
            yield found[start : start + ENTRIES_AT_ONCE]
        if step.is_last or id_order(reached) >= id_order(newest):
            return


async def _remove(redis: Redis, selection: Selection, entries: list[Entry]) -> int:
    """The entry is last: as long as it is there, it is found again."""
    records = [stream_fields.decode(entry) for _, entry in entries]
    await rollup_names.move_sessions_of(redis, selection, records)
    await _unlink(redis, [entry["id"] for _, entry in entries])
    postings = filters.Postings()
    for number, (record, (_, entry)) in enumerate(zip(records, entries, strict=True)):
        values = [entry.get(name, "") for name in stream_fields.FIELDS]
        postings.add(number, record, values)
    ids = {redis_keys.DECISIONS: " ".join(entry_id for entry_id, _ in entries)}
    for key, listed in postings.by_index().items():
        numbers = (int(number.partition("=")[0]) for number in listed.split())
        ids[key] = " ".join(entries[number][0] for number in numbers)
    return int(await _run(redis, REMOVE, list(ids), *ids.values()))


async def _remove_from_index(redis: Redis, selection: Selection, newest: str) -> None:
    """A key's own index has its name, and ids of entries that the stream has dropped."""
    if "key" not in selection.taken:
        return
    key = filters.place("key", selection.filters["key"]).key
    while True:
        ids = await redis_answer(redis.xrange(key, "-", newest, count=IDS_AT_ONCE))
        listed = " ".join(entry_id for entry_id, _ in ids)
        await _run(redis, REMOVE, [redis_keys.DECISIONS, key], "", listed)
        if len(ids) < IDS_AT_ONCE:
            return


async def _whole(
    redis: Redis, selection: Selection, tombstone: Forgotten
) -> AsyncIterator[tuple[dict[str, dict[str, Any]], list[str]]]:
    """Whole records by id, whether the stream has them or not, and the keys of what else the
    deleted key said: feedback on decisions that are gone, or another's."""
    whole, feedback = redis_keys.decision(""), redis_keys.feedback("")
    prefixes = (whole, feedback) if "key" in selection.taken else (whole,)
    # Without the opening quote: a search stops at each place that begins alike.
    needles = [json.dumps(value, ensure_ascii=False)[1:] for value in selection.filters.values()]
    cursor = 0
    while True:
        cursor, keys = await redis_answer(
            redis.scan(cursor, f"{redis_keys.PREFIX}*", KEYS_AT_ONCE, _type="string")
        )
        keys = [key for key in keys if key.startswith(prefixes)]
        records: dict[str, dict[str, Any]] = {}
        others: list[str] = []
        while keys:
            searched, *found = await _run(redis, SEARCH, keys, str(BYTES_AT_ONCE), *needles)
            for key, text in zip(found[::2], found[1::2], strict=True):
                record = spool_files.parse(text)
                if tombstone.nameless(record) is None:
                    continue
                if key.startswith(whole):
                    records[key.removeprefix(whole)] = record
                else:
                    others.append(key)
            keys = keys[searched:]
        yield records, others
        if not cursor:
            return


async def _unlink(redis: Redis, decision_ids: list[str], keys: Iterable[str] = ()) -> int:
    """Whole records with the feedback on them, and these keys; how many records there were."""
    pipeline = redis.pipeline(transaction=False)
    for decision_id in decision_ids:
        pipeline.unlink(redis_keys.decision(decision_id))
    for key in (*keys, *map(redis_keys.feedback, decision_ids)):
        pipeline.unlink(key)
    answers = await redis_answer(pipeline.execute()) if len(pipeline) else []
    return sum(answers[: len(decision_ids)])


async def _run(redis: Redis, script: str, keys: list[str], *arguments: str) -> Any:
    return await redis_answer(cast(Any, redis.eval(script, len(keys), *keys, *arguments)))
