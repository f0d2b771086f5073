"""Every finished record reaches Redis once: through kills, stops, restarts and a lost second."""

import asyncio
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from gateway import backlog, delivery, spool_files
from gateway.decision_log import DecisionLog
from gateway.embedded_redis import running
from gateway.shipper import ADOPT_EVERY_S
from gateway.spool import Spool
from gateway.spool_files import Event
from tests import log_fixtures
from tests.log_fixtures import (
    Server,
    a_client,
    a_record,
    begin,
    begun,
    delivered,
    end,
    new_id,
    stream_ids,
)

shared_server, redis_url = log_fixtures.shared_server, log_fixtures.redis_url
new_server = log_fixtures.new_server
pytestmark = pytest.mark.anyio

# A gateway in small: begins and ends requests, some of them long, and says so. Killed by the test.
GATEWAY = """
import asyncio, sys
from pathlib import Path
from gateway.decision_log import DecisionLog
from gateway.embedded_redis import running
from tests.log_fixtures import a_record, begin, begun, end
async def main():
    async with DecisionLog.open(data_dir=Path(sys.argv[1]), redis_url=sys.argv[2]) as log:
        while True:
            for number in range(20):
                record = a_record(cost_usd="0.000000000001")
                begin(log, begun(record))
                print("begun", record["id"], flush=True)
                if number:
                    end(log, record)
                    print("ended", record["id"], flush=True)
            await asyncio.sleep(0.003)
asyncio.run(main())
"""


async def traffic(log: DecisionLog, seconds: float) -> list[str]:
    """Requests for a while; the ids in the order in which they ended."""
    ids = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for _ in range(5):
            record = a_record(cost_usd="0.000000000001", tags=["t"])
            begin(log, begun(record))
            end(log, record)
            ids.append(record["id"])
        await asyncio.sleep(0.005)
    return ids


async def expect_exactly(url: str, log: DecisionLog, ids: list[str]) -> None:
    """The stream has each once, in order, and every total agrees to the last digit."""
    assert await stream_ids(url) == ids
    for group_by in (("model",), ("tag",), ("hour", "day"), ()):
        rows = await log.costs(group_by=group_by)
        assert sum(row["requests"] for row in rows) == len(ids), group_by
        total = sum(Decimal(row["cost_usd"]) for row in rows)
        assert total == Decimal(len(ids)).scaleb(-12)


async def test_a_redis_that_is_killed_and_comes_back_misses_and_doubles_nothing(
    new_server: Callable[..., Server], tmp_path: Path
) -> None:
    server = new_server()
    async with DecisionLog.open(data_dir=tmp_path, redis_url=server.url) as log:
        ids = []
        for _ in range(3):
            task = asyncio.create_task(traffic(log, 0.9))
            await asyncio.sleep(0.3)
            server.kill()
            await asyncio.sleep(0.3)
            server.start()
            ids += await task
        await delivered(log)
        await expect_exactly(server.url, log, ids)


async def test_a_stopped_redis_costs_requests_nothing_and_doubles_nothing(
    new_server: Callable[..., Server], tmp_path: Path
) -> None:
    """SIGSTOP leaves batches whose answer is late: applied or not, nobody knows at first."""
    server = new_server()
    async with DecisionLog.open(data_dir=tmp_path, redis_url=server.url) as log:
        await delivered(log)
        ids = []
        for pause_s in (0.2, 2.5):
            task = asyncio.create_task(traffic(log, pause_s + 0.5))
            await asyncio.sleep(0.2)
            server.signal(signal.SIGSTOP)
            await asyncio.sleep(pause_s)
            began = time.monotonic()
            record = a_record(cost_usd="0.000000000001", tags=["t"])
            begin(log, begun(record))
            assert time.monotonic() - began < 0.1
            server.signal(signal.SIGCONT)
            ids += await task
            end(log, record)
            ids.append(record["id"])
        await delivered(log)
        await expect_exactly(server.url, log, ids)


