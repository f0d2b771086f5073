"""A provider of billed_models.py on five wires, which keeps a book of what it served.

The model's name says what it does: `busy`, `limited`, `late` and `refuses` answer with an error,
`breaks` ends a stream in its middle, `waits` says nothing more until its caller has gone,
`uncounted` gives no usage; all others answer. A request is known by the `#0000123` in its prompt.
"""

import asyncio
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from billed_models import Counts, counts

WAITING = "stay"  # the last word of one that waits
WIRES = {
    "/v1/chat/completions": "chat",
    "/v1/messages": "messages",
    "/v1/responses": "responses",
    "/v1/completions": "completions",
    "/v1/embeddings": "embeddings",
}
_REFUSES = {"busy": 503, "limited": 429, "late": 408, "refuses": 400}
_NUMBER = re.compile(rb"#(\d{7})")
_WORDS = ("Well, ", "this ", "is ", "what ", "it ", "says: ", "größer.")
_BEFORE_A_BREAK_S = 0.05  # what was sent is read by then; a break right behind it overtakes it


@dataclass(frozen=True, slots=True)
class Served:
    """One call of the provider. `end` is whole, broken, left, or the status it refused with."""

    model: str
    wire: str
    end: str
    counts: Counts | None


class BilledProvider:
    """The app, the book, and a bell for each request whose caller wants to know that it came."""

    def __init__(self) -> None:
        self.book: dict[int, list[Served]] = {}
        self.bells: dict[int, asyncio.Event] = {}
        self.app = web.Application(client_max_size=2**26)
        self.app.router.add_routes([web.post(path, self._serve) for path in WIRES])

    async def start(self, port: int) -> web.AppRunner:
        """Listen; `await runner.cleanup()` ends it."""
        runner = web.AppRunner(self.app, access_log=None, handler_cancellation=True)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port, backlog=1024).start()
        return runner

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        found = _NUMBER.search(raw)
        assert found is not None, raw[:300]
        body, number, wire = json.loads(raw), int(found[1]), WIRES[request.path]
        model = body["model"]
        usage = None if model == "uncounted" else counts(model, wire, number)
        end = "whole"
        if model in _REFUSES:
            end = str(_REFUSES[model])
        elif model.endswith("breaks") and body.get("stream"):
            end = "broken"
        elif model == "waits":
            end = "left"
        self.book.setdefault(number, []).append(Served(model, wire, end, usage))
        if number in self.bells:
            self.bells[number].set()
        if model in _REFUSES:
            error = {"message": f"no: {end}", "type": "server_error", "param": None, "code": None}
            return web.json_response({"error": error}, status=_REFUSES[model])
        if not body.get("stream"):
            if model == "waits":
                await asyncio.sleep(600)
            return web.json_response(_answer(wire, model, usage))
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        words = _WORDS[: 1 + number % len(_WORDS)]
        if end == "whole":
            await response.write(b"".join(_events(wire, model, words, usage)))
        else:
            await self._begun(request, response, (wire, model, words, usage), number)
        return response

    async def _begun(
        self, request: web.Request, response: web.StreamResponse, what: Any, number: int
    ) -> None:
        """A stream without its end."""
        wire, model, words, usage = what
        waits = model == "waits"
        for piece in _events(wire, model, (*words, WAITING), usage, only_begun=True):
            await response.write(piece)
        if waits:
            await asyncio.sleep(600)
        await asyncio.sleep(_BEFORE_A_BREAK_S)
        if number % 2:
            error = {"type": "overloaded_error", "message": "too much", "code": 502}
            await response.write(_event({"type": "error", "error": error}, wire))
        assert request.transport is not None
        request.transport.close()


def _answer(wire: str, model: str, usage: Counts | None) -> dict[str, Any]:
    text, counted = "".join(_WORDS), _usage(wire, usage)
    said = {"model": model, "created": 1, **counted}
    match wire:
        case "embeddings":
            data = [{"object": "embedding", "index": 0, "embedding": [0.5, -0.5]}]
            return {"object": "list", "data": data, **said}
        case "completions":
            choice = {"index": 0, "text": text, "finish_reason": "stop", "logprobs": None}
            return {"id": "cmpl-1", "object": "text_completion", "choices": [choice], **said}
        case "messages":
            head = {"id": "msg_1", "type": "message", "role": "assistant", "stop_sequence": None}
            content = [{"type": "text", "text": text}]
            return {**head, "content": content, "stop_reason": "end_turn", **said}
        case "responses":
            part = {"type": "output_text", "text": text, "annotations": []}
            item = {"type": "message", "id": "m1", "role": "assistant", "status": "completed"}
            head = {"id": "resp_1", "object": "response", "created_at": 1, "status": "completed"}
            return {**head, "output": [{**item, "content": [part]}], **said}
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return {"id": "chatcmpl-1", "object": "chat.completion", "choices": [choice], **said}


