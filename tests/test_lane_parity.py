"""Both lanes send a provider the same request: litellm's SDK, and our own client in its place.

Every provider of targets.FAST gets the same requests through both, and what arrived is compared.
Where our client is meant to differ, TOLERATED says so, and why; what it says must happen.
"""

import asyncio
import functools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import litellm
import pytest
from servers import serve
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from gateway import protocols, request
from gateway.errors import GatewayError
from gateway.profile import Profile
from gateway.targets import FAST, OPENAI_WIRE, Target, resolve
from gateway.upstream import Upstream

Json = dict[str, Any]

SECRET = "sk-parity"

MODELS = (
    "openai/gpt-5.4",
    "openai/gpt-4o-mini",
    "openai/o3-mini",
    "hosted_vllm/Qwen/Qwen3-32B",
    "openai_like/qwen3",
    "custom_openai/qwen3",
    "llamafile/qwen3",
    "lm_studio/qwen3",
    "cerebras/gpt-oss-120b",
    "deepinfra/meta-llama/Llama-3.3-70B-Instruct",
    "deepseek/deepseek-chat",
    "fireworks_ai/accounts/fireworks/models/glm-4p6",
    "groq/llama-3.3-70b-versatile",
    "mistral/mistral-large-latest",
    "mistral/magistral-medium-latest",
    "moonshot/kimi-k2.5",
    "nebius/Qwen/Qwen3-32B",
    "novita/deepseek/deepseek-v3.2",
    "nvidia_nim/meta/llama-3.3-70b-instruct",
    "openrouter/anthropic/claude-sonnet-4.6",
    "perplexity/sonar-pro",
    "together_ai/meta-llama/Llama-3.3-70B-Instruct-Turbo",
    "xai/grok-4",
    "zai/glm-4.6",
)
# A provider that litellm has no chat for: what another of the same wire would be sent.
STAND_INS = {"openai_like": "custom_openai"}

_HELLO = [{"role": "user", "content": "Hello"}]
_SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
_TOOL = {
    "type": "function",
    "function": {"name": "weather", "description": "of a city", "parameters": _SCHEMA},
}
_STRICT = {"type": "function", "function": {**_TOOL["function"], "strict": True}}  # type: ignore[dict-item]
_CALL = {
    "id": "call_1234567890",
    "type": "function",
    "function": {"name": "weather", "arguments": '{"city": "Oslo"}'},
}
_ASKED = [*_HELLO, {"role": "assistant", "content": None, "tool_calls": [_CALL]}]
_JSON_SCHEMA = {
    "type": "json_schema",
    "json_schema": {"name": "place", "strict": True, "schema": _SCHEMA},
}
_MARK = {"cache_control": {"type": "ephemeral"}}


def _parts(*parts: Json, role: str = "user") -> Json:
    return {"role": role, "content": list(parts)}


def _text(text: str, **more: Any) -> Json:
    return {"type": "text", "text": text, **more}


def _image(url: str) -> Json:
    return {"type": "image_url", "image_url": {"url": url, "detail": "low"}}


def _answered(content: Any) -> list[Any]:
    return [*_ASKED, {"role": "tool", "tool_call_id": _CALL["id"], "content": content}]


