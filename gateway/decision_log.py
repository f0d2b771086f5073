"""The decision log: what the gateway calls at the beginning and at the end of every request.

`begin` and `end` are plain calls, one append to the spool each (spool.py); they never wait for
Redis. A shipper task (shipper.py) delivers, the ledger (ledger.py) reads. This module only puts
the three together and decides what happens when the disk, Redis or both are gone:

    spool   Redis
    works   works or not   a request is taken, its record waits in the spool
    full    works          a request is taken, its record waits in memory, up to a bound
    full    away           a request is refused (LogUnavailable) before any provider is called

Call it from the event loop that opened it.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from gateway import spool, spool_files
from gateway.deletion import Deletion
from gateway.feedback import Feedback
from gateway.forgotten import Selection
from gateway.ledger import Ledger, LogUnavailable, Page
from gateway.listing import Step
from gateway.redis_connection import connect
from gateway.shipper import Shipper
from gateway.spool import Spool, SpoolError
from gateway.spool_files import Event

__all__ = ["DecisionLog", "LogStatus", "LogUnavailable", "Page"]

logger = logging.getLogger("gateway.decision_log")

STREAM_MAX_LEN: Final = 100_000
DETAIL_TTL_S: Final = 30 * 86_400
DRAIN_S: Final = 2.0
MAX_UNSPOOLED_RUNNING: Final = 10_000  # requests that run while the disk is full
REMEMBERED_ENDS: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class LogStatus:
    """How the log is, for /readyz, /metrics and the page; `last_error` never holds a secret."""

    redis_reachable: bool
    running: int  # requests that began and have not ended
    pending: int
    spool_bytes: int  # of all writers in the data folder
    spool_writable: bool
    last_error: str | None


class DecisionLog:
    """Open with `async with DecisionLog.open(...) as log`."""

    def __init__(
        self,
        writer: Spool,
        shipper: Shipper,
        ledger: Ledger,
        feedback: Feedback,
        deletion: Deletion,
        root: Path,
    ) -> None:
        self.feedback = feedback
        self._spool = writer
        self._shipper = shipper
        self._ledger = ledger
        self._deletion = deletion
        self._root = root
        self._open = shipper.open
        self._ended: dict[str, None] = {}  # the last ids, oldest first: an end counts once

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        *,
        data_dir: Path,
        redis_url: str,
        stream_max_len: int = STREAM_MAX_LEN,
        detail_ttl_s: int = DETAIL_TTL_S,
        spool_max_bytes: int = spool.MAX_BYTES,
        keep_delivered_s: float = spool.KEEP_DELIVERED_S,
    ) -> AsyncIterator["DecisionLog"]:
        """Works with Redis away. Raises ValueError if the URL is none."""
        writer = Spool(
            data_dir / "spool", max_bytes=spool_max_bytes, keep_delivered_s=keep_delivered_s
        )
        root = writer.folder.parent
        writing, reading = connect(redis_url, max_connections=2), connect(redis_url)
        shipper = Shipper(
            writing, writer, root, stream_max_len=stream_max_len, detail_ttl_s=detail_ttl_s
        )
        tasks = [asyncio.create_task(shipper.run()), asyncio.create_task(shipper.keep_house())]
        try:
            feedback = Feedback(reading, ttl_s=detail_ttl_s)
            yield cls(writer, shipper, Ledger(reading), feedback, Deletion(reading), root)
        finally:
            await shipper.drain(DRAIN_S)
            for task in tasks:
                await _end(task)
            shipper.close()
            writer.close()
            await writing.aclose()
            await reading.aclose()

    def begin(self, decision_id: str, text: str) -> None:
        """A request was decided; `text` is its record so far, as JSON. Raises LogUnavailable if
        the record could get lost."""
        seq = self._spool.take_seq()
        try:
            self._spool.append(seq, "begin", decision_id, text)
        except SpoolError as error:
            if not self._shipper.reachable:
                raise LogUnavailable(
                    f"the decision log takes no records: {error}, and Redis is away"
                ) from error
            if self._shipper.own.is_full or len(self._open) >= MAX_UNSPOOLED_RUNNING:
                raise LogUnavailable(
                    f"the decision log takes no records: {error}, and memory is full of them"
                ) from error
        self._open[decision_id] = seq

    def end(self, decision_id: str, text: str) -> None:
        """A request is over; `text` is its whole record, as JSON. Never raises and never loses the
        record while the process lives."""
        if self._open.pop(decision_id, None) is None and decision_id in self._ended:
            logger.error("decision %s ended twice; the first record stands", decision_id)
            return
        self._ended[decision_id] = None
        if len(self._ended) > REMEMBERED_ENDS:
            del self._ended[next(iter(self._ended))]
        seq = self._spool.take_seq()
        spooled = True
        try:
            self._spool.append(seq, "end", decision_id, text)
        except SpoolError:
            spooled = False
        event = Event(seq=seq, kind="end", id=decision_id, text=text)
        self._shipper.own.add(event, spooled=spooled)
        self._shipper.wake()

    async def get(self, decision_id: str) -> dict[str, Any] | None:
        """The record, from the moment `end` returned. Raises LogUnavailable."""
        record = await self._found(decision_id)
        is_forgotten = record is not None and self._shipper.forgotten.nameless(record) is not None
        return None if is_forgotten else record

    async def _found(self, decision_id: str) -> dict[str, Any] | None:
        """The same, though a spool may have it still when it was deleted."""
        own = self._shipper.own.get(decision_id)
        if own is not None:
            return own.record()
        unavailable: LogUnavailable | None = None
        try:
            record = await self._ledger.decision(decision_id)
        except LogUnavailable as error:
            record, unavailable = None, error
        if record is None:  # another process may have it, or a backlog too long for memory
            own_folder = None if self._shipper.own.on_disk else self._spool.folder
            record = await asyncio.to_thread(
                spool_files.find, self._root, decision_id, skip=own_folder
            )
        if record is None and unavailable is not None:
            raise unavailable
        return record

    async def decisions(
        self, *, filters: Mapping[str, str], limit: int, cursor: str | None
    ) -> Page:
        """Newest first; see Ledger.decisions. Raises LogUnavailable and ValueError."""
        return await self._ledger.decisions(filters=filters, limit=limit, cursor=cursor)

    async def costs(
        self,
        *,
        group_by: tuple[str, ...],
        since: datetime | str | float | None = None,
        until: datetime | str | float | None = None,
        key: str | None = None,
    ) -> list[dict[str, Any]]:
        """Sums; see Ledger.costs. Raises LogUnavailable and ValueError."""
        return await self._ledger.costs(group_by=group_by, since=since, until=until, key=key)

    async def forget(self, selection: Selection) -> int:
        """Delete decisions; returns how many. Raises LogUnavailable: then do it again."""
        deleted = 0
        async for progress in self._deletion.forget(selection):
            deleted = progress.deleted
        self._shipper.forgotten = await self._deletion.forgotten()
        return deleted

    async def last_id(self) -> str:
        """See Listing.last_id. Raises LogUnavailable."""
        return await self._ledger.listing.last_id()

    async def after(self, last: str, filters: Mapping[str, str]) -> Step:
        """What was logged after an entry; see Listing.after. Raises LogUnavailable, ValueError."""
        return await self._ledger.listing.after(last, filters)

    def status(self) -> LogStatus:
        """As of the last second."""
        spool_error = self._spool.error
        return LogStatus(
            redis_reachable=self._shipper.reachable,
            running=len(self._open),
            pending=self._shipper.pending,
            spool_bytes=self._spool.size_bytes + self._spool.others_bytes,
            spool_writable=spool_error is None,
            last_error=self._shipper.last_error or spool_error,
        )


async def _end(task: asyncio.Task[None]) -> None:
    """Cancel until it is over: a library in between may swallow a cancellation."""
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=0.1)
