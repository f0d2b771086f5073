"""What is in Redis has a version: it is marked, read as before, never written by an older one."""

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gateways import StartGateway
from log_fixtures import Server
from test_chat_completions import ask
from test_serve import command, start
from upstream_stub import UpstreamStub

from gateway import decision, delivery, rollups, schema, spool_files, stream_fields
from gateway.decision_log import DecisionLog
from gateway.deletion import Deletion
from gateway.forgotten import Selection
from gateway.schema import NewerSchema
from gateway.spool_files import Event
from tests import log_fixtures
from tests.log_fixtures import a_client, a_record, delivered, end, stream_ids
from tests.test_listing import walk

shared_server, redis_url = log_fixtures.shared_server, log_fixtures.redis_url
new_server = log_fixtures.new_server

KEY = "hydra:{hydra:decisions}:schema"
NEWER = str(schema.VERSION + 1)
DAY = "hydra:{hydra:decisions}:day"


async def written_by_an_earlier_version(redis: Any, record: dict[str, Any]) -> None:
    """As the first version did: no index, no mark, sums by model, key, mode and tag only."""
    values, extra = stream_fields.encode(record)
    entry = dict(zip(stream_fields.FIELDS, values, strict=True))
    entry |= dict(zip(extra[::2], extra[1::2], strict=True))
    await redis.xadd("hydra:decisions", entry)
    await redis.set(f"hydra:decision:{record['id']}", spool_files.to_json(record), ex=3600)
    for bucket in (record["ts"][:10], record["ts"][:13]):
        kind = "hour" if rollups.is_hour(bucket) else "day"
        key = f"hydra:{{hydra:decisions}}:{kind}"
        await redis.zadd(f"{key}s", {bucket: rollups.unix_time(bucket)})
        row = [record["served_by"], record["key_id"], record["mode"]]
        for name, of in (("", row), *(("-tags", [*row, tag]) for tag in record["tags"] or [""])):
            field = json.dumps(of, separators=(",", ":"))
            await redis.hincrby(f"{key}{name}:{bucket}", f"{field} requests", 1)
            await redis.hincrby(f"{key}{name}:{bucket}", f"{field} cost_picodollars", 164_000_000)


@pytest.mark.anyio
async def test_an_empty_redis_is_marked_with_the_schema(redis_url: str, tmp_path: Path) -> None:
    async with DecisionLog.open(data_dir=tmp_path, redis_url=redis_url) as log:
        await delivered(log)
        async with a_client(redis_url) as redis:
            assert await redis.get(KEY) == str(schema.VERSION)


@pytest.mark.anyio
async def test_what_an_earlier_version_wrote_is_marked_and_read_as_before(
    redis_url: str, tmp_path: Path
) -> None:
    records = [
        a_record(ts="2026-01-02T10:00:00Z", mode=("iso", "peak")[n % 2], tags=["x"])
        for n in range(10)
    ]
    async with a_client(redis_url) as redis:
        for record in records:
            await written_by_an_earlier_version(redis, record)
        before = {key: await redis.dump(key) for key in await redis.keys("*")}
        async with DecisionLog.open(data_dir=tmp_path, redis_url=redis_url) as log:
            await delivered(log)
            assert await redis.get(KEY) == str(schema.VERSION)
            assert await walk(log, 3, mode="peak") == [r["id"] for r in reversed(records[1::2])]
            assert await log.get(records[0]["id"]) == records[0]
            for group_by in (("pool",), ("tag",), ("user",), ("mode", "hour")):
                rows = await log.costs(group_by=group_by)
                assert sum(row["requests"] for row in rows) == 10
                assert {row["cost_usd"] for row in rows} <= {"0.00164", "0.00082"}
        after = {key: await redis.dump(key) for key in await redis.keys("*")}
        assert after.keys() - before.keys() == {KEY}
        assert before == {key: after[key] for key in before}, "nothing was rewritten"


@pytest.mark.anyio
async def test_an_earlier_gateway_may_write_beside_this_one(redis_url: str, tmp_path: Path) -> None:
    """Its decisions are in lists, by id and in the sums; filtered lists have those of this one."""
    old, new = [], []
    async with (
        a_client(redis_url) as redis,
        DecisionLog.open(data_dir=tmp_path, redis_url=redis_url) as log,
    ):
        for n in range(20):
            record = a_record(ts="2026-01-02T10:00:00Z", user="mary", tags=["x"])
            if n % 2:
                end(log, record)
                await delivered(log)
                new.append(record["id"])
            else:
                await written_by_an_earlier_version(redis, record)
                old.append(record["id"])
        both = [name for pair in zip(old, new, strict=True) for name in pair]
        assert await stream_ids(redis_url) == both
        assert await walk(log, 7) == both[::-1]
        assert await walk(log, 7, user="mary") == [*new[::-1], old[0]], "the first is not after it"
        for name in both:
            assert await log.get(name) is not None
        for group_by in ((), ("model",), ("mode", "day"), ("hour",), ("tag",), ("pool",)):
            rows = await log.costs(group_by=group_by)
            assert sum(row["requests"] for row in rows) == 20, group_by
        assert [row["cost_usd"] for row in await log.costs(group_by=())] == ["0.00328"]