REQUESTS: Mapping[str, Json] = {
    "plain": {"messages": _HELLO},
    "stream": {"messages": _HELLO, "stream": True, "stream_options": {"include_usage": True}},
    "sampling": {
        "messages": _HELLO,
        "temperature": 0.3,
        "top_p": 0.9,
        "max_tokens": 50,
        "seed": 7,
        "stop": ["END"],
    },
    "penalties": {"messages": _HELLO, "frequency_penalty": 0.1, "logit_bias": {"12": -1}},
    "max_completion_tokens": {"messages": _HELLO, "max_completion_tokens": 50},
    "tools": {
        "messages": _HELLO,
        "tools": [_TOOL],
        "tool_choice": "auto",
        "parallel_tool_calls": False,
    },
    "a tool by name": {
        "messages": _HELLO,
        "tools": [_TOOL],
        "tool_choice": {"type": "function", "function": {"name": "weather"}},
    },
    "any tool, strictly": {"messages": _HELLO, "tools": [_STRICT], "tool_choice": "required"},
    "tool result": {"messages": _answered("7 degrees"), "tools": [_TOOL]},
    "tool result in parts": {"messages": _answered([_text("7 degrees")]), "tools": [_TOOL]},
    "tool result with an image": {
        "messages": _answered([_text("a map"), _image("data:image/png;base64,iVBORw0KGgo=")]),
        "tools": [_TOOL],
    },
    "json_schema": {"messages": _HELLO, "response_format": _JSON_SCHEMA},
    "json_object": {
        "messages": [{"role": "user", "content": "Say it in JSON"}],
        "response_format": {"type": "json_object"},
    },
    "json_schema and tools": {
        "messages": _HELLO,
        "response_format": _JSON_SCHEMA,
        "tools": [_TOOL],
    },
    "image": {"messages": [_parts(_text("What?"), _image("data:image/png;base64,iVBORw0KGgo="))]},
    "image by address": {"messages": [_parts(_text("What?"), _image("https://a.invalid/x.png"))]},
    "image address alone": {
        "messages": [_parts({"type": "image_url", "image_url": "https://a.invalid/x.png"})]
    },
    "system": {"messages": [{"role": "system", "content": "Be brief"}, *_HELLO]},
    "developer": {"messages": [{"role": "developer", "content": "Be brief"}, *_HELLO]},
    "text in parts": {
        "messages": [_parts(_text("Be brief"), role="system"), _parts(_text("a"), _text("b"))]
    },
    "turns with nulls": {
        "messages": [
            {"role": "user", "name": "bob", "content": "Hi"},
            {"role": "assistant", "content": "Hello", "refusal": None},
            *_HELLO,
        ]
    },
    "fields that are null": {"messages": _HELLO, "temperature": None, "stop": None, "tools": None},
    "reasoning effort": {"messages": _HELLO, "reasoning_effort": "low"},
    "no reasoning": {"messages": _HELLO, "reasoning_effort": "none"},
    "thinking": {"messages": _HELLO, "thinking": {"type": "enabled", "budget_tokens": 1024}},
    "effort and tools": {"messages": _HELLO, "reasoning_effort": "low", "tools": [_TOOL]},
    "earlier reasoning": {
        "messages": [
            *_HELLO,
            {"role": "assistant", "content": "Hello", "reasoning_content": "Greet."},
            *_HELLO,
        ]
    },
    "user": {"messages": _HELLO, "user": "someone"},
    "logprobs": {"messages": _HELLO, "logprobs": True, "top_logprobs": 2},
    "n": {"messages": _HELLO, "n": 2},
    "metadata": {"messages": _HELLO, "metadata": {"a": "b"}, "store": True, "service_tier": "flex"},
    "unknown field": {"messages": _HELLO, "a_field_of_tomorrow": {"x": [1]}, "top_k": 5},
    "unknown field of a message": {"messages": [{**_HELLO[0], "a_field_of_tomorrow": {"x": 1}}]},
    "cache markers": {"messages": [_parts(_text("a", **_MARK))], "tools": [{**_TOOL, **_MARK}]},
    "params": {"messages": _HELLO},  # of the profile
}
PARAMS = {"temperature": 0.5, "reasoning_effort": "low"}


class Difference(NamedTuple):
    """`where` is the path in the request as it arrived, after which lane alone has it, if one."""

    provider: str
    model: str
    request: str
    is_routed: bool
    where: str
    detail: str


@dataclass(frozen=True, kw_only=True)
class Tolerated:
    """A difference that is meant; empty sets stand for all."""

    where: str  # a regular expression for the whole of it
    why: str
    providers: frozenset[str] = frozenset()
    requests: frozenset[str] = frozenset()
    is_routed: bool | None = None

    def covers(self, found: Difference) -> bool:
        return (
            re.fullmatch(self.where, found.where) is not None
            and (not self.providers or found.provider in self.providers)
            and (not self.requests or found.request in self.requests)
            and self.is_routed in (None, found.is_routed)
        )


