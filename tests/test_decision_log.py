"""The log as the gateway uses it: begin, end, read; also without a disk, a Redis, or both."""

import asyncio
import json
import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gateway import decision_log, money
from gateway.decision_log import DecisionLog, LogUnavailable
from gateway.filters import parse_time
from gateway.redis_connection import connect
from tests import log_fixtures
from tests.log_fixtures import Server, a_client, a_record, begin, begun, delivered, end

shared_server, redis_url = log_fixtures.shared_server, log_fixtures.redis_url
new_server = log_fixtures.new_server
pytestmark = pytest.mark.anyio

NO_REDIS = "unix:///nowhere/redis.sock"


async def filled(log: DecisionLog, *records: dict[str, Any]) -> None:
    for record in records:
        begin(log, begun(record))
        end(log, record)
    await delivered(log)


async def test_a_decision_is_readable_as_soon_as_it_ended(redis_url: str, tmp_path: Path) -> None:
    record = a_record(content={"messages": [{"role": "user", "content": "hi"}]}, new_field=[1])
    async with DecisionLog.open(data_dir=tmp_path, redis_url=redis_url) as log:
        begin(log, begun(record))
        assert await log.get(record["id"]) is None
        end(log, record)
        assert await log.get(record["id"]) == record
        await delivered(log)
        assert await log.get(record["id"]) == record
        assert await log.get("none") is None


async def test_lists_and_totals_follow_within_two_seconds(redis_url: str, tmp_path: Path) -> None:
    async with DecisionLog.open(data_dir=tmp_path, redis_url=redis_url) as log:
        await delivered(log)
        await asyncio.sleep(0.2)
        end(log, a_record())
        began = time.monotonic()
        while not await log.costs(group_by=("model",)):
            assert time.monotonic() - began < 2
        assert len((await log.decisions(filters={}, limit=5, cursor=None)).data) == 1


async def test_a_stream_entry_is_readable_by_a_person(redis_url: str, tmp_path: Path) -> None:
    record = a_record(tags=["a", "b"], session=None, content="long", zebra="x", alpha="1")
    async with DecisionLog.open(data_dir=tmp_path, redis_url=redis_url) as log:
        await filled(log, record, a_record())
        async with a_client(redis_url) as redis:
            (_, other), (_, entry) = await redis.xrevrange("hydra:decisions")
            ttl = await redis.ttl(f"hydra:decision:{record['id']}")
    names = list(entry)
    assert names[:6] == ["ts", "id", "status", "reason", "chosen", "served_by"]
    assert names[-2:] == ["alpha", "zebra"]
    assert names[:-2] == list(other), "the same fields in the same order"
    assert set(names) == record.keys() - {"content"} | {"error"}
    assert entry["cost_usd"] == "0.000164"
    assert entry["session"] == ""
    assert entry["tags"] == '["a","b"]'
    assert entry["stream"] == "true"
    assert 29 * 86_400 < ttl <= 30 * 86_400


async def test_a_listed_decision_has_its_types_back(redis_url: str, tmp_path: Path) -> None:
    record = a_record(tags=["a"], zebra="x", alpha="1", beta=None, gamma="")
    async with DecisionLog.open(data_dir=tmp_path, redis_url=redis_url) as log:
        await filled(log, record)
        page = await log.decisions(filters={}, limit=1, cursor=None)
    assert page.data == [record | {"error": None}]


