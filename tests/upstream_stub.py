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
tools          one tool call
Any other name answers like ok.
"""

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from typing import Any

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
        self.released = threading.Event()
        self.base_url = ""
        self.app = Starlette(
            routes=[Route("/v1/chat/completions", self.chat_completions, methods=["POST"])]
        )

    def reset(self) -> None:
        self.requests.clear()
        self.headers.clear()
        self.released.clear()

    @property
    def models(self) -> list[str]:
        """The models that were called, in order."""
        return [request["model"] for request in self.requests]

    async def chat_completions(self, request: Request) -> Response:
        body = await request.json()
        self.requests.append(body)
        self.headers.append(dict(request.headers))
        model = body["model"]
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
        if model == "tools":
            call = {"id": "call_1", "type": "function"}
            call["function"] = {"name": "look_up", "arguments": '{"q": "x"}'}
            message, finish_reason = {"role": "assistant", "tool_calls": [call]}, "tool_calls"
        choice = {"index": 0, "message": message, "finish_reason": finish_reason}
        answer = {**_head(model), "object": "chat.completion", "choices": [choice], "usage": USAGE}
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
            for index, word in enumerate(("Hello ", "from ", model)):
                if model == "cut" and index == 2:
                    raise ConnectionError("the script says: cut here")
                if model == "hang-after-1" and index == 1:
                    await asyncio.sleep(30)
                delta = {"content": word} | ({"role": "assistant"} if index == 0 else {})
                yield _event(model, [{"index": 0, "delta": delta, "finish_reason": None}])
            yield _event(model, [{"index": 0, "delta": {}, "finish_reason": "stop"}])
            wants_usage = (body.get("stream_options") or {}).get("include_usage")
            if wants_usage and model != "no-usage":
                yield _event(model, [], usage=USAGE)
            yield b"data: [DONE]\n\n"
        finally:
            self.released.set()


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
