"""The spool: what happened, appended to files in the data folder before anyone is answered.

Not the log that people read (Redis) and not the delivery to it (shipper.py). Each process writes a
folder of its own, `spool/<writer-id>/`, of segments `<first-seq>.jsonl`; a line (spool_files.py) is

    {"seq":7,"event":"end","id":"0193...","record":{...}}

One `os.write` a line: the kernel has it when `append` returns, so a killed process loses nothing;
`sync` once a second bounds what a power cut takes.

Disk: a folder's delivered segments are kept for ten minutes (Redis may lose its last second and
ask again), less where space is short. Undelivered ones are never deleted: when the spool of the
data folder holds `max_bytes`, new requests are refused here (`SpoolFull`), running ones may end.
"""

import fcntl
import os
import shutil
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway import spool_files
from gateway.spool_files import Kind, modified_at, writers

SEGMENT_BYTES: Final = 8 * 2**20
SEGMENT_AGE_S: Final = 300.0  # so that a quiet writer's delivered records leave the disk too
KEEP_DELIVERED_S: Final = 600.0
MAX_BYTES: Final = 2 * 2**30  # of all writers in one data folder


class SpoolError(Exception):
    """The spool cannot take a line; the message says why, in one line."""


class SpoolFull(SpoolError):
    """The spool holds as much as it may."""


@dataclass(slots=True)
class _Segment:
    path: Path
    last_seq: int
    size_bytes: int
    opened_at: float  # monotonic seconds
    delivered_at: float | None = None  # monotonic seconds; None while something is undelivered


class Spool:
    """The folder this process writes. Made at the first line, and tried again at each line if the
    disk refused. Call it from one thread.
    """

    def __init__(
        self,
        root: Path,
        *,
        max_bytes: int = MAX_BYTES,
        segment_bytes: int = SEGMENT_BYTES,
        segment_age_s: float = SEGMENT_AGE_S,
        keep_delivered_s: float = KEEP_DELIVERED_S,
    ) -> None:
        now = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
        self.writer_id = f"{now}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self.folder = root.absolute() / self.writer_id
        self.error: str | None = None  # why the last line was refused
        self.others_bytes = 0  # what other writers hold; the shipper counts it now and then
        self._max_bytes = max_bytes
        self._segment_bytes = segment_bytes
        self._segment_age_s = segment_age_s
        self.keep_delivered_s = keep_delivered_s
        self._seq = 0
        self._lock: int | None = None
        self._descriptor: int | None = None
        self._segments: list[_Segment] = []
        self._retired: list[int] = []  # descriptors of full segments, to be synced and closed
        self._dirty = False

    @property
    def last_seq(self) -> int:
        return self._seq

    def take_seq(self) -> int:
        """The next sequence number; it is used up even if the disk then refuses the line."""
        self._seq += 1
        return self._seq

    def append(self, seq: int, kind: Kind, decision_id: str, text: str) -> None:
        """Write one line. Raises SpoolError; nothing of the line is left behind then."""
        line = spool_files.line(seq, kind, decision_id, text)
        try:
            if (
                kind == "begin"
                and self.size_bytes + self.others_bytes + len(line) > self._max_bytes
            ):
                raise SpoolFull(
                    f"the spool holds its {self._max_bytes} bytes of undelivered records"
                )
            segment, descriptor = self._open_segment(seq)
            written = os.write(descriptor, line)
            if written != len(line):  # the disk took a part of it
                os.ftruncate(descriptor, segment.size_bytes)
                raise SpoolError("no space left on the spool's disk")
        except OSError as error:
            self.error = error.strerror or type(error).__name__
            raise SpoolError(f"the spool cannot be written: {self.error}") from error
        except SpoolError as error:
            self.error = str(error)
            raise
        segment.last_seq = seq
        segment.size_bytes += len(line)
        segment.delivered_at = None
        self.error = None
        self._dirty = True

    @property
    def size_bytes(self) -> int:
        return sum(segment.size_bytes for segment in self._segments)

    def _open_segment(self, seq: int) -> tuple[_Segment, int]:
        if self._descriptor is not None:
            segment = self._segments[-1]
            age_s = time.monotonic() - segment.opened_at
            if segment.size_bytes < self._segment_bytes and age_s < self._segment_age_s:
                return segment, self._descriptor
        if self._lock is None:
            self._lock = _make_folder(self.folder)
        path = self.folder / f"{seq:020d}.jsonl"
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o600)
        if self._descriptor is not None:
            self._retired.append(self._descriptor)
        self._descriptor = descriptor
        self._segments.append(_Segment(path, seq - 1, 0, time.monotonic()))
        return self._segments[-1], descriptor

    def unsynced(self) -> list[int]:
        """Descriptors for `sync`, which closes them; empty if nothing was written since."""
        descriptors, self._retired = self._retired, []
        if self._dirty and self._descriptor is not None:
            descriptors.append(os.dup(self._descriptor))
        self._dirty = False
        return descriptors

    def forget_delivered(self, position: int, first_open_seq: int | None) -> None:
        """Delete segments delivered long enough ago, or early where space is short.

        A segment with the beginning of a request that still runs is kept: after a crash it is all
        that is known of it.
        """
        now = time.monotonic()
        full = self.size_bytes + self.others_bytes > self._max_bytes
        for segment in self._segments[:-1]:
            if segment.last_seq > position:  # also after Redis went back in time
                segment.delivered_at = None
                continue
            if segment.delivered_at is None:
                segment.delivered_at = now
            if first_open_seq is not None and first_open_seq <= segment.last_seq:
                break
            if full or now - segment.delivered_at > self.keep_delivered_s:
                segment.path.unlink(missing_ok=True)
                self._segments.remove(segment)

    def close(self) -> None:
        """Everything to disk, and the folder free for a living process to adopt."""
        sync(self.unsynced())
        for descriptor in (self._descriptor, self._lock):
            if descriptor is not None:
                os.close(descriptor)
        self._descriptor = self._lock = None