@pytest.mark.anyio
async def test_a_running_gateway_stops_delivering_to_a_newer_schema_and_loses_nothing(
    redis_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A newer gateway took over while this one ran."""
    async with (
        a_client(redis_url) as redis,
        DecisionLog.open(data_dir=tmp_path, redis_url=redis_url) as log,
    ):
        end(log, first := a_record())
        await delivered(log)
        await redis.set(KEY, NEWER)
        deadline = time.monotonic() + 10
        while log.status().redis_reachable:  # though it has nothing to deliver
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)
        end(log, second := a_record())
        await asyncio.sleep(0.5)
        status = log.status()
        assert status.pending == 1
        words = f"Redis holds schema {NEWER} of a newer gateway and this one knows {schema.VERSION}"
        assert (status.last_error or "").startswith(words)
        assert await stream_ids(redis_url) == [first["id"]]
        assert await redis.get(KEY) == NEWER, "it is never lowered"
        assert await log.get(second["id"]) == second
        with pytest.raises(NewerSchema):
            await log.forget(Selection(key="alice"))
        await redis.set(KEY, str(schema.VERSION))
        await delivered(log)
        assert await stream_ids(redis_url) == [first["id"], second["id"]]
    assert caplog.text.count("upgrade it, or give it a Redis of its own") == 1


@pytest.mark.anyio
async def test_not_even_a_batch_that_was_on_its_way_is_written_to_a_newer_schema(
    redis_url: str,
) -> None:
    text = spool_files.to_json(a_record())
    async with a_client(redis_url) as redis:
        await delivery.standing(redis, ["writer"])
        await redis.set(KEY, NEWER)
        with pytest.raises(NewerSchema):
            await delivery.deliver(
                *(redis, "writer", [Event(seq=1, kind="end", id="x", text=text)]),
                after=0,
                stream_max_len=10,
                detail_ttl_s=60,
            )
        assert await redis.exists("hydra:decisions", "hydra:{hydra:decisions}:positions") == 0


@pytest.mark.anyio
async def test_of_gateways_that_start_together_the_newest_names_the_schema(redis_url: str) -> None:
    async with a_client(redis_url) as redis:
        await asyncio.gather(schema.claim(redis), redis.set(KEY, NEWER), return_exceptions=True)
        assert await redis.get(KEY) == NEWER
        await redis.set(KEY, str(schema.VERSION - 1))
        await schema.claim(redis)
        assert await redis.get(KEY) == str(schema.VERSION)


def test_serve_and_forget_refuse_a_newer_schema(
    tmp_path: Path, new_server: Callable[..., Server]
) -> None:
    url = new_server(appendonly=False).url
    asyncio.run(_set(url, KEY, NEWER))
    ran = command("serve", cwd=tmp_path, HYDRA_REDIS_URL=url, HYDRA_PORT="0")
    assert (ran.returncode, ran.stdout) == (3, "")
    assert ran.stderr == (
        f"Redis holds schema {NEWER} of a newer gateway and this one knows {schema.VERSION}:"
        " upgrade it, or give it a Redis of its own (HYDRA_REDIS_URL)\n"
    )
    ran = command("forget", "--user", "mary", "--yes", cwd=tmp_path, HYDRA_REDIS_URL=url)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.startswith("Redis holds schema")


async def _set(url: str, key: str, value: str) -> None:
    async with a_client(url) as redis:
        await redis.set(key, value)


def test_serve_marks_its_redis_and_starts_without_one(
    tmp_path: Path, new_server: Callable[..., Server]
) -> None:
    server = new_server()
    served = start(tmp_path, HYDRA_REDIS_URL=server.url)
    assert served.stop() == 0
    assert asyncio.run(_get(server.url, KEY)) == str(schema.VERSION)
    served = start(tmp_path, HYDRA_REDIS_URL="unix:///nowhere/redis.sock")
    assert served.stop() == 0


async def _get(url: str, key: str) -> Any:
    async with a_client(url) as redis:
        return await redis.get(key)


def test_readiness_says_that_the_schema_is_newer(
    start_gateway: StartGateway, new_server: Callable[..., Server], upstream: UpstreamStub
) -> None:
    """Requests are served and their records wait, as while Redis is away."""
    server = new_server(appendonly=False)
    asyncio.run(_set(server.url, KEY, NEWER))
    with start_gateway(HYDRA_REDIS_URL=server.url).http() as http:
        assert ask(http).status_code == 200
        deadline = time.monotonic() + 10
        while not (answer := http.get("/readyz").json())["checks"]["redis"]["error"]:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert answer["status"] == "degraded"
        assert answer["checks"]["redis"]["error"].startswith(f"Redis holds schema {NEWER}")
        refused = http.delete("/v1/decisions?user=mary")
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "log_unavailable")


def test_records_carry_their_own_schema(
    start_gateway: StartGateway, new_server: Callable[..., Server], upstream: UpstreamStub
) -> None:
    with start_gateway(HYDRA_REDIS_URL=new_server(appendonly=False).url).http() as http:
        wanted = ask(http).headers["x-hydra-decision-id"]
        assert http.get(f"/v1/decisions/{wanted}").json()["schema"] == decision.SCHEMA
        deadline = time.monotonic() + 10
        while not (found := http.get("/v1/decisions").json()["data"]):
            assert time.monotonic() < deadline
        assert found[0]["schema"] == decision.SCHEMA


@pytest.mark.anyio
async def test_a_deletion_reaches_what_an_earlier_version_wrote(redis_url: str) -> None:
    async with a_client(redis_url) as redis:
        for user in ("mary", "bob", "mary"):
            await written_by_an_earlier_version(redis, a_record(user=user, key_id=f"{user}-key"))
        for selection, count in ((Selection(user="mary"), 2), (Selection(key="bob-key"), 1)):
            steps = [step async for step in Deletion(redis).forget(selection)]
            assert steps[-1].deleted == count
        assert await redis.keys("hydra:decision:*") == []
        keys = [
            json.loads(f.rpartition(" ")[0])[1]
            for key in await redis.keys(f"{DAY}:*")
            for f in await redis.hkeys(key)
        ]
        assert set(keys) == {"mary-key", "(deleted)"}
