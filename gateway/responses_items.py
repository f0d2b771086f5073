"""The output items of a Response under construction: reasoning, a message, a tool call.

Pure. What comes of a chat answer is added piece by piece; each piece gives the events that show it,
which lack what only the stream knows (responses_answer.py): the item's index and id.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal, Protocol

from gateway.responses_request import sealed
from gateway.responses_tools import Offered

_INPUT_OPENS: Final = re.compile(r'\s*\{\s*"input"\s*:\s*"')

# Of a JSON string's inside, as much as no later character can change. A high surrogate waits for
# its other half, unless what follows can't be it; likewise \\u for four digits.
_HEX: Final = "[0-9a-fA-F]"

_CERTAIN: Final = re.compile(
    rf"""(?: [^"\\]+
          | \\[^u]
          | \\u (?![dD][89abAB]) {_HEX}{{4}}
          | \\u [dD][89abAB] {_HEX}{{2}} \\u [dD][c-fC-F] {_HEX}{{2}}
          | \\u [dD][89abAB] {_HEX}{{2}} (?= [^\\] | \\[^u] | \\u [^dD] | \\u [dD][^c-fC-F] )
          | \\u (?= {_HEX}{{0,3}} [^0-9a-fA-F] )
        )*""",
    re.DOTALL | re.VERBOSE,
)

_ESCAPE: Final = re.compile(rf"\\(u{_HEX}{{4}}|.)", re.DOTALL)

_ESCAPED: Final = {
    **{"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"},
    **{character: character for character in '"\\/'},
}

Event = dict[str, Any]


class Item(Protocol):
    """One output item under construction; its events lack what the stream knows: index and id."""

    @property
    def prefix(self) -> str:
        """How its id begins."""

    def item(self, status: str) -> dict[str, Any]:
        """As it stands, without its id."""

    def closing(self, status: str) -> Iterator[Event]:
        """What comes before response.output_item.done."""


class Reasoning:
    """A reasoning item: shown as its summary, given back to us as `encrypted_content`."""

    prefix = "rs"

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._blocks: list[dict[str, Any]] = []

    def add(self, text: str, blocks: Sequence[Mapping[str, Any]]) -> Iterator[Event]:
        for block in blocks:
            self._merge(block)
        if text:
            if not self._pieces:
                yield self._part("added", "")
            self._pieces.append(text)
            yield self._text("delta", delta=text)

    def item(self, status: str) -> dict[str, Any]:
        text = "".join(self._pieces)
        fields = {
            **({"thinking_blocks": self._blocks} if self._blocks else {}),
            **({"reasoning_content": text} if text else {}),
        }
        return {
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": text}] if text else [],
            "encrypted_content": sealed(fields) if fields else None,
        }

    def closing(self, status: str) -> Iterator[Event]:
        text = "".join(self._pieces)
        if text:
            yield self._text("done", text=text)
            yield self._part("done", text)

    def _text(self, what: str, **fields: str) -> Event:
        return {
            "type": f"response.reasoning_summary_text.{what}",
            "summary_index": 0,
            **fields,
        }

    def _part(self, what: str, text: str) -> Event:
        return {
            "type": f"response.reasoning_summary_part.{what}",
            "summary_index": 0,
            "part": {"type": "summary_text", "text": text},
        }

    def _merge(self, block: Mapping[str, Any]) -> None:
        """Pieces of a thinking block become one; its signature, if it has one, ends it."""
        piece = {name: value for name, value in block.items() if name != "signature" or value}
        last = self._blocks[-1] if self._blocks else {}
        is_same = last.get("type") == piece.get("type") == "thinking" and "signature" not in last
        if is_same:
            text = f"{last.get('thinking') or ''}{piece.get('thinking') or ''}"
            last.update(piece, thinking=text)
        else:
            self._blocks.append(piece)


class Message:
    """The assistant's message: its text and its refusal, each one content part."""

    prefix = "msg"

    def __init__(self, logprobs: list[dict[str, Any]]) -> None:
        self._pieces: dict[str, list[str]] = {}  # by part type, in the order they began
        self._logprobs = logprobs

    def add(
        self, part_type: str, text: str, logprobs: Sequence[Mapping[str, Any]] | None
    ) -> Iterator[Event]:
        if part_type not in self._pieces:
            self._pieces[part_type] = []
            index = self._index(part_type)
            part = _part(part_type, "", [])
            yield {"type": "response.content_part.added", "content_index": index, "part": part}
        self._pieces[part_type].append(text)
        yield {
            "type": f"response.{part_type}.delta",
            "content_index": self._index(part_type),
            "delta": text,
            **({} if logprobs is None else {"logprobs": logprobs}),
        }

    def item(self, status: str) -> dict[str, Any]:
        content = [] if status == "in_progress" else [self._part(name) for name in self._pieces]
        return {"type": "message", "status": status, "role": "assistant", "content": content}

    def closing(self, status: str) -> Iterator[Event]:
        for index, part_type in enumerate(self._pieces):
            part = self._part(part_type)
            said: Event = {
                name: part[name] for name in ("text", "refusal", "logprobs") if name in part
            }
            yield {"type": f"response.{part_type}.done", "content_index": index, **said}
            yield {"type": "response.content_part.done", "content_index": index, "part": part}

    def _index(self, part_type: str) -> int:
        return list(self._pieces).index(part_type)

    def _part(self, part_type: str) -> dict[str, Any]:
        return _part(part_type, "".join(self._pieces[part_type]), self._logprobs)


def _part(part_type: str, text: str, logprobs: list[dict[str, Any]]) -> dict[str, Any]:
    if part_type == "refusal":
        return {"type": "refusal", "refusal": text}
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": logprobs}


class Call:
    """A tool call. What a custom tool is called with is the text inside its arguments."""

    def __init__(self) -> None:
        self.call_id = ""
        self.name = ""  # as chat has it
        self.tool = Offered("", None, False)
        self.waiting = ""  # arguments that arrived and weren't shown
        self._pieces: list[str] = []  # what was shown
        self._free_text = _FreeText()

    @property
    def is_custom(self) -> bool:
        return self.tool.is_custom

    @property
    def prefix(self) -> str:
        return "ctc" if self.is_custom else "fc"

    def add(self) -> Iterator[Event]:
        arrived, self.waiting = self.waiting, ""
        yield from self._show(self._free_text.read(arrived) if self.is_custom else arrived)

    def item(self, status: str) -> dict[str, Any]:
        return {
            "type": "custom_tool_call" if self.is_custom else "function_call",
            "status": status,
            "call_id": self.call_id,
            "name": self.tool.name,
            **({"namespace": self.tool.namespace} if self.tool.namespace else {}),
            self._field: "".join(self._pieces),
        }

    def closing(self, status: str) -> Iterator[Event]:
        if self.is_custom:
            yield from self._show(self._free_text.rest())
        elif not self._pieces and status == "completed":
            yield from self._show("{}")  # a call without arguments is still a JSON object
        whole = {self._field: "".join(self._pieces)}
        name = {} if self.is_custom else {"name": self.tool.name}
        yield {"type": f"response.{self._event}.done", **name, **whole}

    @property
    def _field(self) -> str:
        return "input" if self.is_custom else "arguments"

    @property
    def _event(self) -> str:
        return "custom_tool_call_input" if self.is_custom else "function_call_arguments"

    def _show(self, text: str) -> Iterator[Event]:
        if text:
            self._pieces.append(text)
            yield {"type": f"response.{self._event}.delta", "delta": text}


class _FreeText:
    """The string in `{"input": "..."}`, decoded while it arrives: a patch may take a minute.

    Laxer than JSON, because what was shown can't be taken back: an escape that JSON doesn't know
    stands for itself, half of a surrogate pair becomes U+FFFD.
    """

    def __init__(self) -> None:
        self._raw = ""  # not decoded yet
        self._state: Literal["before", "inside", "after"] = "before"

    def read(self, piece: str) -> str:
        self._raw += piece
        if self._state == "before":
            opening = _INPUT_OPENS.match(self._raw)
            if opening is None:
                return ""
            self._state, self._raw = "inside", self._raw[opening.end() :]
        if self._state == "after":
            return ""
        end = _CERTAIN.match(self._raw).end()  # type: ignore[union-attr]  # it matches nothing, too
        decoded, self._raw = _unescaped(self._raw[:end]), self._raw[end:]
        if self._raw.startswith('"'):
            self._state = "after"
        return decoded

    def rest(self) -> str:
        """At the end: all of it where the model wrapped it in its own way."""
        return _unwrapped(self._raw) if self._state == "before" else ""


def _unescaped(text: str) -> str:
    return _whole(_ESCAPE.sub(_character, text))


def _character(escape: re.Match[str]) -> str:
    code = escape[1]
    return chr(int(code[1:], 16)) if len(code) > 1 else _ESCAPED.get(code, escape[0])


def _whole(text: str) -> str:
    """Halves of surrogate pairs joined; one alone can't be sent on."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _unwrapped(arguments: str) -> str:
    try:
        found = json.loads(arguments)
    except (ValueError, RecursionError):
        return arguments
    text = found.get("input") if isinstance(found, dict) else None
    return _whole(text) if isinstance(text, str) else arguments
