"""What a client gets of a provider's stream: events as they came, or written anew.

A writer takes one event after the other and gives those for the client; `end` gives those that
close the stream, which are sent only once the record is written.
"""

from collections.abc import Mapping
from typing import Any, Final, Protocol

from gateway import fast_lane, sse, wires
from gateway.protocols import ClientProtocol

_NO_USAGE: Final = b',"usage":null'


class Writer(Protocol):
    """Events of a provider in, events for the client out."""

    def write(self, event: sse.Event, parsed: Mapping[str, Any]) -> list[bytes]: ...

    def end(self) -> list[bytes]: ...


def writer(
    protocol: ClientProtocol, body: Mapping[str, Any], wire: str, *, shows_usage: bool
) -> Writer:
    """The writer for a client of `protocol`, whose request was `body`, of what comes on `wire`."""
    if wire != protocol.wire:
        return _Translating(protocol, body)
    if wire in (wires.CHAT, wires.COMPLETIONS):
        return _Chat(shows_usage=shows_usage)
    return _AsTheyAre(protocol.last)


class _AsTheyAre:
    """Hands events on as they came; `last` names those that end the stream."""

    def __init__(self, last: tuple[str, ...]) -> None:
        self._last = last
        self._held: list[bytes] = []

    def write(self, event: sse.Event, parsed: Mapping[str, Any]) -> list[bytes]:
        if parsed.get("type") in self._last:
            self._held.append(event.encoded())
            return []
        return [event.encoded()]

    def end(self) -> list[bytes]:
        return self._held


class _Chat:
    """Hands chat chunks on; usage is kept from a client that did not ask for it."""

    def __init__(self, *, shows_usage: bool) -> None:
        self._shows_usage = shows_usage

    def write(self, event: sse.Event, parsed: Mapping[str, Any]) -> list[bytes]:
        if self._shows_usage or "usage" not in parsed:
            return [event.encoded()]
        if wires.is_usage_only(parsed):
            return []
        if parsed["usage"] is None:
            # OpenAI puts it into every chunk. Inside a string its quotes would be escaped.
            shorter = event.data.replace(_NO_USAGE, b"", 1)
            if len(shorter) < len(event.data):
                return [b"data: " + shorter + b"\n\n"]
        rest = {name: value for name, value in parsed.items() if name != "usage"}
        return [b"data: " + fast_lane.encode(rest) + b"\n\n"]

    def end(self) -> list[bytes]:
        return [sse.DONE]


class _Translating:
    """Writes chat chunks as the events of the client's protocol."""

    def __init__(self, protocol: ClientProtocol, body: Mapping[str, Any]) -> None:
        assert protocol.translator is not None  # chat alone has none, and needs none
        self._translator = protocol.translator(body)

    def write(self, event: sse.Event, parsed: Mapping[str, Any]) -> list[bytes]:
        return [_named(made) for made in self._translator.events(parsed)]

    def end(self) -> list[bytes]:
        return [_named(made) for made in self._translator.end()]


def _named(event: Mapping[str, Any]) -> bytes:
    return sse.Event(str(event["type"]).encode(), fast_lane.encode(event)).encoded()