async def test_pages_are_newest_first_and_go_on_exactly_where_the_last_one_ended(
    redis_url: str, tmp_path: Path
) -> None:
    records = [a_record(mode="iso" if n % 3 else "peak") for n in range(60)]
    wanted = [record["id"] for record in reversed(records) if record["mode"] == "peak"]
    found: list[str] = []
    async with DecisionLog.open(data_dir=tmp_path, redis_url=redis_url) as log:
        await filled(log, *records)
        cursor = None
        while True:
            page = await log.decisions(filters={"mode": "peak"}, limit=7, cursor=cursor)
            found += [record["id"] for record in page.data]
            await filled(log, a_record(mode="peak"))  # newer ones don't move the older
            if not page.has_more:
                assert page.next_cursor is None
                break
            cursor = page.next_cursor
    assert found == wanted


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        pytest.param({"model": "b"}, [2], id="the model that served"),
        pytest.param({"model": "a"}, [1, 0], id="the chosen model if none served"),
        pytest.param({"key": "bob"}, [1], id="key"),
        pytest.param({"session": "s"}, [0], id="session"),
        pytest.param({"status": "error"}, [1], id="status"),
        pytest.param({"reason": "fallback"}, [2], id="reason"),
        pytest.param({"tag": "y"}, [2, 0], id="one of the tags"),
        pytest.param({"tag": "y", "model": "a"}, [0], id="all filters must match"),
        pytest.param({"since": "2026-01-02T00:00:00Z"}, [2, 1], id="since is included"),
        pytest.param({"until": "2026-01-02T00:00:00Z"}, [0], id="until is not"),
        pytest.param({"since": "1767312000", "until": "1767312001"}, [1], id="unix seconds"),
        pytest.param({"model": "none"}, [], id="nothing matches"),
        pytest.param({"pool": "other"}, [1], id="pool"),
        pytest.param({"user": "mary"}, [2], id="user"),
        pytest.param({"session": "", "user": ""}, [1], id="an empty value is none"),
    ],
)
async def test_decisions_can_be_filtered(
    redis_url: str, tmp_path: Path, filters: dict[str, str], expected: list[int]
) -> None:
    records = [
        a_record(ts="2026-01-01T10:00:00.000Z", served_by="a", session="s", tags=["x", "y"]),
        a_record(
            ts="2026-01-02T00:00:00.000Z",
            served_by=None,
            chosen="a",
            key_id="bob",
            status="error",
            pool="other",
        ),
        a_record(
            ts="2026-01-03T10:00:00Z",
            chosen="a",
            served_by="b",
            reason="fallback",
            tags=["y"],
            user="mary",
        ),
    ]
    ids = [record["id"] for record in records]
    async with DecisionLog.open(data_dir=tmp_path, redis_url=redis_url) as log:
        await filled(log, *records)
        page = await log.decisions(filters=filters, limit=10, cursor=None)
    assert [ids.index(record["id"]) for record in page.data] == expected


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"filters": {"colour": "red"}}, "colour"),
        ({"filters": {"since": "yesterday"}}, "since"),
        ({"limit": 0}, "limit"),
        ({"cursor": "abc"}, "cursor"),
    ],
)
async def test_a_wrong_question_is_named(
    redis_url: str, tmp_path: Path, arguments: dict[str, Any], named: str
) -> None:
    async with DecisionLog.open(data_dir=tmp_path, redis_url=redis_url) as log:
        question: dict[str, Any] = {"filters": {}, "limit": 10, "cursor": None}
        with pytest.raises(ValueError, match=named):
            await log.decisions(**question | arguments)
        with pytest.raises(ValueError, match="colour"):
            await log.costs(group_by=("colour",))
        with pytest.raises(ValueError, match="group_by: tag and user are summed up apart"):
            await log.costs(group_by=("user", "model", "tag"))
        with pytest.raises(ValueError, match="group_by: session is summed up by the day"):
            await log.costs(group_by=("hour", "session"))


def some_records(seed: int, count: int) -> list[dict[str, Any]]:
    """Different in all that is summed or grouped by."""
    chance = random.Random(seed)
    records = []
    for _ in range(count):
        cost = Decimal(chance.randrange(10**10)).scaleb(-12) if chance.random() < 0.9 else None
        base = Decimal(chance.randrange(10**11)).scaleb(-12) if chance.random() < 0.9 else None
        savings = None if cost is None or base is None else base - cost
        at = datetime(2026, 2, 27, tzinfo=UTC) + timedelta(minutes=chance.randrange(4 * 1440))
        records.append(
            a_record(
                ts=at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
                served_by=chance.choice(["a", "b/c", 'odd "name" requests', None]),
                chosen="a",
                key_id=chance.choice(["alice", "bob", None]),
                mode=chance.choice(["iso", "peak", None]),
                pool=chance.choice(["default", "local"]),
                session=chance.choice(["s1", "s2", None]),
                tags=chance.sample(["x", "y", "z z"], chance.randrange(3)),
                **({"user": chance.choice(["mary", "u" * 256])} if chance.random() < 0.7 else {}),
                cost_usd=money.to_text(cost),
                cost_status="unknown" if cost is None else "exact",
                baseline_cost_usd=money.to_text(base),
                savings_usd=money.to_text(savings),
                usage=chance.choice([None, {"prompt": chance.randrange(99), "completion": 7}]),
            )
        )
    return records


