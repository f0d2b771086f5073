"""What one writer has finished and Redis has not: in order, in memory while it is short.

Not the delivery (shipper.py) and not the files (spool.py). What waits is always a stretch on disk,
older, and then a queue in memory, newer. The stretch is there after an outage too long for memory,
after Redis went back in time, and for the spool of a dead writer.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final

from gateway import spool_files
from gateway.spool_files import Event

# More than this waits on disk alone.
MAX_IN_MEMORY: Final = 10_000  # records, some 3 kB each
MAX_CHARS_IN_MEMORY: Final = 64 * 2**20  # with logged content they are larger
# An abandoned request gets its number from here on: the same one whoever adopts the folder, and
# above all that its writer can have used.
ABANDONED_SEQ: Final = 10**15

STOPPED: Final = "the gateway stopped in the middle of this request"


class Backlog:
    """The undelivered records of the writer `writer_id`.

    `read(after)` yields its finished records on disk with a larger sequence number, oldest first.
    """

    def __init__(
        self, writer_id: str, read: Callable[[int], Iterator[Event]], *, on_disk: bool = False
    ) -> None:
        self.writer_id = writer_id
        self.position: int | None = None  # of the last delivered record, once Redis said so
        self._read = read
        self._memory: deque[Event] = deque()
        self._by_id: dict[str, Event] = {}
        self._chars = 0  # of JSON in memory
        self._unspooled: set[int] = set()  # sequence numbers of those that are nowhere else
        self._staged: deque[Event] = deque()  # read from the stretch on disk
        self._on_disk = on_disk
        self._disk_until = 2 * ABANDONED_SEQ if on_disk else 0
        self._disk_count = 0
        self._reader: Iterator[Event] | None = None
        self._reader_until = 0

    def __len__(self) -> int:
        """How many wait; of a stretch on disk it is an estimate."""
        return len(self._staged) + len(self._memory) + max(self._disk_count, int(self._on_disk))

    @property
    def on_disk(self) -> bool:
        """Whether some wait on disk alone."""
        return self._on_disk or bool(self._staged)

    @property
    def is_full(self) -> bool:
        """Whether memory holds all it should and can't be emptied onto the disk."""
        return bool(self._unspooled) and self._is_long

    @property
    def _is_long(self) -> bool:
        return len(self._memory) >= MAX_IN_MEMORY or self._chars >= MAX_CHARS_IN_MEMORY

    def add(self, event: Event, *, spooled: bool) -> None:
        """A record that was just finished."""
        if self._is_long and not self._unspooled:
            self._disk_until = self._memory[-1].seq
            self._disk_count += len(self._memory)
            self._on_disk = True
            self._memory.clear()
            self._by_id.clear()
            self._chars = 0
        if not spooled:
            self._unspooled.add(event.seq)
        self._chars += len(event.text)
        self._memory.append(event)
        self._by_id[event.id] = event

    def get(self, decision_id: str) -> Event | None:
        return self._by_id.get(decision_id)

    async def next_batch(self, limit: int, max_chars: int) -> list[Event]:
        """The oldest that wait, empty when none do. They stay until `delivered`."""
        while self._on_disk and not self._staged:
            await self._stage(limit)
        batch: list[Event] = []
        chars = 0
        for event in self._staged or self._memory:
            chars += len(event.text)
            if len(batch) == limit or (batch and chars > max_chars):
                break
            batch.append(event)
        return batch

    def delivered(self, position: int) -> None:
        """Redis has everything up to this."""
        self.position = position
        while self._staged and self._staged[0].seq <= position:
            self._staged.popleft()
        while self._memory and self._memory[0].seq <= position:
            event = self._memory.popleft()
            self._chars -= len(event.text)
            self._unspooled.discard(event.seq)
            if self._by_id.get(event.id) is event:
                del self._by_id[event.id]

    def resume(self, position: int) -> int:
        """Redis says where it stands. Returns how far it is back behind what it once confirmed."""
        before = self.position
        if before is not None and position < before:
            self._staged.clear()
            self._reader = None
            self._on_disk = True
            self._disk_until = max(self._disk_until, before)
            self.position = position
            return before - position
        self.delivered(position)
        return 0

    async def _stage(self, limit: int) -> None:
        """Read on in the stretch on disk, in a thread: it may be gigabytes."""
        position = self.position or 0
        if self._reader is None:
            self._reader, self._reader_until = self._read(position), self._disk_until
        reader, until = self._reader, self._reader_until
        events = await asyncio.to_thread(lambda: list(islice(reader, limit)))
        # Past its end the stretch overlaps with what is in memory.
        wanted = [event for event in events if position < event.seq <= until]
        self._disk_count = max(0, self._disk_count - len(wanted))
        self._staged.extend(wanted)
        if not events or events[-1].seq > until:
            self._reader = None
            # Unless memory was emptied onto the disk meanwhile, all of it is read.
            self._on_disk = self._disk_until > until
            if not self._on_disk:
                self._disk_count = 0


def finished(folder: Path, after: int) -> Iterator[Event]:
    """What a living writer finished."""
    return (event for event in spool_files.events(folder, after=after) if event.kind == "end")


def left_behind(folder: Path, after: int) -> Iterator[Event]:
    """What a dead writer finished, then what it began and did not finish, as aborted records."""
    begun: dict[str, Event] = {}
    for event in spool_files.events(folder):
        if event.kind == "begin":
            begun[event.id] = event
            continue
        begun.pop(event.id, None)
        if event.seq > after:
            yield event
    for number, event in enumerate(begun.values()):
        seq = ABANDONED_SEQ + number
        if seq > after:
            text = spool_files.to_json(aborted(event.record()))
            yield Event(seq=seq, kind="end", id=event.id, text=text)


def aborted(begun: dict[str, Any]) -> dict[str, Any]:
    """The finished record of a request whose gateway died: what it cost is not known."""
    attempts = begun.get("attempts")
    return {
        **begun,
        "status": "aborted",
        "cost_usd": None,
        "cost_status": "unknown",
        "savings_usd": None,
        "disconnected": False,
        "error": STOPPED,
        "attempts": [
            *(attempts if isinstance(attempts, list) else []),
            {"model": begun.get("chosen"), "status": None, "error": STOPPED, "latency_ms": None},
        ],
    }
