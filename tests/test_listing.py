"""Filtered pages come from the indexes, and are what reading the whole stream would find."""

import random
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from gateway.decision_log import DecisionLog
from gateway.filters import BUCKETS, SHARED
from gateway.listing import Listing, Page, id_order
from tests import log_fixtures
from tests.log_fixtures import a_client, a_record, deliver, end

shared_server, redis_url = log_fixtures.shared_server, log_fixtures.redis_url
pytestmark = pytest.mark.anyio

INDEXES = "hydra:{hydra:decisions}:*index:*"


async def begun_by_an_earlier_version(redis: Any, records: list[dict[str, Any]]) -> None:
    """It had neither indexes nor the newest ids of hours."""
    if records:
        await deliver(redis, records)
        new = ("hydra:{hydra:decisions}:indexed", "hydra:{hydra:decisions}:newest")
        await redis.delete(*await redis.keys(INDEXES), *new)


async def walk(log: DecisionLog, limit: int, **filters: str) -> list[str]:
    """The ids of every page."""
    ids: list[str] = []
    cursor = None
    while True:
        page = await log.decisions(filters=filters, limit=limit, cursor=cursor)
        assert len(page.data) <= limit
        ids += [record["id"] for record in page.data]
        if not page.has_more:
            assert page.next_cursor is None
            return ids
        cursor = page.next_cursor


def matching(records: list[dict[str, Any]], filters: Mapping[str, str]) -> list[str]:
    """The ids, newest first, from the records themselves."""
    names = {"key": "key_id"}

    def fits(record: dict[str, Any], name: str, value: str) -> bool:
        match name:
            case "model":
                return (record["served_by"] or record["chosen"]) == value
            case "tag":
                return value in record["tags"]
            case "since":
                return record["ts"] >= value
            case "until":
                return record["ts"] < value
        return (record.get(names.get(name, name)) or "") == value

    return [
        record["id"]
        for record in reversed(records)
        if all(fits(record, name, value) for name, value in filters.items())
    ]


def some_records(seed: int, count: int) -> list[dict[str, Any]]:
    chance = random.Random(seed)
    return [
        a_record(
            ts=f"2026-01-0{1 + 9 * n // count}T10:00:00.000Z",
            served_by=chance.choice(["a", "b/c", 'odd {"name"}: \N{SNOWMAN}' * 9, None]),
            chosen=chance.choice(["a", "b/c"]),
            key_id=chance.choice(["alice", "bob", None]),
            mode=chance.choice(["iso", "peak", None]),
            status=chance.choice(["ok"] * 9 + ["error"]),
            reason="fallback" if chance.random() < 0.01 else "pinned",
            pool=chance.choice(["default", "local"]),
            session=chance.choice([None, *(f"s{n}" for n in range(40))]),
            tags=chance.sample(["x", "y", "a tag", "plumless", "buckeroo"], chance.randrange(4)),
            **({"user": f"u{chance.randrange(3)}"} if chance.random() < 0.7 else {}),
        )
        for n in range(count)
    ]


QUESTIONS: list[dict[str, str]] = [
    *({"model": model} for model in ("a", "b/c", 'odd {"name"}: \N{SNOWMAN}' * 9, "none")),
    *({"key": "bob"}, {"mode": "peak"}, {"status": "error"}, {"reason": "fallback"}),
    *({"pool": "local"}, {"session": "s7"}, {"user": "u1"}, {"user": "nobody"}),
    *({"tag": tag} for tag in ("x", "a tag", "plumless", "buckeroo", "none")),
    *({"mode": ""}, {"mode": "", "model": "a"}, {}),
    *({"status": "error", "tag": "x"}, {"session": "s1", "user": "u2", "mode": "iso"}),
    *({"tag": "plumless", "session": "s3"}, {"reason": "fallback", "key": "alice"}),
    *({"since": "2026-01-04", "until": "2026-01-06T00:00:00Z", "model": "a"},),
    *({"until": "2026-01-03"}, {"until": "2026-01-08", "session": "s3"}, {"until": "2025-01-01"}),
    *({"model": "a", "key": "bob", "mode": "iso", "status": "ok", "pool": "local", "tag": "y"},),
]


