"""Redis adds a rollup's amounts as text, since Lua's numbers are doubles: to the last digit."""

import json
import random

import pytest
from log_fixtures import a_client

from gateway.rollup_rows import ADDED

pytestmark = pytest.mark.anyio

SCRIPT = f"{ADDED} local totals, left = added(ARGV[1], ARGV[2]) return {{totals, left}}"
EDGES = (0, 1, -1, 10**9 - 1, 10**9, -(10**9), 10**15 - 1, 10**15, 2**53, 2**53 + 1, -(2**53) - 1)


def amount(dice: random.Random) -> int | None:
    """Of any length and sign, often where digits are carried; sometimes unknown."""
    if dice.random() < 0.1:
        return None
    if dice.random() < 0.3:
        return dice.choice(EDGES)
    return dice.choice((1, -1)) * dice.randrange(10 ** dice.randrange(1, 19))


async def test_any_amounts_add_up_as_whole_numbers_do(redis_server: str) -> None:
    dice = random.Random(2026)
    async with a_client(redis_server) as redis:
        for _ in range(200):
            rows = [[amount(dice) for _ in range(350)] for _ in range(2)]
            sums, added = (json.dumps(row, separators=(",", ":")) for row in rows)
            totals, left = await redis.eval(SCRIPT, 0, sums, added)
            pairs = zip(*rows, strict=True)
            must_be = [one if other is None else (one or 0) + other for one, other in pairs]
            assert (json.loads(totals), left) == (must_be, 0)


async def test_what_exceeds_64_bits_leaves_the_sum_as_it_was(redis_server: str) -> None:
    most = 2**63 - 1
    async with a_client(redis_server) as redis:
        totals, left = await redis.eval(SCRIPT, 0, f"[{most},{-most},7]", f"[{most},{-most},x]")
    assert (json.loads(totals), left) == ([most, -most, 7], 3)
