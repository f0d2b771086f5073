"""The lines of a spool: how one is written and read, and what is found in a folder of them.

Not who may write or delete (spool.py). Readers work on a dead writer's folder, on their own and on
a living one's while it writes; a line that is torn or unreadable is skipped, whatever tore it.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import orjson

_LINE: Final = re.compile(
    rb'\{"seq":(\d+),"event":"(begin|end)","id":("(?:[^"\\]|\\.)*"),"record":(.*)\}\n?', re.DOTALL
)


Kind = Literal["begin", "end"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One line: `text` is the record as JSON."""

    seq: int
    kind: Kind
    id: str
    text: str

    def record(self) -> dict[str, Any]:
        return parse(self.text)


def line(seq: int, kind: Kind, decision_id: str, text: str) -> bytes:
    """The line of one event; the id comes before the record, so that it is found without parsing.

    >>> line(7, "end", "0193", '{"status":"ok"}')
    b'{"seq":7,"event":"end","id":"0193","record":{"status":"ok"}}\\n'
    """
    head = f'{{"seq":{seq},"event":"{kind}","id":{json.dumps(decision_id)},"record":'
    return f"{head}{text}}}\n".encode("utf-8", "replace")


def segments(folder: Path) -> list[tuple[int, Path]]:
    """(first sequence number, path), oldest first."""
    try:
        return sorted(
            (int(path.stem), path) for path in folder.glob("*.jsonl") if path.stem.isdigit()
        )
    except FileNotFoundError:
        return []


def events(folder: Path, *, after: int = 0) -> Iterator[Event]:
    """The readable lines with a larger sequence number, oldest first."""
    files = segments(folder)
    for index, (_, path) in enumerate(files):
        if index + 1 < len(files) and files[index + 1][0] <= after + 1:
            continue
        try:
            with path.open("rb") as lines:
                for line in lines:
                    event = _parse(line)
                    if event is not None and event.seq > after:
                        yield event
        except FileNotFoundError:  # delivered and deleted meanwhile
            continue


def find(root: Path, decision_id: str, *, skip: Path | None = None) -> dict[str, Any] | None:
    """The finished record of that id in any writer's spool but one, newest segments first."""
    needle = f'"event":"end","id":{json.dumps(decision_id)},'.encode()
    paths = [path for folder in writers(root) if folder != skip for _, path in segments(folder)]
    for path in sorted(paths, key=modified_at, reverse=True):
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            continue
        at = content.find(needle)
        if at < 0:
            continue
        start, end = content.rfind(b"\n", 0, at) + 1, content.find(b"\n", at)
        event = _parse(content[start : end if end >= 0 else len(content)])
        if event is not None:
            return event.record()
    return None


def writers(root: Path) -> list[Path]:
    """The folders of all writers, living and dead; those being made or deleted are left out."""
    try:
        return sorted(path for path in root.iterdir() if path.name[0] != "." and path.is_dir())
    except FileNotFoundError:
        return []


def modified_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _parse(line: bytes) -> Event | None:
    match = _LINE.fullmatch(line)
    if match is None:
        return None
    seq, kind, decision_id, text = match.groups()
    try:
        json.loads(text)
        return Event(
            seq=int(seq),
            kind="begin" if kind == b"begin" else "end",
            id=json.loads(decision_id),
            text=text.decode(),
        )
    except ValueError:  # torn inside, and by chance of the right shape
        return None


def bytes_of(folder: Path) -> int:
    """What a writer's segments take on disk."""
    total = 0
    for _, path in segments(folder):
        try:
            total += path.stat().st_size
        except FileNotFoundError:
            continue
    return total


def to_json(record: Mapping[str, object]) -> str:
    """A record as one line of JSON, whatever is in it: what JSON can't say becomes text or null."""
    try:
        return orjson.dumps(record).decode()
    except TypeError:  # large integers, halves of surrogate pairs, foreign objects
        pass
    try:
        return _strict(record)
    except (ValueError, TypeError, RecursionError):
        return _strict(_plain(record, 20))


def joined(one: str, other: str) -> str:
    """The JSON of two objects, neither empty, that have no name in common, as that of one.

    >>> joined('{"a":1}', '{"b":2}')
    '{"a":1,"b":2}'
    """
    return f"{one[:-1]},{other[1:]}"


_strict = json.JSONEncoder(
    ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=str
).encode


def parse(text: str) -> dict[str, Any]:
    """The record of `to_json`'s text."""
    try:
        record: dict[str, Any] = orjson.loads(text)
    except ValueError:  # a half of a surrogate pair, a deep content
        record = json.loads(text)
    return record


def _plain(value: object, depth: int) -> object:
    """The same for an odd value: no infinities, no odd keys, no cycles."""
    match value:
        case _ if depth == 0:
            return "..."
        case float() if not math.isfinite(value):
            return None
        case Mapping():
            return {str(key): _plain(item, depth - 1) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_plain(item, depth - 1) for item in value]
        case None | bool() | int() | float() | str():
            return value
        case _:
            return str(value)
