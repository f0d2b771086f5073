"""The version of what the log keeps in Redis, so that no gateway writes what it does not know.

Not the record's own `schema` (decision.py). What readers and writers of the last version cope with
(a new key, a new field) leaves the number alone; what they would misread raises it.

    1  has no mark: sums with a field for each measure, the oldest without pool, user and session;
       decisions without indexes. They stay as they are: ledger.py, listing.py and rollup_rows.py
       read both.
    2  the mark; sums with a field for each row; writers ask who was forgotten (forgotten.py)
"""

from collections.abc import Awaitable
from typing import Any, Final, cast

from redis.asyncio import Redis

from gateway import redis_keys
from gateway.listing import LogUnavailable, redis_answer
from gateway.redis_connection import connect

VERSION: Final = 2

# One step, so that of two gateways that start together the older never lowers the number.
# KEYS: schema. ARGV: our version. Answers what was there.
CLAIM: Final = """
local found = tonumber(redis.call('GET', KEYS[1]) or '') or 1
if found < tonumber(ARGV[1]) then redis.call('SET', KEYS[1], ARGV[1]) end
return found
"""


class NewerSchema(LogUnavailable):
    """A newer gateway owns what is in Redis."""


async def claim(redis: Redis) -> None:
    """Mark what is in Redis as of our version. Raises NewerSchema, LogUnavailable."""
    check(await redis_answer(cast(Any, redis.eval(CLAIM, 1, redis_keys.SCHEMA, str(VERSION)))))


async def claim_at(url: str) -> None:
    """The same through a connection of its own."""
    redis = connect(url)
    try:
        await claim(redis)
    finally:
        await cast(Awaitable[None], redis.aclose())


def check(found: int) -> None:
    """Raises NewerSchema."""
    if found > VERSION:
        raise NewerSchema(
            f"Redis holds schema {found} of a newer gateway and this one knows {VERSION}:"
            " upgrade it, or give it a Redis of its own (HYDRA_REDIS_URL)"
        )