async def test_a_redis_that_went_back_in_time_gets_what_it_lost_again(
    new_server: Callable[..., Server], tmp_path: Path
) -> None:
    server = new_server()
    files, copy = server.folder / "appendonlydir", server.folder / "copy"
    async with DecisionLog.open(data_dir=tmp_path, redis_url=server.url) as log:
        ids = await traffic(log, 0.3)
        await delivered(log)
        shutil.copytree(files, copy)
        ids += await traffic(log, 0.3)
        await delivered(log)
        server.kill()
        shutil.rmtree(files)
        copy.rename(files)
        server.start()
        ids += await traffic(log, 0.3)
        await asyncio.sleep(1.5)
        await delivered(log)
        await expect_exactly(server.url, log, ids)


async def test_an_idle_gateway_notices_that_redis_lost_everything(
    new_server: Callable[..., Server], tmp_path: Path
) -> None:
    server = new_server(appendonly=False)
    async with DecisionLog.open(data_dir=tmp_path, redis_url=server.url) as log:
        ids = await traffic(log, 0.3)
        await delivered(log)
        server.kill()
        server.start()
        await asyncio.sleep(1.5)
        await delivered(log)
        await expect_exactly(server.url, log, ids)


async def test_a_batch_is_applied_once_however_often_and_late_it_arrives(redis_url: str) -> None:
    def batch(first: int, last: int) -> list[Event]:
        return [
            Event(seq=seq, kind="end", id=f"id-{seq}", text=spool_files.to_json(a_record(id="x")))
            for seq in range(first, last + 1)
        ]

    async with a_client(redis_url) as redis:

        async def send(after: int, events: list[Event]) -> tuple[int, int]:
            return await delivery.deliver(
                redis, "writer", events, after=after, stream_max_len=1000, detail_ttl_s=60
            )

        assert await send(0, batch(1, 5)) == (5, 0)
        assert await send(0, batch(1, 5)) == (5, 0)
        assert await send(0, batch(1, 9)) == (5, 0), "it overlaps: the shipper drops what is there"
        assert await send(7, batch(8, 9)) == (5, 0), "a gap: Redis lost something"
        assert await send(5, batch(6, 9)) == (9, 0)
        await redis.script_flush()
        assert await send(9, batch(10, 10)) == (10, 0)
        assert await redis.xlen("hydra:decisions") == 10
        positions, _ = await delivery.standing(redis, ["writer", "nobody"])
        assert positions == [10, 0]


async def test_a_foreign_value_under_a_key_of_ours_stops_no_delivery(
    redis_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    record = a_record(ts="2026-11-23T18:00:00Z")
    async with a_client(redis_url) as redis:
        await redis.set("hydra:{hydra:decisions}:hour:2026-11-23T18", "not a hash")
        async with DecisionLog.open(data_dir=tmp_path, redis_url=redis_url) as log:
            end(log, record)
            await delivered(log)
            assert len(await log.costs(group_by=("day",))) == 1
    assert "refused 1 commands" in caplog.text


async def test_a_killed_gateway_loses_no_request_and_its_running_ones_become_aborted(
    redis_url: str, tmp_path: Path
) -> None:
    gateway = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", GATEWAY, str(tmp_path), redis_url), stdout=subprocess.PIPE
    )
    assert gateway.stdout is not None
    told = [await gateway.stdout.readline() for _ in range(2000)]
    gateway.kill()
    told += (await gateway.communicate())[0].splitlines(keepends=True)
    said = [line.decode().split() for line in told if line.endswith(b"\n")]
    begun_ids = {name for word, name in said if word == "begun"}
    ended = [name for word, name in said if word == "ended"]
    assert len(ended) > 200
    async with DecisionLog.open(data_dir=tmp_path, redis_url=redis_url) as log:
        await asyncio.sleep(0.3)
        await delivered(log)
        in_stream = await stream_ids(redis_url)
        assert len(in_stream) == len(set(in_stream)), "nothing twice"
        # The last one may have reached the spool and not the pipe.
        assert begun_ids <= set(in_stream)
        assert len(in_stream) <= len(begun_ids) + 1
        assert [name for name in in_stream if name in set(ended)] == ended, "in order"
        (total,) = await log.costs(group_by=())
        assert total["requests"] == len(in_stream)
        running = next(iter(begun_ids - set(ended)))
        record = await log.get(running)
    assert record is not None
    assert (record["status"], record["cost_status"]) == ("aborted", "unknown")
    assert record["disconnected"] is False
    assert record["cost_usd"] is None
    assert record["error"] == record["attempts"][-1]["error"] == backlog.STOPPED
    assert 0 <= len(in_stream) - len(ended) - total["unknown_cost_requests"] <= 1


