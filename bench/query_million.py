"""Pages and sums of a log of a million decisions: milliseconds, and what the log takes in Redis.

Fills an embedded Redis through the gateway's own delivery, so that stream, indexes and rollups are
those of a gateway, then asks as `GET /v1/decisions` and `GET /v1/costs` do, and some of it once
more over HTTP from a gateway of its own. The decisions spread over 30 days by their time stamps;
one in a hundred thousand has the rare value of each filter, the oldest of them near the beginning.
The whole records are left to expire at once: they are read by id, and would take some gigabytes
more. Another Redis (`--redis`) is filled if it is empty, and kept. Last line: JSON.

    python bench/query_million.py [--decisions 1000000] [--rounds 40] [--redis URL]
"""

import argparse
import asyncio
import contextlib
import http.client
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from gateway import delivery, redis_keys, spool_files
from gateway.embedded_redis import running
from gateway.identifiers import new_id
from gateway.ledger import Ledger
from gateway.redis_connection import connect
from gateway.spool_files import Event

BATCH = 500
DAYS = 30
RARE_EVERY = 100_000
MODELS = ("gpt-5.4-mini", "claude-haiku-4-5", "gpt-5.4", "claude-sonnet-4-6", "gpt-5.3-codex")
# (filters of a common value, of a rare one); what is common is in a fifth to all of the decisions,
# but for sessions and users, which all are of some decisions each.
SINGLE: dict[str, tuple[str, str]] = {
    "model": ("gpt-5.4", "rare"),
    "key": ("key-1", "rare"),
    "session": ("session-40", "rare"),
    "user": ("user-17", "rare"),
    "mode": ("iso", "rare"),
    "reason": ("cheapest_sufficient", "predictor_unavailable"),
    "status": ("ok", "aborted"),
    "pool": ("default", "rare"),
    "tag": ("team-1", "rare"),
}
DOUBLE: dict[str, dict[str, str]] = {
    "model and tag, both common": {"model": "gpt-5.4", "tag": "team-1"},
    "status error (1 %) and model": {"status": "error", "model": "gpt-5.4"},
    "rare key and common model": {"key": "rare", "model": "gpt-5.4"},
    "user and status error": {"user": "user-17", "status": "error"},
    "nothing in common": {"key": "key-1", "tag": "team-2"},
}
GROUPS = (
    *(("model",), ("key",), ("mode",), ("pool",), ("tag",), ("session",), ("user",)),
    *(("day",), ("hour",), ("model", "day"), ("key", "day"), ("tag", "day"), ("model", "hour")),
)
GROUPS_OF_A_WEEK = (("key", "hour"), ("tag", "hour"), ("model", "key", "hour"), ("user", "day"))


def a_record(number: int, of: int, chance: random.Random, begin: datetime) -> dict[str, Any]:
    """The decision of that number, of the size that real ones have."""
    is_rare = number % RARE_EVERY == 7
    at = begin + timedelta(days=DAYS) * (number / of)
    model = "rare" if is_rare else chance.choice(MODELS)
    cost = f"0.000{chance.randrange(10**6):06}"
    key = chance.randrange(10)
    candidate = {"shortfall": 0.0123, "p_solve": 0.71, "expected_output_tokens": 600}
    candidate |= {"expected_cost_usd": "0.000164", "eligible": True, "excluded_by": None}
    return {
        "id": new_id(),
        "ts": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "schema": 1,
        "key_id": "rare" if is_rare else f"key-{key}",
        "session": "rare" if is_rare else f"session-{number // 8}",
        "user": "rare" if is_rare else f"user-{chance.randrange(20_000)}",
        "endpoint": "/v1/chat/completions",
        "pool": "rare" if is_rare else "default",
        "rule": "threshold",
        "mode": "rare" if is_rare else chance.choice(("iso", "iso", "peak")),
        "model_requested": "auto",
        "threshold": 0.2,
        "value_usd": None,
        "catalog_sha": "a" * 16,
        "predictor_sha": "b" * 16,
        "requirements": {"reasoning": 0.31, "code_generation": 0.62, "debugging": 0.07},
        "candidates": [{"model": name, **candidate} for name in MODELS],
        "chosen": model,
        "reason": "predictor_unavailable" if is_rare else "cheapest_sufficient",
        "runner_up": "gpt-5.4",
        "attempts": [{"model": model, "status": 200, "error": None, "latency_ms": 812.5}],
        "served_by": model,
        "status": "aborted" if is_rare else "error" if chance.random() < 0.01 else "ok",
        "finish_reason": "stop",
        "stream": True,
        "disconnected": False,
        "usage": {"prompt": 100, "cached": 0, "cache_write": 0, "completion": 20, "reasoning": 0},
        "cost_usd": cost,
        "cost_status": "exact",
        "baseline": "gpt-5.4",
        "baseline_cost_usd": "0.0016",
        "savings_usd": cost,
        "predictor_ms": 2.8,
        "router_ms": 0.1,
        "ttft_ms": 301.2,
        "latency_ms": 812.9,
        "tags": ["rare"] if is_rare else [f"team-{key % 5}"],
        "prompt_chars": 400,
        "prompt_sha256": f"{number:064x}",
    }


