"""`hydra-gateway export`: every decision, typed and exact, in each format."""

import asyncio
import csv
import io
import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import redis
from exports import FORMATS, exported, ids, judge, log, rows, some
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet
from test_listing import matching, some_records
from test_serve import ROOT, clean_environ, command

from gateway import export_formats
from gateway.embedded_redis import running
from gateway.errors import GatewayError
from gateway.export_columns import COLUMNS, KINDS, NAMES, cells, row
from gateway.feedback import Feedback
from gateway.ledger import Ledger
from tests import log_fixtures
from tests.log_fixtures import Server, a_client, a_record

redis_url = log_fixtures.redis_url


@pytest.mark.parametrize("format", FORMATS)
def test_every_decision_is_exported_oldest_first(
    redis_url: str, tmp_path: Path, format: str
) -> None:
    """More than a page of the stream."""
    records = some_records(seed=1, count=600)
    log(redis_url, records)
    out = tmp_path / f"decisions.{format}"
    done = exported(redis_url, out)
    assert ids(rows(out)) == ids(records)
    assert (done.rows, done.files, done.warnings) == (600, [str(out)], [])
    assert [path.name for path in tmp_path.iterdir()] == [out.name]


@pytest.mark.parametrize("format", FORMATS)
def test_an_empty_log_is_an_empty_table(redis_url: str, tmp_path: Path, format: str) -> None:
    out = tmp_path / f"decisions.{format}"
    done = exported(redis_url, out)
    assert (done.rows, done.cursor, rows(out)) == (0, "0-0", [])
    if format == "parquet":
        assert parquet.read_schema(out).names == list(NAMES)
    if format == "csv":
        assert out.read_bytes().decode() == ",".join(NAMES) + "\r\n"


@pytest.mark.parametrize(
    "filters",
    [
        {"model": "a", "tag": "x"},
        {"since": "2026-01-04", "until": "2026-01-06T00:00:00Z"},
        {"since": "2026-01-04", "key": "bob"},
        {"user": "nobody"},
    ],
    ids=lambda filters: ", ".join(filters),
)
def test_filters_are_those_of_the_list(
    redis_url: str, tmp_path: Path, filters: dict[str, str]
) -> None:
    records = some_records(seed=2, count=700)
    log(redis_url, records)
    exported(redis_url, tmp_path / "some.jsonl", **filters)
    assert ids(rows(tmp_path / "some.jsonl")) == matching(records, filters)[::-1]


def test_since_passes_over_what_ended_long_before(redis_url: str, tmp_path: Path) -> None:
    """Entries have Redis' time: `since` in the far future asks for nothing from the stream."""
    out = tmp_path / "none.jsonl"
    log(redis_url, some(10))
    with redis.Redis.from_url(redis_url) as client:
        client.config_resetstat()
        for _ in range(2):
            done = exported(redis_url, out, is_incremental=True, since="2100-01-01")
            assert (done.rows, done.warnings) == (0, [])
        assert "cmdstat_xrange" not in client.info("commandstats")


def test_json_lines_are_the_records_of_the_list(redis_url: str, tmp_path: Path) -> None:
    records = some_records(seed=3, count=50)
    log(redis_url, records)
    judge(redis_url, records[7]["id"], 0.5)

    async def listed() -> list[dict[str, Any]]:
        async with a_client(redis_url) as client:
            page = await Ledger(client).decisions(filters={}, limit=50, cursor=None)
            await Feedback(client, ttl_s=60).join(page.data)
            return page.data

    exported(redis_url, tmp_path / "all.jsonl")
    assert rows(tmp_path / "all.jsonl") == asyncio.run(listed())[::-1]


RECORD = a_record(
    id="one",
    ts="2026-11-23T18:40:01.123Z",
    user="u",
    tags=["x", "ü, y"],
    cost_usd="1234.000000000001",
    savings_usd=None,
    value_usd=0.22,
    demands={"tools": True},
    new_field={"of": "a later version"},
)