async def test_gateway_and_embedded_redis_killed_at_once_lose_nothing(tmp_path: Path) -> None:
    with running(tmp_path) as url:
        gateway = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", GATEWAY, str(tmp_path), url), stdout=subprocess.PIPE
        )
        assert gateway.stdout is not None
        told = [await gateway.stdout.readline() for _ in range(2000)]
        async with a_client(url) as redis:
            server_pid = (await redis.info("server"))["process_id"]
        os.kill(server_pid, signal.SIGKILL)
        gateway.kill()
        await gateway.communicate()
    ended = [line.decode().split()[1] for line in told if line.startswith(b"ended")]
    with running(tmp_path) as url:
        async with DecisionLog.open(data_dir=tmp_path, redis_url=url) as log:
            await asyncio.sleep(0.3)
            await delivered(log)
            in_stream = await stream_ids(url)
            (total,) = await log.costs(group_by=())
    assert len(in_stream) == len(set(in_stream)) == total["requests"]
    assert [name for name in in_stream if name in set(ended)] == ended


async def test_what_a_dead_writer_left_is_delivered_once_by_several_heirs(
    redis_url: str, tmp_path: Path
) -> None:
    dead = Spool(tmp_path / "spool", segment_bytes=2000)
    ids = [new_id() for _ in range(500)]
    for number, name in enumerate(ids):
        record = a_record(id=name, cost_usd="0.000000000001")
        dead.append(dead.take_seq(), "begin", name, spool_files.to_json(begun(record)))
        if number % 5:
            dead.append(dead.take_seq(), "end", name, spool_files.to_json(record))
    dead.close()
    running = [name for number, name in enumerate(ids) if number % 5 == 0]
    for _ in range(2):  # the second generation finds everything delivered
        async with (
            DecisionLog.open(data_dir=tmp_path, redis_url=redis_url) as one,
            DecisionLog.open(data_dir=tmp_path, redis_url=redis_url) as other,
        ):
            await asyncio.sleep(0.2)
            await delivered(one)
            await delivered(other)
            (row,) = await one.costs(group_by=())
            finished = [name for name in ids if name not in set(running)]
            assert await stream_ids(redis_url) == finished + running
            assert (row["requests"], row["unknown_cost_requests"]) == (500, 100)


async def test_a_dead_writers_folder_is_deleted_once_delivered_and_its_position_after_it(
    redis_url: str, tmp_path: Path
) -> None:
    async with DecisionLog.open(data_dir=tmp_path, redis_url=redis_url) as log:
        ids = await traffic(log, 0.2)
    (folder,) = (tmp_path / "spool").iterdir()
    async with (
        DecisionLog.open(data_dir=tmp_path, redis_url=redis_url, keep_delivered_s=0) as log,
        a_client(redis_url) as redis,
    ):
        await asyncio.sleep(0.2)
        assert await redis.hkeys("hydra:{hydra:decisions}:positions") == [folder.name]
        await asyncio.sleep(ADOPT_EVERY_S + 1.5)
        assert list((tmp_path / "spool").iterdir()) == []
        assert await redis.hkeys("hydra:{hydra:decisions}:positions") == []
        await expect_exactly(redis_url, log, ids)


