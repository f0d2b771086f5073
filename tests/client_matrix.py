"""What the matrix of clients shares: the Python SDKs, sync and async, and how providers see them.

Each test of the matrix (test_matrix_*.py) names the profile it calls, and that picks the path
through the gateway: a chat server, an Anthropic server, or a server of the Responses protocol.
"""

import asyncio
import inspect
import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from operator import attrgetter
from types import ModuleType
from typing import Any

import anthropic
import openai
import pydantic
import pytest
from upstream_stub import UpstreamStub

Json = dict[str, Any]

# What a test needs of the provider: the profile of a chat, an Anthropic and a Responses server.
PROFILES = {
    "plain": ("small", "claude", "responder"),
    "tools": ("tools", "claude-tools", "responder-tools"),
    "schema": ("schema", "claude-schema", "responder-schema"),
    "vision": ("strict", "claude", "responder"),
    "hang": ("hang", "claude-hang", "responder-hang"),
    "hang-after-1": ("hang-after-1", "claude-hang-after-1", "responder-hang-after-1"),
    "400": ("status-400", "claude-400", "responder-400"),
    "429": ("status-429", "claude-429", "responder-429"),
    "503": ("status-503", "claude-503", "responder-503"),
}
SAID = {"small": "ok", "claude": "ok", "responder": "ok", "strict": "strict"}
PATHS = {"claude": "/v1/messages", "responder": "/v1/responses"}
PARAMETERS = {
    "type": "object",
    "properties": {"q": {"type": "string"}},
    "required": ["q"],
    "additionalProperties": False,
}
PNG = "iVBORw0KGgo="  # its first bytes: nobody here looks further
DATA_URL = f"data:image/png;base64,{PNG}"
WEB_URL = "https://example.com/cat.png"


class Forecast(pydantic.BaseModel):
    """What the scripted provider's `schema` models say."""

    city: str
    degrees: int


OSLO = Forecast(city="Oslo", degrees=7)


REFUSALS = (
    ("status-400", "BadRequestError", "the stub refuses parameter foo"),
    ("claude-400", "BadRequestError", "stub says 400"),
    ("responder-400", "BadRequestError", "stub says 400"),
    ("no-such-model", "NotFoundError", "no-such-model"),
    ("status-429", "RateLimitError", "Rate limit reached"),
    ("claude-429", "RateLimitError", "stub says 429"),
    ("responder-429", "RateLimitError", "stub says 429"),
    ("status-503", "InternalServerError", "stub says 503"),
    ("claude-503", "InternalServerError", "stub says 503"),
    ("responder-503", "InternalServerError", "stub says 503"),
)
refused = pytest.mark.parametrize(("model", "error", "message"), REFUSALS)


def over(what: str) -> pytest.MarkDecorator:
    """The test, once for each kind of server."""
    return pytest.mark.parametrize("model", PROFILES[what])


@dataclass(frozen=True)
class Sdk:
    """One of the packages; methods are named as in programs: "chat.completions.create"."""

    package: ModuleType
    base_url: str
    is_async: bool

    def answer(self, method: str, **fields: Any) -> Any:
        """What the method returns."""
        if self.is_async:
            return self._run(lambda client: attrgetter(method)(client)(**fields))
        with self._client() as client:
            return attrgetter(method)(client)(**fields)

    def raw(self, method: str, **fields: Any) -> tuple[Any, Any]:
        """What `with_raw_response` gives: the answer parsed, and the headers."""

        async def read(client: Any) -> tuple[Any, Any]:
            raw = await attrgetter(method)(client)(**fields)
            parsed = raw.parse()
            return (await parsed if inspect.isawaitable(parsed) else parsed), raw.headers

        if self.is_async:
            return self._run(read)
        raw = self.answer(method, **fields)
        return raw.parse(), raw.headers

    def events(self, method: str, **fields: Any) -> tuple[list[Any], Any]:
        """All that a stream brings, and the headers of its response."""

        async def read(client: Any) -> tuple[list[Any], Any]:
            stream = await attrgetter(method)(client)(stream=True, **fields)
            return [event async for event in stream], stream.response.headers

        if self.is_async:
            return self._run(read)
        with self._client() as client:
            stream = attrgetter(method)(client)(stream=True, **fields)
            return list(stream), stream.response.headers

    def helped(self, method: str, final: str, **fields: Any) -> tuple[list[Any], Any]:
        """The events of a stream helper, and what it makes of them all."""

        async def read(client: Any) -> tuple[list[Any], Any]:
            async with attrgetter(method)(client)(**fields) as stream:
                events = [event async for event in stream]
                return events, await getattr(stream, final)()

        if self.is_async:
            return self._run(read)
        with self._client() as client, attrgetter(method)(client)(**fields) as stream:
            return list(stream), getattr(stream, final)()

    def leave(self, upstream: UpstreamStub, method: str, **fields: Any) -> bool:
        """Close a stream at its first word; whether the provider knew within a second."""

        async def read_and_go(client: Any) -> bool:
            stream = await attrgetter(method)(client)(stream=True, **fields)
            async for event in stream:
                if "Hello" in event.to_json():
                    break
            await stream.close()
            return await asyncio.to_thread(upstream.released.wait, 1)

        if self.is_async:
            return self._run(read_and_go)
        with self._client() as client:
            stream = attrgetter(method)(client)(stream=True, **fields)
            next(event for event in stream if "Hello" in event.to_json())
            stream.close()
            return upstream.released.wait(1)

    def give_up(self, upstream: UpstreamStub, method: str, **fields: Any) -> bool:
        """Go away while the provider is silent: a task cancelled, or the client's own time-out."""

        async def ask_and_go(client: Any) -> bool:
            asking = asyncio.ensure_future(attrgetter(method)(client)(**fields))
            await asyncio.to_thread(_wait_for_request, upstream)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            return await asyncio.to_thread(upstream.released.wait, 1)

        if self.is_async:
            return self._run(ask_and_go)
        with self._client() as client:
            with pytest.raises(self.package.APITimeoutError):
                attrgetter(method)(client.with_options(timeout=1))(**fields)
            assert upstream.requests
            return upstream.released.wait(1)

    def _client(self) -> Any:
        name = "OpenAI" if self.package is openai else "Anthropic"
        made = getattr(self.package, f"Async{name}" if self.is_async else name)
        return made(base_url=self.base_url, api_key="any", max_retries=0)

    def _run(self, use: Callable[[Any], Any]) -> Any:
        async def main() -> Any:
            async with self._client() as client:
                return await use(client)

        return asyncio.run(main())


