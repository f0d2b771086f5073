"""A provider's stream on its way to the client: keep-alives, one error event, the clean end.

A break after the headers went out becomes one error event, never a clean end; a client that leaves
ends the upstream call too.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from gateway import sse
from gateway.errors import UpstreamError, to_openai_body
from gateway.exchange import Exchange, OpenedStream
from gateway.upstream import Chunk

SILENCE_S: Final = 10.0  # load balancers cut a connection that is silent for 60 s

_closing: set[asyncio.Task[None]] = set()  # the loop itself keeps only weak references to tasks


class StreamedAnswer(StreamingResponse):
    """The SSE response of an exchange. `opening` may still be waiting for the first event."""

    def __init__(
        self,
        exchange: Exchange,
        opening: "asyncio.Task[OpenedStream]",
        headers: Mapping[str, str],
    ) -> None:
        super().__init__(
            self._events(),
            headers={"cache-control": "no-cache", "x-accel-buffering": "no", **headers},
            media_type="text/event-stream",
        )
        self._exchange = exchange
        self._waiting: asyncio.Task[Any] = opening
        self._rest: AsyncIterator[Chunk] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            # Does nothing after an end; without one, the client left or the server stops.
            self._exchange.finish("aborted", disconnected=True)
            close(self._waiting, self._rest)

    async def _events(self) -> AsyncIterator[bytes]:
        chat = self._exchange.routed.chat
        held: dict[str, Any] | None = None  # with explain, the last event waits for the cost
        try:
            while True:
                if not (await asyncio.wait({self._waiting}, timeout=SILENCE_S))[0]:
                    yield sse.KEEP_ALIVE
                    continue
                chunk = self._arrived()
                if chunk is None:
                    break
                self._exchange.saw(chunk)
                if not chat.wants_usage:
                    if chunk.is_usage_only:
                        continue
                    chunk.body.pop("usage", None)
                if held is not None:
                    yield sse.event(held)
                held = chunk.body
                if not chat.controls.explain:
                    yield sse.event(held)
                    held = None
        except UpstreamError as exc:
            self._exchange.finish("error", error=exc.message)
            if held is not None:
                yield sse.event(held)
            yield sse.event(to_openai_body(exc))
            return
        self._exchange.finish("ok")
        if held is not None:
            yield sse.event({**held, "hydra": self._exchange.record})
        yield sse.DONE

    def _arrived(self) -> Chunk | None:
        """What was waited for, or None at the end; the next event is asked for at once."""
        arrived: OpenedStream | Chunk | None = self._waiting.result()
        if isinstance(arrived, OpenedStream):
            self._rest, chunk = arrived.rest, arrived.first
        else:
            chunk = arrived
        if chunk is not None and self._rest is not None:
            self._waiting = asyncio.ensure_future(_next(self._rest))
        return chunk


async def _next(rest: AsyncIterator[Chunk]) -> Chunk | None:
    return await anext(rest, None)


def close(waiting: "asyncio.Task[Any]", rest: AsyncIterator[Chunk] | None = None) -> None:
    """End an upstream call from a task of its own: in a cancelled one every await is cancelled."""
    task = asyncio.ensure_future(_ended(waiting, rest))
    _closing.add(task)
    task.add_done_callback(_closing.discard)


async def _ended(waiting: "asyncio.Task[Any]", rest: AsyncIterator[Chunk] | None) -> None:
    waiting.cancel()
    with contextlib.suppress(asyncio.CancelledError, UpstreamError):
        arrived = await waiting
        if isinstance(arrived, OpenedStream):
            rest = arrived.rest
    if rest is not None and hasattr(rest, "aclose"):
        with contextlib.suppress(UpstreamError):
            await rest.aclose()
