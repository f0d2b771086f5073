"""What docs/export.md shows runs as it stands."""

import os
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
import redis
from exports import FORMATS, exported, ids, log, some
from test_bench_programs import ran
from test_docs import blocks
from test_serve import ROOT, clean_environ

from tests import log_fixtures
from tests.log_fixtures import a_record

redis_url = log_fixtures.redis_url

PAGE = (ROOT / "docs/export.md").read_text("utf-8")
READER, CONSUMER = blocks(PAGE, "python")
QUERIES = [query for query in "".join(blocks(PAGE, "sql")).split(";") if query.strip()]


@pytest.fixture
def folder(redis_url: str, tmp_path: Path) -> Path:
    """The exports that the page reads; two parts."""
    for records in (some(3), [a_record(served_by=None, status="error", cost_usd=None)]):
        log(redis_url, [record | {"tags": ["x", "y"]} for record in records])
        exported(redis_url, tmp_path / "decisions", "parquet", is_incremental=True)
    for format in ("csv", "jsonl"):
        exported(redis_url, tmp_path / f"decisions.{format}")
    return tmp_path


def test_duckdb_reads_what_was_exported(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    total = 3 * Decimal("0.000164")
    by_model, by_tag, requirements, of_csv, of_jsonl = (
        duckdb.sql(query).fetchall() for query in QUERIES
    )
    assert by_model == [("model-a", 3, total, 3 * Decimal("0.000436"))]
    assert sorted(by_tag) == [("x", total), ("y", total)]
    assert [value for _, value in requirements] == [0.31] * 4
    assert of_csv == of_jsonl == [(total,)]


def test_pyarrow_reads_a_folder_of_parts(folder: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", READER], cwd=folder, capture_output=True, text=True, check=True
    )
    assert ran.stdout == "1 failed\n"


def test_the_benchmark_of_the_page_runs() -> None:
    printed, last = ran("export_speed.py", "--decisions", "300")
    assert [(row["format"], row["decisions"]) for row in last] == [
        *((format, count) for count in (30, 300) for format in FORMATS),
    ]
    assert "| 300 | parquet |" in printed


StartLoader = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start_loader(redis_url: str, tmp_path: Path) -> Iterator[StartLoader]:
    """The page's consumer, in a process; `retry_ms` in place of its minute."""
    started: list[subprocess.Popen[str]] = []

    def start(*, retry_ms: int = 60_000, **environ: str) -> subprocess.Popen[str]:
        program, found = re.subn("RETRY_MS = 60_000", f"RETRY_MS = {retry_ms}", CONSUMER)
        assert found == 1
        process = subprocess.Popen(
            [sys.executable, "-c", program],
            env=clean_environ(HYDRA_REDIS_URL=redis_url, **environ),
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        yield client


def loaded(folder: Path) -> list[Any]:
    if not (folder / "warehouse.db").exists():
        return []
    with sqlite3.connect(folder / "warehouse.db") as warehouse:
        try:
            return warehouse.execute("SELECT * FROM decisions ORDER BY rowid").fetchall()
        except sqlite3.OperationalError:  # not made yet
            return []
        finally:
            warehouse.commit()


def wait(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def pending(client: redis.Redis) -> int:
    return int(client.xpending("hydra:decisions", "warehouse")["pending"])


def test_a_loader_that_is_killed_and_started_again_loads_each_decision_once(
    redis_url: str, client: redis.Redis, tmp_path: Path, start_loader: StartLoader
) -> None:
    records = some(1500)
    log(redis_url, records[:1200])
    loader = start_loader()
    wait(lambda: len(loaded(tmp_path)) > 0)
    loader.kill()
    log(redis_url, records[1200:])
    start_loader(retry_ms=0)
    wait(lambda: len(loaded(tmp_path)) == 1500 and pending(client) == 0)
    rows = loaded(tmp_path)
    assert {row[0] for row in rows} == set(ids(records))
    assert rows[0][2:] == ("ok", "model-a", 100, 20, "0.000164")


def test_what_a_dead_loader_took_another_one_loads(
    redis_url: str, client: redis.Redis, tmp_path: Path, start_loader: StartLoader
) -> None:
    records = some(5)
    log(redis_url, records)
    client.xgroup_create("hydra:decisions", "warehouse", id="0")
    client.xreadgroup("warehouse", "dead", {"hydra:decisions": ">"}, count=3)
    start_loader(retry_ms=0, CONSUMER="loader-2")
    wait(lambda: len(loaded(tmp_path)) == 5 and pending(client) == 0)


def test_what_was_trimmed_before_it_was_loaded_is_said(
    redis_url: str, client: redis.Redis, tmp_path: Path, start_loader: StartLoader
) -> None:
    log(redis_url, some(5))
    client.xgroup_create("hydra:decisions", "warehouse", id="0")
    ((_, taken),) = client.xreadgroup("warehouse", "dead", {"hydra:decisions": ">"}, count=3)
    log(redis_url, some(2))
    client.xtrim("hydra:decisions", maxlen=1, approximate=False)
    loader = start_loader(retry_ms=0)
    assert loader.stdout is not None
    assert loader.stdout.readline().startswith(f"a gap: read up to {taken[-1][0]}, and the stream")
    gone = ", ".join(entry_id for entry_id, _ in taken)
    assert loader.stdout.readline() == f"trimmed before they were loaded: {gone}\n"
    wait(lambda: len(loaded(tmp_path)) == 1 and pending(client) == 0)


def test_the_commands_of_the_page_exist(redis_url: str, tmp_path: Path) -> None:
    lines = [
        line.partition(" | ")[0]
        for block in blocks(PAGE, "bash")
        for line in block.splitlines()
        if line.startswith("hydra-gateway")
    ]
    assert len(lines) == 4
    script = "\n".join(line.replace("hydra-gateway", '"$PYTHON" -m gateway', 1) for line in lines)
    environ = clean_environ(HYDRA_REDIS_URL=redis_url, PYTHON=sys.executable)
    subprocess.run(
        ["bash", "-ec", script], cwd=tmp_path, env=environ, check=True, capture_output=True
    )
    assert sorted(os.listdir(tmp_path)) == [
        *("decisions", "decisions.cursor", "decisions.parquet", "errors.csv"),
    ]
