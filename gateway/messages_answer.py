"""A chat completion as a Message of Anthropic's protocol: the whole one, or event by event.

Pure. Both ways give the same blocks: thoughts, text, tool calls. Thoughts that no provider signed
carry our own mark for a signature, by which we know them when the client sends them back.
"""

import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from gateway import json_body
from gateway.errors import InvalidRequest
from gateway.history import OURS

_Object = dict[str, Any]

_STOP_REASONS: Final = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}
_ENDING: Final = ("finish_reason", "stop_reason", "stop_sequence", "provider_specific_fields")
# What servers other than vLLM have in stop_reason, where vLLM has the stop sequence it met.
_NO_SEQUENCES: Final = frozenset((*_STOP_REASONS, *_STOP_REASONS.values(), "stop_sequence", ""))
_DELTAS: Final = {
    "thinking": ("thinking_delta", "thinking"),
    "text": ("text_delta", "text"),
    "tool_use": ("input_json_delta", "partial_json"),
}

_compact = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def answer(chat: Mapping[str, Any], model: str) -> _Object:
    """The Message of a chat completion's first choice. `model`: if the answer names none."""
    choice = next(iter(_objects(chat.get("choices"))), {})
    message = _object(choice.get("message"))
    calls = _calls(message)
    refused = bool(message.get("refusal"))
    return {
        **_head(chat, model),
        "content": [
            *_thinking(message),
            *({"type": "text", "text": text} for text in _texts(message)),
            *(_tool_use(call, _tool_id(chat, index)) for index, call in enumerate(calls)),
        ],
        **_stop(choice, refused=refused, called=bool(calls)),
        "usage": _usage(chat),
    }


class Stream:
    """Chat chunks in, Messages events out.

    The protocol's blocks come one after the other, while chat deltas may jump between text and
    several tool calls. So blocks queue: the first one streams, and it makes room for the next when
    it is complete. Whether a call is complete shows in its arguments alone; the end completes all.
    """

    def __init__(self, model: str) -> None:
        self._model = model
        self._is_started = False
        self._queue: list[_Block] = []
        self._closed = 0  # blocks that left the queue: the first one's index
        self._calls: dict[int, _Block] = {}  # by the chat call's index: where its deltas go
        self._call_ids: Iterator[str] = iter(())  # for calls that have none
        self._is_refusal = False
        self._ending: _Object = {}  # what the chunks said of why the answer ends
        self._usage: _Object = {"output_tokens": 0}

    def events(self, chunk: Mapping[str, Any]) -> list[_Object]:
        """The events that a chunk gives: none if all that it brings must wait."""
        events = self._start(chunk)
        if isinstance(chunk.get("usage"), dict):
            self._usage = _usage(chunk)
        for choice in _objects(chunk.get("choices")):
            if choice.get("index") in (0, None):
                self._read(_object(choice.get("delta")))
                self._ending |= {k: choice[k] for k in _ENDING if choice.get(k) is not None}
        return [*events, *self._send()]

    def end(self) -> list[_Object]:
        """What is left when the chat stream is over, or broke off."""
        stop = _stop(self._ending, refused=self._is_refusal, called=bool(self._calls))
        events = [*self._start({}), *self._send()]
        while self._queue:
            events += self._close_first()
        return [
            *events,
            {"type": "message_delta", "delta": stop, "usage": self._usage},
            {"type": "message_stop"},
        ]

    def _start(self, chunk: Mapping[str, Any]) -> list[_Object]:
        """The usage is empty: chat servers count at the end, for message_delta."""
        if self._is_started:
            return []
        self._is_started = True
        self._call_ids = (_tool_id(chunk, index) for index in itertools.count())
        ending = {"stop_reason": None, "stop_sequence": None, "usage": _usage({})}
        message = {**_head(chunk, self._model), "content": [], **ending}
        return [{"type": "message_start", "message": message}]

    def _read(self, delta: Mapping[str, Any]) -> None:
        """Queue what a delta brings."""
        pieces = _objects(delta.get("thinking_blocks"))
        if not any(_text(piece.get("thinking")) for piece in pieces):  # else it is there twice
            self._add("thinking", _reasoning(delta))
        for piece in pieces:
            self._read_thought(piece)
        for text in _texts(delta):
            self._add("text", text)
        for call in _calls(delta):
            self._read_call(call)
        self._is_refusal |= bool(delta.get("refusal"))

    def _read_thought(self, piece: _Object) -> None:
        """A piece of what a provider signs: text, or the signature that completes a block."""
        if piece.get("type") == "redacted_thinking":
            self._queue.append(_Block(piece))
            return
        self._add("thinking", _text(piece.get("thinking")))
        signature = _text(piece.get("signature"))
        if signature:
            self._last("thinking").signature = signature

    def _read_call(self, call: _Object) -> None:
        function = _object(call.get("function"))
        index = call["index"] if isinstance(call.get("index"), int) else 0
        id, name = _text(call.get("id")), _text(function.get("name"))
        arguments = _arguments(function.get("arguments"))
        if not (id or name or arguments):
            return
        block = self._calls.get(index)
        # Some servers give every call the index 0: a new call has an id and a name of its own.
        if block is None or (id and name and block.start["id"] not in ("", id)):
            block = _Block({"type": "tool_use", "id": "", "name": "", "input": {}})
            block.spare_id = next(self._call_ids)
            self._calls[index] = block
            self._queue.append(block)
        block.start["id"] = block.start["id"] or id
        block.start["name"] = block.start["name"] or name
        block.add(arguments)

    def _add(self, kind: str, text: str) -> None:
        if text:
            self._last(kind).add(text)

    def _last(self, kind: str) -> "_Block":
        """The last block if it is of that kind and can still grow, else a new one behind it."""
        last = self._queue[-1] if self._queue else None
        if last is None or last.start["type"] != kind or last.signature:
            last = _Block({"type": kind, kind: ""})
            self._queue.append(last)
        return last

    def _send(self) -> list[_Object]:
        """What the first block has, and those behind it that its completion lets through."""
        events: list[_Object] = []
        while len(self._queue) > 1 and self._queue[0].is_complete():
            events += self._close_first()
        if self._queue and self._queue[0].is_ready():
            events += self._queue[0].send(self._closed)
        return events

    def _close_first(self) -> list[_Object]:
        block, index = self._queue.pop(0), self._closed
        self._closed += 1
        return [*block.send(index), *block.close(index)]


