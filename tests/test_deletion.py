"""Decisions of a user, a key or a session are deleted: all of them, only them, and for good."""

import asyncio
import json
import random
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from gateways import StartGateway
from test_chat_completions import ask
from test_serve import clean_environ, command
from upstream_stub import UpstreamStub

from gateway import delivery, spool_files
from gateway.decision import timestamp
from gateway.decision_log import DecisionLog
from gateway.deletion import ENTRIES_AT_ONCE, Deletion
from gateway.forgotten import DELETED, NAMES, NOBODY, Selection
from gateway.rollups import MEASURES
from gateway.spool import Spool
from gateway.spool_files import Event
from tests import log_fixtures
from tests.log_fixtures import (
    Server,
    a_client,
    a_record,
    begin,
    begun,
    deliver,
    delivered,
    end,
    stream_ids,
)
from tests.test_decision_log import as_set, summed
from tests.test_listing import walk

shared_server, redis_url = log_fixtures.shared_server, log_fixtures.redis_url
new_server = log_fixtures.new_server
ODD = 'mary "the \\ one"\n(ünd) \N{SNOWMAN} {x}*' + "y" * 200
GROUPS = [
    *(
        (),
        ("model",),
        ("day",),
        ("hour", "model"),
        ("mode", "pool", "day"),
        ("tag", "day"),
        ("key",),
    ),
    *(("key", "hour", "tag"), ("user",), ("session",), ("model", "key", "mode", "pool", "user")),
    ("day", "key", "session"),
]


def some_records(count: int, *, user: str = "mary") -> list[dict[str, Any]]:
    """Of three days, some keys, users and their sessions."""
    chance = random.Random(count)
    begin_at = datetime.now(UTC) - timedelta(days=3)
    records = []
    for number in range(count):
        name = chance.choice([user, "bob", None])
        record = a_record(
            ts=timestamp(begin_at + timedelta(days=3) * (number / count)),
            served_by=chance.choice(["a", "b/c", None]),
            key_id=chance.choice(["alice-key", "other-key", None]),
            mode=chance.choice(["iso", "peak", None]),
            pool=chance.choice(["default", "local"]),
            session=chance.choice([None, f"session {chance.randrange(3)} of {name}"[:250]]),
            tags=chance.sample(["x", "y"], chance.randrange(3)),
            cost_usd=f"0.00000000{chance.randrange(10**4):04}",
            usage={"prompt": chance.randrange(99), "completion": 7},
        )
        records.append(record if name is None else {**record, "user": name})
    return records


def covers(selection: Selection, record: dict[str, Any]) -> bool:
    return all(record.get(NAMES[name]) == value for name, value in selection.filters.items())


def renamed(record: dict[str, Any], selection: Selection) -> dict[str, Any]:
    """As the sums count it when it is deleted."""
    fields = [NAMES[name] for name in selection.taken]
    return record | {field: DELETED for field in fields if record.get(field)}


async def forget(redis: Any, selection: Selection) -> int:
    deleted = 0
    async for progress in Deletion(redis).forget(selection):
        deleted = progress.deleted
    return deleted


async def as_an_earlier_version_wrote(redis: Any) -> None:
    """No index; in the sums a field for each measure of a row."""
    tag = "hydra:{hydra:decisions}:"
    gone = [*await redis.keys(f"{tag}*index:*"), *await redis.keys(f"{tag}day-hours:*")]
    await redis.delete(*gone, f"{tag}indexed", f"{tag}newest")
    for key in [*await redis.keys(f"{tag}day*:*"), *await redis.keys(f"{tag}hour*:*")]:
        for row, text in (await redis.hgetall(key)).items():
            await redis.hdel(key, row)
            for measure, amount in zip(MEASURES, json.loads(text), strict=True):
                if amount is not None:
                    await redis.hset(key, f"{row} {measure}", amount)


async def where(redis: Any, name: str) -> list[str]:
    """The keys that have a text in their name or in what they hold."""
    spelt = {name, json.dumps(name, ensure_ascii=False)[1:-1], json.dumps(name)[1:-1]}
    spelt |= {json.dumps(each, ensure_ascii=False)[1:-1] for each in spelt}
    found = []
    async for key in redis.scan_iter(count=1000):
        match await redis.type(key):
            case "stream":
                held = "\n".join(
                    text
                    for _, entry in await redis.xrange(key)
                    for item in entry.items()
                    for text in item
                )
            case "hash":
                held = "\n".join(
                    text for item in (await redis.hgetall(key)).items() for text in item
                )
            case "string":
                held = await redis.get(key)
            case _:
                held = "\n".join(await redis.zrange(key, 0, -1))
        if any(each in key or each in held for each in spelt):
            found.append(key)
    return found


