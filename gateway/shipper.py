"""The task that brings finished records from the spool to Redis, in order and in batches.

Not the files (spool.py) and not the writing itself (delivery.py). Nobody waits for it: a Redis that
is down, slow or stopped costs requests nothing, and one log line when it goes and one when it is
back. Redis alone knows what was delivered; its positions are read at every start, after every
failure and once a second when there is nothing to do.
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable
from functools import partial
from pathlib import Path
from typing import Final, cast

from redis.asyncio import Redis

from gateway import backlog, delivery, redis_keys, spool, spool_files
from gateway.backlog import Backlog
from gateway.forgotten import NOBODY
from gateway.redis_connection import RedisFailure, describe
from gateway.schema import NewerSchema
from gateway.spool import DeadSpool, Spool

logger = logging.getLogger("gateway.shipper")

BATCH_RECORDS: Final = 100  # packing more would hold up the event loop for over ten milliseconds
BATCH_CHARS: Final = 4 * 2**20  # of JSON; a batch is sent and applied well within the time-out
GATHER_S: Final = 0.05
IDLE_S: Final = 1.0
MAX_PAUSE_S: Final = 1.0  # between attempts while Redis is away
ADOPT_EVERY_S: Final = 2.0


class Shipper:
    """Delivers this process's backlog and those of dead writers in the same data folder."""

    def __init__(
        self,
        redis: Redis,
        own: Spool,
        root: Path,
        *,
        stream_max_len: int,
        detail_ttl_s: int,
    ) -> None:
        self.own = Backlog(own.writer_id, partial(backlog.finished, own.folder))
        self.open: dict[str, int] = {}  # id -> sequence number of requests that run, oldest first
        self.reachable = False
        self.last_error: str | None = None
        self.forgotten = NOBODY  # as of the last second
        self._redis = redis
        self._spool = own
        self._root = root
        self._stream_max_len = stream_max_len
        self._detail_ttl_s = detail_ttl_s
        self._adopted: list[tuple[DeadSpool, Backlog]] = []
        self._finished_at: dict[str, float] = {}  # adopted writer -> when all was delivered
        self._spool_failed = False
        self._wake = asyncio.Event()
        self._known: bool | None = None  # whether Redis answered last time; None before the first

    def wake(self) -> None:
        """Something was finished."""
        self._wake.set()

    @property
    def pending(self) -> int:
        return len(self.own) + sum(len(waiting) for _, waiting in self._adopted)

    async def run(self) -> None:
        """For ever, until cancelled."""
        pause_s = 0.05
        while True:
            if await self._survives(self._round()):
                pause_s = 0.05
                continue
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))
            pause_s = min(pause_s * 2, MAX_PAUSE_S)

    async def keep_house(self) -> None:
        """For ever, Redis or not: sync, delete what was delivered, adopt what dead writers left."""
        adopt_at = 0.0
        while True:
            try:
                await asyncio.to_thread(spool.sync, self._spool.unsynced())
                if time.monotonic() >= adopt_at:
                    adopt_at = time.monotonic() + ADOPT_EVERY_S
                    await self._adopt()
                self._spool.forget_delivered(
                    self.own.position or 0, next(iter(self.open.values()), None)
                )
            except OSError as error:
                self._say_spool(str(error.strerror or error))
            else:
                self._say_spool(self._spool.error)
            await asyncio.sleep(IDLE_S)

    async def drain(self, timeout_s: float) -> None:
        """Wait until all is delivered, Redis is away, or the time is over."""
        deadline = time.monotonic() + timeout_s
        while self.pending and self._known is not False and time.monotonic() < deadline:
            self.wake()
            await asyncio.sleep(0.01)

    def close(self) -> None:
        """Leave the dead writers' folders to other processes."""
        for dead, _ in self._adopted:
            dead.release()
        self._adopted.clear()

    async def _survives(self, one_round: Awaitable[None]) -> bool:
        try:
            await one_round
        except RedisFailure as error:
            self._lost(describe(error))
        except NewerSchema as error:
            self._lost(str(error))
        except Exception as error:  # the log must not stop for good because of one surprise
            self._lost(f"delivery failed: {type(error).__name__}")
            logger.debug("delivery failed", exc_info=error)
        else:
            return True
        return False

    async def _round(self) -> None:
        """Ask where Redis stands, deliver all that waits, then wait for more."""
        waiting = [self.own, *(item for _, item in self._adopted)]
        standing, self.forgotten = await delivery.standing(
            self._redis, [item.writer_id for item in waiting]
        )
        for item, position in zip(waiting, standing, strict=True):
            self._resume(item, position)
        self._found()
        for item in waiting:
            await self._deliver(item)
            if item is not self.own:
                self._finished_at.setdefault(item.writer_id, time.monotonic())
        try:
            # Not wait_for: before Python 3.12 it can swallow a cancellation.
            async with asyncio.timeout(IDLE_S):
                await self._wake.wait()
        except TimeoutError:
            return
        await asyncio.sleep(GATHER_S)
        self._wake.clear()

    async def _deliver(self, item: Backlog) -> None:
        while batch := await item.next_batch(BATCH_RECORDS, BATCH_CHARS):
            position, failed = await delivery.deliver(
                self._redis,
                item.writer_id,
                batch,
                after=item.position or 0,
                stream_max_len=self._stream_max_len,
                detail_ttl_s=self._detail_ttl_s,
                forgotten=self.forgotten,
            )
            self._resume(item, position)
            if failed:
                logger.error("Redis refused %d commands of a batch: some totals miss it", failed)

    def _resume(self, item: Backlog, position: int) -> None:
        lost = item.resume(position)
        if lost:
            self._finished_at.pop(item.writer_id, None)
            logger.warning("Redis lost its last records; they are delivered again")

    async def _adopt(self) -> None:
        # Not in a thread: a lock taken there while this is cancelled would belong to nobody.
        for dead in spool.adopt_dead(self._root):
            read = partial(backlog.left_behind, dead.folder)
            item = Backlog(dead.writer_id, read, on_disk=True)
            self._adopted.append((dead, item))
            self.wake()
        await self._discard_delivered()
        self._spool.others_bytes = await asyncio.to_thread(self._bytes_of_others)

    async def _discard_delivered(self) -> None:
        """Delete adopted folders that were delivered long enough ago, then their positions: the
        other way round, a crash in between would deliver them again."""
        now = time.monotonic()
        for dead, item in list(self._adopted):
            finished_at = self._finished_at.get(dead.writer_id)
            if finished_at is None or now - finished_at < self._spool.keep_delivered_s:
                continue
            self._adopted.remove((dead, item))
            del self._finished_at[dead.writer_id]
            await asyncio.to_thread(dead.discard)
            try:
                await cast(Awaitable[int], self._redis.hdel(redis_keys.POSITIONS, dead.writer_id))
            except RedisFailure:
                continue  # a position without a spool is forty bytes
        await asyncio.to_thread(spool.clear_remains, self._root)

    def _bytes_of_others(self) -> int:
        folders = spool_files.writers(self._root)
        return sum(
            spool_files.bytes_of(folder) for folder in folders if folder != self._spool.folder
        )

    def _found(self) -> None:
        if self._known is False:
            logger.info("Redis answers again; about %d decisions to deliver", self.pending)
        self._known = self.reachable = True
        self.last_error = None

    def _lost(self, reason: str) -> None:
        if self._known is not False:
            logger.warning("%s; decisions wait in the spool", reason)
        self._known = self.reachable = False
        self.last_error = reason

    def _say_spool(self, error: str | None) -> None:
        if error is not None and not self._spool_failed:
            logger.warning("the spool cannot be written (%s); decisions wait in memory", error)
        if error is None and self._spool_failed:
            logger.info("the spool can be written again")
        self._spool_failed = error is not None