def test_parquet_is_typed_and_money_is_exact(redis_url: str, tmp_path: Path) -> None:
    log(redis_url, [RECORD])
    judge(redis_url, "one", 0.5)
    exported(redis_url, tmp_path / "one.parquet")
    (found,) = rows(tmp_path / "one.parquet")
    assert found["ts"] == datetime(2026, 11, 23, 18, 40, 1, 123000, UTC)
    assert found["cost_usd"] == Decimal("1234.000000000001")
    assert (found["savings_usd"], found["value_usd"]) == (None, Decimal("0.22"))
    assert found["requirements"] == RECORD["requirements"]
    assert found["tags"] == ["x", "ü, y"]
    assert (found["prompt_tokens"], found["completion_tokens"]) == (100, 20)
    assert (found["stream"], found["latency_ms"]) == (True, 812.9)
    assert json.loads(found["candidates"]) == RECORD["candidates"]
    assert json.loads(found["extra"]) == {"new_field": {"of": "a later version"}}
    assert (found["feedback_score"], found["feedback_key_id"]) == (0.5, "alice")
    assert found["feedback_ts"] is not None


def test_csv_has_the_same_values_as_text(redis_url: str, tmp_path: Path) -> None:
    log(redis_url, [RECORD])
    exported(redis_url, tmp_path / "one.csv")
    (found,) = rows(tmp_path / "one.csv")
    assert found["ts"] == "2026-11-23T18:40:01.123Z"
    assert (found["cost_usd"], found["savings_usd"]) == ("1234.000000000001", "")
    assert (found["stream"], found["prompt_tokens"], found["threshold"]) == ("true", "100", "0.2")
    assert json.loads(found["tags"]) == ["x", "ü, y"]
    assert json.loads(found["requirements"]) == RECORD["requirements"]


def test_parquets_types_are_the_documented_ones() -> None:
    schema = export_formats.parquet_schema()
    for column in COLUMNS:
        assert str(schema.field(column.name).type) == KINDS[column.kind][0], column.name


@pytest.mark.parametrize("format", FORMATS)
def test_a_record_of_an_earlier_version_has_nulls(
    redis_url: str, tmp_path: Path, format: str
) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.xadd("hydra:decisions", {"id": "old", "cost_usd": "0.5"})
    log(redis_url, [a_record(id="new")])
    out = tmp_path / f"decisions.{format}"
    exported(redis_url, out)
    old, new = rows(out)
    assert (old["id"], new["id"]) == ("old", "new")
    assert str(old["cost_usd"]) == ("0.500000000000" if format == "parquet" else "0.5")
    assert not old.get("ts")
    assert not old.get("candidates")


def test_what_does_not_fit_its_column_is_kept_in_extra() -> None:
    record = {
        "id": "odd",
        "ts": "yesterday",
        "cost_usd": "a lot",
        "usage": {"prompt": "many", "completion": 5, "thinking": 7},
        "requirements": {"reasoning": "high"},
        "tags": "x",
        "schema": 2**70,
        "feedback": "good",
        "key_id": ["list"],
    }
    found = dict(zip(NAMES, row(record), strict=True))
    assert (found["id"], found["completion_tokens"], found["key_id"]) == ("odd", 5, '["list"]')
    for name in ("ts", "cost_usd", "prompt_tokens", "requirements", "tags", "schema"):
        assert found[name] is None
    left = {name: record[name] for name in record if name not in ("id", "key_id", "usage")}
    assert json.loads(found["extra"]) == left | {"usage": {"prompt": "many", "thinking": 7}}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