@pytest.mark.anyio
@pytest.mark.parametrize("old", [0, 150], ids=["", "begun by an earlier version"])
@pytest.mark.parametrize(
    "names",
    [
        {"user": "mary"},
        {"user": ODD},
        {"key": "alice-key"},
        {"session": "session 1 of mary"},
        {"key": "alice-key", "user": "mary"},
        {"key": "alice-key", "session": "session 1 of mary"},
        {"user": "mary", "session": "session 1 of mary"},
        {"user": DELETED},
        {"user": "nobody"},
    ],
    ids=str,
)
async def test_what_has_the_names_is_deleted_and_the_sums_stay_exact(
    redis_url: str, tmp_path: Path, names: dict[str, str], old: int
) -> None:
    selection = Selection(**names)
    records = some_records(400, user=names.get("user", "mary").replace("nobody", "mary"))
    gone = [record for record in records if covers(selection, record)]
    kept = [record for record in records if not covers(selection, record)]
    async with a_client(redis_url) as redis:
        if old:
            await deliver(redis, records[:old])
            await as_an_earlier_version_wrote(redis)
        await deliver(redis, records[old:])
        async with DecisionLog.open(data_dir=tmp_path, redis_url=redis_url) as log:
            for record in gone[:3] + kept[:3]:
                await log.feedback.give(record["id"], 0.5, "so so", key_id="judge")
            assert await log.forget(selection) == len(gone)
            assert await walk(log, 1000) == [record["id"] for record in reversed(kept)]
            for field, value in (("key", "alice-key"), ("mode", "iso"), ("user", "bob")):
                expected = [
                    r["id"] for r in reversed(kept) if r.get(NAMES.get(field, field)) == value
                ]
                assert await walk(log, 100, **{field: value}) == expected
            assert await walk(log, 100, **names) == []
            counted = kept + [renamed(record, selection) for record in gone]
            for group_by in GROUPS:
                rows = await log.costs(group_by=group_by)
                assert as_set(rows) == as_set(summed(counted, group_by)), group_by
            for record in gone[:20]:
                assert await log.get(record["id"]) is None
            joined = kept[:1]
            assert await log.get(joined[0]["id"]) == joined[0]
            await log.feedback.join(joined)
            assert joined[0].pop("feedback")["comment"] == "so so"
            assert await log.forget(selection) == 0
        left = await redis.keys("hydra:decision:*")
        assert {key.removeprefix("hydra:decision:") for key in left} == {r["id"] for r in kept}
        judged = await redis.keys("hydra:{hydra:decisions}:feedback:*")
        assert {key.rpartition(":")[2] for key in judged} == {r["id"] for r in kept[:3]}


@pytest.mark.anyio
@pytest.mark.parametrize(
    "names",
    [
        *({"user": "mary"}, {"user": ODD}, {"user": "long " * 80}, {"key": "alice-key"}),
        *({"key": ODD}, {"key": "long " * 80}, {"session": ODD}),
    ],
    ids=str,
)
async def test_the_name_is_nowhere_in_redis_afterwards(
    redis_url: str, names: dict[str, str]
) -> None:
    ((name, value),) = names.items()
    mine = {NAMES[name]: value}
    records = [a_record(), *(a_record(tags=["t"], **mine) for _ in range(150)), a_record()]
    async with a_client(redis_url) as redis:
        await deliver(redis, records)
        old = json.dumps(["m", value if name == "key" else "k", "iso"])
        await redis.hincrby("hydra:{hydra:decisions}:day:2026-01-01", f"{old} requests", 3)
        await redis.zadd("hydra:{hydra:decisions}:days", {"2026-01-01": 1767225600})
        if name == "key":
            judged = {"score": 1, "key_id": value, "ts": "2026-01-01"}
            text = json.dumps(judged, ensure_ascii=False)
            await redis.set("hydra:{hydra:decisions}:feedback:gone", text)
        assert await where(redis, value)
        assert await forget(redis, Selection(**names)) == 150
        assert await where(redis, value[:200]) == []
        assert await redis.xlen("hydra:decisions") == 2