@pytest.mark.parametrize("old", [0, 250], ids=["indexed", "begun by an earlier version"])
async def test_a_filtered_page_is_what_reading_everything_would_find(
    redis_url: str, tmp_path: Path, old: int
) -> None:
    """ "plumless" and "buckeroo" have the same hash."""
    records = some_records(seed=old, count=500)
    async with a_client(redis_url) as redis:
        await begun_by_an_earlier_version(redis, records[:old])
        await deliver(redis, records[old:])
        async with DecisionLog.open(data_dir=tmp_path, redis_url=redis_url) as log:
            for filters in QUESTIONS:
                expected = matching(records, filters)
                for limit in (20, 1000):
                    assert await walk(log, limit, **filters) == expected, filters


@pytest.mark.parametrize("old", [0, 250], ids=["indexed", "begun by an earlier version"])
async def test_pages_without_time_to_look_come_to_the_same_end(redis_url: str, old: int) -> None:
    records = some_records(seed=old, count=500)
    async with a_client(redis_url) as redis:
        await begun_by_an_earlier_version(redis, records[:old])
        await deliver(redis, records[old:])
        listing = Listing(redis, scan_s=0)
        for filters in QUESTIONS:
            ids: list[str] = []
            page = Page(data=[], has_more=True, next_cursor=None)
            while page.has_more:
                before = page.next_cursor
                page = await listing.page(filters=filters, limit=10, cursor=before)
                assert not page.has_more or page.next_cursor != before
                ids += [record["id"] for record in page.data]
            assert ids == matching(records, filters), filters


async def test_a_rare_value_is_found_without_reading_the_stream(
    redis_url: str, tmp_path: Path
) -> None:
    rare = {"session": "s", "user": "u", "tags": ["t"], "served_by": "r", "key_id": "r"}
    rare |= {"mode": "peak", "reason": "fallback", "status": "error", "pool": "r"}
    records = [a_record(), a_record(**rare), *(a_record(session=f"{n}") for n in range(5000))]
    names = {"served_by": "model", "key_id": "key", "tags": "tag"}
    async with a_client(redis_url) as redis:
        await deliver(redis, records)
        async with DecisionLog.open(data_dir=tmp_path, redis_url=redis_url) as log:
            for name, value in rare.items():
                await redis.config_resetstat()
                filters = {names.get(name, name): value if isinstance(value, str) else value[0]}
                assert await walk(log, 50, **filters) == [records[1]["id"]]
                assert (await redis.info("stats"))["total_net_output_bytes"] < 30_000, filters


async def test_filters_that_have_nothing_in_common_come_to_an_end(
    redis_url: str, tmp_path: Path
) -> None:
    """More ids than one call of the script may look at."""
    halves = [{"served_by": "a", "tags": ["x"]}, {"served_by": "b", "tags": ["y"]}]
    records = [a_record(**halves[n % 2]) for n in range(5000)]
    async with a_client(redis_url) as redis:
        await deliver(redis, records)
        async with DecisionLog.open(data_dir=tmp_path, redis_url=redis_url) as log:
            assert await walk(log, 50, model="a", tag="y") == []
            assert len(await walk(log, 1000, model="a", tag="x")) == 2500
            page = await log.decisions(filters={"model": "a", "tag": "x"}, limit=1000, cursor=None)
            assert len(page.data) == 1000, "what is found fast fills a page"


async def test_a_page_until_a_time_begins_there(redis_url: str, tmp_path: Path) -> None:
    """What is delivered late lies among newer decisions, and is found all the same."""
    hours = [f"2026-01-{1 + n // 240:02}T{n // 10 % 24:02}:30:00.000Z" for n in range(3000)]
    records = [a_record(ts=ts, tags=["x"] if n % 3 else []) for n, ts in enumerate(hours)]
    late = a_record(ts="2026-01-02T05:10:00.000Z", tags=["x"])
    records.insert(600, late)
    async with a_client(redis_url) as redis:
        await deliver(redis, records)
        async with DecisionLog.open(data_dir=tmp_path, redis_url=redis_url) as log:
            for until in ("2026-01-01T07:00:00Z", "2026-01-02T05:20:00Z", "2026-01-03"):
                for others in ({}, {"tag": "x"}):
                    filters = {"until": until, **others}
                    assert await walk(log, 100, **filters) == matching(records, filters)
            assert await walk(log, 100, until="2025-12-31") == []
            await redis.config_resetstat()
            filters = {"until": "2026-01-01T04:00:00Z"}
            page = await log.decisions(filters=filters, limit=20, cursor=None)
            assert [record["id"] for record in page.data] == matching(records, filters)[:20]
            assert (await redis.info("stats"))["total_net_output_bytes"] < 100_000


