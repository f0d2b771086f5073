"""What the log loses or doubles when things break under load: it should be nothing, each time.

A gateway, a Redis and a scripted provider, each a process of its own; requests of all kinds run at
a steady rate, streams and failures among them, while one thing is broken and mended. Afterwards
every answer that a client got must be in the log, no decision may be there twice, and the totals
must count each once, to the last digit. Last line: JSON.

    python bench/durability.py [--rate 100] [--outage 60] [--only NAME ...]
"""

import argparse
import asyncio
import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import redis

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from gateways import write_catalog
from lanes import free_port
from servers import serve
from upstream_stub import UpstreamStub

from gateway.embedded_redis import binary

HELLO = [{"role": "user", "content": "hello"}]
KINDS: tuple[dict[str, Any], ...] = (
    {"model": "auto:aggressive"},
    {"model": "auto", "stream": True},
    {"model": "large"},
    {"model": "auto", "hydra": {"pool": "falls-503", "tags": ["a", "b"]}},
    {"model": "status-429"},
    {"model": "cut", "stream": True},
)


class Child:
    """A process that can be killed, stopped and started again."""

    def __init__(self, command: list[str], environ: dict[str, str], *, file_bytes: int = 0) -> None:
        self._command = command
        self._environ = {**os.environ, **environ}
        self._file_bytes = file_bytes
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        def limit() -> None:
            if self._file_bytes:
                resource.setrlimit(resource.RLIMIT_FSIZE, (self._file_bytes, self._file_bytes))

        self._process = subprocess.Popen(
            self._command,
            env=self._environ,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=limit,
        )

    def send(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def end(self, number: int = signal.SIGTERM) -> None:
        if self._process is not None and self._process.poll() is None:
            self.send(signal.SIGCONT)
            self.send(number)
            self._process.wait(timeout=60)


class Load:
    """Requests at a steady rate from a thread of its own, and what their clients saw."""

    def __init__(self, url: str, rate: float) -> None:
        self.answered: set[str] = set()  # ids of decisions whose answer arrived whole
        self.cost = Decimal(0)  # of the whole answers that named theirs
        self.statuses: dict[int, int] = {}
        self.unreachable = 0
        self.slowest_s = 0.0
        self._url = url
        self._rate = rate
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    def __enter__(self) -> "Load":
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stopping.set()
        self._thread.join()

    async def _run(self) -> None:
        connector = aiohttp.TCPConnector(limit=0)
        timeout = aiohttp.ClientTimeout(total=30)
        running: set[asyncio.Task[None]] = set()
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            number = 0
            while not self._stopping.is_set():
                task = asyncio.create_task(self._ask(session, KINDS[number % len(KINDS)]))
                running.add(task)
                task.add_done_callback(running.discard)
                number += 1
                await asyncio.sleep(1 / self._rate)
            await asyncio.gather(*running)

    async def _ask(self, session: aiohttp.ClientSession, kind: dict[str, Any]) -> None:
        started = time.monotonic()
        url = f"{self._url}/v1/chat/completions"
        try:
            async with session.post(url, json={"messages": HELLO, **kind}) as answer:
                await answer.read()
                decision_id = answer.headers.get("x-hydra-decision-id")
        except (aiohttp.ClientError, TimeoutError):
            self.unreachable += 1
            return
        self.statuses[answer.status] = self.statuses.get(answer.status, 0) + 1
        self.slowest_s = max(self.slowest_s, time.monotonic() - started)
        if decision_id is not None:
            self.answered.add(decision_id)


class Stage:
    """One scenario's processes."""

    def __init__(self, folder: Path, catalog: Path, *, file_bytes: int = 0) -> None:
        self.folder = folder
        self.socket = folder / "s"
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        options = ["--port", "0", "--unixsocket", str(self.socket), "--dir", str(folder)]
        options += ["--save", "", "--appendonly", "yes", "--appendfsync", "everysec"]
        self.redis = Child([str(binary()), *options], {})
        self.gateway = Child(
            [sys.executable, "-m", "gateway", "serve"],
            {
                "HYDRA_PORT": str(port),
                "HYDRA_REDIS_URL": f"unix://{self.socket}",
                "HYDRA_PROFILES": str(catalog),
                "HYDRA_DATA_DIR": str(folder / "data"),
                "TEST_PROVIDER_KEY": "x",
            },
            file_bytes=file_bytes,
        )

    def readiness(self) -> dict[str, Any]:
        import urllib.error
        import urllib.request

        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=2) as answer:
                return dict(json.load(answer)["checks"])
        except urllib.error.HTTPError as exc:
            return dict(json.load(exc)["checks"])
        except (OSError, ValueError):
            return {}

    def wait_until(self, holds: Callable[[dict[str, Any]], bool], seconds: float = 90) -> None:
        deadline = time.monotonic() + seconds
        while not ((checks := self.readiness()) and holds(checks)):
            assert time.monotonic() < deadline, checks
            time.sleep(0.1)

    def found(self, load: Load) -> dict[str, Any]:
        """What the log holds, against what clients saw."""
        self.wait_until(lambda checks: checks["redis"]["ok"] and checks["log"]["pending"] == 0)
        time.sleep(2.5)
        client = redis.Redis(unix_socket_path=str(self.socket), decode_responses=True)
        entries = [fields for _, fields in client.xrange("hydra:decisions")]
        ids = [fields["id"] for fields in entries]
        import urllib.request

        with urllib.request.urlopen(f"{self.url}/v1/costs?group_by=model", timeout=10) as answer:
            rows = json.load(answer)["data"]
        spent = sum((Decimal(e["cost_usd"]) for e in entries if e["cost_usd"]), Decimal(0))
        total = sum((Decimal(row["cost_usd"]) for row in rows if row["cost_usd"]), Decimal(0))
        return {
            "requests": sum(load.statuses.values()) + load.unreachable,
            "answered": len(load.answered),
            "in_log": len(ids),
            "lost": len(load.answered - set(ids)),
            "doubled": len(ids) - len(set(ids)),
            "totals_off": sum(row["requests"] for row in rows) - len(set(ids)),
            "dollars_off": str(total - spent),
            "refused_503_by_us": load.statuses.get(503, 0),
            "unreachable": load.unreachable,
            "slowest_s": round(load.slowest_s, 2),
        }