TOLERATED = (
    Tolerated(
        where="slow refuses",
        is_routed=False,
        why="litellm refuses what it believes the model can't take; a caller who names a model gets"
        " the provider's own words",
    ),
    Tolerated(
        where=r"fast alone body\.(logprobs|top_logprobs|n|tools|response_format)",
        is_routed=True,
        why="without them the answer is another one: the gates choose a model that has them, and"
        " litellm's list of what a provider takes is not ours (Z.AI takes a response_format)",
    ),
    Tolerated(
        where=r"slow alone headers\.(http-referer|x-title|x-pplx-integration)",
        providers=frozenset({"openrouter", "perplexity"}),
        why="litellm's name for the provider's statistics of applications: this is not litellm",
    ),
    Tolerated(
        where=r"fast alone body\.(temperature|stop|tools|messages\[1\]\.(content|refusal))",
        providers=OPENAI_WIRE,
        requests=frozenset(
            {
                "fields that are null",
                "turns with nulls",
                *(name for name in REQUESTS if name.startswith("tool result")),
            }
        ),
        why="null is a value of OpenAI's wire; litellm leaves it out",
    ),
    Tolerated(
        where=r"body\.messages\[0\]\.role",
        providers=OPENAI_WIRE,
        requests=frozenset({"developer"}),
        why="a developer's message is of OpenAI's wire, and gpt-oss and others know it; litellm"
        " makes it a system's wherever the address is the operator's",
    ),
    Tolerated(
        where=r"body\.messages\[0\]\.role",
        providers=frozenset({"openai"}),
        requests=frozenset({"system", "text in parts"}),
        why="litellm makes a system's message the user's for o3-mini; OpenAI takes it as it is",
    ),
    Tolerated(
        where=r"body\.messages",
        requests=frozenset({"tool result with an image"}),
        why="litellm moves images out of tool results, into a user's turn: the server judges",
    ),
    Tolerated(
        where=r"body\.messages\[0\]\.content\[0\]\.image_url",
        requests=frozenset({"image address alone"}),
        why="litellm writes an object for the bare address: the server judges",
    ),
    Tolerated(
        where=r"fast alone body\.metadata",
        is_routed=False,
        why="litellm takes metadata for its own; the caller means the provider",
    ),
    Tolerated(
        where="path",
        providers=frozenset({"openai"}),
        requests=frozenset({"effort and tools"}),
        why="litellm goes to Responses, where alone OpenAI takes them of gpt-5.4: at OpenAI's own"
        " address such a model is not fast, and other servers need not have Responses",
    ),
    Tolerated(
        where=r"fast alone body\.response_format",
        providers=frozenset({"fireworks_ai"}),
        requests=frozenset({"json_schema and tools"}),
        why="litellm drops the schema beside tools; the provider says what it takes",
    ),
    Tolerated(
        where=r"fast alone body\.response_format|slow alone body\.(tools|tool_choice)|slow refuses",
        providers=frozenset({"groq"}),
        requests=frozenset({"json_schema", "json_schema and tools"}),
        why="for a model without schemas litellm writes a tool, which would need the answer written"
        " anew; the gates choose a model that has them",
    ),
    Tolerated(
        where=r"fast alone body\.tool_choice",
        providers=frozenset({"mistral", "deepinfra"}),
        requests=frozenset({"a tool by name"}),
        why="litellm drops the choice; Mistral takes it, and no choice is another answer",
    ),
    Tolerated(
        where="slow refuses",
        providers=frozenset({"zai"}),
        requests=frozenset({"thinking"}),
        why="litellm hands the field to OpenAI's SDK, which refuses it; Z.AI takes it",
    ),
)


class Arrived(NamedTuple):
    path: str
    headers: Json
    body: Json


