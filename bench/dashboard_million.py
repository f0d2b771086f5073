"""Every view of the page over a log of a million decisions: milliseconds on the server.

Fills an embedded Redis as query_million.py does, starts a demo gateway on it and asks it over HTTP,
one question at a time, for the pages and their JSON twins. On a machine that has other work, too,
look at the processor time of gateway and Redis together (Linux). Last line: JSON.

    python bench/dashboard_million.py [--decisions 1000000] [--rounds 40]
"""

import argparse
import asyncio
import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
from query_million import fill
from redis.asyncio import Redis

from gateway.embedded_redis import running

PROMPT = {"model": "auto", "messages": [{"role": "user", "content": "Why does this deadlock?"}]}


@contextlib.contextmanager
def gateway(redis_url: str, folder: Path) -> Iterator[tuple[str, int]]:
    """The address and the process of a demo gateway, while the block runs."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environ = {"HYDRA_REDIS_URL": redis_url, "HYDRA_PORT": str(port), "HYDRA_DATA_DIR": str(folder)}
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway", "demo"],
        env={**os.environ, **environ},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        while not answers(url):
            assert process.poll() is None, "the gateway ended"
            time.sleep(0.1)
        yield url, process.pid
    finally:
        process.terminate()
        process.wait()


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz").status_code == 200
    except httpx.TransportError:
        return False


def measure(url: str, pids: tuple[int, ...], rounds: int) -> dict[str, dict[str, float]]:
    """Milliseconds of each view, with the bytes that it sends."""
    with httpx.Client(base_url=url, timeout=60) as http:
        made = http.post("/v1/chat/completions", json=PROMPT).headers["x-hydra-decision-id"]
        time.sleep(2)
        later = http.get("/dashboard/decisions.json?model=gpt-5.4").json()["next_cursor"]
        dry = http.post("/v1/route", json=PROMPT).json()
        paths = {
            "overview, 24 hours": "/dashboard",
            "overview, 7 days": "/dashboard?period=7d",
            "overview, 30 days": "/dashboard?period=30d",
            "decisions": "/dashboard/decisions",
            "decisions of a common model": "/dashboard/decisions?model=gpt-5.4",
            "the page after it": f"/dashboard/decisions?model=gpt-5.4&cursor={later}",
            "decisions of a rare tag": "/dashboard/decisions?tag=rare",
            "decisions of a user": "/dashboard/decisions?user=user-17",
            "decisions of a model, failed": "/dashboard/decisions?model=gpt-5.4&status=error",
            "search for a user": "/dashboard/search?q=user-17",
            "search for nothing that is there": "/dashboard/search?q=nowhere",
            "one decision": f"/dashboard/decisions/{made}",
            "models": "/dashboard/models",
            "try it": "/dashboard/try",
        }
        twins = {
            "overview, 24 hours, JSON": "/dashboard.json",
            "models, JSON": "/dashboard/models.json",
        }
        found = {}
        for name, path in (paths | twins).items():
            found[name] = timed(rounds, pids, lambda asked=path: http.get(asked))  # type: ignore[misc]
        found["try it, decide"] = timed(rounds, pids, lambda: http.post("/v1/route", json=PROMPT))
        found["try it, draw"] = timed(rounds, pids, lambda: http.post("/dashboard/drawn", json=dry))
    return found


def timed(rounds: int, pids: tuple[int, ...], ask) -> dict[str, float]:  # type: ignore[no-untyped-def]
    answer = ask()
    assert answer.status_code in (200, 303), answer.text
    taken, before = [], cpu_ms(pids)
    for _ in range(rounds):
        started = time.perf_counter()
        ask()
        taken.append((time.perf_counter() - started) * 1000)
    p95 = statistics.quantiles(taken, n=20, method="inclusive")[-1]
    return {
        "p50_ms": round(statistics.median(taken), 1),
        "p95_ms": round(p95, 1),
        "cpu_ms": round((cpu_ms(pids) - before) / rounds, 1),
        "bytes": len(answer.content),
    }


def cpu_ms(pids: tuple[int, ...]) -> float:
    """Processor time of these processes so far, all threads; 0 where the system does not tell."""
    tasks = [path for pid in pids for path in Path(f"/proc/{pid}/task").glob("*/schedstat")]
    return sum(int(path.read_text().split()[0]) for path in tasks) / 1e6


async def filled(url: str, decisions: int) -> int:
    """Fill it; the process of Redis."""
    # Not the gateway's own connection: it would give up on a Redis that a busy machine slows down.
    redis = Redis.from_url(url, decode_responses=True, socket_timeout=60)
    await redis.config_set("appendonly", "no")  # else its rewriting is part of what is measured
    await fill(redis, decisions)
    await asyncio.sleep(2)  # the whole records expire
    pid: int = (await redis.info("server"))["process_id"]
    await redis.aclose()
    return pid


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--decisions", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=40)
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hydra-")))
        url = stack.enter_context(running(work / "redis"))
        redis_pid = asyncio.run(filled(url, options.decisions))
        address, pid = stack.enter_context(gateway(url, work / "data"))
        found = measure(address, (pid, redis_pid), options.rounds)
    print("\n| view | p50 ms | p95 ms | processor ms | kB |\n|---|---|---|---|---|")
    for name, row in found.items():
        figures = (row["p50_ms"], row["p95_ms"], row["cpu_ms"], round(row["bytes"] / 1000))
        print(f"| {name} | {' | '.join(map(str, figures))} |")
    print(json.dumps({"decisions": options.decisions, "views": found}))


if __name__ == "__main__":
    main()