def summed(records: list[dict[str, Any]], group_by: tuple[str, ...]) -> list[dict[str, Any]]:
    """The rows, from the records themselves."""
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = defaultdict(list)
    for record in records:
        for tag in (record["tags"] or [""]) if "tag" in group_by else [""]:
            values = {
                "model": record["served_by"] or record["chosen"],
                "key": record["key_id"] or "",
                "mode": record["mode"] or "",
                "pool": record["pool"],
                "session": record["session"] or "",
                "user": record.get("user", ""),
                "tag": tag,
                "day": record["ts"][:10],
                "hour": record["ts"][:13] + ":00:00Z",
            }
            groups[tuple(values[name] for name in group_by)].append(record)

    def total(of: list[dict[str, Any]], name: str) -> str | None:
        known = [Decimal(record[name]) for record in of if record[name] is not None]
        return money.to_text(sum(known, Decimal(0))) if known else None

    return [
        dict(zip(group_by, group, strict=True))
        | {
            "requests": len(of),
            "prompt_tokens": sum((record["usage"] or {"prompt": 0})["prompt"] for record in of),
            "completion_tokens": sum(7 for record in of if record["usage"]),
            "cost_usd": total(of, "cost_usd"),
            "baseline_cost_usd": total(of, "baseline_cost_usd"),
            "savings_usd": total(of, "savings_usd"),
            "unknown_cost_requests": sum(record["cost_usd"] is None for record in of),
        }
        for group, of in groups.items()
    ]


def as_set(rows: list[dict[str, Any]]) -> list[str]:
    return sorted(json.dumps(row, sort_keys=True) for row in rows)


async def test_costs_equal_the_sums_over_the_records_to_the_last_digit(
    redis_url: str, tmp_path: Path
) -> None:
    records = some_records(seed=1, count=600)
    async with DecisionLog.open(data_dir=tmp_path, redis_url=redis_url) as log:
        await filled(log, *records)
        for group_by in (
            *((), ("model",), ("key",), ("mode",), ("tag",), ("day",), ("hour",)),
            *(("model", "tag"), ("day", "key", "mode"), ("hour", "tag"), ("day", "hour", "model")),
            *(("pool",), ("user",), ("session",), ("pool", "hour"), ("pool", "tag", "day")),
            *(("model", "key", "mode", "pool", "user"), ("day", "session"), ("user", "pool")),
        ):
            rows = await log.costs(group_by=group_by)
            assert as_set(rows) == as_set(summed(records, group_by)), group_by
        for since, until in (
            ("2026-02-28T05:00:00Z", "2026-03-01T11:00:00Z"),
            ("2026-02-28T00:00:00Z", "2026-03-01T00:00:00Z"),
            ("2026-02-28T05:30:00Z", "2026-02-28T05:40:00Z"),  # an hour counts whole
            ("2026-03-01T00:00:00Z", None),
            (None, "2026-02-28T01:00:00Z"),
        ):
            first = since and since[:13]
            last = until and ("2026-02-28T06" if "40" in until else until[:13])
            inside = [
                record
                for record in records
                if (not first or record["ts"][:13] >= first)
                and (not last or record["ts"][:13] < last)
            ]
            for group_by in (("model",), ("hour",), ("day", "tag")):
                rows = await log.costs(group_by=group_by, since=since, until=until)
                assert as_set(rows) == as_set(summed(inside, group_by)), (since, until)
            days = [  # by user and session, the days count whole
                record
                for record in records
                if (not since or record["ts"][:10] >= since[:10])
                and (not until or f"{record['ts'][:10]}T00:00:00Z" < until)
            ]
            for group_by in (("user",), ("session", "day")):
                rows = await log.costs(group_by=group_by, since=since, until=until)
                assert as_set(rows) == as_set(summed(days, group_by)), (since, until)


