"""What the log loses or doubles when things break under load: it should be nothing, each time.

Gateways, a Redis and a scripted provider, each a process of its own; requests of all kinds run at
a steady rate, streams and failures among them, while one thing is broken and mended. Afterwards
every answer that a client got must be in the log, at the cost that its header said, no decision may
be there twice, and the totals must count each once, to the last digit. Exits with 1 where they do
not. Last line: JSON.

    python bench/durability.py [--rate 100] [--outage 60] [--only NAME ...]
"""

import argparse
import asyncio
import contextlib
import json
import logging
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
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
    {"model": "slow"},  # some are always in their middle
)
SLOW_S = 1.5  # what tests/data/catalog/slow.yaml takes


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

    def workers(self) -> list[int]:
        """The ids of the processes that serve for this one."""
        assert self._process is not None
        pid = self._process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        lines = {int(child): Path(f"/proc/{child}/cmdline").read_bytes() for child in children}
        return [child for child, line in lines.items() if b"spawn_main" in line]

    def end(self, number: int = signal.SIGTERM) -> None:
        if self._process is not None and self._process.poll() is None:
            self.send(signal.SIGCONT)
            self.send(number)
            self._process.wait(timeout=60)


class Load:
    """Requests at a steady rate from a thread of its own, and what their clients saw."""

    def __init__(self, urls: list[str], rate: float) -> None:
        self.answered: set[str] = set()  # ids of decisions whose answer arrived whole
        self.costs: dict[str, Decimal] = {}  # of those that named theirs, in dollars
        self.statuses: dict[int, int] = {}
        self.unreachable = 0
        self.slowest_s = 0.0
        self._urls = urls
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
                turn, kind = divmod(number, len(KINDS))
                url = self._urls[turn % len(self._urls)]
                task = asyncio.create_task(self._ask(session, url, KINDS[kind]))
                running.add(task)
                task.add_done_callback(running.discard)
                number += 1
                await asyncio.sleep(1 / self._rate)
            await asyncio.gather(*running)

    async def _ask(self, session: aiohttp.ClientSession, url: str, kind: dict[str, Any]) -> None:
        started = time.monotonic()
        asked = {"messages": HELLO, **kind}
        try:
            async with session.post(f"{url}/v1/chat/completions", json=asked) as answer:
                await answer.read()
                decision_id = answer.headers.get("x-hydra-decision-id")
                cost = answer.headers.get("x-hydra-cost-usd")
        except (aiohttp.ClientError, TimeoutError):
            self.unreachable += 1
            return
        self.statuses[answer.status] = self.statuses.get(answer.status, 0) + 1
        seconds = time.monotonic() - started - (SLOW_S if kind["model"] == "slow" else 0)
        self.slowest_s = max(self.slowest_s, seconds)
        if decision_id is not None:
            self.answered.add(decision_id)
            if cost is not None:
                self.costs[decision_id] = Decimal(cost)