def _usage(wire: str, of: Counts | None) -> dict[str, Any]:
    """The counts in the wire's words, and the service beside them."""
    if of is None:
        return {}
    if wire == "messages":
        return {"usage": {**_claudes_prompt(of), **_claudes_end(of)}}
    into, out = ("input", "output") if wire == "responses" else ("prompt", "completion")
    usage: dict[str, Any] = {f"{into}_tokens": of.prompt}
    if wire != "embeddings":
        usage[f"{out}_tokens"] = of.completion
        details = {"cached_tokens": of.cached, "cache_write_tokens": of.written}
        usage[f"{into}_tokens_details"] = {**details, "audio_tokens": of.audio}
        usage[f"{out}_tokens_details"] = {"reasoning_tokens": of.reasoning}
    usage["total_tokens"] = of.prompt + of.completion
    if of.said is not None:
        usage["cost"] = float(of.said)
    return {"usage": usage, **({"service_tier": of.service} if of.service else {})}


def _claudes_prompt(of: Counts) -> dict[str, Any]:
    return {
        "input_tokens": of.prompt - of.cached - of.written,
        "cache_read_input_tokens": of.cached,
        "cache_creation_input_tokens": of.written,
        "cache_creation": {
            "ephemeral_5m_input_tokens": of.written - of.written_1h,
            "ephemeral_1h_input_tokens": of.written_1h,
        },
    }


def _claudes_end(of: Counts) -> dict[str, Any]:
    searches = {"server_tool_use": {"web_search_requests": of.searches}} if of.searches else {}
    return {"output_tokens": of.completion, **searches}


def _events(
    wire: str, model: str, words: tuple[str, ...], usage: Counts | None, *, only_begun: bool = False
) -> Iterator[bytes]:
    """A stream's events; `only_begun`: none after the last word."""
    if wire == "messages":
        assert usage is not None
        head = {**_answer(wire, model, usage), "content": [], "stop_reason": None}
        head["usage"] = {**_claudes_prompt(usage), "output_tokens": 1}
        block = {"type": "text", "text": ""}
        yield _event({"type": "message_start", "message": head}, wire)
        yield _event({"type": "content_block_start", "index": 0, "content_block": block}, wire)
    elif wire == "responses":
        begun = {**_answer(wire, model, None), "status": "in_progress", "output": []}
        yield _event({"type": "response.created", "response": begun}, wire)
    for word in words:
        yield _event(_delta(wire, model, word), wire)
    if only_begun:
        return
    if wire == "messages":
        assert usage is not None
        yield _event({"type": "content_block_stop", "index": 0}, wire)
        delta = {"stop_reason": "end_turn", "stop_sequence": None}
        yield _event({"type": "message_delta", "delta": delta, "usage": _claudes_end(usage)}, wire)
        yield _event({"type": "message_stop"}, wire)
    elif wire == "responses":
        whole = _answer(wire, model, usage)
        yield _event({"type": "response.completed", "response": whole}, wire)
    else:
        last = {"index": 0, "finish_reason": "stop", **({"delta": {}} if wire == "chat" else {})}
        yield _event({**_head(wire, model), "choices": [last]}, wire)
        if usage is not None:
            counted = _usage(wire, usage)
            yield _event({**_head(wire, model), "choices": [], **counted}, wire)
        yield b"data: [DONE]\n\n"


def _delta(wire: str, model: str, word: str) -> dict[str, Any]:
    match wire:
        case "messages":
            delta = {"type": "text_delta", "text": word}
            return {"type": "content_block_delta", "index": 0, "delta": delta}
        case "responses":
            at = {"item_id": "m1", "output_index": 0, "content_index": 0}
            return {"type": "response.output_text.delta", **at, "delta": word}
        case "completions":
            choice = {"index": 0, "text": word, "finish_reason": None}
        case _:
            choice = {"index": 0, "delta": {"content": word}, "finish_reason": None}
    return {**_head(wire, model), "choices": [choice]}


def _head(wire: str, model: str) -> dict[str, Any]:
    kind = "chat.completion.chunk" if wire == "chat" else "text_completion"
    return {"id": "c1", "object": kind, "created": 1, "model": model}


def _event(event: dict[str, Any], wire: str) -> bytes:
    name = f"event: {event['type']}\n" if wire in ("messages", "responses") else ""
    return f"{name}data: {json.dumps(event)}\n\n".encode()