@pytest.mark.anyio
async def test_a_users_sessions_lose_their_names_and_other_users_keep_theirs(
    redis_url: str, tmp_path: Path
) -> None:
    sessions = {"mary": ["hers", DELETED], "bob": ["his"]}
    records = [a_record(user=user, session=name) for user in sessions for name in sessions[user]]
    async with a_client(redis_url) as redis:
        await deliver(redis, records)
        async with DecisionLog.open(data_dir=tmp_path, redis_url=redis_url) as log:
            assert await log.forget(Selection(user="mary")) == 2
            assert await where(redis, "hers") == []
            rows = await log.costs(group_by=("session",))
            assert {row["session"]: row["requests"] for row in rows} == {DELETED: 2, "his": 1}


@pytest.mark.anyio
async def test_whole_records_go_though_the_stream_has_dropped_them(redis_url: str) -> None:
    records = [a_record(user="mary", session=f"hers {n // 100}") for n in range(500)]
    records.append(a_record())
    async with a_client(redis_url) as redis:
        await deliver(redis, records, max_len=100)
        assert await redis.xlen("hydra:decisions") < 200
        assert await forget(redis, Selection(user="mary")) == 500
        assert await redis.keys("hydra:decision:*") == [f"hydra:decision:{records[-1]['id']}"]
        assert await where(redis, "hers") == []


@pytest.mark.anyio
async def test_large_whole_records_are_searched_too(redis_url: str) -> None:
    content = {"messages": [{"role": "user", "content": "I am mary. " * 30_000}]}
    records = [a_record(content=content, user=("mary", "bob")[n % 2]) for n in range(20)]
    async with a_client(redis_url) as redis:
        for record in records:
            await redis.set(f"hydra:decision:{record['id']}", spool_files.to_json(record))
        assert await forget(redis, Selection(user="mary")) == 10
        left = await redis.keys("hydra:decision:*")
        assert {key.rpartition(":")[2] for key in left} == {r["id"] for r in records[1::2]}


@pytest.mark.anyio
async def test_an_index_of_entries_that_the_stream_has_dropped_goes_with_its_key(
    redis_url: str,
) -> None:
    async with a_client(redis_url) as redis:
        await deliver(redis, [a_record(key_id="alice-key") for _ in range(20)])
        await deliver(redis, [a_record(key_id="bob") for _ in range(500)], max_len=100)
        assert await redis.xlen("hydra:{hydra:decisions}:index:key:alice-key") == 20
        await forget(redis, Selection(key="alice-key"))
        assert await where(redis, "alice-key") == []


@pytest.mark.anyio
async def test_what_was_interrupted_is_finished_by_doing_it_again(
    redis_url: str, tmp_path: Path
) -> None:
    """Interrupted after one step, then after two, and so on."""
    selection = Selection(key="alice-key")
    records = some_records(9 * ENTRIES_AT_ONCE)
    gone = [record for record in records if covers(selection, record)]
    counted = [renamed(r, selection) if covers(selection, r) else r for r in records]
    deleted, steps, is_finished = 0, 1, False
    async with a_client(redis_url) as redis:
        await deliver(redis, records, max_len=500)
        async with DecisionLog.open(data_dir=tmp_path, redis_url=redis_url) as log:
            while not is_finished:
                forgetting = Deletion(redis).forget(selection)
                so_far = 0
                for _ in range(steps):
                    try:
                        so_far = (await anext(forgetting)).deleted
                    except StopAsyncIteration:
                        is_finished = True
                        break
                await forgetting.aclose()  # type: ignore[attr-defined]
                deleted, steps = deleted + so_far, steps + 1
                rows = await log.costs(group_by=("model", "day"))
                assert as_set(rows) == as_set(summed(counted, ("model", "day")))
            assert steps > 5
            assert deleted == len(gone)
            for group_by in GROUPS:
                rows = await log.costs(group_by=group_by)
                assert as_set(rows) == as_set(summed(counted, group_by)), group_by
        assert await where(redis, "alice-key") == []


