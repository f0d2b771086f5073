"""A scripted OpenAI-compatible provider over a real socket. The model's name picks what it does.

ok             answers "Hello from <model>" with usage (cached and reasoning tokens included)
slow-<ms>      the same after that many milliseconds
status-<code>  an OpenAI error body with that status (429 with retry-after: 7)
html-502       an error page that is not JSON
cut            a stream that breaks after two events
empty          a stream without events
hang           never answers; sets `stub.released` when the caller goes away
hang-after-1   one event, then silence
no-usage       no usage anywhere
unfinished     a stream that ends without its end
error-later    a stream that ends in an error event
tools          two tool calls when tools are offered and no result came yet
think          thinks (`reasoning_content`) before it speaks
schema         a small JSON object
strict...      refuses messages that OpenAI's own server would refuse
Any other name answers like ok.
"""

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from typing import Any

from other_wires_stub import OtherWires, chat_problem
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

USAGE = {
    "prompt_tokens": 100,
    "completion_tokens": 20,
    "total_tokens": 120,
    "prompt_tokens_details": {"cached_tokens": 40},
    "completion_tokens_details": {"reasoning_tokens": 5},
}


class UpstreamStub:
    """What it got, and the app that got it."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.released = threading.Event()
        self.base_url = ""
        other = OtherWires(self.record, self._until_gone, self.released.set)
        handlers = {
            "/v1/chat/completions": self.chat_completions,
            "/v1/messages": other.messages,
            "/v1/messages/count_tokens": other.count_tokens,
            "/v1/responses": other.responses,
            "/v1/embeddings": other.embeddings,
            "/v1/completions": other.completions,
        }
        self.app = Starlette(
            routes=[Route(path, handler, methods=["POST"]) for path, handler in handlers.items()]
        )

    def reset(self) -> None:
        self.requests.clear()
        self.headers.clear()
        self.paths.clear()
        self.released.clear()

    @property
    def models(self) -> list[str]:
        """The models that were called, in order."""
        return [request["model"] for request in self.requests]

    def record(self, request: Request, body: dict[str, Any]) -> None:
        """Keep what came."""
        self.requests.append(body)
        self.headers.append(dict(request.headers))
        self.paths.append(request.url.path)

    async def chat_completions(self, request: Request) -> Response:
        body = await request.json()
        self.record(request, body)
        model = body["model"]
        refused = chat_problem(body) if model.startswith("strict") else None
        if refused:
            error = {"message": refused, "type": "invalid_request_error", "param": "messages"}
            return JSONResponse({"error": {**error, "code": None}}, status_code=400)
        if model.startswith("slow-"):
            await asyncio.sleep(int(model.removeprefix("slow-")) / 1000)
        if model.startswith("status-"):
            return _refusal(int(model.removeprefix("status-")))
        if model == "html-502":
            return PlainTextResponse("<html>Bad Gateway</html>", status_code=502)
        if model == "hang":
            await self._until_gone(request)
        if body.get("stream"):
            return StreamingResponse(self._events(body), media_type="text/event-stream")
        message: dict[str, Any] = {"role": "assistant", "content": f"Hello from {model}"}
        finish_reason = "stop"
        if _wants_tools(body):
            message = {"role": "assistant", "content": None, "tool_calls": _calls(body)}
            finish_reason = "tool_calls"
        elif model == "think":
            message["reasoning_content"] = "Let me see."
        elif model == "schema":
            message["content"] = '{"city": "Oslo", "degrees": 7}'
        choice = {"index": 0, "message": message, "finish_reason": finish_reason}
        answer = {**_head(model), "object": "chat.completion", "choices": [choice], **_bill(body)}
        answer["a_field_of_tomorrow"] = {"kept": True}
        if model == "no-usage":
            del answer["usage"]
        return JSONResponse(answer)

    async def _until_gone(self, request: Request) -> None:
        for _ in range(600):
            if await request.is_disconnected():
                self.released.set()
                return
            await asyncio.sleep(0.05)

    async def _events(self, body: dict[str, Any]) -> AsyncIterator[bytes]:
        model = body["model"]
        try:
            if model == "empty":
                yield b"data: [DONE]\n\n"
                return
            if _wants_tools(body):
                for delta in _tool_deltas(body):
                    yield _event(model, [{"index": 0, "delta": delta, "finish_reason": None}])
                yield _event(model, [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}])
                yield _event(model, [], **_bill(body))
                yield b"data: [DONE]\n\n"
                return
            if model == "think":
                delta = {"role": "assistant", "reasoning_content": "Let me see."}
                yield _event(model, [{"index": 0, "delta": delta, "finish_reason": None}])
            words = ("Hello ", "from ", model)
            if model == "schema":
                words = ('{"city": ', '"Oslo", ', '"degrees": 7}')
            for index, word in enumerate(words):
                if model == "unfinished" and index == 2:
                    return
                if model == "error-later" and index == 2:
                    yield b'data: {"error": {"message": "out of memory", "code": 502}}\n\n'
                    return
                if model == "cut" and index == 2:
                    raise ConnectionError("the script says: cut here")
                if model == "hang-after-1" and index == 1:
                    await asyncio.sleep(30)
                delta = {"content": word} | ({"role": "assistant"} if index == 0 else {})
                choice = {"index": 0, "delta": delta, "finish_reason": None}
                yield _event(model, [choice], a_field_of_tomorrow=index)
            yield _event(model, [{"index": 0, "delta": {}, "finish_reason": "stop"}])
            wants_usage = (body.get("stream_options") or {}).get("include_usage")
            if wants_usage and model != "no-usage":
                yield _event(model, [], **_bill(body))
            yield b"data: [DONE]\n\n"
        finally:
            self.released.set()


def _wants_tools(body: dict[str, Any]) -> bool:
    is_asked = body["messages"][-1].get("role") != "tool"
    return body["model"] in ("tools", "strict-tools") and bool(body.get("tools")) and is_asked


def _calls(body: dict[str, Any]) -> list[dict[str, Any]]:
    """Two calls of the first tool, or one where the client wants no more at a time."""
    name = body["tools"][0]["function"]["name"]
    count = 1 if body.get("parallel_tool_calls") is False else 2
    arguments = ('{"q": "x"}', '{"q": "y"}')[:count]
    return [
        {"id": f"call_{n}", "type": "function", "function": {"name": name, "arguments": text}}
        for n, text in enumerate(arguments, start=1)
    ]


def _tool_deltas(body: dict[str, Any]) -> list[dict[str, Any]]:
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": None}]
    for index, call in enumerate(_calls(body)):
        function = call["function"]
        opened = {**call, "index": index, "function": {**function, "arguments": ""}}
        deltas.append({"tool_calls": [opened]})
        for part in (function["arguments"][:4], function["arguments"][4:]):
            deltas.append({"tool_calls": [{"index": index, "function": {"arguments": part}}]})
    return deltas


def _bill(body: dict[str, Any]) -> dict[str, Any]:
    """The counts, with what the request's `bill` adds to them, and the service that was asked."""
    service = {"service_tier": body["service_tier"]} if "service_tier" in body else {}
    return {"usage": {**USAGE, **body.get("bill", {})}, **service}


def _head(model: str) -> dict[str, Any]:
    return {"id": "chatcmpl-stub", "created": 1_700_000_000, "model": f"{model}-2026-01-01"}


def _event(model: str, choices: list[dict[str, Any]], **more: Any) -> bytes:
    head = {**_head(model), "object": "chat.completion.chunk"}
    return b"data: " + json.dumps({**head, "choices": choices, **more}).encode() + b"\n\n"


def _refusal(status: int) -> Response:
    errors = {
        400: ("the stub refuses parameter foo", "invalid_request_error", "foo", "bad_foo"),
        401: ("Incorrect API key provided: sk-upstream-secret", "x", None, "invalid_api_key"),
        404: ("The model does not exist", "invalid_request_error", "model", "model_not_found"),
        429: ("Rate limit reached", "rate_limit", None, "rate_limit_exceeded"),
    }
    message, kind, param, code = errors.get(status, (f"stub says {status}", "server", None, None))
    error = {"message": message, "type": kind, "param": param, "code": code}
    headers = {"retry-after": "7"} if status == 429 else {}
    return JSONResponse({"error": error}, status_code=status, headers=headers)