FIELDS = st.sampled_from([*{column.path.partition(".")[0] for column in COLUMNS}, "another"])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.dictionaries(FIELDS, JSON, max_size=8), min_size=1, max_size=3))
def test_whatever_a_record_holds_can_be_exported(records: list[dict[str, Any]]) -> None:
    for format in FORMATS:
        file = io.BytesIO()
        writer = export_formats.encoder(format, file)
        writer.write(records)
        writer.close()
        if format == "parquet":
            assert parquet.read_table(io.BytesIO(file.getvalue())).num_rows == len(records)
        elif format == "csv":
            lines = list(csv.reader(io.StringIO(file.getvalue().decode(), newline=""), strict=True))
            assert {len(line) for line in lines} == {len(NAMES)}
            assert len(lines) == 1 + len(records)
        else:
            assert len(file.getvalue().decode().split("\n")) == len(records) + 1


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", "'quoted"],  # noqa: RUF001
)
def test_csv_keeps_spreadsheets_from_running_text(text: str) -> None:
    """One quote goes before what could be a formula, and before a quote: so taking one away gives
    the text back."""
    record = a_record(user=text, tags=[text], session=f"a{text}", savings_usd="-0.5")
    found = dict(zip(NAMES, cells(row(record)), strict=True))
    assert found["user"] == f"'{text}"
    assert found["session"] == f"a{text}"
    assert json.loads(found["tags"]) == [text]
    assert found["savings_usd"] == "-0.5"
    assert dict(zip(NAMES, row(record), strict=True))["user"] == text


def test_a_new_export_replaces_an_older_one_as_a_whole(redis_url: str, tmp_path: Path) -> None:
    out = tmp_path / "decisions.csv"
    for _ in range(2):
        log(redis_url, some(3))
        exported(redis_url, out)
    assert len(rows(out)) == 6
    (tmp_path / "link.csv").symlink_to(out)
    exported(redis_url, tmp_path / "link.csv", status="error")
    assert (tmp_path / "link.csv").is_symlink()
    assert rows(out) == []


@pytest.mark.parametrize(
    ("out", "options", "words"),
    [
        pytest.param("x.xlsx", {}, "its name tells no format: say --format", id="other suffix"),
        pytest.param("x", {"is_incremental": True}, "tells no format", id="no suffix"),
        pytest.param("-", {"format": "parquet"}, "Parquet needs a file", id="Parquet to stdout"),
        pytest.param("-", {"is_incremental": True}, "needs a file to go on", id="stdout goes on"),
        pytest.param("folder.csv", {}, "is a folder", id="a folder"),
        pytest.param("/dev/null", {"format": "csv"}, "is not a file", id="a device"),
        pytest.param("no/where.csv", {}, "No such file or directory", id="no such folder"),
    ],
)
def test_an_out_that_cannot_be_is_refused(
    redis_url: str, tmp_path: Path, out: str, options: dict[str, Any], words: str
) -> None:
    (tmp_path / "folder.csv").mkdir()
    path = Path("-") if out == "-" else tmp_path / out
    with pytest.raises(GatewayError, match=words):
        exported(redis_url, path, **options)
    assert [path.name for path in tmp_path.iterdir()] == ["folder.csv"]


def test_a_redis_that_fails_leaves_no_half_of_a_file(tmp_path: Path) -> None:
    where = {"HYDRA_REDIS_URL": "redis://127.0.0.1:9"}
    (tmp_path / "old.csv").write_text("former")
    ran = command("export", "old.csv", cwd=tmp_path, **where)
    assert ran.returncode == 1
    assert ran.stderr == "the decision log cannot be read: Redis cannot be reached\n"
    assert [path.read_text() for path in tmp_path.iterdir()] == ["former"]


def test_a_redis_that_is_busy_for_a_while_is_asked_again(
    new_server: Callable[..., Server], tmp_path: Path
) -> None:
    """Longer than an answer may take."""
    server, out = new_server(appendonly=False), tmp_path / "all.csv"
    log(server.url, some(3000))
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway", "export", str(out), "--incremental"],
        env=clean_environ(HYDRA_REDIS_URL=server.url),
        cwd=tmp_path,
    )
    while not (out.exists() and out.stat().st_size):
        assert process.poll() is None
    server.signal(signal.SIGSTOP)
    time.sleep(1.5)
    assert process.poll() is None
    server.signal(signal.SIGCONT)
    assert process.wait() == 0
    assert len(rows(out)) == 3000