@pytest.mark.anyio
async def test_a_deletion_cut_off_by_an_outage_is_finished_by_doing_it_again(
    new_server: Callable[..., Server],
) -> None:
    server = new_server()
    async with a_client(server.url) as redis:
        await deliver(redis, [a_record(user="mary") for _ in range(2000)])
    ran = start_forgetting(server, "--user", "mary", "--yes")
    async with a_client(server.url) as redis:
        while await redis.xlen("hydra:decisions") > 1800:
            assert ran.poll() is None
    server.kill()
    _, errors = ran.communicate(timeout=30)
    assert ran.returncode == 1, errors
    assert errors.endswith("deleted: run it again\n")
    first = int(errors.rpartition("; ")[2].split()[0].replace(",", ""))
    server.start()
    ran = start_forgetting(server, "--user", "mary", "--yes", "--json")
    second = json.loads(ran.communicate(timeout=30)[0])["decisions"]
    # The answer about the last batch may have got lost.
    assert 2000 - ENTRIES_AT_ONCE <= first + second <= 2000
    async with a_client(server.url) as redis:
        assert await where(redis, "mary") == []


def start_forgetting(server: Server, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "gateway", "forget", *arguments],
        cwd=server.folder,
        env=clean_environ(HYDRA_REDIS_URL=server.url),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.anyio
async def test_records_in_spools_come_without_names_and_without_detail(
    redis_url: str, tmp_path: Path
) -> None:
    """Of a dead writer, of requests that still run here and elsewhere, and of one that died."""
    names = {"user": "mary", "session": "hers"}
    dead = Spool(tmp_path / "spool")
    left, died = a_record(user="mary"), a_record(**names)
    dead.append(dead.take_seq(), "begin", died["id"], spool_files.to_json(begun(died)))
    dead.append(dead.take_seq(), "end", left["id"], spool_files.to_json(left))
    dead.close()
    dead.folder.rename(tmp_path / "away")  # so that nobody delivers it yet
    open_log = DecisionLog.open
    async with (
        open_log(data_dir=tmp_path, redis_url=redis_url) as here,
        open_log(data_dir=tmp_path / "other", redis_url=redis_url) as elsewhere,
        a_client(redis_url) as redis,
    ):
        running = [a_record(**names), a_record(**names)]
        for log, record in zip((here, elsewhere), running, strict=True):
            begin(log, begun(record))
        await asyncio.sleep(0.01)
        assert await here.forget(Selection(user="mary")) == 0
        await asyncio.sleep(0.01)
        later = a_record(**names)
        for log, record in zip((here, elsewhere, here), [*running, later], strict=True):
            end(log, record)
        assert await here.get(running[0]["id"]) is None, "though it is in memory"
        (tmp_path / "away").rename(dead.folder)
        deadline = time.monotonic() + 10
        while (await here.costs(group_by=()) or [{"requests": 0}])[0]["requests"] < 5:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)
        assert await stream_ids(redis_url) == [later["id"]]
        assert await redis.keys("hydra:decision:*") == [f"hydra:decision:{later['id']}"]
        for record in (*running, left, died):
            assert await elsewhere.get(record["id"]) is None
            assert await here.get(record["id"]) is None
        users, sessions = {DELETED: 4, "mary": 1}, {DELETED: 3, "": 1, "hers": 1}
        for name, counted in (("user", users), ("session", sessions)):
            rows = await here.costs(group_by=(name,))
            assert {row[name]: row["requests"] for row in rows} == counted


@pytest.mark.anyio
async def test_a_neighbours_delivered_spool_does_not_answer_for_a_deleted_decision(
    redis_url: str, tmp_path: Path
) -> None:
    async with (
        DecisionLog.open(data_dir=tmp_path, redis_url=redis_url) as one,
        DecisionLog.open(data_dir=tmp_path, redis_url=redis_url) as other,
    ):
        mine, others = a_record(user="mary"), a_record()
        end(one, mine)
        end(one, others)
        await delivered(one)
        async with a_client(redis_url) as redis:
            await redis.delete(f"hydra:decision:{others['id']}")
            assert await other.get(others["id"]) == others, "this one comes from the spool"
            assert await forget(redis, Selection(user="mary")) == 1
        await asyncio.sleep(1.5)
        assert await one.get(mine["id"]) is None
        assert await other.get(mine["id"]) is None
        assert await other.get(others["id"]) == others


@pytest.mark.anyio
async def test_a_batch_on_its_way_is_sent_again_without_the_name(redis_url: str) -> None:
    """Its writer asked before the deletion, and asked again while it waited for the answer."""
    records = [a_record(user="mary"), a_record(user="bob")]
    await asyncio.sleep(0.01)
    events = [
        Event(seq=n, kind="end", id=record["id"], text=spool_files.to_json(record))
        for n, record in enumerate(records, 1)
    ]
    options: dict[str, Any] = {"after": 0, "stream_max_len": 10, "detail_ttl_s": 60}
    async with a_client(redis_url) as redis:
        _, known = await delivery.standing(redis, ["writer"])
        await forget(redis, Selection(user="mary"))
        answer = await delivery.deliver(redis, "writer", events, **options, forgotten=known)
        assert answer == (2, 0)
        assert await stream_ids(redis_url) == [records[1]["id"]]
        assert await redis.keys("hydra:decision:*") == [f"hydra:decision:{records[1]['id']}"]
        assert await where(redis, "mary") == []