async def test_newest_ids_of_hours_go_with_the_streams_last_entry_of_the_hour(
    redis_url: str,
) -> None:
    hours = [f"2026-01-01T{n // 100:02}" for n in range(2000)]
    async with a_client(redis_url) as redis:
        await deliver(redis, [a_record(ts=f"{hour}:30:00Z") for hour in hours], max_len=300)
        oldest = (await redis.xrange("hydra:decisions", count=1))[0][0]
        newest = await redis.hgetall("hydra:{hydra:decisions}:newest")
    first = newest.pop("first")
    assert hours[-1] in newest
    assert len(newest) < 8
    assert id_order(first) < id_order(oldest)


async def test_tags_of_one_record_that_share_an_index_are_all_found(
    redis_url: str, tmp_path: Path
) -> None:
    bucket = zlib.crc32(b"t") % BUCKETS
    twins = [f"{n}" for n in range(9000) if zlib.crc32(b"%d" % n) % BUCKETS == bucket][:3]
    records = [a_record(tags=["t", *twins]), a_record(tags=twins[:1]), a_record(tags=["t", "t"])]
    async with a_client(redis_url) as redis:
        await deliver(redis, records)
        async with DecisionLog.open(data_dir=tmp_path, redis_url=redis_url) as log:
            for tag in ("t", *twins):
                assert await walk(log, 5, tag=tag) == matching(records, {"tag": tag})


async def test_indexes_are_trimmed_with_the_stream(redis_url: str, tmp_path: Path) -> None:
    records = [a_record(session=f"{n % 50}", user="u", tags=["t"]) for n in range(5000)]
    async with a_client(redis_url) as redis:
        await deliver(redis, records[:10])
        await deliver(redis, [a_record(served_by="gone")])
        await deliver(redis, records[10:], max_len=300)
        kept = await redis.xlen("hydra:decisions")
        assert kept < 500
        async with DecisionLog.open(data_dir=tmp_path, redis_url=redis_url) as log:
            ids = [record["id"] for record in reversed(records)][:kept]
            for filters in ({"model": "model-a"}, {"user": "u"}, {"tag": "t"}):
                assert await walk(log, 100, **filters) == ids
            assert await walk(log, 100, model="gone") == []
        for key in await redis.keys(INDEXES):
            assert await redis.xlen(key) <= kept + 100, key


async def test_odd_values_are_indexed_as_they_are_stored(redis_url: str, tmp_path: Path) -> None:
    records = [
        a_record(mode=3, key_id=["list"], tags="text", user={"not": "text"}),
        a_record(session="\ud800half", user="\udfffhalf", tags=[None, 7, "", "\ud800"]),
        {"id": "bare"},
    ]
    async with a_client(redis_url) as redis:
        await deliver(redis, records)
        async with DecisionLog.open(data_dir=tmp_path, redis_url=redis_url) as log:
            assert await walk(log, 5, mode="3") == await walk(log, 5, key='["list"]')
            assert await walk(log, 5, mode="3") == [records[0]["id"]]
            assert await walk(log, 5, session="?half") == [records[1]["id"]]
            assert len(await walk(log, 5)) == 3


async def test_a_foreign_value_under_an_indexs_key_stops_no_delivery(
    redis_url: str, tmp_path: Path
) -> None:
    async with a_client(redis_url) as redis:
        await redis.set("hydra:{hydra:decisions}:index:mode:iso", "not a stream")
        async with DecisionLog.open(data_dir=tmp_path, redis_url=redis_url) as log:
            end(log, a_record())
            await log_fixtures.delivered(log)
            assert len(await walk(log, 5, model="model-a")) == 1
            assert len(await log.costs(group_by=())) == 1


async def test_shared_indexes_are_bounded_however_many_values_there_are(redis_url: str) -> None:
    records = [a_record(session=f"s{n}", user=f"u{n}", tags=[f"t{n}"]) for n in range(4000)]
    async with a_client(redis_url) as redis:
        await deliver(redis, records)
        keys = await redis.keys("hydra:{hydra:decisions}:shared-index:*")
    assert len(keys) <= len(SHARED) * BUCKETS
