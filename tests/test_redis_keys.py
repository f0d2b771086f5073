"""Every key is in the table, has the prefix and, where it must, shares the stream's slot."""

import re
from pathlib import Path

import pytest
from redis.crc import key_slot

from gateway import redis_keys
from gateway.decision_log import DecisionLog
from gateway.forgotten import Selection
from tests import log_fixtures
from tests.log_fixtures import a_client, a_record, delivered, end

shared_server, redis_url = log_fixtures.shared_server, log_fixtures.redis_url


TOGETHER = [
    redis_keys.POSITIONS,
    redis_keys.HOURS,
    redis_keys.DAYS,
    redis_keys.INDEXED,
    redis_keys.SCHEMA,
    redis_keys.FORGOTTEN,
    redis_keys.feedback("x"),
    redis_keys.index("model", "{odd} model"),
    redis_keys.shared_index("session", 1023),
    redis_keys.rollup("2026-11-23T18"),
    redis_keys.rollup("2026-11-23T18", "tag"),
    redis_keys.rollup("2026-11-23"),
    redis_keys.rollup("2026-11-23", "user"),
]


@pytest.mark.parametrize("key", TOGETHER)
def test_keys_that_change_with_the_stream_are_on_its_cluster_slot(key: str) -> None:
    assert key_slot(key.encode()) == key_slot(redis_keys.DECISIONS.encode())


def test_every_key_starts_with_the_prefix_and_is_explained() -> None:
    for key, kind, sentence in redis_keys.KEYS:
        assert key.startswith(redis_keys.PREFIX)
        assert kind in {"stream", "string", "hash", "sorted set"}
        assert sentence.endswith(".")


@pytest.mark.anyio
async def test_the_log_writes_no_key_and_no_type_that_the_table_does_not_name(
    redis_url: str, tmp_path: Path
) -> None:
    async with DecisionLog.open(data_dir=tmp_path, redis_url=redis_url) as log:
        record = a_record(tags=["x"], session="s", user="u")
        end(log, record)
        await delivered(log)
        await log.feedback.give(record["id"], 1.0, None, key_id=None)
        await log.forget(Selection(user="another"))
    table = {
        (re.compile(re.sub("<.*?>", "[^{}:]+", re.escape(key).replace(r"\<", "<"))), kind)
        for key, kind, _ in redis_keys.KEYS
    }
    seen = set()
    async with a_client(redis_url) as redis:
        found = [(key, await redis.type(key)) async for key in redis.scan_iter()]
    for key, kind in found:
        names = {"zset": "sorted set"}
        matching = [
            (pattern, expected)
            for pattern, expected in table
            if pattern.fullmatch(key) and names.get(kind, kind) == expected
        ]
        assert len(matching) == 1, key
        seen.update(matching)
    assert seen == table