@pytest.mark.anyio
async def test_what_comes_after_the_deletion_is_kept(redis_url: str, tmp_path: Path) -> None:
    async with DecisionLog.open(data_dir=tmp_path, redis_url=redis_url) as log:
        end(log, a_record(user="mary"))
        await delivered(log)
        await asyncio.sleep(0.01)
        assert await log.forget(Selection(user="mary")) == 1
        await asyncio.sleep(0.01)
        record = a_record(user="mary")
        end(log, record)
        await delivered(log)
        assert await log.get(record["id"]) == record
        assert await walk(log, 10, user="mary") == [record["id"]]


@pytest.mark.anyio
async def test_a_request_that_comes_during_the_deletion_is_kept(redis_url: str) -> None:
    before = [a_record(user="mary") for _ in range(6 * ENTRIES_AT_ONCE)]
    await asyncio.sleep(0.01)
    async with a_client(redis_url) as redis:
        await deliver(redis, before)
        steps = Deletion(redis).forget(Selection(user="mary"))
        assert (await anext(steps)).deleted == ENTRIES_AT_ONCE
        await asyncio.sleep(0.01)
        during = a_record(user="mary")
        await deliver(redis, [during])
        assert [step.deleted async for step in steps][-1] == len(before)
        assert await stream_ids(redis_url) == [during["id"]]
        assert await redis.keys("hydra:decision:*") == [f"hydra:decision:{during['id']}"]


@pytest.mark.anyio
async def test_deleting_while_gateways_write_takes_no_more_and_no_less(
    redis_url: str, tmp_path: Path
) -> None:
    ids = []
    is_over = False

    async def others(log: DecisionLog) -> None:
        while not is_over:
            record = a_record(user="bob", session="his", key_id="alice")
            end(log, record)
            ids.append(record["id"])
            await asyncio.sleep(0.002)

    async with DecisionLog.open(data_dir=tmp_path, redis_url=redis_url) as log:
        for _ in range(1500):
            end(log, a_record(user="mary", session="hers", key_id="alice"))
        await asyncio.sleep(0.01)
        writing = asyncio.create_task(others(log))
        deleted = await log.forget(Selection(user="mary"))
        is_over = True
        await writing
        await delivered(log)
        assert 0 <= deleted <= 1500, "what was still to be delivered never was in the log"
        assert await walk(log, 1000) == list(reversed(ids))
        for name, of_bob in (("user", "bob"), ("session", "his")):
            rows = await log.costs(group_by=(name,))
            assert {row[name]: row["requests"] for row in rows} == {of_bob: len(ids), DELETED: 1500}


@pytest.mark.anyio
async def test_a_tombstone_names_nobody_and_is_kept_for_ninety_days(redis_url: str) -> None:
    key = "hydra:{hydra:decisions}:forgotten"
    async with a_client(redis_url) as redis:
        await forget(redis, Selection(user="mary"))
        (name,) = set(await redis.hkeys(key)) - {"change"}
        now = int(await redis.hget(key, name))
        assert "mary" not in name
        assert abs(now - time.time() * 1000) < 5000
        day = 86_400_000
        await redis.hset(key, mapping={"user:a": now - 89 * day, "user:b": now - 91 * day})
        await forget(redis, Selection(key="k", user="bob"))
        kinds = sorted(field.partition(":")[0] for field in await redis.hkeys(key))
        assert kinds == ["change", "key+user", "user", "user"]
        assert not await redis.hexists(key, "user:b")


