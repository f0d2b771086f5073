"""A chat completion as a Response of OpenAI's Responses protocol, whole or event by event.

Pure. There is one way from chat to items, `Stream`: a whole answer is a stream of one chunk, so
both give the same Response. Chat mixes what the protocol keeps apart, so an item is opened by its
first delta: reasoning ends where anything else begins, the text and the tool calls stay open
together until the end, because servers interleave them.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal, Protocol

from gateway.responses_request import Offered, offered, sealed

_INCOMPLETE: Final = {"length": "max_output_tokens", "content_filter": "content_filter"}
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


def answer(chat: Mapping[str, Any], body: Mapping[str, Any]) -> dict[str, Any]:
    """The Response object of a chat completion's first choice; `body` is the request."""
    choice: Mapping[str, Any] = next(iter(chat.get("choices") or ()), {})
    message = choice.get("message") or {}
    calls = [{**call, "index": i} for i, call in enumerate(message.get("tool_calls") or ())]
    stream = Stream(body)
    whole = {**choice, "index": 0, "delta": {**message, "tool_calls": calls}}
    stream.events({**chat, "choices": [whole]})
    response: dict[str, Any] = stream.end()[-1]["response"]
    return response


class _Item(Protocol):
    """One output item under construction; its events lack what the stream knows: index and id."""

    @property
    def prefix(self) -> str:
        """How its id begins."""

    def item(self, status: str) -> dict[str, Any]:
        """As it stands, without its id."""

    def closing(self, status: str) -> Iterator[Event]:
        """What comes before response.output_item.done."""


class Stream:
    """Chat chunks in, Responses events out, in OpenAI's order."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        self._body = body
        self._offered = offered(body)
        self._chat: dict[str, Any] = {}  # what chunks say of the whole answer: id, model, usage
        self._finish_reason: str | None = None
        self._items: list[_Item] = []
        self._done: dict[int, dict[str, Any]] = {}  # finished items by output_index
        self._reasoning: _Reasoning | None = None  # the open one
        self._message: _Message | None = None
        self._calls: dict[int, _Call] = {}  # by the index that chunks use
        self._logprobs: list[dict[str, Any]] = []
        self._sequence = 0
        self._out: list[Event] = []

    def events(self, chunk: Mapping[str, Any]) -> list[dict[str, Any]]:
        """What a chunk tells the client; often nothing."""
        for name in ("id", "created", "model"):
            self._chat[name] = self._chat.get(name) or chunk.get(name)
        if chunk.get("usage"):
            self._chat["usage"] = chunk["usage"]
        self._start()
        for choice in chunk.get("choices") or ():
            if not choice.get("index"):
                self._choice(choice)
        return self._taken()

    def end(self) -> list[dict[str, Any]]:
        """The provider finished: what is open closes, and the whole Response follows."""
        self._start()
        for call in self._calls.values():
            self._open_call(call)
        reason = _INCOMPLETE.get(self._finish_reason or "")
        for index, item in enumerate(self._items):
            is_cut = reason is not None and index == len(self._items) - 1
            self._close(item, "incomplete" if is_cut else "completed")
        status = "incomplete" if reason else "completed"
        output = [self._done[index] for index in range(len(self._items))]
        details = {"reason": reason} if reason else None
        self._emit(
            f"response.{status}",
            response=self._response(status, output=output, incomplete_details=details),
        )
        return self._taken()

    def failed(self, code: str, message: str) -> list[dict[str, Any]]:
        """The provider broke off. No half-made item is handed out: its arguments may be cut."""
        self._start()
        error = {"code": code, "message": message}
        self._emit("response.failed", response=self._response("failed", error=error))
        return self._taken()

    def _start(self) -> None:
        if self._sequence == 0:
            self._emit("response.created", response=self._response("in_progress"))
            self._emit("response.in_progress", response=self._response("in_progress"))

    def _choice(self, choice: Mapping[str, Any]) -> None:
        self._finish_reason = choice.get("finish_reason") or self._finish_reason
        delta = choice.get("delta") or {}
        blocks = delta.get("thinking_blocks") or ()
        text = _reasoning_text(delta, blocks)
        if text or blocks:
            self._think(text, blocks)
        logprobs = [
            _logprob(entry) for entry in (choice.get("logprobs") or {}).get("content") or ()
        ]
        self._logprobs += logprobs
        content = _content_text(delta.get("content"))
        if content:
            self._say("output_text", content, logprobs)
        if delta.get("refusal"):
            self._say("refusal", delta["refusal"])
        calls = list(delta.get("tool_calls") or ())
        if delta.get("function_call"):
            calls.append({"index": 0, "function": delta["function_call"]})
        for call in calls:
            self._call(call)

    def _think(self, text: str, blocks: Sequence[Mapping[str, Any]]) -> None:
        if self._reasoning is None:
            self._reasoning = _Reasoning()
            self._open(self._reasoning)
        self._emit_of(self._reasoning, self._reasoning.add(text, blocks))

    def _say(
        self, part_type: str, text: str, logprobs: Sequence[Mapping[str, Any]] | None = None
    ) -> None:
        if self._message is None:
            self._message = _Message(self._logprobs)
            self._open(self._message)
        self._emit_of(self._message, self._message.add(part_type, text, logprobs))

    def _call(self, delta: Mapping[str, Any]) -> None:
        index = delta.get("index") or 0
        function = delta.get("function") or {}
        call_id, name = delta.get("id") or "", function.get("name") or ""
        call = self._calls.get(index)
        if call is not None and name and call_id and call.call_id not in ("", call_id):
            self._open_call(call)  # some servers number all their calls 0
            self._calls[-1 - len(self._calls)] = self._calls.pop(index)
            call = None
        if call is None:
            call = self._calls[index] = _Call()
        call.call_id = call.call_id or call_id
        call.name = call.name or name
        arguments = function.get("arguments") or ""
        call.waiting += arguments if isinstance(arguments, str) else json.dumps(arguments)
        if call.name:
            self._open_call(call)

    def _open_call(self, call: "_Call") -> None:
        """Open a call whose name is known, or that the end finds without; send what waits."""
        if call not in self._items:
            call.tool = self._offered.get(call.name) or Offered(call.name, None, False)
            call.call_id = call.call_id or f"call_{self._tail}_{len(self._items)}"
            self._open(call)
        self._emit_of(call, call.add())

    def _open(self, item: _Item) -> None:
        if self._reasoning is not None and item is not self._reasoning:
            self._close(self._reasoning, "completed")
            self._reasoning = None
        self._items.append(item)
        shown = self._with_id(item, item.item("in_progress"))
        self._emit("response.output_item.added", output_index=len(self._items) - 1, item=shown)

    def _close(self, item: _Item, status: str) -> None:
        index = self._items.index(item)
        if index in self._done:
            return
        self._emit_of(item, item.closing(status))
        self._done[index] = self._with_id(item, item.item(status))
        self._emit("response.output_item.done", output_index=index, item=self._done[index])

    def _with_id(self, item: _Item, shown: dict[str, Any]) -> dict[str, Any]:
        return {"id": self._id_of(item), **shown}

    def _id_of(self, item: _Item) -> str:
        return f"{item.prefix}_{self._tail}_{self._items.index(item)}"

    @property
    def _tail(self) -> str:
        """What ids of ours share with the chat answer's: the same answer, the same ids."""
        return str(self._chat.get("id") or "").removeprefix("chatcmpl-") or "0"

    def _emit_of(self, item: _Item, events: Iterator[Event]) -> None:
        place = {"item_id": self._id_of(item), "output_index": self._items.index(item)}
        for event in events:
            self._emit(event.pop("type"), **place, **event)

    def _emit(self, event_type: str, **fields: Any) -> None:
        self._out.append({"type": event_type, "sequence_number": self._sequence, **fields})
        self._sequence += 1

    def _taken(self) -> list[Event]:
        taken, self._out = self._out, []
        return taken

    def _response(self, status: str, **fields: Any) -> dict[str, Any]:
        """The Response object: the request's fields echoed, `fields` over them."""
        body, chat = self._body, self._chat
        reasoning = body.get("reasoning") or {}
        parallel = body.get("parallel_tool_calls")
        is_over = status in ("completed", "incomplete")
        return {
            "id": f"resp_{self._tail}",
            "object": "response",
            "created_at": chat.get("created") or 0,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "instructions": body.get("instructions"),
            "max_output_tokens": body.get("max_output_tokens"),
            "model": chat.get("model") or body.get("model"),
            "output": [],
            "parallel_tool_calls": True if parallel is None else parallel,
            "previous_response_id": None,
            "reasoning": {name: reasoning.get(name) for name in ("effort", "summary")},
            "store": False,
            "temperature": body.get("temperature"),
            "text": {"format": {"type": "text"}, **(body.get("text") or {})},
            "tool_choice": body.get("tool_choice") or "auto",
            "tools": body.get("tools") or [],
            "top_p": body.get("top_p"),
            "truncation": "disabled",
            "usage": _usage(chat.get("usage")) if is_over else None,
            "user": body.get("user"),
            "metadata": body.get("metadata") or {},
            **fields,
        }


