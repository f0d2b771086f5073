"""What the tests of the decision log share: a Valkey process of their own, and records.

The process is the real one, on a unix socket in a temporary folder; tests stop it, kill it and
start it again. A test module takes a fixture by naming it: `redis_url = log_fixtures.redis_url`.
"""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gateway import delivery, spool_files
from gateway.decision_log import DecisionLog
from gateway.embedded_redis import binary
from gateway.redis_connection import connect
from gateway.spool_files import Event


class Server:
    """A Valkey process. It writes every command to disk at once, so that a test which kills it
    loses nothing by chance; what it loses, a test takes away on purpose."""

    def __init__(self, folder: Path, *, appendonly: bool = True) -> None:
        self.folder = folder
        self.url = f"unix://{folder}/s"
        self._appendonly = appendonly
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        options = ["--port", "0", "--unixsocket", f"{self.folder}/s", "--dir", str(self.folder)]
        options += ["--save", "", "--appendonly", "yes" if self._appendonly else "no"]
        options += ["--appendfsync", "always", "--loglevel", "warning"]
        self._process = subprocess.Popen(
            [str(binary()), *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while not self._answers():
            assert self._process.poll() is None, "the server ended at once"
            time.sleep(0.01)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        assert self._process is not None
        self._process.wait()

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as client:
            try:
                client.connect(f"{self.folder}/s")
                client.sendall(b"PING\r\n")
                return client.recv(64).startswith(b"+PONG")
            except OSError:
                return False


@pytest.fixture
def new_server() -> Iterator[Callable[..., Server]]:
    """Servers for the tests that kill them."""
    servers: list[Server] = []

    def start(*, appendonly: bool = True) -> Server:
        server = Server(Path(tempfile.mkdtemp(prefix="hydra-")), appendonly=appendonly)
        servers.append(server)
        server.start()
        return server

    yield start
    for server in servers:
        server.kill()
        shutil.rmtree(server.folder)


@pytest.fixture(scope="session")
def shared_server() -> Iterator[Server]:
    server = Server(Path(tempfile.mkdtemp(prefix="hydra-")), appendonly=False)
    server.start()
    yield server
    server.kill()
    shutil.rmtree(server.folder)


@pytest.fixture
def redis_url(shared_server: Server) -> str:
    """An empty Redis."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(f"{shared_server.folder}/s")
        client.sendall(b"FLUSHALL\r\n")
        assert client.recv(64) == b"+OK\r\n"
    return shared_server.url


def new_id() -> str:
    """A UUIDv7, as the gateway makes them."""
    milliseconds = time.time_ns() // 10**6
    number = milliseconds << 80 | 7 << 76 | int.from_bytes(os.urandom(9)) & (2**76 - 1)
    return str(uuid.UUID(int=number & ~(3 << 62) | 2 << 62))


def a_record(**changes: Any) -> dict[str, Any]:
    """A finished decision, of the size that real ones have."""
    now = datetime.now(UTC)
    candidate = {
        "model": "model-a",
        "shortfall": 0.0123,
        "p_solve": 0.71,
        "expected_output_tokens": 600,
        "expected_cost_usd": "0.000164",
        "eligible": True,
        "excluded_by": None,
    }
    return {
        "id": new_id(),
        "ts": now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "schema": 1,
        "key_id": "alice",
        "session": None,
        "endpoint": "/v1/chat/completions",
        "pool": "default",
        "rule": "threshold",
        "mode": "iso",
        "model_requested": "auto",
        "threshold": 0.2,
        "value_usd": None,
        "catalog_sha": "a" * 64,
        "predictor_sha": "b" * 64,
        "requirements": {"reasoning": 0.31, "code_generation": 0.62, "debugging": 0.07},
        "candidates": [candidate] * 5,
        "chosen": "model-a",
        "reason": "cheapest_sufficient",
        "runner_up": "model-b",
        "attempts": [{"model": "model-a", "status": 200, "error": None, "latency_ms": 812.5}],
        "served_by": "model-a",
        "status": "ok",
        "finish_reason": "stop",
        "stream": True,
        "disconnected": False,
        "usage": {
            "prompt": 100,
            "cached": 0,
            "cache_write": 0,
            "completion": 20,
            "reasoning": 0,
            "audio": 0,
        },
        "cost_usd": "0.000164",
        "cost_status": "exact",
        "baseline": "model-b",
        "baseline_cost_usd": "0.0006",
        "savings_usd": "0.000436",
        "predictor_ms": 2.8,
        "router_ms": 0.1,
        "ttft_ms": 301.2,
        "latency_ms": 812.9,
        "tags": [],
        "prompt_chars": 400,
        "prompt_sha256": "c" * 64,
    } | changes


def begun(record: dict[str, Any]) -> dict[str, Any]:
    """What is known of it before the provider was called."""
    unknown = dict.fromkeys(
        ("usage", "cost_usd", "savings_usd", "baseline_cost_usd", "finish_reason", "served_by")
    )
    return {**record, **unknown, "status": "started", "cost_status": "unknown", "attempts": []}


def begin(log: DecisionLog, record: dict[str, Any]) -> None:
    log.begin(record["id"], spool_files.to_json(record))


def end(log: DecisionLog, record: dict[str, Any]) -> None:
    log.end(record["id"], spool_files.to_json(record))


async def deliver(redis: Any, records: list[dict[str, Any]], *, max_len: int = 10**6) -> None:
    """As a writer of its own does."""
    position, writer = 0, uuid.uuid4().hex
    for start in range(0, len(records), 100):
        events = [
            Event(seq=start + n, kind="end", id=record["id"], text=spool_files.to_json(record))
            for n, record in enumerate(records[start : start + 100], 1)
        ]
        position, failed = await delivery.deliver(
            *(redis, writer, events),
            after=position,
            stream_max_len=max_len,
            detail_ttl_s=60,
        )
        assert (position, failed) == (events[-1].seq, 0)


async def delivered(log: DecisionLog, *, within_s: float = 10.0) -> None:
    """Wait until nothing is pending and Redis answers."""
    deadline = time.monotonic() + within_s
    while log.status().pending or not log.status().redis_reachable:
        assert time.monotonic() < deadline, f"not delivered in {within_s} s: {log.status()}"
        await asyncio.sleep(0.01)


async def stream_ids(url: str) -> list[str]:
    """The ids in the stream, oldest first."""
    ids: list[str] = []
    newest = "-"
    async with a_client(url) as redis:
        while entries := await redis.xrange("hydra:decisions", newest, "+", count=1000):
            ids += [entry["id"] for _, entry in entries]
            newest = f"({entries[-1][0]}"
    return ids


@asynccontextmanager
async def a_client(url: str) -> AsyncIterator[Any]:
    client = connect(url)
    try:
        yield client
    finally:
        await client.aclose()
