"""Server-sent events: bytes in, whole events out, and events written as the clients read them."""

import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

DONE: Final = b"data: [DONE]\n\n"
DONE_DATA: Final = b"[DONE]"
KEEP_ALIVE: Final = b": keep-alive\n\n"  # a comment: clients skip it, proxies see traffic

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"  # may begin a stream and belongs to no field's name


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
        self._rest = bytearray()
        self._ended_in_cr = False  # a line feed that comes next belongs to that line end

    def feed(self, data: bytes) -> list[Event]:
        """The events that became whole.

        >>> splitter = Splitter()
        >>> splitter.feed(b"data: 1\\n\\nevent: x\\nda"), splitter.feed(b"ta: 2\\n\\n: hi\\n\\n")
        ([Event(name=None, data=b'1')], [Event(name=b'x', data=b'2')])
        """
        if self._ended_in_cr and data:
            data = data.removeprefix(b"\n")
            self._ended_in_cr = False
        if b"\r" in data:
            self._ended_in_cr = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        # Only what is new is searched: an event of megabytes comes in thousands of pieces.
        begin = max(0, len(self._rest) - 1)
        self._rest += data
        end = self._rest.rfind(b"\n\n", begin)
        if end < 0:
            return []
        blocks = bytes(self._rest[:end]).split(b"\n\n")
        del self._rest[: end + 2]
        return [event for block in blocks if (event := _event(block)) is not None]

    def end(self) -> list[Event]:
        """What came after the last blank line: some servers leave the final one out. Half an event
        is none."""
        return [event for event in self.feed(b"\n\n") if _is_whole(event.data)]


def _event(block: bytes) -> Event | None:
    if block.startswith(b"data: ") and b"\n" not in block:
        return Event(None, block[6:])
    name: bytes | None = None
    lines: list[bytes] = []
    for line in block.split(b"\n"):
        field, _, value = line.removeprefix(_BYTE_ORDER_MARK).partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            lines.append(value)
        elif field == b"event":
            name = value
    return Event(name, b"\n".join(lines)) if lines else None


def _is_whole(data: bytes) -> bool:
    if data == DONE_DATA:
        return True
    try:
        json.loads(data)
    except (ValueError, RecursionError):
        return False
    return True


def event(body: Mapping[str, Any], name: str | None = None) -> bytes:
    """One data event.

    >>> event({"a": "ü"})
    b'data: {"a":"\\xc3\\xbc"}\\n\\n'
    """
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    data = text.encode("utf-8", "replace")
    return Event(None if name is None else name.encode(), data).encoded()
