"""Where an incremental export goes: a file that grows, or a folder of Parquet parts.

Beside OUT lies `OUT.cursor`, which says up to which decision OUT is complete and how long it was
then. The order is always: data on the disk, then the cursor, then (for a part) its name. So a run
that was killed left either less than the cursor says, which is put right by renaming, or more,
which is cut off or overwritten; nothing is lost and nothing is there twice.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, Final

from gateway.errors import GatewayError
from gateway.export_files import cut, lock, sync, sync_folder
from gateway.export_formats import Encoder, Records, encoder
from gateway.listing import BEGINNING, check_id

VERSION: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """How far an export has come, and what it is an export of."""

    format: str
    filters: Mapping[str, str]
    columns: str  # fingerprint
    last: str = BEGINNING  # the stream's id
    rows: int = 0
    bytes: int = 0  # of a file that grows
    parts: int = 0  # of a folder


def cursor_path(out: Path) -> Path:
    """Beside OUT, also where that is a folder: readers take a folder's files for data."""
    return out.with_name(f"{out.name}.cursor")


def resumed(out: Path, asked: Cursor, *, is_empty: bool) -> Cursor:
    """The cursor that lies beside OUT, a new one where OUT is new. Raises GatewayError."""
    path = cursor_path(out)
    try:
        found = _parse(path.read_bytes())
    except FileNotFoundError:
        if not is_empty:
            raise GatewayError(
                f"{out}: not empty, and not from an incremental export ({path.name} is not there):"
                " choose another name"
            ) from None
        _save(path, asked)
        return asked
    except (ValueError, TypeError, KeyError) as exc:
        raise GatewayError(f"{path}: not a cursor of this version: {exc}") from exc
    if (found.format, found.filters) != (asked.format, asked.filters):
        raise GatewayError(
            f"{out}: was begun as {_described(found)}, not {_described(asked)}: ask for the same"
            " or choose another name"
        )
    if found.columns != asked.columns:
        raise GatewayError(
            f"{out}: was begun by a version with other columns: choose another name (rows that"
            " are in both have the same id)"
        )
    return found


class GrowingFile:
    """CSV or JSON lines, to which each run appends."""

    def __init__(self, path: Path, asked: Cursor) -> None:
        self._path = path
        descriptor = lock(path, os.O_RDWR | os.O_CREAT)
        try:
            self._cursor = self._checked(descriptor, asked)
        except BaseException:
            os.close(descriptor)
            raise
        self._file = cut(descriptor, self._cursor.bytes)
        self._encoder = encoder(asked.format, self._file, is_begun=self._cursor.bytes > 0)
        self._rows = 0  # since the cursor

    @property
    def last(self) -> str:
        return self._cursor.last

    @property
    def files(self) -> list[str]:
        return [str(self._path)]

    def write(self, records: Records) -> None:
        self._encoder.write(records)
        self._rows += len(records)

    def commit(self, last: str) -> None:
        sync(self._file)
        self._cursor = replace(
            self._cursor, last=last, rows=self._cursor.rows + self._rows, bytes=self._file.tell()
        )
        self._rows = 0
        _save(cursor_path(self._path), self._cursor)

    def finish(self) -> None:
        self._encoder.close()

    def close(self) -> None:
        self._file.close()

    def _checked(self, descriptor: int, asked: Cursor) -> Cursor:
        """The cursor, if the file is the one that it speaks of. Raises GatewayError."""
        size = os.fstat(descriptor).st_size
        cursor = resumed(self._path, asked, is_empty=size == 0)
        if size == 0 and cursor.bytes:  # moved away, to be begun anew
            cursor = replace(cursor, bytes=0)
            _save(cursor_path(self._path), cursor)
        if size < cursor.bytes or (
            cursor.bytes and os.pread(descriptor, 1, cursor.bytes - 1) != b"\n"
        ):
            raise GatewayError(
                f"{self._path}: was changed since the last export, which left {cursor.bytes} bytes:"
                " choose another name, or move it away to begin a new file after the last decision"
            )
        return cursor


class Parts:
    """A folder of Parquet files: each commit adds one, if there were records."""

    def __init__(self, folder: Path, asked: Cursor) -> None:
        self._folder = folder
        folder.mkdir(exist_ok=True)
        self._lock = lock(folder, os.O_RDONLY)
        self._file: BinaryIO | None = None
        self._encoder: Encoder | None = None
        self._rows = 0  # of the part that is being written
        self._files: list[str] = []
        try:
            self._cursor = resumed(folder, asked, is_empty=not any(folder.iterdir()))
            self._publish()
            self._temporary(self._cursor.parts + 1).unlink(missing_ok=True)
        except BaseException:
            os.close(self._lock)
            raise

    @property
    def last(self) -> str:
        return self._cursor.last

    @property
    def files(self) -> list[str]:
        return self._files

    def write(self, records: Records) -> None:
        if not records:
            return
        if self._encoder is None:
            self._file = self._temporary(self._cursor.parts + 1).open("wb")
            self._encoder = encoder("parquet", self._file)
        self._encoder.write(records)
        self._rows += len(records)

    def commit(self, last: str) -> None:
        parts = self._cursor.parts
        if self._file is not None and self._encoder is not None:
            self._encoder.close()
            sync(self._file)
            self._file.close()
            self._file = self._encoder = None
            parts += 1
            sync_folder(self._folder)
            self._files.append(str(self._part(parts)))
        self._cursor = replace(
            self._cursor, last=last, rows=self._cursor.rows + self._rows, parts=parts
        )
        self._rows = 0
        _save(cursor_path(self._folder), self._cursor)
        self._publish()

    def finish(self) -> None:
        pass

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._temporary(self._cursor.parts + 1).unlink(missing_ok=True)
        os.close(self._lock)

    def _publish(self) -> None:
        """Give the last part that the cursor counts its name, unless it has it."""
        temporary = self._temporary(self._cursor.parts)
        if temporary.exists():
            os.replace(temporary, self._part(self._cursor.parts))
            sync_folder(self._folder)

    def _part(self, number: int) -> Path:
        return self._folder / f"part-{number:06}.parquet"

    def _temporary(self, number: int) -> Path:
        """Readers of a folder pass over names that begin with a dot."""
        return self._folder / f".part-{number:06}.tmp"


def _parse(content: bytes) -> Cursor:
    """Raises ValueError, TypeError and KeyError where it is none."""
    value: Any = json.loads(content)
    if not isinstance(value, dict) or value.pop("version", None) != VERSION:
        raise ValueError(f"expected version {VERSION}")
    cursor = Cursor(**value)
    if cursor.last != BEGINNING:
        check_id("last", cursor.last)
    numbers = (cursor.rows, cursor.bytes, cursor.parts)
    if not all(isinstance(number, int) and number >= 0 for number in numbers):
        raise ValueError("rows, bytes and parts must be counts")
    return cursor


def _save(path: Path, cursor: Cursor) -> None:
    """In place of the former, and on the disk when this returns."""
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("wb") as file:
        file.write(json.dumps({"version": VERSION, **asdict(cursor)}, indent=2).encode() + b"\n")
        sync(file)
    os.replace(temporary, path)
    sync_folder(path.parent)


def _described(cursor: Cursor) -> str:
    filters = ", ".join(f"{name} {value}" for name, value in sorted(cursor.filters.items()))
    return f"{cursor.format} ({filters or 'no filter'})"
