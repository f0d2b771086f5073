"""`hydra-gateway export --incremental`: each run adds what is new, whatever killed the last one."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import redis
from exports import FORMATS, exported, ids, judge, log, rows, some
from pyarrow import parquet
from test_serve import clean_environ, command

from gateway.errors import GatewayError
from tests import log_fixtures
from tests.log_fixtures import a_record

redis_url = log_fixtures.redis_url


def out_of(folder: Path, format: str) -> Path:
    return folder / ("decisions" if format == "parquet" else f"decisions.{format}")


def more(url: str, out: Path, **options: Any) -> int:
    """The rows that one more run adds."""
    format = "parquet" if not out.suffix else None
    return exported(url, out, format, is_incremental=True, **options).rows


def exported_ids(out: Path) -> list[str]:
    return ids(rows(out, out.suffix[1:] or "parquet"))


@pytest.mark.parametrize("format", FORMATS)
def test_each_run_adds_what_is_new(redis_url: str, tmp_path: Path, format: str) -> None:
    out, records = out_of(tmp_path, format), some(1300)
    for first, last in ((0, 600), (600, 601), (601, 601), (601, 1300)):
        log(redis_url, records[first:last])
        assert more(redis_url, out) == last - first
        assert exported_ids(out) == ids(records[:last])
    cursor = json.loads((tmp_path / f"{out.name}.cursor").read_text())
    assert (cursor["format"], cursor["filters"], cursor["rows"]) == (format, {}, 1300)
    if format == "parquet":
        parts = sorted(out.iterdir())
        assert [part.name for part in parts] == [f"part-00000{n}.parquet" for n in (1, 2, 3)]
        assert len({parquet.read_schema(part).serialize().to_pybytes() for part in parts}) == 1
    else:
        assert sorted(path.name for path in tmp_path.iterdir()) == [out.name, f"{out.name}.cursor"]


@pytest.mark.parametrize("format", FORMATS)
def test_an_empty_log_is_begun_with(redis_url: str, tmp_path: Path, format: str) -> None:
    out = out_of(tmp_path, format)
    assert more(redis_url, out) == 0
    log(redis_url, [a_record(id="one")])
    assert more(redis_url, out) == 1
    assert exported_ids(out) == ["one"]


@pytest.mark.parametrize("format", FORMATS)
def test_a_long_export_is_committed_on_the_way(redis_url: str, tmp_path: Path, format: str) -> None:
    out, records = out_of(tmp_path, format), some(1300)
    log(redis_url, records)
    assert more(redis_url, out, commit_rows=500) == 1300
    assert exported_ids(out) == ids(records)
    if format == "parquet":
        assert len(list(out.iterdir())) == 3


def test_feedback_is_joined_as_it_is_at_the_time(redis_url: str, tmp_path: Path) -> None:
    out = tmp_path / "decisions.csv"
    log(redis_url, [a_record(id="one")])
    judge(redis_url, "one", 0.25)
    more(redis_url, out)
    judge(redis_url, "one", 0.75)
    log(redis_url, [a_record(id="two")])
    more(redis_url, out)
    assert [row["feedback_score"] for row in rows(out)] == ["0.25", ""]
    exported(redis_url, tmp_path / "anew.csv")
    assert [row["feedback_score"] for row in rows(tmp_path / "anew.csv")] == ["0.75", ""]


@pytest.mark.parametrize("format", FORMATS)
def test_another_question_is_not_added_to_the_same_file(
    redis_url: str, tmp_path: Path, format: str
) -> None:
    out = out_of(tmp_path, format)
    log(redis_url, some(2))
    more(redis_url, out, model="model-a")
    other = "jsonl" if format == "csv" else "csv"
    begun = f"was begun as {format} \\(model model-a\\), not "
    with pytest.raises(GatewayError, match=begun + format + " \\(no filter\\)"):
        more(redis_url, out)
    with pytest.raises(GatewayError, match=begun + format + " \\(model model-a, status ok\\)"):
        more(redis_url, out, model="model-a", status="ok")
    if format != "parquet":
        with pytest.raises(GatewayError, match=begun + other):
            exported(redis_url, out, other, is_incremental=True, model="model-a")
    with pytest.raises(GatewayError, match=r"is a folder|is an incremental export: go on with"):
        exported(redis_url, out, format, model="model-a")
    assert len(exported_ids(out)) == 2


@pytest.mark.parametrize("format", ["parquet", "csv"])
def test_other_columns_are_not_added_to_the_same_file(
    redis_url: str, tmp_path: Path, format: str
) -> None:
    out = out_of(tmp_path, format)
    more(redis_url, out)
    path = tmp_path / f"{out.name}.cursor"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"columns": "of another version"}))
    with pytest.raises(GatewayError, match="begun by a version with other columns"):
        more(redis_url, out)


@pytest.mark.parametrize(
    "cursor",
    ["", "{}", "[]", '{"version": 2}', '{"version": 1, "last": "x"}'],
    ids=["empty", "no version", "a list", "later version", "fields missing"],
)
def test_a_cursor_that_cannot_be_read_is_refused(
    redis_url: str, tmp_path: Path, cursor: str
) -> None:
    (tmp_path / "x.csv.cursor").write_text(cursor)
    with pytest.raises(GatewayError, match=r"x.csv.cursor: not a cursor of this version"):
        more(redis_url, tmp_path / "x.csv")


def test_somebody_elses_file_is_left_alone(redis_url: str, tmp_path: Path) -> None:
    log(redis_url, some(2))
    (tmp_path / "own.csv").write_text("my,notes\n")
    (tmp_path / "own").mkdir()
    (tmp_path / "own/notes").touch()
    (tmp_path / "plain").touch()
    for name, words in (("own.csv", "not empty"), ("own", "not empty"), ("plain", "not a folder")):
        with pytest.raises(GatewayError, match=words):
            more(redis_url, tmp_path / name)
    assert (tmp_path / "own.csv").read_text() == "my,notes\n"
    assert not list(tmp_path.glob("*.cursor"))


@pytest.mark.parametrize("change", ["shortened", "rewritten"])
def test_a_file_that_was_changed_is_refused(redis_url: str, tmp_path: Path, change: str) -> None:
    out = tmp_path / "decisions.jsonl"
    log(redis_url, some(2))
    more(redis_url, out)
    written = out.stat().st_size
    out.write_text("x" * (written - 1 if change == "shortened" else written + 1))
    with pytest.raises(GatewayError, match=f"changed since the last export, which left {written}"):
        more(redis_url, out)
    assert out.read_text().startswith("xxx")


def test_a_file_that_was_moved_away_is_begun_anew_after_the_last_decision(
    redis_url: str, tmp_path: Path
) -> None:
    out, records = tmp_path / "decisions.csv", some(5)
    log(redis_url, records[:3])
    more(redis_url, out)
    out.rename(tmp_path / "november.csv")
    log(redis_url, records[3:])
    more(redis_url, out)
    assert exported_ids(tmp_path / "november.csv") == ids(records[:3])
    assert exported_ids(out) == ids(records[3:])


def test_parts_that_were_moved_away_do_not_come_again(redis_url: str, tmp_path: Path) -> None:
    out, records = tmp_path / "decisions", some(3)
    for record in records[:2]:
        log(redis_url, [record])
        more(redis_url, out)
    for part in out.iterdir():
        part.unlink()
    log(redis_url, records[2:])
    more(redis_url, out)
    assert [part.name for part in out.iterdir()] == ["part-000003.parquet"]
    assert exported_ids(out) == ids(records[2:])


def test_what_a_killed_run_left_goes_also_when_nothing_is_new(
    redis_url: str, tmp_path: Path
) -> None:
    out = tmp_path / "decisions"
    log(redis_url, some(1))
    more(redis_url, out)
    (out / ".part-000002.tmp").write_bytes(b"PAR1, half of it")
    assert more(redis_url, out) == 0
    assert [part.name for part in out.iterdir()] == ["part-000001.parquet"]


@pytest.mark.parametrize("format", FORMATS)
def test_two_runs_at_once_do_not_mix(redis_url: str, tmp_path: Path, format: str) -> None:
    out = out_of(tmp_path, format)
    log(redis_url, some(2))
    more(redis_url, out)
    other = os.open(out, os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)
    with pytest.raises(GatewayError, match="another export is writing it"):
        more(redis_url, out)
    os.close(other)
    assert more(redis_url, out) == 0


def test_decisions_that_were_trimmed_before_they_were_exported_show(
    redis_url: str, tmp_path: Path
) -> None:
    out = tmp_path / "decisions.csv"
    where = {"HYDRA_REDIS_URL": redis_url}
    log(redis_url, some(10))
    assert command("export", str(out), "--incremental", cwd=tmp_path, **where).stderr == ""
    log(redis_url, some(900), max_len=300)
    ran = command("export", str(out), "--incremental", "--json", cwd=tmp_path, **where)
    assert ran.returncode == 0
    assert ran.stderr.startswith("warning: a gap: this export stood at ")
    assert "was trimmed (HYDRA_LOG_MAX_DECISIONS)" in ran.stderr
    (warning,) = json.loads(ran.stdout)["warnings"]
    assert ran.stderr == f"warning: {warning}\n"
    assert command("export", str(out), "--incremental", cwd=tmp_path, **where).stderr == ""


def test_a_filter_that_matches_little_leaves_no_gap(redis_url: str, tmp_path: Path) -> None:
    """The cursor goes on with the log, not with what matched."""
    out = tmp_path / "decisions.csv"
    log(redis_url, [a_record(id="one", user="rare")])
    for count in (250, 250, 250):
        log(redis_url, some(count))
        assert exported(redis_url, out, is_incremental=True, user="rare").warnings == []
        log(redis_url, some(1), max_len=200)
    assert exported_ids(out) == ["one"]


def test_another_redis_shows(redis_url: str, tmp_path: Path) -> None:
    out = tmp_path / "decisions.csv"
    log(redis_url, some(2))
    more(redis_url, out)
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
    done = exported(redis_url, out, is_incremental=True)
    assert (done.rows, len(done.warnings)) == (0, 1)
    assert done.warnings[0].startswith("the log ends at its beginning, before ")
    log(redis_url, some(3))
    done = exported(redis_url, out, is_incremental=True)
    assert (done.rows, len(rows(out))) == (3, 5)


def test_deleted_decisions_are_no_gap(redis_url: str, tmp_path: Path) -> None:
    """The last one that was exported is deleted from the stream, and nothing came after it."""
    out = tmp_path / "decisions.csv"
    log(redis_url, some(3))
    more(redis_url, out)
    with redis.Redis.from_url(redis_url) as client:
        for entry_id, _ in client.xrange("hydra:decisions")[1:]:
            client.xdel("hydra:decisions", entry_id)
    assert exported(redis_url, out, is_incremental=True).warnings == []


# Runs an export again and again in a process of its own, which is killed before its first, second,
# ... operation on files, every other time once more, and then runs to the end. Prints after how
# many operations a run ends, and what went wrong.
KILLED_EVERYWHERE = """
import json, os, shutil, signal, sys
from pathlib import Path
sys.path.append("tests")
from exports import exported, ids, rows

