"""Deleting from a log of a million decisions: how many, how long, and how long Redis was held up.

Fills an embedded Redis as query_million.py does, but keeps the whole records, and deletes a
session, a user, and a key that has a tenth of all. Seconds of processor time are beside those of
the clock, since other work on the machine changes them less. Redis' own slow log says what held it
up longest, by the clock. Needs some six gigabytes of memory. Last line: JSON.

    python bench/forget_million.py [--decisions 1000000]
"""

import argparse
import asyncio
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from query_million import fill
from redis.asyncio import Redis

from gateway.deletion import Deletion
from gateway.embedded_redis import running
from gateway.forgotten import Selection
from gateway.redis_connection import connect

SELECTIONS = (
    Selection(session="session-40"),
    Selection(user="user-17"),
    Selection(key="key-1", user="user-18"),
    Selection(key="key-1"),
    Selection(key="nobody"),
)


async def processor_s(redis: Redis) -> tuple[float, float]:
    """Of this process and of Redis."""
    used = await redis.info("cpu")
    return time.process_time(), used["used_cpu_user"] + used["used_cpu_sys"]


async def delete(redis: Redis, selection: Selection) -> dict[str, Any]:
    await redis.slowlog_reset()
    began, (ours, theirs) = time.perf_counter(), await processor_s(redis)
    deleted = 0
    async for progress in Deletion(redis).forget(selection):
        deleted = progress.deleted
    taken = time.perf_counter() - began
    ours_after, theirs_after = await processor_s(redis)
    held_ms = sorted(each["duration"] / 1000 for each in await redis.slowlog_get(100_000))
    return {
        "of": selection.filters,
        "deleted": deleted,
        "s": round(taken, 1),
        "processor_s": round(ours_after - ours, 1),
        "redis_processor_s": round(theirs_after - theirs, 1),
        "over_5_ms": sum(ms > 5 for ms in held_ms),
        "longest_ms": round(held_ms[-1], 1) if held_ms else 0.0,
    }


async def run(decisions: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="hydra-") as folder, running(Path(folder)) as url:
        patient = Redis.from_url(url, decode_responses=True)
        await patient.config_set(
            "appendonly", "no"
        )  # else its rewriting is part of what is measured
        await patient.config_set("slowlog-log-slower-than", "1000")
        await patient.config_set("slowlog-max-len", "100000")
        await fill(patient, decisions, detail_ttl_s=7 * 86_400)
        await patient.aclose()
        redis = connect(url)
        rows = [await delete(redis, selection) for selection in SELECTIONS]
        await redis.aclose()
    return {"decisions": decisions, "deletions": rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--decisions", type=int, default=1_000_000)
    found = asyncio.run(run(parser.parse_args().decisions))
    print("\n| of | deleted | s | processor s: ours, Redis' | steps over 5 ms, longest |")
    print("|---|---|---|---|---|")
    for row in found["deletions"]:
        whose = " and ".join(f"{name} {value}" for name, value in row["of"].items())
        processor = f"{row['processor_s']}, {row['redis_processor_s']}"
        held = f"{row['over_5_ms']}, {row['longest_ms']} ms"
        print(f"| {whose} | {row['deleted']:,} | {row['s']} | {processor} | {held} |")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