async def fill(redis: Redis, decisions: int, *, detail_ttl_s: int = 1) -> float:
    """Deliver them all; seconds that it took."""
    chance = random.Random(1)
    begin = datetime.now(UTC) - timedelta(days=DAYS)
    started = time.monotonic()
    for first in range(0, decisions, BATCH):
        batch = []
        for number in range(first, min(first + BATCH, decisions)):
            record = a_record(number, decisions, chance, begin)
            text = spool_files.to_json(record)
            batch.append(Event(seq=number + 1, kind="end", id=record["id"], text=text))
        position, failed = await delivery.deliver(
            *(redis, "bench", batch),
            after=first,
            stream_max_len=2 * decisions,
            detail_ttl_s=detail_ttl_s,
        )
        assert (position, failed) == (batch[-1].seq, 0)
        if first % 100_000 == 0 and first:
            print(f"{first} in {time.monotonic() - started:.0f} s", flush=True)
    return time.monotonic() - started


async def timed(rounds: int, ask: Callable[[], Awaitable[list[Any]]]) -> dict[str, float]:
    """Milliseconds of an answer, and its rows."""
    rows = len(await ask())
    taken = []
    for _ in range(rounds):
        started = time.perf_counter()
        await ask()
        taken.append((time.perf_counter() - started) * 1000)
    return summary(taken, rows)


def summary(taken: list[float], rows: int) -> dict[str, float]:
    p95 = statistics.quantiles(taken, n=20, method="inclusive")[-1]
    return {"p50_ms": round(statistics.median(taken), 1), "p95_ms": round(p95, 1), "rows": rows}