class Recorder:
    """A server of every wire's paths that keeps what came."""

    def __init__(self) -> None:
        self.arrived: list[Arrived] = []
        self.fetched: list[str] = []
        self.url = ""
        self.app = Starlette(routes=[Route("/{path:path}", self.answer, methods=["GET", "POST"])])

    async def answer(self, request: Request) -> Response:
        if request.method == "GET":
            self.fetched.append(request.url.path)
            return Response(b"%PDF-1.4", media_type="application/pdf")
        body = json.loads(await request.body())
        self.arrived.append(Arrived(request.url.path, dict(request.headers), body))
        head = {"id": "x", "created": 1, "model": body["model"]}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        said = {"role": "assistant", "content": "Hi"}
        if body.get("stream"):
            chunk = {**head, "object": "chat.completion.chunk"}
            choice = {"index": 0, "delta": said, "finish_reason": "stop"}
            events = ({**chunk, "choices": [choice]}, {**chunk, "choices": [], "usage": usage})
            lines = [*(f"data: {json.dumps(event)}\n\n" for event in events), "data: [DONE]\n\n"]
            return StreamingResponse(iter(lines), media_type="text/event-stream")
        if request.url.path.endswith("/messages"):
            answer = {"type": "message", "content": [{"type": "text", "text": "Hi"}]}
            counted = {"input_tokens": 1, "output_tokens": 1}
            return JSONResponse({**head, **answer, "role": "assistant", "usage": counted})
        choice = {"index": 0, "message": said, "finish_reason": "stop"}
        return JSONResponse(
            {**head, "object": "chat.completion", "choices": [choice], "usage": usage}
        )