@dataclass(slots=True)
class _Block:
    """A content block on its way out. What is added waits until the block may send."""

    start: _Object  # as its first event tells it
    signature: str = ""
    spare_id: str = ""  # of a call that the server gave none
    waiting: list[str] = field(default_factory=list)
    arguments: list[str] = field(default_factory=list)  # all of a call's, sent or not
    is_open: bool = False
    was_complete: bool | None = None  # None: not known since the last addition

    def add(self, text: str) -> None:
        if not text:
            return
        self.waiting.append(text)
        if self.start["type"] == "tool_use":
            self.arguments.append(text)
            self.was_complete = None

    def is_ready(self) -> bool:
        """Whether its first event can be told. A call's id comes before its arguments or never."""
        if self.start["type"] != "tool_use":
            return True
        return bool(self.start["name"] and (self.start["id"] or self.arguments))

    def is_complete(self) -> bool:
        """Whether nothing can follow if something else has begun: nothing can after an object."""
        if self.start["type"] != "tool_use":
            return True
        if self.was_complete is None:
            self.was_complete = _json_object("".join(self.arguments)) is not None
        return self.was_complete and self.is_ready()

    def send(self, index: int) -> list[_Object]:
        events: list[_Object] = []
        kind = self.start["type"]
        if not self.is_open:
            self.is_open = True
            if kind == "tool_use":
                self.start["id"] = self.start["id"] or self.spare_id
            start = {**self.start, **({"signature": ""} if kind == "thinking" else {})}
            events.append({"type": "content_block_start", "index": index, "content_block": start})
        if self.waiting:
            name, text = _DELTAS[kind]
            events.append(_delta(index, {"type": name, text: "".join(self.waiting)}))
            self.waiting.clear()
        return events

    def close(self, index: int) -> list[_Object]:
        stop = {"type": "content_block_stop", "index": index}
        if self.start["type"] != "thinking":
            return [stop]
        signature = {"type": "signature_delta", "signature": self.signature or OURS}
        return [_delta(index, signature), stop]


def _delta(index: int, delta: _Object) -> _Object:
    return {"type": "content_block_delta", "index": index, "delta": delta}


def _head(chat: Mapping[str, Any], model: str) -> _Object:
    return {
        "id": f"msg_{_id_tail(chat)}",
        "type": "message",
        "role": "assistant",
        "model": _text(chat.get("model")) or model,
    }