url, folder, format = sys.argv[1:4]
is_incremental, expected = sys.argv[4] == "yes", int(sys.argv[5])
out = Path(folder) / "out" / ("parts" if format == "parquet" and is_incremental else "x." + format)
COUNTED = {"open", "os.rename", "os.remove", "os.truncate", "os.mkdir", "fcntl.flock"}
exported(url, Path(folder) / "warm-up.parquet")  # imports open files, too

def killed(before):
    pid = os.fork()
    if pid == 0:
        left = before
        def count(event, arguments):
            nonlocal left
            if event in COUNTED:
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
        sys.addaudithook(count)
        exported(url, out, format, is_incremental=is_incremental, commit_rows=400)
        os._exit(0)
    status = os.waitpid(pid, 0)[1]
    assert status in (0, signal.SIGKILL), status
    return status != 0

number, was_killed = 0, True
while was_killed:
    number += 1
    shutil.rmtree(out.parent, ignore_errors=True)
    out.parent.mkdir()
    if not is_incremental:
        out.write_bytes(b"former")
    was_killed = killed(number)
    if not is_incremental and out.read_bytes() != b"former":
        assert len(rows(out, format)) == expected, number
    if published := [*out.glob("part*")]:  # a reader may have them, so they are there for good
        cursor = json.loads(out.with_name("parts.cursor").read_text())
        assert sum(len(rows(part)) for part in published) <= cursor["rows"], number
    if number % 2:
        killed(number)
    assert not killed(0), number
    found = ids(rows(out, format))
    assert len(found) == len(set(found)) == expected, (number, len(found), len(set(found)))
    assert not list(out.parent.rglob(".*")), number