class Lanes:
    """Sends requests through both lanes and tells how what arrived differs."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self.differences = functools.cache(self._differences)

    def profile(self, model: str, **more: Any) -> Profile:
        return Profile(
            name=model,
            litellm_model=model,
            capabilities=(1.0,),
            api_base=f"{self._recorder.url}/v1",
            api_key_env="KEY",
            **more,
        )

    def _differences(self, model: str) -> list[Difference]:
        return asyncio.run(self._compared(model))

    async def _compared(self, model: str) -> list[Difference]:
        provider = model.partition("/")[0]
        stand_in = model.replace(provider, STAND_INS.get(provider, provider), 1)
        fast, slow = _upstream(), _upstream(slow_only=True)
        found: list[Difference] = []
        for name, fields in REQUESTS.items():
            params = PARAMS if name == "params" else {}
            for is_routed in (True, False):
                body = {**fields, "model": "auto" if is_routed else model}
                ours = await self.sent(fast, self.profile(model, params=params), body)
                theirs = await self.sent(slow, self.profile(stand_in, params=params), body)
                found += [
                    Difference(provider, model, name, is_routed, where, detail)
                    for where, detail in _compare(ours, theirs)
                ]
        await fast.close()
        await slow.close()
        return found

    async def sent(self, upstream: Upstream, profile: Profile, body: Json) -> Arrived | str:
        """What arrived, or the refusal of the lane itself."""
        before = len(self._recorder.arrived)
        parsed = request.parse(json.dumps(body).encode(), {})
        try:
            call = upstream.prepare(profile, parsed)
            if parsed.stream:
                async for _ in upstream.stream(call):
                    pass
            else:
                await upstream.complete(call)
        except GatewayError as exc:
            if len(self._recorder.arrived) == before:
                return str(exc)
        assert len(self._recorder.arrived) == before + 1, "one request, sent once"
        return self._recorder.arrived[-1]


_CLIENTS_OWN = {"user-agent", "accept", "accept-encoding", "connection", "host", "content-length"}


def _headers(arrived: Arrived) -> Json:
    return {
        name: value
        for name, value in arrived.headers.items()
        if name not in _CLIENTS_OWN and not name.startswith("x-stainless")
    }


def _compare(ours: Arrived | str, theirs: Arrived | str) -> list[tuple[str, str]]:
    if isinstance(ours, str):
        return [("fast refuses", ours)]
    if isinstance(theirs, str):
        return [("slow refuses", theirs)]
    if ours.path != theirs.path:
        return [("path", f"{ours.path} / {theirs.path}")]
    return [
        *_between("headers", _headers(ours), _headers(theirs)),
        *_between("body", ours.body, theirs.body),
    ]


def _between(where: str, ours: Any, theirs: Any) -> Iterator[tuple[str, str]]:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for name in sorted({*ours, *theirs}):
            place = f"{where}.{name}"
            if name not in theirs:
                yield f"fast alone {place}", json.dumps(ours[name])
            elif name not in ours:
                yield f"slow alone {place}", json.dumps(theirs[name])
            else:
                yield from _between(place, ours[name], theirs[name])
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for index, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            yield from _between(f"{where}[{index}]", one, other)
    elif json.dumps(ours) != json.dumps(theirs):
        yield where, f"{json.dumps(ours)} / {json.dumps(theirs)}"


def _upstream(*, slow_only: bool = False) -> Upstream:
    return Upstream({"KEY": SECRET}, timeout_s=10, slow_only=slow_only)


@pytest.fixture(scope="module")
def recorder() -> Iterator[Recorder]:
    recorder = Recorder()
    with serve(recorder.app) as recorder.url:
        yield recorder


@pytest.fixture(scope="module")
def lanes(recorder: Recorder) -> Lanes:
    return Lanes(recorder)


def target(model: str, **more: Any) -> Target:
    return resolve(Profile(name=model, litellm_model=model, capabilities=(1.0,), **more), SECRET)


def test_every_fast_provider_is_compared() -> None:
    assert {model.partition("/")[0] for model in MODELS} == set(FAST)


@pytest.mark.parametrize("model", MODELS)
def test_both_lanes_send_the_same(lanes: Lanes, model: str) -> None:
    found = lanes.differences(model)
    assert [d for d in found if not any(tolerated.covers(d) for tolerated in TOLERATED)] == []


def test_every_tolerated_difference_happens(lanes: Lanes) -> None:
    found = [difference for model in MODELS for difference in lanes.differences(model)]
    assert [t.why for t in TOLERATED if not any(map(t.covers, found))] == []


@pytest.mark.parametrize("model", MODELS)
def test_what_nobody_knows_yet_reaches_the_provider(
    lanes: Lanes, recorder: Recorder, model: str
) -> None:
    body = {
        "model": "auto",
        "messages": [{"role": "user", "content": "Hello", "a_field_of_tomorrow": {"x": 1}}],
        "a_field_of_tomorrow": {"x": [1, None]},
    }
    arrived = _sent_fast(lanes, lanes.profile(model), body)
    assert arrived.body["messages"][0]["a_field_of_tomorrow"] == {"x": 1}
    assert arrived.body["a_field_of_tomorrow"] == {"x": [1, None]}
    assert arrived.headers["authorization"] == f"Bearer {SECRET}"


@pytest.mark.parametrize("model", MODELS)
def test_preparing_a_request_changes_nothing_of_it(lanes: Lanes, model: str) -> None:
    """The next attempt, with another profile, starts from the same request."""

    async def prepared() -> None:
        upstream = _upstream()
        for name, fields in REQUESTS.items():
            parsed = request.parse(json.dumps({**fields, "model": "auto"}).encode(), {})
            before = json.dumps(parsed.chat)
            assert upstream.prepare(lanes.profile(model), parsed).is_fast
            assert json.dumps(parsed.chat) == before, name
        await upstream.close()

    asyncio.run(prepared())


@pytest.mark.parametrize("model", MODELS)
def test_a_file_or_an_image_by_address_is_not_fetched(
    lanes: Lanes, recorder: Recorder, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """litellm's own transformation would open what the caller names, in the event loop."""
    monkeypatch.setattr(litellm, "user_url_validation", False)  # else it spares this machine's own
    address = f"{recorder.url}/secret.pdf"
    file = {"type": "file", "file": {"file_id": address}}
    body = {"model": "auto", "messages": [_parts(_text("What?"), _image(address), file)]}
    arrived = _sent_fast(lanes, lanes.profile(model), body)
    assert arrived.body["messages"][0]["content"][2] == file
    assert recorder.fetched == []