async def test_a_redis_out_of_memory_is_waited_for(
    new_server: Callable[..., Server], tmp_path: Path
) -> None:
    server = new_server()
    async with (
        DecisionLog.open(data_dir=tmp_path, redis_url=server.url) as log,
        a_client(server.url) as redis,
    ):
        ids = await traffic(log, 0.2)
        await delivered(log)
        await redis.config_set("maxmemory", "1mb")
        deadline = time.monotonic() + 20
        while not (log.status().last_error or "").startswith("Redis refused a command: "):
            assert time.monotonic() < deadline, log.status()
            ids += await traffic(log, 0.1)
        assert log.status().pending > 0
        await redis.config_set("maxmemory", "0")
        await delivered(log)
        await expect_exactly(server.url, log, ids)


async def test_workers_of_one_folder_share_a_log_and_read_each_others_decisions(
    redis_url: str, tmp_path: Path, new_server: Callable[..., Server]
) -> None:
    server = new_server()
    async with (
        DecisionLog.open(data_dir=tmp_path, redis_url=server.url) as one,
        DecisionLog.open(data_dir=tmp_path, redis_url=server.url) as other,
    ):
        await delivered(one)
        server.signal(signal.SIGSTOP)
        record = a_record()
        end(one, record)
        assert await other.get(record["id"]) == record, "from the spool of its neighbour"
        server.signal(signal.SIGCONT)
        ids = await asyncio.gather(traffic(one, 0.5), traffic(other, 0.5))
        await delivered(one)
        await delivered(other)
        (row,) = await one.costs(group_by=())
    assert row["requests"] == 1 + len(ids[0]) + len(ids[1])


async def test_an_outage_too_long_for_memory_waits_on_disk_in_order(
    new_server: Callable[..., Server], tmp_path: Path
) -> None:
    server = new_server()
    server.kill()
    count = backlog.MAX_IN_MEMORY * 2 + 500
    async with DecisionLog.open(data_dir=tmp_path, redis_url=server.url) as log:
        ids = [str(number) for number in range(count)]
        for name in ids:
            end(log, {"id": name, "cost_usd": "0.000000000001"})
            if int(name) % 500 == 0:
                await asyncio.sleep(0)
        assert log.status().pending == count
        assert await log.get("7") == {"id": "7", "cost_usd": "0.000000000001"}
        server.start()
        more = [str(count + number) for number in range(500)]
        for name in more:
            end(log, {"id": name, "cost_usd": "0.000000000001"})
            await asyncio.sleep(0.001)
        await delivered(log, within_s=30)
        await expect_exactly(server.url, log, ids + more)


async def test_an_outage_is_one_line_in_the_log_and_its_end_another(
    new_server: Callable[..., Server], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    server = new_server()
    async with DecisionLog.open(data_dir=tmp_path, redis_url=server.url) as log:
        await traffic(log, 0.2)
        server.kill()
        await traffic(log, 1.5)
        server.start()
        await delivered(log)
    lines = [record.getMessage() for record in caplog.records if record.name == "gateway.shipper"]
    assert len(lines) == 2
    assert lines[0] == "Redis cannot be reached; decisions wait in the spool"
    assert lines[1].startswith("Redis answers again")
    assert not any(record.exc_info for record in caplog.records)


async def test_closing_delivers_what_waits(redis_url: str, tmp_path: Path) -> None:
    async with DecisionLog.open(data_dir=tmp_path, redis_url=redis_url) as log:
        ids = await traffic(log, 0.2)
    assert await stream_ids(redis_url) == ids


async def test_closing_without_redis_is_quick_and_the_next_start_delivers(
    new_server: Callable[..., Server], tmp_path: Path
) -> None:
    server = new_server()
    server.kill()
    began = time.monotonic()
    async with DecisionLog.open(data_dir=tmp_path, redis_url=server.url) as log:
        ids = await traffic(log, 0.2)
    assert time.monotonic() - began < 3
    server.start()
    async with DecisionLog.open(data_dir=tmp_path, redis_url=server.url) as log:
        await asyncio.sleep(0.2)
        await delivered(log)
        await expect_exactly(server.url, log, ids)