class Stage:
    """One scenario's processes: a Redis, and gateways with a port and a data folder each."""

    def __init__(self, folder: Path, catalog: Path, scenario: "Scenario") -> None:
        self.socket = folder / "s"
        options = ["--port", "0", "--unixsocket", str(self.socket), "--dir", str(folder)]
        options += ["--save", "", "--appendonly", "yes", "--appendfsync", "everysec"]
        self.redis = Child([str(binary()), *options], {})
        ports = [free_port() for _ in range(scenario.gateways)]
        self.urls = [f"http://127.0.0.1:{port}" for port in ports]
        self.gateways = [
            Child(
                [sys.executable, "-m", "gateway", "serve"],
                {
                    "HYDRA_PORT": str(port),
                    "HYDRA_WORKERS": str(scenario.workers),
                    "HYDRA_REDIS_URL": f"unix://{self.socket}",
                    "HYDRA_PROFILES": str(catalog),
                    "HYDRA_DATA_DIR": str(folder / f"data-{port}"),
                    "TEST_PROVIDER_KEY": "x",
                },
                file_bytes=scenario.file_bytes,
            )
            for port in ports
        ]

    def client(self) -> redis.Redis:
        return redis.Redis(unix_socket_path=str(self.socket), decode_responses=True)

    def wait_until(self, holds: Callable[[dict[str, Any]], bool], seconds: float = 90) -> None:
        """Wait until it holds of what each gateway says of its readiness."""
        deadline = time.monotonic() + seconds
        while not all((checks := readiness(url)) and holds(checks) for url in self.urls):
            assert time.monotonic() < deadline, [readiness(url) for url in self.urls]
            time.sleep(0.1)

    def found(self, load: Load) -> dict[str, Any]:
        """What the log holds, against what clients saw."""
        self.wait_until(lambda checks: checks["redis"]["ok"] and checks["log"]["pending"] == 0)
        deadline = time.monotonic() + 30  # another worker than the one that answered may have some
        while load.answered - self._entries().keys() and time.monotonic() < deadline:
            time.sleep(0.5)
        time.sleep(2.5)
        entries = self._entries()
        ids = [fields["id"] for _, fields in self.client().xrange("hydra:decisions")]
        address = f"{self.urls[0]}/v1/costs?group_by=model"
        with urllib.request.urlopen(address, timeout=10) as answer:
            rows = json.load(answer)["data"]
        spent = sum((Decimal(e["cost_usd"]) for e in entries.values() if e["cost_usd"]), Decimal(0))
        total = sum((Decimal(row["cost_usd"]) for row in rows if row["cost_usd"]), Decimal(0))
        known = {name: cost for name, cost in load.costs.items() if name in entries}
        return {
            "requests": sum(load.statuses.values()) + load.unreachable,
            "answered": len(load.answered),
            "in_log": len(ids),
            "aborted": sum(fields["status"] == "aborted" for fields in entries.values()),
            "lost": len(load.answered - entries.keys()),
            "doubled": len(ids) - len(entries),
            "headers_off": sum(
                Decimal(entries[n]["cost_usd"]) != cost for n, cost in known.items()
            ),
            "totals_off": sum(row["requests"] for row in rows) - len(entries),
            "dollars_off": str(total - spent),
            "refused_503_by_us": load.statuses.get(503, 0),
            "unreachable": load.unreachable,
            "slowest_s": round(load.slowest_s, 2),
        }

    def _entries(self) -> dict[str, dict[str, str]]:
        return {fields["id"]: fields for _, fields in self.client().xrange("hydra:decisions")}


def readiness(url: str) -> dict[str, Any]:
    """The checks of a gateway; none while nobody answers."""
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=2) as answer:
            return dict(json.load(answer)["checks"])
    except urllib.error.HTTPError as exc:
        return dict(json.load(exc)["checks"])
    except (OSError, ValueError):
        return {}


def kill_gateway(stage: Stage, outage_s: float) -> None:
    """kill -9 of the gateway, started again; of two replicas, the first."""
    stage.gateways[0].end(signal.SIGKILL)
    if len(stage.gateways) > 1:
        time.sleep(outage_s)
    stage.gateways[0].start()
    stage.wait_until(lambda checks: True)


def kill_worker(stage: Stage, outage_s: float) -> None:
    """kill -9 of one worker, then of the other, since one may have all the work; the gateway starts
    others."""
    gateway = stage.gateways[0]
    for worker in gateway.workers():
        os.kill(worker, signal.SIGKILL)
        deadline = time.monotonic() + 60
        while worker in (now := gateway.workers()) or len(now) < 2:
            assert time.monotonic() < deadline, "no other worker was started"
            time.sleep(0.1)
        time.sleep(10)  # it loads its model, and what the dead one left is delivered


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


