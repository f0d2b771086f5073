"""The spool keeps every line through a kill, a torn write and a full disk, and stays bounded."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import spool_files
from gateway.spool import DeadSpool, Spool, SpoolError, SpoolFull, adopt_dead, sync
from gateway.spool_files import Event, events, find

WRITER = """
import sys
from pathlib import Path
from gateway.spool import Spool
spool = Spool(Path(sys.argv[1]), segment_bytes=20_000)
while True:
    seq = spool.take_seq()
    spool.append(seq, "end", f"id-{seq}", '{"id":"id-%d","text":"%s"}' % (seq, "x" * 200))
    print(seq, flush=True)
"""
WRITER_ON_A_FULL_DISK = """
import resource, sys
from pathlib import Path
from gateway.spool import Spool, SpoolError
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
spool = Spool(Path(sys.argv[1]))
for _ in range(20):
    seq = spool.take_seq()
    try:
        spool.append(seq, "end", f"id-{seq}", '{"text":"%s"}' % ("x" * 100))
        print(seq)
    except SpoolError as error:
        print(error, file=sys.stderr)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
seq = spool.take_seq()
spool.append(seq, "end", f"id-{seq}", "{}")
print(seq)
"""


def put(spool: Spool, text: str = "{}", kind: spool_files.Kind = "end") -> int:
    seq = spool.take_seq()
    spool.append(seq, kind, f"id-{seq}", text)
    return seq


def seqs(folder: Path, after: int = 0) -> list[int]:
    return [event.seq for event in events(folder, after=after)]


def discard(adopted: list[DeadSpool]) -> list[str]:
    for dead in adopted:
        dead.discard()
    return [dead.writer_id for dead in adopted]


def test_what_was_appended_is_read_back_in_order(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.append(spool.take_seq(), "begin", 'odd "id"\n', '{"id":1}')
    spool.append(spool.take_seq(), "end", "ü", '{"id":"\\u0000 ü"}')
    assert list(events(spool.folder)) == [
        Event(seq=1, kind="begin", id='odd "id"\n', text='{"id":1}'),
        Event(seq=2, kind="end", id="ü", text='{"id":"\\u0000 ü"}'),
    ]
    spool.close()


def test_segments_rotate_and_reading_after_a_number_skips_the_older_ones(tmp_path: Path) -> None:
    spool = Spool(tmp_path, segment_bytes=100)
    for _ in range(20):
        put(spool)
    assert len(spool_files.segments(spool.folder)) > 5
    assert seqs(spool.folder) == list(range(1, 21))
    assert seqs(spool.folder, after=13) == list(range(14, 21))
    sync(spool.unsynced())
    spool.close()


@given(torn=st.binary(max_size=200), kept=st.integers(min_value=0, max_value=60))
def test_a_torn_or_foreign_last_line_never_hides_the_lines_before(torn: bytes, kept: int) -> None:
    whole = spool_files.line(1, "end", "a", '{"id":"a"}')
    broken = spool_files.line(2, "end", "b", '{"id":"b"}')[:kept]
    for tail in (broken, torn.replace(b"\n", b" ")):
        found = [spool_files._parse(line) for line in (whole + tail).split(b"\n")]
        assert found[0] is not None
        assert found[0].id == "a"


def test_two_lines_run_together_by_a_torn_write_are_skipped_and_the_next_is_read(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "writer"
    folder.mkdir()
    torn = spool_files.line(1, "end", "a", '{"id":"a"}')[:40]
    lines = [torn + spool_files.line(2, "end", "b", "{}"), spool_files.line(3, "end", "c", "{}")]
    (folder / f"{1:020d}.jsonl").write_bytes(b"".join(lines))
    assert seqs(folder) == [3]


def test_a_killed_writer_leaves_every_line_it_was_told_is_written(tmp_path: Path) -> None:
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    for _ in range(500):
        writer.stdout.readline()
    assert adopt_dead(tmp_path) == [], "a living writer's folder is its own"
    writer.send_signal(signal.SIGKILL)
    rest = writer.communicate()[0].splitlines()
    last_told = int(rest[-1]) if rest else 500
    (dead,) = adopt_dead(tmp_path)
    assert adopt_dead(tmp_path) == [], "one process alone delivers it"
    found = seqs(dead.folder)
    assert found == list(range(1, len(found) + 1))
    assert len(found) >= last_told
    dead.release()
    assert discard(adopt_dead(tmp_path)) == [dead.writer_id]
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_refuses_lines_and_leaves_no_torn_one(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WRITER_ON_A_FULL_DISK, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    written = [int(line) for line in done.stdout.splitlines()]
    assert 0 < len(written) < 20
    assert written[-1] == 21, "the spool works again as soon as the disk does"
    assert len(set(done.stderr.splitlines())) in (1, 2)
    (folder,) = tmp_path.iterdir()
    assert seqs(folder) == written


def test_a_folder_that_cannot_be_made_is_a_spool_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    spool = Spool(tmp_path / "file" / "spool")
    with pytest.raises(SpoolError, match="cannot be written"):
        put(spool)
    assert spool.error == "Not a directory"
    (tmp_path / "file").unlink()
    assert put(spool) == 2
    assert not spool.error
    spool.close()


def test_delivered_segments_are_kept_a_while_and_then_deleted(tmp_path: Path) -> None:
    spool = Spool(tmp_path, segment_bytes=1, keep_delivered_s=0)
    for _ in range(5):
        put(spool)
    spool.forget_delivered(3, None)  # the first look notes the time
    assert len(spool_files.segments(spool.folder)) == 5
    spool.forget_delivered(3, None)
    assert [first for first, _ in spool_files.segments(spool.folder)] == [4, 5]
    patient = Spool(tmp_path, segment_bytes=1)
    for _ in range(3):
        put(patient)
    patient.forget_delivered(3, None)
    patient.forget_delivered(3, None)
    assert len(spool_files.segments(patient.folder)) == 3
    spool.close()
    patient.close()


def test_the_beginning_of_a_running_request_is_not_deleted(tmp_path: Path) -> None:
    spool = Spool(tmp_path, segment_bytes=1, keep_delivered_s=0)
    put(spool)
    running = put(spool, kind="begin")
    put(spool)
    put(spool)
    for _ in range(3):
        spool.forget_delivered(4, running)
    assert [first for first, _ in spool_files.segments(spool.folder)] == [2, 3, 4]
    spool.close()


def test_a_full_spool_refuses_beginnings_keeps_ends_and_frees_what_was_delivered(
    tmp_path: Path,
) -> None:
    spool = Spool(tmp_path, segment_bytes=200, max_bytes=1000)
    while spool.size_bytes < 950:
        put(spool, kind="begin")
    with pytest.raises(SpoolFull):
        put(spool, kind="begin")
    last = put(spool, kind="end")
    assert seqs(spool.folder)[-1] == last
    spool.forget_delivered(last, None)  # space is short: without waiting
    put(spool, kind="begin")
    spool.close()


def test_other_writers_count_into_the_same_space(tmp_path: Path) -> None:
    spool = Spool(tmp_path, max_bytes=1000)
    spool.others_bytes = 990
    with pytest.raises(SpoolFull):
        put(spool, kind="begin")
    spool.close()


def test_a_finished_record_is_found_in_any_writers_folder(tmp_path: Path) -> None:
    one, other = Spool(tmp_path, segment_bytes=1), Spool(tmp_path)
    for spool in (one, other):
        put(spool, kind="begin")
        put(spool, json.dumps({"of": spool.writer_id}))
    assert find(tmp_path, "id-2") in ({"of": one.writer_id}, {"of": other.writer_id})
    assert find(tmp_path, "id-1") is None, "it has not ended"
    assert find(tmp_path / "none", "id-2") is None
    one.close()
    other.close()


@pytest.mark.parametrize(
    "odd",
    [
        pytest.param(float("nan"), id="not a number"),
        pytest.param({1: {2, 3}}, id="keys and sets"),
        pytest.param(b"bytes", id="bytes"),
        pytest.param("\ud800 half a character", id="surrogate"),
        pytest.param(Path("x"), id="an object"),
    ],
)
def test_any_record_becomes_one_line_of_strict_json(odd: object, tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.append(spool.take_seq(), "end", "a", spool_files.to_json({"id": "a", "odd": odd}))
    (event,) = events(spool.folder)
    record = json.loads(event.text, parse_constant=lambda name: pytest.fail(name))
    assert record.keys() == {"id", "odd"}
    spool.close()


def test_a_record_that_contains_itself_becomes_json_too() -> None:
    record: dict[str, object] = {"id": "a"}
    record["self"] = record
    assert json.loads(spool_files.to_json(record))["id"] == "a"


def test_a_closed_spool_is_free_for_another_process_and_costs_no_descriptor(tmp_path: Path) -> None:
    before = len(os.listdir("/dev/fd"))
    spool = Spool(tmp_path, segment_bytes=1)
    for _ in range(5):
        put(spool)
    spool.close()
    assert discard(adopt_dead(tmp_path)) == [spool.writer_id]
    assert len(os.listdir("/dev/fd")) == before