def _id_tail(chat: Mapping[str, Any]) -> str:
    """What tells one chat id from the next.

    >>> _id_tail({"id": "chatcmpl-7f3c-11"}), _id_tail({})
    ('7f3c11', 'hydra')
    """
    tail = _text(chat.get("id")).removeprefix("chatcmpl-").removeprefix("msg_")
    return re.sub(r"[^A-Za-z0-9]", "", tail) or "hydra"


def _tool_id(chat: Mapping[str, Any], index: int) -> str:
    """An id for a call without one: unlike those of the conversation's other answers."""
    return f"toolu_{_id_tail(chat)}_{index}"


def _stop(choice: Mapping[str, Any], *, refused: bool, called: bool) -> _Object:
    """Why the answer ended. OpenAI says "stop" where it was told which tool to call."""
    reason = _STOP_REASONS.get(_text(choice.get("finish_reason")), "end_turn")
    sequence = None
    if refused:
        reason = "refusal"
    elif reason == "end_turn" and called:
        reason = "tool_use"
    elif reason == "end_turn":
        sequence = _stop_sequence(choice)
    return {"stop_reason": "stop_sequence" if sequence else reason, "stop_sequence": sequence}


def _stop_sequence(choice: Mapping[str, Any]) -> str | None:
    others = _object(choice.get("provider_specific_fields"))
    named = _text(choice.get("stop_sequence")) or _text(others.get("stop_sequence"))
    reasons = (_text(fields.get("stop_reason")) for fields in (choice, others))
    return named or next((text for text in reasons if text not in _NO_SEQUENCES), None)


def _usage(chat: Mapping[str, Any]) -> _Object:
    """The tokens in Anthropic's counting, where what the cache had or got is not input."""
    usage = _object(chat.get("usage"))
    details = _object(usage.get("prompt_tokens_details"))
    read = _tokens(details.get("cached_tokens"), usage.get("cache_read_input_tokens"))
    written = _tokens(
        details.get("cache_creation_tokens"),
        details.get("cache_write_tokens"),
        usage.get("cache_creation_input_tokens"),
    )
    return {
        "input_tokens": max(0, _tokens(usage.get("prompt_tokens")) - read - written),
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": read,
        "output_tokens": _tokens(usage.get("completion_tokens")),
    }


def _tokens(*counts: object) -> int:
    """The first count that there is."""
    return next((count for count in counts if isinstance(count, int) and count > 0), 0)


def _thinking(message: Mapping[str, Any]) -> list[_Object]:
    """Blocks as the provider signed them, or one of ours around the bare thoughts."""
    blocks = _objects(message.get("thinking_blocks"))
    if not blocks and _reasoning(message):
        blocks = [{"type": "thinking", "thinking": _reasoning(message)}]
    return [
        {**block, "signature": _text(block.get("signature")) or OURS}
        if block.get("type") == "thinking"
        else block
        for block in blocks
    ]


def _reasoning(message: Mapping[str, Any]) -> str:
    return _text(message.get("reasoning_content")) or _text(message.get("reasoning"))


def _texts(message: Mapping[str, Any]) -> list[str]:
    """What is said: the content, plain or in parts, and the refusal."""
    content = message.get("content")
    said = "".join(_text(part.get("text")) for part in _objects(content)) or _text(content)
    return [text for text in (said, _text(message.get("refusal"))) if text]


def _calls(message: Mapping[str, Any]) -> Sequence[_Object]:
    """The tool calls; the one call of OpenAI's first tools API is the first of them."""
    calls = _objects(message.get("tool_calls"))
    legacy = _object(message.get("function_call"))
    return [{"index": 0, "function": legacy}] if legacy and not calls else calls


def _tool_use(call: _Object, spare_id: str) -> _Object:
    function = _object(call.get("function"))
    return {
        "type": "tool_use",
        "id": _text(call.get("id")) or spare_id,
        "name": _text(function.get("name")),
        "input": _input(_arguments(function.get("arguments"))),
    }


def _input(arguments: str) -> _Object:
    """Input must be an object: what is none, or is broken off, stands in one as it came."""
    if not arguments.strip():
        return {}
    parsed = _json_object(arguments)
    return {"arguments": arguments} if parsed is None else parsed


def _arguments(value: object) -> str:
    """A call's arguments as JSON; some servers send the object itself."""
    return _compact(value) if isinstance(value, dict) else _text(value)


def _json_object(text: str) -> _Object | None:
    try:
        return json_body.parse(text.encode("utf-8", "surrogatepass"))
    except InvalidRequest:
        return None


def _objects(value: object) -> list[_Object]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _object(value: object) -> _Object:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