print(number)
"""


@pytest.mark.parametrize(
    ("format", "is_incremental"),
    [("parquet", True), ("csv", True), ("parquet", False)],
    ids=["parts", "a file that grows", "one file"],
)
def test_killed_before_any_operation_on_files_nothing_is_lost_or_doubled(
    redis_url: str, tmp_path: Path, format: str, is_incremental: bool
) -> None:
    log(redis_url, [{"id": str(number)} for number in range(510)])
    asked = [redis_url, str(tmp_path), format, "yes" if is_incremental else "no", "510"]
    ran = subprocess.run(
        [sys.executable, "-c", KILLED_EVERYWHERE, *asked],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert int(ran.stdout) > (12 if is_incremental else 4)


@pytest.mark.parametrize("format", ["csv", "jsonl"])
def test_killed_while_it_writes_nothing_is_lost_or_doubled(
    redis_url: str, tmp_path: Path, format: str
) -> None:
    records = some(1500)
    log(redis_url, records)
    out = tmp_path / f"decisions.{format}"
    arguments = [sys.executable, "-m", "gateway", "export", str(out), "--incremental"]
    environ = clean_environ(HYDRA_REDIS_URL=redis_url)
    for least in (1, 250_000):
        process = subprocess.Popen(arguments, env=environ, cwd=tmp_path)
        while not (out.exists() and out.stat().st_size >= least):
            assert process.poll() is None
            time.sleep(0.001)
        process.kill()
        assert process.wait() == -signal.SIGKILL
        assert json.loads((tmp_path / f"{out.name}.cursor").read_text())["rows"] == 0
        if least == 1:
            out.write_bytes(out.read_bytes()[:-7])  # in the middle of a line
    subprocess.run(arguments, env=environ, cwd=tmp_path, check=True, stdout=subprocess.DEVNULL)
    assert exported_ids(out) == ids(records)
