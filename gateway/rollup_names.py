"""Names taken out of the sums: rows that have one are added to the row of `(deleted)`.

Part of a deletion (deletion.py). Nothing that is counted changes: each field moves as the integers
that it is, so that the totals by all other groups stay as they were, to the last digit.
"""

import json
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any, Final, cast

from redis.asyncio import Redis

from gateway import redis_keys, rollup_rows, rollups
from gateway.forgotten import DELETED, Selection
from gateway.listing import redis_answer
from gateway.redis_keys import By

HASHES_AT_ONCE: Final = 20
FIELDS_AT_ONCE: Final = 1000

# KEYS: a rollup. ARGV: field, the field it is added to, and so on. An earlier version's field holds
# one measure.
MOVE: Final = (
    rollup_rows.ADDED
    + """
for i = 1, #ARGV, 2 do
  local amounts = redis.call('HGET', KEYS[1], ARGV[i])
  if amounts then
    if string.sub(ARGV[i], -1) == ']' then
      local totals, left = added(redis.call('HGET', KEYS[1], ARGV[i + 1]) or '', amounts)
      if left > 0 then return redis.error_reply('ERR the sums would not fit into 64 bits') end
      redis.call('HSET', KEYS[1], ARGV[i + 1], totals)
    else
      redis.call('HINCRBY', KEYS[1], ARGV[i + 1], amounts)
    end
    redis.call('HDEL', KEYS[1], ARGV[i])
  end
end
"""
)

Moves = dict[str, str]  # field: the field it is added to


async def take_out(redis: Redis, selection: Selection) -> AsyncIterator[None]:
    """The selection's names, out of all hours and days; in steps. Raises LogUnavailable."""
    days = await redis_answer(redis.zrange(redis_keys.DAYS, 0, -1))
    kinds: list[tuple[By | None, list[str]]]
    if "key" in selection.taken:
        hours = await redis_answer(redis.zrange(redis_keys.HOURS, 0, -1))
        kinds = [(None, hours), ("tag", hours), (None, days), ("tag", days)]
        kinds += [("user", days), ("session", days)]
    else:
        kinds = [("user" if selection.session is None else "session", days)]
    for by, buckets in kinds:
        for start in range(0, len(buckets), HASHES_AT_ONCE):
            keys = [redis_keys.rollup(bucket, by) for bucket in buckets[start:][:HASHES_AT_ONCE]]
            pipeline = redis.pipeline(transaction=False)
            for key in keys:
                pipeline.hkeys(key)
            answers = await redis_answer(pipeline.execute(raise_on_error=False))
            for key, fields in zip(keys, answers, strict=True):
                if isinstance(fields, list):  # not if something foreign is under the key
                    await _move(redis, key, _moves(fields, by, selection))
            yield


async def move_sessions_of(
    redis: Redis, selection: Selection, records: Iterable[Mapping[str, Any]]
) -> None:
    """The rows by session of a user's records: only these tell which sessions were his."""
    if selection.user is None or "session" not in selection.taken:
        return
    increments = rollups.Increments()
    for record in records:
        if record.get("session"):
            increments.add(record)
    for (by, day), rows in increments.by_bucket().items():
        if by == "session":
            moves: Moves = {}
            for row in rows:
                field = rollup_rows.field_of(row)
                to = rollup_rows.field_of((*row[:-1], DELETED))
                if field != to:
                    for rest in ("", *(f" {measure}" for measure in rollups.MEASURES)):
                        moves[f"{field}{rest}"] = f"{to}{rest}"
            await _move(redis, redis_keys.rollup(day, by), moves)


def _moves(fields: Iterable[str], by: By | None, selection: Selection) -> Moves:
    """Of a rollup's fields those that have the selection's names."""
    wanted = {name: value for name, value in selection.filters.items() if name in ("key", by)}
    if by in wanted:
        wanted[by] = wanted[by][: rollups.MAX_NAME_CHARS]
    renamed: dict[str, str | None] = {}  # row: its new name
    moves: Moves = {}
    for field in fields:
        row, rest = rollup_rows.row_and_rest(field)
        if row not in renamed:
            values: list[str] = json.loads(row)
            places = {"key": rollups.MAIN.index("key"), by: len(values) - 1}
            new = list(values)
            if all(values[places[name]] == value for name, value in wanted.items()):
                for name in selection.taken:
                    if name in places and values[places[name]]:
                        new[places[name]] = DELETED
            renamed[row] = rollup_rows.field_of(tuple(new)) if new != values else None
        to = renamed[row]
        if to is not None:
            moves[field] = f"{to}{rest}"
    return moves


async def _move(redis: Redis, key: str, moves: Moves) -> None:
    arguments = [text for move in moves.items() for text in move]
    for start in range(0, len(arguments), 2 * FIELDS_AT_ONCE):
        chunk = arguments[start : start + 2 * FIELDS_AT_ONCE]
        await redis_answer(cast(Any, redis.eval(MOVE, 1, key, *chunk)))