async def measure(ledger: Ledger, rounds: int) -> dict[str, dict[str, float]]:
    async def page(filters: dict[str, str]) -> list[Any]:
        return (await ledger.decisions(filters=filters, limit=50, cursor=None)).data

    middle, week_ago = days_ago(DAYS // 2), days_ago(7)
    questions: dict[str, dict[str, str]] = {"no filter": {}}
    for name, (common, rare) in SINGLE.items():
        questions[f"{name}, common"] = {name: common}
        questions[f"{name}, rare"] = {name: rare}
    questions["until half of the time ago"] = {"until": middle}
    questions["key, until half of the time ago"] = {"key": "key-1", "until": middle}
    found = {}
    for name, filters in (questions | DOUBLE).items():
        found[f"page: {name}"] = await timed(rounds, lambda asked=filters: page(asked))  # type: ignore[misc]
    for groups, words, since in ((GROUPS, "", None), (GROUPS_OF_A_WEEK, ", 7 days", week_ago)):
        for group_by in groups:
            found[f"costs by {', '.join(group_by)}{words}"] = await timed(
                rounds,
                lambda asked=group_by, since=since: ledger.costs(group_by=asked, since=since),  # type: ignore[misc]
            )
    return found


async def pages_to_the_end(ledger: Ledger, filters: dict[str, str]) -> int:
    cursor, pages = None, 0
    while True:
        page = await ledger.decisions(filters=filters, limit=50, cursor=cursor)
        pages += 1
        if not page.has_more:
            return pages
        cursor = page.next_cursor


def days_ago(days: int) -> str:
    return (datetime.now(UTC) - timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")


@contextlib.contextmanager
def gateway(redis_url: str, folder: Path) -> Iterator[int]:
    """The port of a gateway process, while the block runs."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    environ = {"HYDRA_REDIS_URL": redis_url, "HYDRA_PORT": str(port), "HYDRA_DATA_DIR": str(folder)}
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway", "demo"],
        env={**os.environ, **environ},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while not answers(port):
            assert process.poll() is None, "the gateway ended"
            time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait()


def answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port)):
            return True
    except OSError:
        return False


def measure_http(port: int, rounds: int) -> dict[str, dict[str, float]]:
    """The same by a client, until it has the whole body; `rows` are kilobytes."""
    middle, week_ago = days_ago(DAYS // 2), days_ago(7)
    paths = {
        "page: no filter": "/v1/decisions",
        "page: model, common": "/v1/decisions?model=gpt-5.4",
        "page of 1000: model, common": "/v1/decisions?model=gpt-5.4&limit=1000",
        "page: user, common": "/v1/decisions?user=user-17",
        "page: nothing in common": "/v1/decisions?key=key-1&tag=team-2",
        "page: key, until half of the time ago": f"/v1/decisions?key=key-1&until={middle}",
        "costs by model, day": "/v1/costs?group_by=model,day",
        "costs by key, day": "/v1/costs?group_by=key,day",
        "costs by hour": "/v1/costs?group_by=hour",
        "costs by model, hour": "/v1/costs?group_by=model,hour",
        "costs by key, hour, 7 days": f"/v1/costs?group_by=key,hour&since={week_ago}",
        "costs by session": "/v1/costs?group_by=session",
        "costs by user": "/v1/costs?group_by=user",
        "costs by user, CSV": "/v1/costs?group_by=user&format=csv",
    }
    connection = http.client.HTTPConnection("127.0.0.1", port)
    found = {}
    for name, path in paths.items():
        taken, size = [], 0
        for _ in range(rounds + 1):
            started = time.perf_counter()
            connection.request("GET", path)
            answer = connection.getresponse()
            size = len(answer.read())
            taken.append((time.perf_counter() - started) * 1000)
            assert answer.status == 200, answer.status
        found[f"HTTP, {name}"] = summary(taken[1:], size // 1000)
    return found


async def memory(redis: Redis) -> dict[str, int]:
    """Bytes, and the numbers of keys, by what they are for."""
    found: dict[str, int] = {}
    async for key in redis.scan_iter(count=1000):
        parts = key.split(":")
        kind = parts[3] if parts[1].startswith("{") else parts[1]
        if kind in ("index", "shared-index"):
            kind = f"index: {parts[4]}"
        size = await redis.memory_usage(key, samples=0)
        found[kind] = found.get(kind, 0) + (size or 0)
    found["used_memory"] = (await redis.info("memory"))["used_memory"]
    return dict(sorted(found.items()))


async def run(decisions: int, rounds: int, url: str, folder: Path) -> dict[str, Any]:
    # The gateway's own connection would give up on a Redis that a busy machine slows down.
    patient = Redis.from_url(url, decode_responses=True, socket_timeout=60)
    await patient.config_set("appendonly", "no")  # else its rewriting is part of what is measured
    is_filled = await patient.exists(redis_keys.DECISIONS)
    seconds = 0.0 if is_filled else await fill(patient, decisions)
    await asyncio.sleep(2)  # the whole records expire
    redis = connect(url)
    ledger = Ledger(redis)
    found = await measure(ledger, rounds)
    pages = await pages_to_the_end(ledger, DOUBLE["nothing in common"])
    with gateway(url, folder) as port:
        found |= await asyncio.to_thread(measure_http, port, rounds)
    taken = await memory(patient)
    await redis.aclose()
    await patient.aclose()
    return {
        "decisions": decisions,
        "fill_s": round(seconds),
        "answers": found,
        "pages_with_nothing_in_common": pages,
        "bytes": taken,
    }


def show(found: dict[str, Any]) -> None:
    if found["fill_s"]:
        per_record = found["fill_s"] / found["decisions"] * 1e6
        print(f"\nfilled in {found['fill_s']} s, {per_record:.0f} us a decision, with making it")
    print("\n| question | p50 ms | p95 ms | rows; kB |\n|---|---|---|---|")
    for name, row in found["answers"].items():
        print(f"| {name} | {row['p50_ms']} | {row['p95_ms']} | {row['rows']} |")
    print(f"\n{found['pages_with_nothing_in_common']} pages until nothing in common is certain")
    print("\n| what | MB | bytes a decision |\n|---|---|---|")
    for name, size in found["bytes"].items():
        print(f"| {name} | {size / 1e6:.1f} | {size / found['decisions']:.1f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--decisions", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=40, help="of each question")
    parser.add_argument("--redis", metavar="URL", help="of an empty one, or one filled by this")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hydra-")))
        url = options.redis or stack.enter_context(running(folder / "redis"))
        found = asyncio.run(run(options.decisions, options.rounds, url, folder / "data"))
    show(found)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