@pytest.mark.parametrize(
    "messages",
    [
        pytest.param(
            [
                _parts(
                    {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERi0="}}
                )
            ],
            id="a file",
        ),
        pytest.param([_parts({"type": "image_url"})], id="an image without address"),
        pytest.param([_parts({"type": "text"})], id="a text without text"),
        pytest.param([_parts({"no": "type"})], id="a part without type"),
        pytest.param([{"role": "assistant", "tool_calls": ["no call"]}], id="a call that is none"),
    ],
)
@pytest.mark.parametrize("model", [model for model in MODELS if FAST[model.partition("/")[0]]])
def test_what_litellm_refuses_the_provider_judges(
    lanes: Lanes, model: str, messages: list[Json]
) -> None:
    arrived = _sent_fast(lanes, lanes.profile(model), {"model": model, "messages": messages})
    assert len(arrived.body["messages"]) == 1


def test_tools_that_are_no_list_are_the_providers_to_judge(lanes: Lanes) -> None:
    body = {"model": "xai/grok-4", "messages": _HELLO, "tools": 7}
    assert _sent_fast(lanes, lanes.profile("xai/grok-4"), body).body["tools"] == 7


def _sent_fast(lanes: Lanes, profile: Profile, body: Json) -> Arrived:
    async def sent() -> Arrived | str:
        upstream = _upstream()
        try:
            return await lanes.sent(upstream, profile, body)
        finally:
            await upstream.close()

    arrived = asyncio.run(sent())
    assert isinstance(arrived, Arrived), arrived
    return arrived


def test_a_value_the_model_refuses_is_left_out_when_routed_and_named(lanes: Lanes) -> None:
    model = "openai/o3-mini"
    fields = {"messages": _HELLO, "temperature": 0.3, "max_tokens": 50, "top_p": 0.9}
    routed = request.parse(json.dumps({**fields, "model": "auto"}).encode(), {})
    named = request.parse(json.dumps({**fields, "model": model}).encode(), {})

    async def calls() -> list[Any]:
        upstream = _upstream()
        made = [upstream.prepare(lanes.profile(model), parsed) for parsed in (routed, named)]
        await upstream.close()
        return made

    when_routed, when_named = asyncio.run(calls())
    assert "temperature" in when_routed.dropped
    assert "temperature" not in when_routed.body
    assert when_named.dropped == ()
    assert when_named.body["temperature"] == 0.3
    assert when_routed.body["max_completion_tokens"] == 50
    assert when_named.body["max_completion_tokens"] == 50
    assert "max_tokens" not in when_named.body


# Without an address of the operator's. Read in each provider's documentation of its API.
HOMES = {
    "openai/gpt-4o-mini": "https://api.openai.com/v1",
    "cerebras/gpt-oss-120b": "https://api.cerebras.ai/v1",
    "deepinfra/meta-llama/Llama-3.3-70B-Instruct": "https://api.deepinfra.com/v1/openai",
    "deepseek/deepseek-chat": "https://api.deepseek.com/beta",
    "fireworks_ai/accounts/fireworks/models/glm-4p6": "https://api.fireworks.ai/inference/v1",
    "groq/llama-3.3-70b-versatile": "https://api.groq.com/openai/v1",
    "mistral/mistral-large-latest": "https://api.mistral.ai/v1",
    "moonshot/kimi-k2.5": "https://api.moonshot.ai/v1",
    "nebius/Qwen/Qwen3-32B": "https://api.studio.nebius.ai/v1",
    "novita/deepseek/deepseek-v3.2": "https://api.novita.ai/v3/openai",
    "nvidia_nim/meta/llama-3.3-70b-instruct": "https://integrate.api.nvidia.com/v1",
    "openrouter/openai/gpt-5.4": "https://openrouter.ai/api/v1",
    "perplexity/sonar-pro": "https://api.perplexity.ai",
    "together_ai/meta-llama/Llama-3.3-70B-Instruct-Turbo": "https://api.together.ai/v1",
    "xai/grok-4": "https://api.x.ai/v1",
    "zai/glm-4.6": "https://api.z.ai/api/paas/v4",
}


@pytest.mark.parametrize("model", HOMES)
def test_a_provider_is_reached_at_its_own_address(model: str) -> None:
    found = target(model)
    assert found.url("chat") == f"{HOMES[model]}/chat/completions"
    assert found.is_fast
    # As litellm resolves it, from the address it knows.
    _, _, _, home = litellm.get_llm_provider(model)
    url = found.dialect.config.get_complete_url(
        api_base=home or HOMES[model],
        api_key=SECRET,
        model=found.model,
        optional_params={},
        litellm_params={},
    )
    assert url == found.url("chat")


@pytest.mark.parametrize(
    ("model", "is_fast", "is_fast_with_tools"),
    [
        ("openai/gpt-4o-mini", True, True),
        ("openai/gpt-4.1", True, True),
        ("openai/gpt-5.4", True, False),
        ("openai/gpt-5.4-mini", True, False),
        ("openai/gpt-5.3-codex", False, False),
        ("gpt-5.4", True, False),
    ],
)
def test_a_model_with_tools_by_responses_alone_is_left_to_litellm(
    model: str, is_fast: bool, is_fast_with_tools: bool
) -> None:
    """OpenAI's chat wire refuses function tools of models that reason; litellm goes to Responses.

    Other servers may bear the same names and speak chat alone.
    """
    tools = {"tools": [{"type": "function", "function": {"name": "f"}}]}
    assert target(model).is_fast_for({}) is is_fast
    assert target(model).is_fast_for(tools) is is_fast_with_tools
    if model != "openai/gpt-5.3-codex":
        assert target(model, api_base="http://127.0.0.1:1/v1").is_fast_for(tools)


@pytest.mark.filterwarnings("ignore:Items? .* on TypedDict:UserWarning")  # litellm's types
@pytest.mark.parametrize(
    "model",
    [
        "gemini/gemini-3-flash-preview",
        "vertex_ai/gemini-3-flash-preview",
        "bedrock/anthropic.claude-sonnet-4-6",
        "azure/gpt-5.4",
        "ollama/llama3",
        "ollama_chat/llama3",
        "cohere_chat/command-a-03-2025",
        "anthropic/claude-sonnet-4-6",
    ],
)
def test_a_wire_of_its_own_takes_the_slow_lane(model: str) -> None:
    assert not target(model, api_base="http://127.0.0.1:1").is_fast


def test_what_litellm_itself_is_told_takes_the_slow_lane() -> None:
    assert not target("groq/llama-3.3-70b-versatile", litellm_params={"max_retries": 1}).is_fast


MESSAGES_REQUESTS: Mapping[str, Json] = {
    "plain": {"messages": _HELLO},
    "system, sampling": {
        "messages": _HELLO,
        "system": [_text("Be brief", **_MARK)],
        "temperature": 0.3,
        "top_k": 5,
        "stop_sequences": ["END"],
        "metadata": {"user_id": "someone"},
    },
    "thinking": {"messages": _HELLO, "thinking": {"type": "enabled", "budget_tokens": 1024}},
    "tools": {
        "messages": [
            *_HELLO,
            {
                "role": "assistant",
                "content": [{"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {}}],
            },
            {
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "7"}],
            },
        ],
        "tools": [
            {"name": "weather", "description": "of a city", "input_schema": _SCHEMA, **_MARK}
        ],
        "tool_choice": {"type": "auto"},
    },
}


@pytest.mark.parametrize("name", MESSAGES_REQUESTS)
def test_anthropics_own_wire_is_spoken_as_litellm_does(recorder: Recorder, name: str) -> None:
    model = "claude-sonnet-4-6"
    profile = Profile(
        name="claude",
        litellm_model=f"anthropic/{model}",
        capabilities=(1.0,),
        api_base=recorder.url,
        api_key_env="KEY",
    )
    body = {**MESSAGES_REQUESTS[name], "max_tokens": 2000}
    raw = json.dumps({**body, "model": "claude"}).encode()

    async def both() -> tuple[Arrived, Arrived]:
        upstream = _upstream()
        call = upstream.prepare(profile, request.parse(raw, {}, protocols.MESSAGES))
        assert call.is_fast
        await upstream.complete(call)
        await upstream.close()
        await litellm.anthropic_messages(
            **json.loads(raw) | {"model": profile.litellm_model},
            api_key=SECRET,
            api_base=recorder.url,
        )
        return recorder.arrived[-2], recorder.arrived[-1]

    ours, theirs = asyncio.run(both())
    assert ours.path == theirs.path == "/v1/messages"
    assert ours.headers["x-api-key"] == theirs.headers["x-api-key"] == SECRET
    assert ours.headers["anthropic-version"] == theirs.headers["anthropic-version"]
    assert "authorization" not in ours.headers
    assert {**ours.body, "stream": False} == theirs.body  # litellm writes the default out