async def test_rollups_of_an_earlier_version_are_summed_up_without_pool_user_and_session(
    redis_url: str, tmp_path: Path
) -> None:
    day = "hydra:{hydra:decisions}:day"
    async with a_client(redis_url) as redis:
        await redis.zadd(f"{day}s", {"2026-01-01": 1767225600, "2026-01-02": 1767312000})
        for row, suffix in ((["a", "bob", "iso"], ""), (["a", "bob", "iso", "x"], "-tags")):
            await redis.hincrby(f"{day}{suffix}:2026-01-01", f"{json.dumps(row)} requests", 3)
    async with DecisionLog.open(data_dir=tmp_path, redis_url=redis_url) as log:
        await filled(log, a_record(ts="2026-01-02T10:00:00Z", served_by="a", tags=["x"], user="u"))
        for name, new in {"pool": "default", "user": "u", "session": "", "tag": "x"}.items():
            rows = await log.costs(group_by=(name,))
            old = "x" if name == "tag" else ""
            counted = Counter({old: 3})
            counted[new] += 1
            assert {row[name]: row["requests"] for row in rows} == counted
            assert [row["requests"] for row in await log.costs(group_by=("model",))] == [4]


async def test_rows_come_newest_first_then_costliest(redis_url: str, tmp_path: Path) -> None:
    async with DecisionLog.open(data_dir=tmp_path, redis_url=redis_url) as log:
        await filled(log, *some_records(seed=2, count=200))
        rows = await log.costs(group_by=("day", "model"))
    order = [(row["day"], Decimal(row["cost_usd"] or 0)) for row in rows]
    assert order == sorted(order, reverse=True)


async def test_money_is_exact_where_a_double_is_not(redis_url: str, tmp_path: Path) -> None:
    dear, cheap = "9007.199254740993", "0.000000000001"
    async with DecisionLog.open(data_dir=tmp_path, redis_url=redis_url) as log:
        await filled(log, a_record(cost_usd=dear), a_record(cost_usd=cheap))
        (row,) = await log.costs(group_by=("model",))
    assert row["cost_usd"] == "9007.199254740994"


async def test_odd_records_are_logged_and_spoil_no_total(redis_url: str, tmp_path: Path) -> None:
    odd = [
        a_record(cost_usd="much", usage="many", tags="none", ts="once"),
        a_record(cost_usd="1e30", usage={"prompt": -1, "completion": "2"}, tags=[None, 7]),
        a_record(cost_usd=Decimal("NaN"), savings_usd=float("inf"), mode=3),
        {"id": "bare"},
    ]
    async with DecisionLog.open(data_dir=tmp_path, redis_url=redis_url) as log:
        await filled(log, *odd, a_record(cost_usd="0.5"))
        (row,) = await log.costs(group_by=())
        page = await log.decisions(filters={}, limit=10, cursor=None)
    assert (row["requests"], row["cost_usd"], row["unknown_cost_requests"]) == (5, "0.5", 4)
    assert len(page.data) == 5


@pytest.mark.parametrize("name", ["tag", "user", "session"])
async def test_a_flood_of_values_ends_in_one_row(redis_url: str, tmp_path: Path, name: str) -> None:
    values = [f"request-{n}" for n in range(3000)]
    records = [
        a_record(**{"tags": [value]} if name == "tag" else {name: value}, cost_usd="0.001")
        for value in values
    ]
    async with DecisionLog.open(data_dir=tmp_path, redis_url=redis_url) as log:
        await filled(log, *records)
        rows = await log.costs(group_by=(name,))
    assert len(rows) < 1500
    assert sum(row["requests"] for row in rows) == 3000
    assert sum(Decimal(row["cost_usd"]) for row in rows) == 3
    assert rows[0][name] == "(other)"


async def test_the_stream_is_capped_and_the_totals_are_not(redis_url: str, tmp_path: Path) -> None:
    async with DecisionLog.open(data_dir=tmp_path, redis_url=redis_url, stream_max_len=100) as log:
        await filled(log, *(a_record() for _ in range(1000)))
        async with a_client(redis_url) as redis:
            assert 100 <= await redis.xlen("hydra:decisions") < 300
        (row,) = await log.costs(group_by=())
    assert row["requests"] == 1000


