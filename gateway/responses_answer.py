"""A chat completion as a Response of OpenAI's Responses protocol, whole or event by event.

Pure. There is one way from chat to items, `Stream`: a whole answer is a stream of one chunk, so
both give the same Response. Chat mixes what the protocol keeps apart, so an item is opened by its
first delta: reasoning ends where anything else begins, the text and the tool calls stay open
together until the end, because servers interleave them.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from gateway.responses_items import Call, Event, Item, Message, Reasoning
from gateway.responses_tools import Offered, offered

_INCOMPLETE: Final = {"length": "max_output_tokens", "content_filter": "content_filter"}


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


class Stream:
    """Chat chunks in, Responses events out, in OpenAI's order."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        self._body = body
        self._offered = offered(body)
        self._chat: dict[str, Any] = {}  # what chunks say of the whole answer: id, model, usage
        self._finish_reason: str | None = None
        self._items: list[Item] = []
        self._done: dict[int, dict[str, Any]] = {}  # finished items by output_index
        self._reasoning: Reasoning | None = None  # the open one
        self._message: Message | None = None
        self._calls: dict[int, Call] = {}  # by the index that chunks use
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
            self._reasoning = Reasoning()
            self._open(self._reasoning)
        self._emit_of(self._reasoning, self._reasoning.add(text, blocks))

    def _say(
        self, part_type: str, text: str, logprobs: Sequence[Mapping[str, Any]] | None = None
    ) -> None:
        if self._message is None:
            self._message = Message(self._logprobs)
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
            call = self._calls[index] = Call()
        call.call_id = call.call_id or call_id
        call.name = call.name or name
        arguments = function.get("arguments") or ""
        call.waiting += arguments if isinstance(arguments, str) else json.dumps(arguments)
        if call.name:
            self._open_call(call)

    def _open_call(self, call: Call) -> None:
        """Open a call whose name is known, or that the end finds without; send what waits."""
        if call not in self._items:
            call.tool = self._offered.get(call.name) or Offered(call.name, None, False)
            call.call_id = call.call_id or f"call_{self._tail}_{len(self._items)}"
            self._open(call)
        self._emit_of(call, call.add())

    def _open(self, item: Item) -> None:
        if self._reasoning is not None and item is not self._reasoning:
            self._close(self._reasoning, "completed")
            self._reasoning = None
        self._items.append(item)
        shown = self._with_id(item, item.item("in_progress"))
        self._emit("response.output_item.added", output_index=len(self._items) - 1, item=shown)

    def _close(self, item: Item, status: str) -> None:
        index = self._items.index(item)
        if index in self._done:
            return
        self._emit_of(item, item.closing(status))
        self._done[index] = self._with_id(item, item.item(status))
        self._emit("response.output_item.done", output_index=index, item=self._done[index])

    def _with_id(self, item: Item, shown: dict[str, Any]) -> dict[str, Any]:
        return {"id": self._id_of(item), **shown}

    def _id_of(self, item: Item) -> str:
        return f"{item.prefix}_{self._tail}_{self._items.index(item)}"

    @property
    def _tail(self) -> str:
        """What ids of ours share with the chat answer's: the same answer, the same ids."""
        return str(self._chat.get("id") or "").removeprefix("chatcmpl-") or "0"

    def _emit_of(self, item: Item, events: Iterator[Event]) -> None:
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