def fill_redis(stage: Stage, outage_s: float) -> None:
    """No memory for Redis: it answers reads and refuses writes, until it gets some."""
    stage.client().config_set("maxmemory", "1mb")
    time.sleep(outage_s)
    stage.client().config_set("maxmemory", "0")


def kill_redis(stage: Stage, outage_s: float) -> None:
    """kill -9 of Redis, started again at once: it may lose its last second."""
    stage.redis.end(signal.SIGKILL)
    stage.redis.start()


def nothing(stage: Stage, outage_s: float) -> None:
    """No file may grow: the disk is full for the spool; Redis works."""
    time.sleep(5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What is broken, and in which company. `file_bytes`: how long the spool's files may grow."""

    break_it: Callable[[Stage, float], None]
    gateways: int = 1
    workers: int = 1
    file_bytes: int = 0


SCENARIOS = {
    "gateway killed": Scenario(break_it=kill_gateway),
    "two workers killed in turn": Scenario(break_it=kill_worker, workers=2),
    "one of two gateways killed": Scenario(break_it=kill_gateway, gateways=2),
    "redis stopped": Scenario(break_it=stop_redis),
    "redis stopped, two workers": Scenario(break_it=stop_redis, workers=2),
    "redis frozen": Scenario(break_it=freeze_redis),
    "redis full": Scenario(break_it=fill_redis),
    "redis killed": Scenario(break_it=kill_redis),
    "disk full": Scenario(break_it=nothing, file_bytes=64 * 2**10),
}
BOTH = "disk full, redis down"


@contextlib.contextmanager
def stage(catalog: Path, scenario: Scenario) -> Iterator[Stage]:
    with tempfile.TemporaryDirectory() as folder:
        made = Stage(Path(folder), catalog, scenario)
        made.redis.start()
        for gateway in made.gateways:
            gateway.start()
        try:
            made.wait_until(lambda checks: bool(checks["redis"]["ok"]))
            yield made
        finally:
            for gateway in made.gateways:
                gateway.end()
            made.redis.end()


def both_away(catalog: Path, stub: UpstreamStub) -> dict[str, Any]:
    """Disk full and Redis down together: 503 before any provider is called."""
    with stage(catalog, Scenario(break_it=nothing, file_bytes=1)) as made:
        made.redis.end()
        made.wait_until(lambda checks: not checks["redis"]["ok"])
        stub.reset()
        statuses = []
        for _ in range(20):
            request = urllib.request.Request(
                f"{made.urls[0]}/v1/chat/completions",
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


def is_sound(figures: dict[str, Any]) -> bool:
    """Whether nothing was lost, doubled or counted wrong."""
    if "answers" in figures:
        return figures["answers"] == [503] and not figures["calls_of_the_provider"]
    names = ("lost", "doubled", "headers_off", "totals_off", "dollars_off")
    return not any(Decimal(figures[name]) for name in names)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=100)
    parser.add_argument("--outage", type=float, default=60)
    parser.add_argument("--only", nargs="*", default=[*SCENARIOS, BOTH])
    options = parser.parse_args()
    logging.disable()  # the provider's scripted breaks would be told with their tracebacks
    stub = UpstreamStub()
    figures: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder, serve(stub.app) as upstream:
        stub.base_url = f"{upstream}/v1"
        catalog = write_catalog(Path(folder), stub)
        for name, scenario in SCENARIOS.items():
            if name not in options.only:
                continue
            with stage(catalog, scenario) as made:
                with Load(made.urls, options.rate) as load:
                    time.sleep(3)
                    scenario.break_it(made, options.outage)
                    time.sleep(5)
                figures[name] = made.found(load)
            print(name, json.dumps(figures[name]), flush=True)
        if BOTH in options.only:
            figures[BOTH] = both_away(catalog, stub)
    print(json.dumps(figures))
    return int(not all(map(is_sound, figures.values())))


if __name__ == "__main__":
    sys.exit(main())