def kill_gateway(stage: Stage, outage_s: float) -> None:
    """kill -9 of the gateway, started again."""
    stage.gateway.end(signal.SIGKILL)
    stage.gateway.start()
    stage.wait_until(lambda checks: True)


def stop_redis(stage: Stage, outage_s: float) -> None:
    """Redis shut down, started again after the outage."""
    stage.redis.end()
    time.sleep(outage_s)
    stage.redis.start()


def freeze_redis(stage: Stage, outage_s: float) -> None:
    """SIGSTOP of Redis: it accepts and never answers; SIGCONT after the outage."""
    stage.redis.send(signal.SIGSTOP)
    time.sleep(outage_s)
    stage.redis.send(signal.SIGCONT)


def kill_redis(stage: Stage, outage_s: float) -> None:
    """kill -9 of Redis, started again at once: it may lose its last second."""
    stage.redis.end(signal.SIGKILL)
    stage.redis.start()


def nothing(stage: Stage, outage_s: float) -> None:
    """No file may grow: the disk is full for the spool; Redis works."""
    time.sleep(5)


SCENARIOS: dict[str, tuple[Callable[[Stage, float], None], int]] = {
    "gateway killed": (kill_gateway, 0),
    "redis stopped": (stop_redis, 0),
    "redis frozen": (freeze_redis, 0),
    "redis killed": (kill_redis, 0),
    "disk full": (nothing, 64 * 2**10),
}


@contextlib.contextmanager
def stage(catalog: Path, file_bytes: int) -> Iterator[Stage]:
    with tempfile.TemporaryDirectory() as folder:
        made = Stage(Path(folder), catalog, file_bytes=file_bytes)
        made.redis.start()
        made.gateway.start()
        try:
            made.wait_until(lambda checks: bool(checks["redis"]["ok"]))
            yield made
        finally:
            made.gateway.end()
            made.redis.end()


def both_away(catalog: Path, stub: UpstreamStub) -> dict[str, Any]:
    """Disk full and Redis down together: 503 before any provider is called."""
    import urllib.error
    import urllib.request

    with stage(catalog, 1) as made:
        made.redis.end()
        made.wait_until(lambda checks: not checks["redis"]["ok"])
        stub.reset()
        statuses = []
        for _ in range(20):
            request = urllib.request.Request(
                f"{made.url}/v1/chat/completions",
                data=json.dumps({"model": "large", "messages": HELLO}).encode(),
                headers={"content-type": "application/json"},
            )
            try:
                with urllib.request.urlopen(request, timeout=10) as answer:
                    statuses.append(answer.status)
            except urllib.error.HTTPError as exc:
                statuses.append(exc.code)
        made.redis.start()
    return {"answers": sorted(set(statuses)), "calls_of_the_provider": len(stub.requests)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=100)
    parser.add_argument("--outage", type=float, default=60)
    parser.add_argument("--only", nargs="*", default=[*SCENARIOS, "both"])
    options = parser.parse_args()
    stub = UpstreamStub()
    figures: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder, serve(stub.app) as upstream:
        stub.base_url = f"{upstream}/v1"
        catalog = write_catalog(Path(folder), stub)
        for name, (break_it, file_bytes) in SCENARIOS.items():
            if name not in options.only:
                continue
            with stage(catalog, file_bytes) as made:
                with Load(made.url, options.rate) as load:
                    time.sleep(3)
                    break_it(made, options.outage)
                    time.sleep(5)
                figures[name] = made.found(load)
            print(name, json.dumps(figures[name]), flush=True)
        if "both" in options.only:
            figures["disk full, redis down"] = both_away(catalog, stub)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