@pytest.mark.parametrize(
    ("names", "words"),
    [({}, "at least one"), ({"user": ""}, "user: must not be empty")],
    ids=["nothing", "an empty name"],
)
def test_a_selection_of_nothing_in_particular_is_refused(names: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Selection(**names)


def test_without_tombstones_no_record_is_forgotten() -> None:
    assert NOBODY.nameless(a_record(user="mary")) is None


def test_the_command_counts_asks_and_deletes(tmp_path: Path, redis_url: str) -> None:
    asyncio.run(_deliver(redis_url, [a_record(user="mary"), a_record(user="mary"), a_record()]))

    def run(*arguments: str, said: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "gateway", "forget", "--user", "mary", *arguments],
            cwd=tmp_path,
            env=clean_environ(HYDRA_REDIS_URL=redis_url),
            input=said,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    dry = run("--dry-run")
    assert (dry.returncode, dry.stdout) == (0, "2 decisions would be deleted\n")
    for said in ("", "n\n"):
        refused = run(said=said)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert "2 decisions of user 'mary', and the names in the sums" in refused.stderr
        assert refused.stderr.endswith("nothing was deleted; --yes does not ask\n")
    assert json.loads(run("--dry-run", "--json").stdout) == {"decisions": 2, "dry_run": True}
    assert run(said="y\n").stdout == "2 decisions were deleted\n"
    assert json.loads(run("--yes", "--json").stdout) == {"decisions": 0, "dry_run": False}


async def _deliver(url: str, records: list[dict[str, Any]]) -> None:
    async with a_client(url) as redis:
        await deliver(redis, records)


def test_the_command_without_a_name_is_wrong_usage(tmp_path: Path) -> None:
    ran = command("forget", "--yes", cwd=tmp_path)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr == "key, user, session: at least one of them is needed\n"


def of(gateway: Any, key: str) -> httpx.Client:
    client: httpx.Client = gateway.http(headers={"x-api-key": key})
    return client


def listed(http: httpx.Client, count: int) -> list[dict[str, Any]]:
    deadline = time.monotonic() + 10
    while len(found := http.get("/v1/decisions").json()["data"]) != count:
        assert time.monotonic() < deadline, found
        time.sleep(0.05)
    return list(found)


def test_a_key_deletes_its_own_decisions_and_the_admin_anybodys(
    start_gateway: StartGateway, new_server: Callable[..., Server], upstream: UpstreamStub
) -> None:
    gateway = start_gateway(
        HYDRA_REDIS_URL=new_server(appendonly=False).url,
        HYDRA_API_KEYS="alice=key-a,bob=key-b",
        HYDRA_ADMIN_KEY="admin-key",
    )
    with of(gateway, "key-a") as a, of(gateway, "key-b") as b, of(gateway, "admin-key") as admin:
        for http in (a, b):
            ask(http, user="mary", hydra={"session": "s"})
            ask(http)
        listed(admin, 4)
        refused = a.delete("/v1/decisions", params={"key": "bob"})
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "key")
        assert len(listed(admin, 4)) == 4
        assert a.delete("/v1/decisions?user=mary").json() == {"object": "deletion", "deleted": 1}
        assert [record["key_id"] for record in listed(admin, 3)].count("bob") == 2
        wanted = listed(b, 2)[0]["id"]
        assert b.delete("/v1/decisions?key=bob").json()["deleted"] == 2
        assert b.get(f"/v1/decisions/{wanted}").status_code == 404
        assert admin.delete("/v1/decisions?key=alice&session=none").json()["deleted"] == 0
        assert admin.delete("/v1/decisions?key=alice").json()["deleted"] == 1
        assert listed(admin, 0) == []
        rows = admin.get("/v1/costs?group_by=key").json()["data"]
        assert {row["key"]: row["requests"] for row in rows} == {DELETED: 4}


def test_without_an_admins_key_a_key_still_deletes_only_its_own(
    start_gateway: StartGateway, new_server: Callable[..., Server], upstream: UpstreamStub
) -> None:
    redis = new_server(appendonly=False)
    gateway = start_gateway(HYDRA_REDIS_URL=redis.url, HYDRA_API_KEYS="alice=key-a,bob=key-b")
    with of(gateway, "key-a") as a, of(gateway, "key-b") as b:
        for http in (a, b):
            ask(http, user="mary")
        listed(a, 2)
        assert b.delete("/v1/decisions?key=alice").status_code == 400
        assert b.delete("/v1/decisions?user=mary").json()["deleted"] == 1
        assert [record["key_id"] for record in listed(a, 1)] == ["alice"]


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("", "key, user, session"),
        ("user=", "user"),
        ("model=small", "model"),
        ("user=mary&limit=3", "limit"),
    ],
)
def test_a_deletion_that_is_not_understood_deletes_nothing(
    http: httpx.Client, query: str, param: str
) -> None:
    ask(http, user="mary")
    answer = http.delete(f"/v1/decisions?{query}")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
    assert http.delete("/v1/decisions?user=mary").status_code == 200
