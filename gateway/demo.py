"""The demo upstream: a small OpenAI-compatible provider for a machine without keys.

It answers over HTTP like any provider and is reached through litellm like one; only its words are
made up, and they say so. Speed follows the profile's price: the dearer, the slower.
"""

import asyncio
import hashlib
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from gateway import sse
from gateway.profile import Profile

_BYTES_PER_TOKEN: Final = 4
_SENTENCES: Final = (
    "A real model would answer here.",
    "Set a provider key in the environment or in .env and this pool answers for real.",
    "The routing, the decision and its price in the log are real; only this text is not.",
    "The longer your question, the longer this filler tends to be.",
    "Ask something harder and watch x-hydra-model change.",
)


def create_app(profiles: Mapping[str, Profile]) -> Starlette:
    """The provider as an ASGI app; `profiles` give each model its pace."""

    async def chat_completions(request: Request) -> Response:
        body = await request.json()
        name = str(body.get("model"))
        text = _answer(name, json.dumps(body.get("messages"), ensure_ascii=False))
        limit = body.get("max_completion_tokens") or body.get("max_tokens")
        finish_reason = "stop"
        if isinstance(limit, int) and _tokens(text) > limit:
            text, finish_reason = text[: limit * _BYTES_PER_TOKEN], "length"
        usage = _usage(body, text)
        first_s, token_s = _pace(profiles.get(name))
        await asyncio.sleep(first_s)
        head = {
            "id": f"chatcmpl-demo-{time.time_ns():x}",
            "created": int(time.time()),
            "model": name,
        }
        if body.get("stream"):
            events = _events(head, text, finish_reason, usage, token_s)
            return StreamingResponse(events, media_type="text/event-stream")
        await asyncio.sleep(token_s * _tokens(text))
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "finish_reason": finish_reason}
        return JSONResponse(
            {**head, "object": "chat.completion", "choices": [choice], "usage": usage}
        )

    return Starlette(routes=[Route("/v1/chat/completions", chat_completions, methods=["POST"])])


class DemoUpstream:
    """The provider on a free loopback port, in a thread of its own, while the context is open."""

    def __init__(self, profiles: Mapping[str, Profile]) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        config = uvicorn.Config(create_app(profiles), log_level="warning", access_log=False)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, args=([self._socket],), name="demo-upstream", daemon=True
        )

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}/v1"

    def __enter__(self) -> "DemoUpstream":
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.should_exit = True
        self._thread.join(timeout=5)
        self._socket.close()


def _answer(name: str, prompt: str) -> str:
    """Some sentences, the same for the same prompt."""
    count = 2 + hashlib.sha256(prompt.encode()).digest()[0] % (len(_SENTENCES) - 1)
    words = " ".join(_SENTENCES[:count])
    return f"[simulated by the demo upstream, not by {name}] {words}"


def _pace(profile: Profile | None) -> tuple[float, float]:
    """Seconds to the first token and per token: about 0.3 s and 130 tokens/s for a small model."""
    price = 5.0
    if profile is not None and profile.price is not None:
        price = max(0.5, float(profile.price.base.output_usd_per_mtok))
    return 0.2 + 0.02 * price, 1 / (40 + 400 / price)


def _usage(body: Mapping[str, Any], text: str) -> dict[str, int]:
    prompt = _tokens(json.dumps(body.get("messages"), ensure_ascii=False))
    completion = _tokens(text)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }


def _tokens(text: str) -> int:
    return max(1, len(text.encode()) // _BYTES_PER_TOKEN)


async def _events(
    head: Mapping[str, Any],
    text: str,
    finish_reason: str,
    usage: Mapping[str, int],
    token_s: float,
) -> AsyncIterator[bytes]:
    head = {**head, "object": "chat.completion.chunk"}
    words = text.split(" ")
    for index, word in enumerate(words):
        delta = {"role": "assistant"} if index == 0 else {}
        content = word if index == len(words) - 1 else word + " "
        choice = {"index": 0, "delta": {**delta, "content": content}, "finish_reason": None}
        yield sse.event({**head, "choices": [choice]})
        await asyncio.sleep(token_s * _tokens(content))
    choice = {"index": 0, "delta": {}, "finish_reason": finish_reason}
    yield sse.event({**head, "choices": [choice]})
    yield sse.event({**head, "choices": [], "usage": usage})
    yield sse.DONE
