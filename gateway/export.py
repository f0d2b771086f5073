"""`hydra-gateway export`: the decisions of the log as a file, oldest first.

An entry of the stream is final, since it is made when its answer ended: so an export only ever
adds, and one that goes on needs nothing but the id of the last entry it has seen. Feedback is the
exception: it is joined as it is at the time of the export, and what comes later is in later exports
of the same decision only. Records are read page by page and never held together.
"""

import asyncio
import stat
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from gateway import stream_fields
from gateway.decision import timestamp
from gateway.errors import GatewayError
from gateway.export_files import Stdout, Target, WholeFile
from gateway.export_formats import FORMATS, fingerprint, require
from gateway.export_increments import Cursor, GrowingFile, Parts, cursor_path
from gateway.feedback import Feedback
from gateway.filters import matcher
from gateway.listing import BEGINNING, Listing, LogUnavailable, Span, id_order, lowest_id

T = TypeVar("T")

STDOUT: Final = "-"
PAUSES_S: Final = (0.5, 2.0, 5.0)  # before a page is asked for again
COMMIT_ROWS: Final = 50_000  # an incremental export that is killed repeats no more than these


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What to export, and where to."""

    out: str
    format: str
    filters: Mapping[str, str]
    is_incremental: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What one run did."""

    rows: int
    files: list[str]
    cursor: str  # the stream's id up to which all is exported
    warnings: list[str]

    def to_dict(self) -> dict[str, Any]:
        return {
            "rows": self.rows,
            "files": self.files,
            "cursor": self.cursor,
            "warnings": self.warnings,
        }


def order(
    out: str, format: str | None, filters: Mapping[str, str], *, is_incremental: bool
) -> Order:
    """What the command line asks for. Raises GatewayError where that makes no sense, ValueError for
    a wrong filter."""
    matcher(filters)
    suffix = Path(out).suffix.removeprefix(".").lower()
    found = format or ("jsonl" if out == STDOUT else suffix)
    if found not in FORMATS:
        raise GatewayError(f"{out}: its name tells no format: say --format {'|'.join(FORMATS)}")
    require(found)
    if out == STDOUT and is_incremental:
        raise GatewayError("--incremental needs a file to go on with, not the standard output")
    if out == STDOUT and found == "parquet":
        raise GatewayError("Parquet needs a file: the standard output takes csv or jsonl")
    return Order(out=out, format=found, filters=dict(filters), is_incremental=is_incremental)


async def run(
    asked: Order, listing: Listing, feedback: Feedback, *, commit_rows: int = COMMIT_ROWS
) -> Exported:
    """Write what the log holds now. Raises GatewayError, LogUnavailable, and BrokenPipeError if
    nobody reads the standard output."""
    try:
        target = _target(asked)
        try:
            return await _fill(target, asked, listing, feedback, commit_rows)
        finally:
            target.close()
    except BrokenPipeError:
        raise
    except OSError as exc:
        raise GatewayError(f"{asked.out}: cannot be written: {exc.strerror or exc}") from exc


async def _fill(
    target: Target, asked: Order, listing: Listing, feedback: Feedback, commit_rows: int
) -> Exported:
    span = await listing.span()
    begun_at = target.last
    warnings = _reset(begun_at, span)
    start = last = max(begun_at, lowest_id(asked.filters), key=id_order)
    seen = begun_at  # the last id that is the stream's own; what `since` gives is none
    is_whole = begun_at == BEGINNING and not asked.filters
    rows = uncommitted = 0
    is_last = False
    is_shown = asked.out != STDOUT or not sys.stdout.isatty()
    with _progress(span.length if is_whole else None, is_shown=is_shown) as advance:
        while not is_last and id_order(last) < id_order(span.last):
            step = await _patiently(partial(listing.after, last, asked.filters))
            records = [stream_fields.decode(entry) for _, entry in step.found]
            await _patiently(partial(feedback.join, records))
            target.write(records)
            advance(len(records))
            rows += len(records)
            uncommitted += len(records)
            if not warnings:
                first = (await _patiently(listing.span)).first
                warnings += _gap(seen, first) if id_order(first) > id_order(start) else []
            seen = step.reached if step.reached != last else seen
            last, is_last = step.reached, step.is_last
            if uncommitted >= commit_rows:
                target.commit(last)
                uncommitted = 0
    # All that was there at the beginning was looked at, also where the last of it did not match.
    cursor = max(seen, span.last, key=id_order)
    target.commit(cursor)
    target.finish()
    return Exported(rows=rows, files=target.files, cursor=cursor, warnings=warnings)


async def _patiently(ask: Callable[[], Awaitable[T]]) -> T:
    """The answer, also of a Redis that is busy for some seconds (it writes its file anew, say): a
    long export should not fail in its middle for that. Raises LogUnavailable."""
    for pause_s in PAUSES_S:
        try:
            return await ask()
        except LogUnavailable:
            await asyncio.sleep(pause_s)
    return await ask()


def _target(asked: Order) -> Target:
    if asked.out == STDOUT:
        return Stdout(asked.format)
    path = Path(asked.out).resolve()  # a link stays one
    is_parts = asked.is_incremental and asked.format == "parquet"
    if path.is_dir() and not is_parts:
        raise GatewayError(f"{asked.out}: is a folder, which only an incremental Parquet export is")
    if path.exists() and not path.is_dir() and (is_parts or not stat.S_ISREG(path.stat().st_mode)):
        raise GatewayError(f"{asked.out}: is not a {'folder' if is_parts else 'file'}")
    if not asked.is_incremental:
        if cursor_path(path).exists():
            raise GatewayError(
                f"{asked.out}: is an incremental export: go on with --incremental, or choose"
                " another name"
            )
        return WholeFile(path, asked.format)
    cursor = Cursor(format=asked.format, filters=asked.filters, columns=fingerprint(asked.format))
    return Parts(path, cursor) if is_parts else GrowingFile(path, cursor)


def _reset(begun_at: str, span: Span) -> list[str]:
    """A warning if the log ends before what an earlier run saw of it."""
    if id_order(begun_at) <= id_order(span.last):
        return []
    return [
        f"the log ends at {_moment(span.last)}, before {_moment(begun_at)} where this export stood:"
        " is this another Redis, or one that lost its data?"
    ]


def _gap(seen: str, first: str) -> list[str]:
    """A warning if entries that came after the last one seen are no longer there."""
    if seen == BEGINNING or id_order(first) <= id_order(seen):
        return []
    return [
        f"a gap: this export stood at {_moment(seen)}, and the log now begins at {_moment(first)}:"
        " what lay between was trimmed (HYDRA_LOG_MAX_DECISIONS) or deleted before it was exported"
    ]


def _moment(entry_id: str) -> str:
    """An id with its time, for a person."""
    if entry_id == BEGINNING:
        return "its beginning"
    at = datetime.fromtimestamp(id_order(entry_id)[0] / 1000, UTC)
    return f"{entry_id} ({timestamp(at)})"


@contextmanager
def _progress(total: int | None, *, is_shown: bool) -> Iterator[Callable[[int], None]]:
    """A bar on stderr where that is a terminal. How many decisions a filter or the rest of the log
    has is not known before."""
    console = Console(stderr=True)
    columns = (TextColumn("exporting"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    is_off = not (is_shown and console.is_terminal)
    with Progress(*columns, console=console, disable=is_off) as progress:
        task = progress.add_task("", total=total)
        yield lambda rows: progress.update(task, advance=rows)