def test_the_command_reads_the_log_of_a_gateway_that_does_not_run(tmp_path: Path) -> None:
    with running(tmp_path / ".hydra") as url:
        log(url, [a_record(id="one"), a_record(id="two", status="error")])
    ran = command("export", "all.csv", "--status", "error", "--json", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    summary = json.loads(ran.stdout)
    assert summary["rows"] == 1
    assert summary["files"] == [str(tmp_path.resolve() / "all.csv")]
    assert summary["warnings"] == []
    assert ids(rows(tmp_path / "all.csv")) == ["two"]
    ran = command("export", "all.csv", cwd=tmp_path)
    assert (ran.stdout, ran.stderr) == (f"2 decisions: {tmp_path.resolve()}/all.csv\n", "")


def test_a_dash_is_the_standard_output(redis_url: str, tmp_path: Path) -> None:
    log(redis_url, some(2000))
    where = {"HYDRA_REDIS_URL": redis_url}
    ran = command("export", "-", cwd=tmp_path, **where)
    assert len({json.loads(line)["id"] for line in ran.stdout.splitlines()}) == 2000
    assert ran.stderr == "2000 decisions: -\n"
    assert "--json needs a file" in command("export", "-", "--json", cwd=tmp_path, **where).stderr


def test_a_reader_of_the_standard_output_that_leaves_is_no_error(
    redis_url: str, tmp_path: Path
) -> None:
    log(redis_url, some(2000))
    where = {"HYDRA_REDIS_URL": redis_url}
    piped = f"{sys.executable} -m gateway export - --format csv | head -n 1"
    ran = subprocess.run(
        ["bash", "-c", piped],
        env=clean_environ(**where),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.stdout, ran.stderr) == (",".join(NAMES) + "\n", "")


def test_a_full_disk_is_said_in_one_line(redis_url: str, tmp_path: Path) -> None:
    log(redis_url, some(2))
    with open("/dev/full", "w") as full:
        ran = subprocess.run(
            [sys.executable, "-m", "gateway", "export", "-"],
            env=clean_environ(HYDRA_REDIS_URL=redis_url),
            cwd=tmp_path,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert ran.returncode == 1
    assert ran.stderr.startswith("-: cannot be written: No space left on device\n")


@pytest.mark.parametrize("more", [{}, {"NO_COLOR": "1"}], ids=["colour", "NO_COLOR"])
def test_a_terminal_sees_a_bar(redis_url: str, tmp_path: Path, more: dict[str, str]) -> None:
    log(redis_url, some(600))
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway", "export", "all.jsonl"],
        env=clean_environ(HYDRA_REDIS_URL=redis_url, TERM="xterm-256color", **more),
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=theirs,
    )
    os.close(theirs)
    seen = b""
    try:
        while chunk := os.read(ours, 4096):
            seen += chunk
    except OSError:  # the other end is closed
        pass
    os.close(ours)
    assert process.wait() == 0
    assert b"600/600" in seen
    assert (b"\x1b[38;" in seen or b"\x1b[3" in seen) is not bool(more)


def test_without_pyarrow_one_line_says_how_to_get_it(tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "from gateway.cli import main; sys.exit(main(['export', 'x.parquet']))"
    )
    (tmp_path / ".hydra/redis").mkdir(parents=True)
    ran = subprocess.run(
        [sys.executable, "-c", program],
        env=clean_environ(),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 1
    assert ran.stderr == (
        "Parquet needs the package pyarrow (the extra 'export'): pip install pyarrow;"
        " csv and jsonl need nothing\n"
    )


def test_text_formats_need_no_pyarrow() -> None:
    program = (
        "import sys; sys.modules['pyarrow'] = None; from gateway import export\n"
        "for format in ('csv', 'jsonl'):\n"
        "    export.order(f'x.{format}', None, {}, is_incremental=True)\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)
