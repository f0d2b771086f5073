"""A provider's stream on its way to the client: keep-alives, one error event, the clean end.

A break after the headers went out becomes one error event, never a clean end; a client that leaves
ends the upstream call too; one that reads slowly is waited for, so that nothing piles up here.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any, Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway import fast_lane, sse
from gateway.errors import UpstreamError
from gateway.exchange import Exchange, OpenedStream
from gateway.upstream import Batch

SILENCE_S: Final = 10.0  # load balancers cut a connection that is silent for 60 s

_closing: set[asyncio.Task[None]] = set()  # the loop itself keeps only weak references to tasks


class StreamedAnswer(Response):
    """The SSE response of an exchange. `opening` may still be waiting for the first event."""

    media_type = "text/event-stream"

    def __init__(
        self,
        exchange: Exchange,
        opening: "asyncio.Task[OpenedStream]",
        headers: Mapping[str, str],
        request_id: str,
    ) -> None:
        self.status_code = 200
        self.background = None
        self.init_headers({"cache-control": "no-cache", "x-accel-buffering": "no", **headers})
        self._exchange = exchange
        self._opening = opening
        self._request_id = request_id
        self._rest: AsyncGenerator[Batch, None] | None = None
        self._is_sending = False
        self._last_sent = 0.0

    def init_headers(self, headers: Mapping[str, str] | None = None) -> None:
        """As Starlette does, but for the length, which a stream does not know."""
        named = {**(headers or {}), "content-type": "text/event-stream; charset=utf-8"}
        self.raw_headers = [(n.encode("latin-1"), v.encode("latin-1")) for n, v in named.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        sending = asyncio.ensure_future(self._send(send))
        leaving = asyncio.ensure_future(disconnected(receive))
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
        finally:
            # Does nothing after an end; without one, the client left or the server stops.
            self._exchange.finish("aborted", disconnected=True)
            sending.cancel()
            leaving.cancel()
            close(self._opening, self._rest)

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        self._last_sent = asyncio.get_running_loop().time()
        keeping_alive = asyncio.ensure_future(self._keep_alive(send))
        try:
            async for data in self._data():
                self._is_sending = True
                await send({"type": "http.response.body", "body": data, "more_body": True})
                self._is_sending = False
                self._last_sent = asyncio.get_running_loop().time()
        finally:
            keeping_alive.cancel()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _keep_alive(self, send: Send) -> None:
        """A comment whenever nothing was sent for a while; one that doesn't read needs none."""
        loop = asyncio.get_running_loop()
        while True:
            silent = loop.time() - self._last_sent
            await asyncio.sleep(SILENCE_S - silent if silent < SILENCE_S else SILENCE_S)
            if not self._is_sending and loop.time() - self._last_sent >= SILENCE_S:
                await send(
                    {"type": "http.response.body", "body": sse.KEEP_ALIVE, "more_body": True}
                )
                self._last_sent = loop.time()

    async def _data(self) -> AsyncIterator[bytes]:
        """What the client gets, as many events at a time as there are."""
        request = self._exchange.routed.request
        held: list[bytes] = []  # with explain, the last event waits for the cost
        sent = 0
        try:
            async for batch in self._batches():
                self._exchange.saw(batch)
                events = held + batch.events
                if batch.last is not None:
                    self._exchange.finish("ok")
                    events += batch.last
                    if request.controls.explain:
                        events = _explained(events, self._exchange.record)
                    yield b"".join(events)
                    return
                held = [events.pop()] if request.controls.explain else []
                sent += len(events)
                if events:
                    yield b"".join(events)
        except UpstreamError as exc:
            self._exchange.finish("error", error=exc.message)
            error = request.protocol.error_event(exc, self._request_id, sent + len(held))
            yield b"".join((*held, error))

    async def _batches(self) -> AsyncIterator[Batch]:
        opened = await self._opening
        self._rest = opened.rest
        if opened.first is not None:
            yield opened.first
        async for batch in opened.rest:
            yield batch


def _explained(events: list[bytes], record: Mapping[str, object]) -> list[bytes]:
    """The events with decision and cost in the last of them that carries anything."""
    for index in range(len(events) - 1, -1, -1):
        event = sse.Splitter().feed(events[index])[0]
        body = fast_lane.parse(event.data)
        if isinstance(body, dict):
            data = fast_lane.encode({**body, "hydra": record})
            return [*events[:index], sse.Event(event.name, data).encoded(), *events[index + 1 :]]
    return events


async def disconnected(receive: Receive) -> None:
    """Returns when the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


def close(waiting: "asyncio.Task[Any]", rest: AsyncGenerator[Batch, None] | None = None) -> None:
    """End an upstream call from a task of its own: in a cancelled one every await is cancelled."""
    task = asyncio.ensure_future(_ended(waiting, rest))
    _closing.add(task)
    task.add_done_callback(_closing.discard)


async def _ended(waiting: "asyncio.Task[Any]", rest: AsyncGenerator[Batch, None] | None) -> None:
    waiting.cancel()
    with contextlib.suppress(asyncio.CancelledError, UpstreamError):
        arrived = await waiting
        if isinstance(arrived, OpenedStream):
            rest = arrived.rest
    if rest is not None:
        with contextlib.suppress(UpstreamError, RuntimeError):  # the latter: still being stopped
            await rest.aclose()
