"""Where an export goes in one piece: stdout, or a file that is there whole or not at all.

What goes on where an earlier run stopped is export_increments.py. Also what both need of files:
a lock, and writing that has reached the disk.
"""

import fcntl
import os
import sys
from pathlib import Path
from typing import BinaryIO, Protocol

from gateway.errors import GatewayError
from gateway.export_formats import Records, encoder


class Target(Protocol):
    """Takes records, oldest first. `close` ends it whatever happened; without `finish` before it,
    nothing is left but what was committed."""

    @property
    def last(self) -> str:
        """The stream's id after which records are asked for; "0-0": from the beginning."""
        ...

    @property
    def files(self) -> list[str]:
        """What was written, once it is finished."""
        ...

    def write(self, records: Records) -> None: ...

    def commit(self, last: str) -> None:
        """All up to this id was written: where it can, have it safe and never ask for it again."""

    def finish(self) -> None: ...

    def close(self) -> None: ...


class Stdout:
    """`-`: text to the standard output, as it comes."""

    last = "0-0"

    def __init__(self, format: str) -> None:
        self._file = sys.stdout.buffer
        self._encoder = encoder(format, self._file)

    @property
    def files(self) -> list[str]:
        return []

    def write(self, records: Records) -> None:
        self._encoder.write(records)

    def commit(self, last: str) -> None:
        self._file.flush()

    def finish(self) -> None:
        self._encoder.close()
        self._file.flush()

    def close(self) -> None:
        try:
            self._file.flush()
        except OSError:  # what nobody takes Python would try to write again at its end
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._file.fileno())
            os.close(nowhere)


class WholeFile:
    """A file that takes its name, and the place of an older one, when it is complete."""

    last = "0-0"

    def __init__(self, path: Path, format: str) -> None:
        self._path = path
        self._temporary = path.with_name(f".{path.name}.tmp")
        self._file = cut(lock(self._temporary, os.O_RDWR | os.O_CREAT), 0)
        self._encoder = encoder(format, self._file)
        self._is_finished = False

    @property
    def files(self) -> list[str]:
        return [str(self._path)]

    def write(self, records: Records) -> None:
        self._encoder.write(records)

    def commit(self, last: str) -> None:
        pass

    def finish(self) -> None:
        self._encoder.close()
        sync(self._file)
        os.replace(self._temporary, self._path)
        sync_folder(self._path.parent)
        self._is_finished = True

    def close(self) -> None:
        if not self._is_finished:
            self._temporary.unlink(missing_ok=True)
        self._file.close()


def lock(path: Path, flags: int) -> int:
    """A descriptor of the file or folder that no other export has, until it is closed or this
    process ends. Raises GatewayError."""
    descriptor = os.open(path, flags | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), path.stat()):
            return descriptor
    except (BlockingIOError, FileNotFoundError):  # another has it, or had it and gave it its name
        pass
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    raise GatewayError(f"{path}: another export is writing it")


def cut(descriptor: int, size: int) -> BinaryIO:
    """The file, of so many bytes now, for writing behind them; it closes the descriptor."""
    os.ftruncate(descriptor, size)
    os.lseek(descriptor, size, os.SEEK_SET)
    return open(descriptor, "wb")  # a file that is open already is not emptied by this


def sync(file: BinaryIO) -> None:
    """Have what was written on the disk."""
    file.flush()
    os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Have the names in it on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
