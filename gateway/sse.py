"""Server-sent events: bytes in, whole events out, and events written as the clients read them."""

import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

DONE: Final = b"data: [DONE]\n\n"
DONE_DATA: Final = b"[DONE]"
KEEP_ALIVE: Final = b": keep-alive\n\n"  # a comment: clients skip it, proxies see traffic


class Event(NamedTuple):
    """One event as it came: its name, where it has one, and its data."""

    name: bytes | None
    data: bytes

    def encoded(self) -> bytes:
        """The event on the wire, as it came but for comments, ids and the kind of line ends.

        >>> Event(b"ping", b"{}").encoded()
        b'event: ping\\ndata: {}\\n\\n'
        """
        data = self.data if b"\n" not in self.data else self.data.replace(b"\n", b"\ndata: ")
        if self.name is None:
            return b"data: " + data + b"\n\n"
        return b"event: " + self.name + b"\ndata: " + data + b"\n\n"


class Splitter:
    """Puts events together again, wherever the network cut them. Comments are left out."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[Event]:
        """The events that became whole.

        >>> splitter = Splitter()
        >>> splitter.feed(b"data: 1\\n\\nevent: x\\nda"), splitter.feed(b"ta: 2\\n\\n: hi\\n\\n")
        ([Event(name=None, data=b'1')], [Event(name=b'x', data=b'2')])
        """
        text = self._rest + data
        if b"\r" in text:
            # A carriage return at the very end may be half of a line end.
            held = b"\r" if text.endswith(b"\r") else b""
            text = text.removesuffix(b"\r").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
            *blocks, rest = text.split(b"\n\n")
            self._rest = rest + held
        else:
            *blocks, self._rest = text.split(b"\n\n")
        return [event for block in blocks if (event := _event(block)) is not None]

    def end(self) -> list[Event]:
        """What came after the last blank line: some servers leave the final one out."""
        return self.feed(b"\n\n") if self._rest.strip() else []


def _event(block: bytes) -> Event | None:
    if block.startswith(b"data: ") and b"\n" not in block:
        return Event(None, block[6:])
    name: bytes | None = None
    lines: list[bytes] = []
    for line in block.split(b"\n"):
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            lines.append(value)
        elif field == b"event":
            name = value
    return Event(name, b"\n".join(lines)) if lines else None


def event(body: Mapping[str, Any], name: str | None = None) -> bytes:
    """One data event.

    >>> event({"a": "ü"})
    b'data: {"a":"\\xc3\\xbc"}\\n\\n'
    """
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    data = text.encode("utf-8", "replace")
    return Event(None if name is None else name.encode(), data).encoded()
