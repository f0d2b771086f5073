"""Costs from rollups: which of them are read, and that none is missed or counted twice."""

import json
from collections import Counter
from typing import Any

import pytest

from gateway import rollups
from gateway.ledger import Ledger
from tests import log_fixtures
from tests.log_fixtures import a_client, a_record, deliver
from tests.test_decision_log import as_set, some_records, summed

shared_server, redis_url = log_fixtures.shared_server, log_fixtures.redis_url
pytestmark = pytest.mark.anyio

ROLLUP = "hydra:{hydra:decisions}"
RANGES = (
    {},
    {"since": "2026-02-28T05:00:00Z", "until": "2026-03-01T11:00:00Z"},
    {"since": "2026-02-28T05:00:00Z", "until": "2026-02-28T07:00:00Z"},
    {"until": "2026-02-28T00:00:00Z"},
)


def inside(
    records: list[dict[str, Any]], since: str = "", until: str = "3"
) -> list[dict[str, Any]]:
    return [record for record in records if since <= record["ts"] < until]


@pytest.mark.parametrize("times", RANGES, ids=["all", "days", "hours", "a day"])
async def test_costs_by_hour_are_those_of_the_records(
    redis_url: str, times: dict[str, str]
) -> None:
    records = some_records(seed=3, count=400)
    async with a_client(redis_url) as redis:
        await deliver(redis, records)
        ledger = Ledger(redis)
        for group_by in (
            ("hour",),
            ("model", "hour"),
            ("hour", "day", "pool", "mode"),
            ("key", "hour"),
        ):
            rows = await ledger.costs(group_by=group_by, **times)
            assert as_set(rows) == as_set(summed(inside(records, **times), group_by)), group_by


async def test_a_months_hours_are_not_read_hour_by_hour(redis_url: str) -> None:
    async with a_client(redis_url) as redis:
        days = [f"2026-01-{day:02}T{hour:02}" for day in range(1, 31) for hour in range(24)]
        await deliver(redis, [a_record(ts=f"{hour}:30:00Z") for hour in days])
        await redis.config_resetstat()
        assert len(await Ledger(redis).costs(group_by=("model", "hour"))) == 720
        assert (await redis.info("commandstats"))["cmdstat_hgetall"]["calls"] == 60


async def test_hours_that_an_earlier_version_wrote_are_not_missed(redis_url: str) -> None:
    """It kept no hours beside the days; on the second day both versions wrote."""
    old = '["a","bob","iso","default"]'
    async with a_client(redis_url) as redis:
        for kind, bucket, unix in (
            *(("hour", "2026-01-01T09", 1767258000), ("hour", "2026-01-02T09", 1767344400)),
            *(("day", "2026-01-01", 1767225600), ("day", "2026-01-02", 1767312000)),
        ):
            await redis.zadd(f"{ROLLUP}:{kind}s", {bucket: unix})
            await redis.hincrby(f"{ROLLUP}:{kind}:{bucket}", f"{old} requests", 3)
            await redis.hincrby(f"{ROLLUP}:{kind}:{bucket}", f"{old} cost_picodollars", 7)
        times = ("2026-01-02T09:00:00Z", "2026-01-02T10:00:00Z", "2026-01-03T10:00:00Z")
        await deliver(redis, [a_record(ts=ts, cost_usd="0.5") for ts in times])
        rows = await Ledger(redis).costs(group_by=("hour",))
    assert {row["hour"]: (row["requests"], row["cost_usd"]) for row in rows} == {
        "2026-01-01T09:00:00Z": (3, "0.000000000007"),
        "2026-01-02T09:00:00Z": (4, "0.500000000007"),
        "2026-01-02T10:00:00Z": (1, "0.5"),
        "2026-01-03T10:00:00Z": (1, "0.5"),
    }


async def test_costs_of_one_key_are_those_of_its_records(redis_url: str) -> None:
    records = some_records(seed=4, count=300)
    of_bob = [record for record in records if record["key_id"] == "bob"]
    async with a_client(redis_url) as redis:
        await deliver(redis, records)
        for group_by in ((), ("model",), ("hour",), ("user",), ("session", "day"), ("tag", "key")):
            rows = await Ledger(redis).costs(group_by=group_by, key="bob")
            assert as_set(rows) == as_set(summed(of_bob, group_by)), group_by


async def test_a_day_keeps_a_thousand_rows_of_free_text_and_one_for_the_rest(
    redis_url: str,
) -> None:
    records = [a_record(session=f"s{n // 2}") for n in range(2 * rollups.MAX_TWIN_ROWS + 500)]
    async with a_client(redis_url) as redis:
        await deliver(redis, records)
        rows = await Ledger(redis).costs(group_by=("session",))
    counted = Counter({row["session"]: row["requests"] for row in rows})
    assert len(rows) == rollups.MAX_TWIN_ROWS + 1
    assert counted[rollups.OTHER] == 500
    assert counted["s0"] == counted[f"s{rollups.MAX_TWIN_ROWS - 1}"] == 2


async def test_sums_in_redis_are_readable_by_a_person(redis_url: str) -> None:
    record = a_record(ts="2026-01-02T10:00:00Z", cost_usd=None, savings_usd=None)
    async with a_client(redis_url) as redis:
        await deliver(redis, [record, record | {"cost_usd": "0.000164"}])
        stored = await redis.hgetall(f"{ROLLUP}:day:2026-01-02")
        hours = await redis.hgetall(f"{ROLLUP}:day-hours:2026-01-02")
    assert stored == {
        '["model-a","alice","iso","default"]': "[2,200,40,1,164000000,1200000000,null]"
    }
    assert [json.loads(row) for row in hours] == [
        ["model-a", "iso", "default", "2026-01-02T10:00:00Z"]
    ]