async def test_an_end_counts_once(
    redis_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    record = a_record()
    async with DecisionLog.open(data_dir=tmp_path, redis_url=redis_url) as log:
        await filled(log, record)
        end(log, record | {"status": "error"})
        await delivered(log)
        (row,) = await log.costs(group_by=())
    assert row["requests"] == 1
    assert "ended twice" in caplog.text


async def test_an_end_in_the_finally_of_a_cancelled_task_is_kept(
    redis_url: str, tmp_path: Path
) -> None:
    record = a_record(status="aborted", disconnected=True)

    async def stream(log: DecisionLog) -> None:
        begin(log, begun(record))
        try:
            await asyncio.sleep(60)
        finally:
            end(log, record)

    async with DecisionLog.open(data_dir=tmp_path, redis_url=redis_url) as log:
        task = asyncio.create_task(stream(log))
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert await log.get(record["id"]) == record


async def test_without_redis_requests_are_taken_and_reads_say_so_soon(tmp_path: Path) -> None:
    record = a_record()
    async with DecisionLog.open(data_dir=tmp_path, redis_url=NO_REDIS) as log:
        begin(log, begun(record))
        end(log, record)
        assert await log.get(record["id"]) == record
        began = time.monotonic()
        with pytest.raises(LogUnavailable, match="Redis cannot be reached"):
            await log.get("another")
        with pytest.raises(LogUnavailable):
            await log.decisions(filters={}, limit=10, cursor=None)
        with pytest.raises(LogUnavailable):
            await log.costs(group_by=("model",))
        assert time.monotonic() - began < 2
        await asyncio.sleep(0.1)
        status = log.status()
    assert (status.redis_reachable, status.pending, status.spool_writable) == (False, 1, True)
    assert status.last_error == "Redis cannot be reached"


async def test_a_full_spool_and_a_healthy_redis_lose_nothing(
    redis_url: str, tmp_path: Path
) -> None:
    records = [a_record() for _ in range(50)]
    async with DecisionLog.open(data_dir=tmp_path, redis_url=redis_url, spool_max_bytes=0) as log:
        await delivered(log)
        for record in records:
            begin(log, begun(record))
        assert log.status().spool_writable is False
        for record in records:
            end(log, record)
        assert await log.get(records[0]["id"]) == records[0]
        await delivered(log)
        (row,) = await log.costs(group_by=())
    assert row["requests"] == 50


async def test_a_full_spool_without_redis_refuses_new_requests_and_keeps_running_ones(
    tmp_path: Path, new_server: Callable[..., Server]
) -> None:
    server = new_server()
    running = a_record()
    (tmp_path / "spool").write_text("a file where a folder should be: nothing can be written")
    async with DecisionLog.open(data_dir=tmp_path, redis_url=server.url) as log:
        await delivered(log)
        begin(log, begun(running))
        server.kill()
        await asyncio.sleep(1.2)  # an idle shipper asks once a second
        assert not log.status().redis_reachable
        with pytest.raises(LogUnavailable, match="takes no records"):
            begin(log, begun(a_record()))
        end(log, running)
        assert await log.get(running["id"]) == running
        server.start()
        await delivered(log)
        (row,) = await log.costs(group_by=())
    assert row["requests"] == 1


async def test_memory_without_a_disk_is_bounded(redis_url: str, tmp_path: Path) -> None:
    async with DecisionLog.open(data_dir=tmp_path, redis_url=redis_url, spool_max_bytes=0) as log:
        await delivered(log)
        for number in range(decision_log.MAX_UNSPOOLED_RUNNING):
            begin(log, {"id": str(number)})
        with pytest.raises(LogUnavailable, match="memory is full"):
            begin(log, {"id": "one more"})


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://user:secret@host", "must start with one of redis://"),
        ("secret", "must start with"),
        ("redis://:secret@host:port/0", "cannot be read"),
        ("unix://", "names no socket"),
    ],
)
def test_a_wrong_redis_url_is_explained_without_its_password(url: str, said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        connect(url)
    assert "secret" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


async def test_a_refused_password_is_said_without_it(tmp_path: Path, redis_url: str) -> None:
    url = redis_url.replace("unix://", "unix://someone:hunter2@")
    async with DecisionLog.open(data_dir=tmp_path, redis_url=url) as log:
        await asyncio.sleep(0.1)
        assert log.status().last_error == "Redis refused our credentials"
        with pytest.raises(LogUnavailable, match="refused our credentials") as caught:
            await log.costs(group_by=())
    assert "hunter2" not in str(caught.value)


def test_times_are_read_with_and_without_a_zone() -> None:
    noon = datetime(2026, 11, 23, 12, tzinfo=UTC)
    for text in ("2026-11-23T12:00:00Z", "2026-11-23T14:00+02:00", "2026-11-23 12:00"):
        assert parse_time("since", text) == noon
    assert parse_time("since", "2026-11-23") == noon.replace(hour=0)
    assert parse_time("since", noon.timestamp()) == noon