class _Reasoning:
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


class _Message:
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


class _Call:
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


def _reasoning_text(delta: Mapping[str, Any], blocks: Sequence[Mapping[str, Any]]) -> str:
    """Reasoning under whichever name; litellm sends Anthropic's under two, so one is enough."""
    for name in ("reasoning_content", "reasoning"):
        if delta.get(name) and isinstance(delta[name], str):
            return str(delta[name])
    return "".join(block.get("thinking") or "" for block in blocks)


def _content_text(content: object) -> str:
    if isinstance(content, list):
        return "".join(part.get("text") or "" for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def _logprob(entry: Mapping[str, Any]) -> dict[str, Any]:
    """A token's logprob; the protocol wants `bytes` where chat may say null."""
    alternatives = entry.get("top_logprobs") or ()
    return {
        **_token(entry),
        "top_logprobs": [_token(alternative) for alternative in alternatives],
    }


def _token(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "token": entry.get("token"),
        "logprob": entry.get("logprob"),
        "bytes": entry.get("bytes") or [],
    }


def _usage(usage: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The provider's counts; a usage object without a prompt count is no usage."""
    if not usage or not usage.get("prompt_tokens"):
        return None
    prompt = usage.get("prompt_tokens_details") or {}
    completion = usage.get("completion_tokens_details") or {}
    tokens_in, tokens_out = usage["prompt_tokens"], usage.get("completion_tokens") or 0
    cached = prompt.get("cached_tokens") or usage.get("cache_read_input_tokens") or 0
    return {
        "input_tokens": tokens_in,
        "input_tokens_details": {
            "cached_tokens": cached,
            "cache_write_tokens": usage.get("cache_creation_input_tokens") or 0,
        },
        "output_tokens": tokens_out,
        "output_tokens_details": {"reasoning_tokens": completion.get("reasoning_tokens") or 0},
        "total_tokens": usage.get("total_tokens") or tokens_in + tokens_out,
    }