def sync(descriptors: list[int]) -> None:
    """To the disk itself, then close. Slow: for a thread. Raises the first OSError at the end."""
    failure: OSError | None = None
    for descriptor in descriptors:
        try:
            os.fsync(descriptor)
        except OSError as error:
            failure = failure or error
        os.close(descriptor)
    if failure is not None:
        raise failure


def _make_folder(folder: Path) -> int:
    """Make a writer's folder and lock it before it gets its name, so nobody takes it for dead."""
    new = folder.with_name(f".new-{folder.name}")
    new.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = os.open(new / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        new.rename(folder)
    except OSError:
        os.close(lock)
        raise
    return lock


class DeadSpool:
    """The folder of a writer that no longer lives, held by this process until it is discarded."""

    def __init__(self, folder: Path, lock: int) -> None:
        self.folder = folder
        self.writer_id = folder.name
        self._lock = lock

    def release(self) -> None:
        """Leave it to another process."""
        os.close(self._lock)

    def discard(self) -> None:
        """Delete it: first out of sight at once, so that a half-deleted one is never read."""
        trash = self.folder.with_name(f".trash-{self.folder.name}")
        self.folder.rename(trash)
        os.close(self._lock)
        shutil.rmtree(trash, ignore_errors=True)


def adopt_dead(root: Path) -> list[DeadSpool]:
    """Take every folder whose writer is gone: the kernel frees a dead process's lock."""
    adopted = []
    for folder in writers(root):
        try:
            lock = os.open(folder / "lock", os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Another process may have adopted and discarded it between the two lines above.
            if os.stat(folder / "lock").st_ino == os.fstat(lock).st_ino:
                adopted.append(DeadSpool(folder, lock))
                continue
        except (BlockingIOError, FileNotFoundError):
            pass
        os.close(lock)
    return adopted


def clear_remains(root: Path, *, older_than_s: float = 3600.0) -> None:
    """Delete what a process left that died while it made or deleted a folder."""
    for folder in root.glob(".*-*"):
        if time.time() - modified_at(folder) > older_than_s:
            shutil.rmtree(folder, ignore_errors=True)