def _wait_for_request(upstream: UpstreamStub) -> None:
    deadline = time.monotonic() + 10
    while not upstream.requests:
        assert time.monotonic() < deadline, "no request came in 10 s"
        time.sleep(0.01)


def openai_sdk(url: str, *, is_async: bool) -> Sdk:
    return Sdk(openai, f"{url}/v1", is_async)


def anthropic_sdk(url: str, *, is_async: bool) -> Sdk:
    return Sdk(anthropic, url, is_async)


def assert_reached(upstream: UpstreamStub, model: str) -> Json:
    """The latest body that the provider got, on the wire that the profile's server speaks."""
    family = model.partition("-")[0]
    assert upstream.paths[-1] == PATHS.get(family, "/v1/chat/completions")
    return upstream.requests[-1]


def forced_tool(body: Json) -> str | None:
    """The name of the tool that the model must call, as the provider got it."""
    choice = body.get("tool_choice") or {}
    return choice.get("name") or choice.get("function", {}).get("name")


def tool_names(body: Json) -> list[str]:
    return [tool.get("name") or tool["function"]["name"] for tool in body["tools"]]


def results(body: Json) -> dict[str, str]:
    """Which result the provider got for each call."""
    found: dict[str, str] = {}
    for item in body.get("input") or body["messages"]:
        if item.get("type") == "function_call_output":
            found[item["call_id"]] = _text(item["output"])
        elif item.get("role") == "tool":
            found[item["tool_call_id"]] = item["content"]
        for block in _dicts(item.get("content")):
            if block["type"] == "tool_result":
                found[block["tool_use_id"]] = _text(block["content"])
    return found


def images(body: Json) -> list[str]:
    """The images that the provider got, as URLs."""
    parts = [
        part
        for item in body.get("input") or body["messages"]
        for part in _dicts(item.get("content"))
        if "image" in part["type"]
    ]
    return [_url(part) for part in parts]


def schema_fields(body: Json) -> set[str]:
    """The fields of the answer's schema, which some servers get as that of a tool to call."""
    return set(_schema(body)["properties"])


def _schema(body: Json) -> Json:
    if "response_format" in body:
        return body["response_format"]["json_schema"]["schema"]
    for name in ("output_config", "text"):
        if "format" in (body.get(name) or {}):
            return body[name]["format"]["schema"]
    (tool,) = body["tools"]
    assert forced_tool(body) == tool["name"]
    return tool["input_schema"]


def _url(part: Json) -> str:
    if part["type"] == "input_image":
        return str(part["image_url"])
    if part["type"] == "image_url":
        return str(part["image_url"]["url"])
    source = part["source"]
    if source["type"] == "url":
        return str(source["url"])
    return f"data:{source['media_type']};base64,{source['data']}"


def _text(content: object) -> str:
    return content if isinstance(content, str) else "".join(b["text"] for b in _dicts(content))


def _dicts(value: object) -> Iterable[Json]:
    return value if isinstance(value, list) else ()


def calls_of_chat(message: Any) -> list[tuple[str, str, Json]]:
    return [
        (call.id, call.function.name, json.loads(call.function.arguments))
        for call in message.tool_calls
    ]
