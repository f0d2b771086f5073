"""Decisions as they are logged, as server-sent events: GET /v1/decisions/stream.

Asks Redis twice a second, since a blocking read would keep a connection to itself. An event's id is
that of its entry in the stream, so a client that comes back with `Last-Event-ID` misses nothing.
"""

import asyncio
import logging
import signal
import time
from collections.abc import AsyncIterator, Mapping
from typing import Final

from gateway import sse, stream_fields
from gateway.decision_log import DecisionLog, LogUnavailable

logger = logging.getLogger("gateway.log_tail")

POLL_S: Final = 0.5
KEEP_ALIVE_S: Final = 10.0
_AWAY: Final = b": the log cannot be read now, it is asked again\n\n"


async def tail(
    log: DecisionLog, filters: Mapping[str, str], last: str | None
) -> AsyncIterator[bytes]:
    """Whole events and comments, until the gateway stops. `last` is the entry to go on after;
    None: from now on."""
    now = f"{time.time_ns() // 10**6}-0"  # by our clock, for as long as Redis does not say
    yield sse.KEEP_ALIVE  # the headers go out with it
    said, is_away = time.monotonic(), False
    while not _is_stopping():
        events: list[bytes] = []
        is_last = True
        try:
            if last is None:
                last = now if is_away else await log.last_id()
            step = await log.after(last, filters)
        except LogUnavailable:
            if not is_away:
                events.append(_AWAY)
            is_away = True
        else:
            is_away, last, is_last = False, step.reached, step.is_last
            events += (_event(entry_id, entry) for entry_id, entry in step.found)
        if not events and time.monotonic() - said >= KEEP_ALIVE_S:
            events.append(sse.KEEP_ALIVE)
        if events:
            said = time.monotonic()
            yield b"".join(events)
        if is_last:
            await asyncio.sleep(POLL_S)


def _event(entry_id: str, entry: Mapping[str, str]) -> bytes:
    return f"id: {entry_id}\n".encode() + sse.event(stream_fields.decode(entry), "decision")


def _is_stopping() -> bool:
    """Whether the server was told to stop. It waits for its connections, up to half a minute, and
    tells nobody; while it runs, the handler of its signals is a method of its own."""
    server = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    return bool(getattr(server, "should_exit", False))
