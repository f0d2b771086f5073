"""How long the log keeps what: the table in docs/log.md."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gateways import StartGateway
from log_fixtures import Server
from test_chat_completions import ask
from upstream_stub import UpstreamStub

from gateway.decision_log import DecisionLog
from tests import log_fixtures
from tests.log_fixtures import a_client, a_record, deliver, delivered, end

shared_server, redis_url = log_fixtures.shared_server, log_fixtures.redis_url
new_server = log_fixtures.new_server

DAY_S = 86_400


async def in_redis(url: str) -> dict[str, Any]:
    """Each key with the seconds that it still lives; -1 for ever."""
    async with a_client(url) as redis:
        return {key: await redis.ttl(key) async for key in redis.scan_iter()}


async def _fill(url: str, count: int) -> None:
    async with a_client(url) as redis:
        await deliver(redis, [a_record() for _ in range(count)])


async def _length(url: str) -> int:
    async with a_client(url) as redis:
        return int(await redis.xlen("hydra:decisions"))


def test_the_settings_bound_the_list_and_the_whole_records(
    start_gateway: StartGateway, new_server: Callable[..., Server], upstream: UpstreamStub
) -> None:
    url = new_server(appendonly=False).url
    asyncio.run(_fill(url, 1500))
    settings = {"HYDRA_LOG_MAX_DECISIONS": "1000", "HYDRA_LOG_DETAIL_DAYS": "2"}
    with start_gateway(HYDRA_REDIS_URL=url, **settings).http() as http:
        wanted = ask(http).headers["x-hydra-decision-id"]
        deadline = time.monotonic() + 10
        while http.get("/v1/decisions?limit=1").json()["data"][0]["id"] != wanted:
            assert time.monotonic() < deadline
        http.post("/v1/feedback", json={"decision_id": wanted, "score": 1})
        assert sum(row["requests"] for row in http.get("/v1/costs").json()["data"]) == 1501
    assert 1000 <= asyncio.run(_length(url)) <= 1100
    lives = asyncio.run(in_redis(url))
    feedback = f"hydra:{{hydra:decisions}}:feedback:{wanted}"
    for key in (f"hydra:decision:{wanted}", feedback):
        assert 2 * DAY_S - 60 < lives[key] <= 2 * DAY_S


@pytest.mark.anyio
async def test_nothing_but_whole_records_and_feedback_expires(
    redis_url: str, tmp_path: Path
) -> None:
    async with DecisionLog.open(data_dir=tmp_path, redis_url=redis_url) as log:
        record = a_record(tags=["x"], session="s", user="u")
        end(log, record)
        await delivered(log)
        await log.feedback.give(record["id"], 1.0, None, key_id=None)
    lives = await in_redis(redis_url)
    expiring = {key for key, ttl in lives.items() if ttl >= 0}
    assert {key.rpartition(":")[2] for key in expiring} == {record["id"]}
    assert len(expiring) == 2
    assert len(lives) > 15


@pytest.mark.anyio
async def test_an_expired_record_is_still_listed_and_summed_up(
    redis_url: str, tmp_path: Path
) -> None:
    async with DecisionLog.open(data_dir=tmp_path, redis_url=redis_url, detail_ttl_s=1) as log:
        record = a_record()
        end(log, record)
        await delivered(log)
        assert await log.get(record["id"]) == record
        await asyncio.sleep(1.1)
        assert await log.get(record["id"]) is None
        page = await log.decisions(filters={}, limit=1, cursor=None)
        assert page.data[0]["id"] == record["id"]
        assert len(await log.costs(group_by=())) == 1
