"""The `anthropic` package over every kind of server, sync and async."""

from typing import Any

import anthropic
import pytest
from client_matrix import (
    DATA_URL,
    OSLO,
    PARAMETERS,
    PNG,
    SAID,
    WEB_URL,
    Forecast,
    Sdk,
    anthropic_sdk,
    assert_reached,
    forced_tool,
    images,
    over,
    refused,
    results,
    schema_fields,
    tool_names,
)
from gateways import Gateway
from other_wires_stub import SIGNATURE
from upstream_stub import UpstreamStub

CREATE = "messages.create"
HELPER = ("messages.stream", "get_final_message")
HELLO = [{"role": "user", "content": "hello"}]
ASKED: dict[str, Any] = {"max_tokens": 100, "messages": HELLO}
TOOL = {"name": "look_up", "description": "look something up", "input_schema": PARAMETERS}
SCHEMA = {"type": "json_schema", "schema": Forecast.model_json_schema()}


@pytest.fixture(params=["sync", "async"])
def sdk(gateway: Gateway, request: pytest.FixtureRequest) -> Sdk:
    return anthropic_sdk(gateway.url, is_async=request.param == "async")


def text_of(message: Any) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


def calls_of(message: Any) -> list[Any]:
    return [block for block in message.content if block.type == "tool_use"]


@over("plain")
def test_messages_plain(sdk: Sdk, upstream: UpstreamStub, model: str) -> None:
    answer = sdk.answer(CREATE, model=model, **ASKED)
    assert (answer.type, answer.role, answer.stop_reason) == ("message", "assistant", "end_turn")
    assert text_of(answer) == f"Hello from {SAID[model]}"
    usage = answer.usage
    cached = usage.cache_read_input_tokens + (usage.cache_creation_input_tokens or 0)
    assert (usage.input_tokens + cached, usage.output_tokens) == (100, 20)
    assert answer._request_id.startswith("req_")
    assert_reached(upstream, model)


@over("plain")
def test_messages_stream(sdk: Sdk, upstream: UpstreamStub, model: str) -> None:
    events, headers = sdk.events(CREATE, model=model, **ASKED)
    deltas = [event.delta.text for event in events if event.type == "content_block_delta"]
    assert "".join(deltas) == f"Hello from {SAID[model]}"
    assert (events[0].type, events[-1].type) == ("message_start", "message_stop")
    assert headers["x-hydra-model"] == model
    assert assert_reached(upstream, model)["stream"] is True


@over("plain")
def test_messages_stream_helper(sdk: Sdk, model: str) -> None:
    _, final = sdk.helped(*HELPER, model=model, **ASKED)
    assert (text_of(final), final.stop_reason) == (f"Hello from {SAID[model]}", "end_turn")
    assert final.usage.output_tokens == 20


@over("tools")
def test_messages_tools_in_parallel(sdk: Sdk, upstream: UpstreamStub, model: str) -> None:
    answer = sdk.answer(CREATE, model=model, tools=[TOOL], **ASKED)
    calls = [(call.name, call.input) for call in calls_of(answer)]
    assert calls == [("look_up", {"q": "x"}), ("look_up", {"q": "y"})]
    assert answer.stop_reason == "tool_use"
    assert tool_names(assert_reached(upstream, model)) == ["look_up"]


@over("tools")
def test_messages_one_tool_at_a_time(sdk: Sdk, model: str) -> None:
    choice = {"type": "auto", "disable_parallel_tool_use": True}
    answer = sdk.answer(CREATE, model=model, tools=[TOOL], tool_choice=choice, **ASKED)
    assert len(calls_of(answer)) == 1


@over("tools")
def test_messages_forced_tool(sdk: Sdk, upstream: UpstreamStub, model: str) -> None:
    choice = {"type": "tool", "name": "look_up"}
    sdk.answer(CREATE, model=model, tools=[TOOL], tool_choice=choice, **ASKED)
    assert forced_tool(assert_reached(upstream, model)) == "look_up"


@over("tools")
def test_messages_tool_stream(sdk: Sdk, model: str) -> None:
    events, final = sdk.helped(*HELPER, model=model, tools=[TOOL], **ASKED)
    calls = [(call.name, call.input) for call in calls_of(final)]
    assert calls == [("look_up", {"q": "x"}), ("look_up", {"q": "y"})]
    assert final.stop_reason == "tool_use"
    pieces = [event.partial_json for event in events if event.type == "input_json"]
    assert "".join(pieces) == '{"q": "x"}{"q": "y"}'


@over("tools")
def test_messages_tool_loop(sdk: Sdk, upstream: UpstreamStub, model: str) -> None:
    """The package's own blocks go back, as its documentation shows."""
    first = sdk.answer(CREATE, model=model, tools=[TOOL], **ASKED)
    found = {call.id: f"found {call.id}" for call in calls_of(first)}
    outputs = [
        {"type": "tool_result", "tool_use_id": id, "content": text} for id, text in found.items()
    ]
    turns = [
        *HELLO,
        {"role": "assistant", "content": first.content},
        {"role": "user", "content": outputs},
    ]
    answer = sdk.answer(CREATE, model=model, max_tokens=100, messages=turns, tools=[TOOL])
    assert text_of(answer) == "Hello from tools"
    assert results(assert_reached(upstream, model)) == found


@over("vision")
@pytest.mark.parametrize(
    ("source", "url"),
    [
        ({"type": "base64", "media_type": "image/png", "data": PNG}, DATA_URL),
        ({"type": "url", "url": WEB_URL}, WEB_URL),
    ],
    ids=["data", "web"],
)
def test_messages_vision(
    sdk: Sdk, upstream: UpstreamStub, model: str, source: dict[str, str], url: str
) -> None:
    content = [{"type": "image", "source": source}, {"type": "text", "text": "what is it?"}]
    asked = [{"role": "user", "content": content}]
    answer = sdk.answer(CREATE, model=model, max_tokens=100, messages=asked)
    assert text_of(answer) == f"Hello from {SAID[model]}"
    assert images(assert_reached(upstream, model)) == [url]


@over("schema")
def test_messages_schema(sdk: Sdk, upstream: UpstreamStub, model: str) -> None:
    answer = sdk.answer("messages.parse", model=model, output_format=Forecast, **ASKED)
    assert answer.parsed_output == OSLO
    assert schema_fields(assert_reached(upstream, model)) == {"city", "degrees"}


@over("schema")
def test_messages_schema_in_the_packages_fields(
    sdk: Sdk, upstream: UpstreamStub, model: str
) -> None:
    answer = sdk.answer(CREATE, model=model, output_config={"format": SCHEMA}, **ASKED)
    assert Forecast.model_validate_json(text_of(answer)) == OSLO
    assert schema_fields(assert_reached(upstream, model)) == {"city", "degrees"}


@over("schema")
def test_messages_schema_in_a_stream(sdk: Sdk, model: str) -> None:
    _, final = sdk.helped(*HELPER, model=model, output_format=Forecast, **ASKED)
    assert final.parsed_output == OSLO


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
@refused
def test_messages_error(sdk: Sdk, model: str, error: str, message: str, streamed: bool) -> None:
    with pytest.raises(getattr(anthropic, error)) as caught:
        sdk.answer(CREATE, model=model, stream=streamed, **ASKED)
    assert message in caught.value.message
    assert caught.value.request_id.startswith("req_")
    assert caught.value.body["request_id"] == caught.value.request_id
    wait = caught.value.response.headers.get("retry-after")
    assert wait == ("7" if model.endswith("429") else None)


@over("hang-after-1")
def test_messages_cancel_in_mid_stream(sdk: Sdk, upstream: UpstreamStub, model: str) -> None:
    assert sdk.leave(upstream, CREATE, model=model, **ASKED)


@over("hang")
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
def test_messages_cancel_before_the_first_token(
    sdk: Sdk, upstream: UpstreamStub, model: str, streamed: bool
) -> None:
    assert sdk.give_up(upstream, CREATE, model=model, stream=streamed, **ASKED)


@pytest.mark.parametrize("pool", ["one-claude", "one-responder"])
def test_messages_auto_through_a_pool(sdk: Sdk, pool: str) -> None:
    answer, headers = sdk.raw(
        "messages.with_raw_response.create",
        model="auto",
        extra_body={"hydra": {"pool": pool}},
        **ASKED,
    )
    assert text_of(answer) == "Hello from ok"
    assert headers["x-hydra-model"] == pool.removeprefix("one-")
    assert headers["x-hydra-reason"] == "only_eligible"
    assert float(headers["x-hydra-cost-usd"]) > 0
    assert headers["x-hydra-decision-id"]


@over("plain")
def test_messages_explain(sdk: Sdk, model: str) -> None:
    """In a stream it is in the event that ends it."""
    asked = {"model": model, "extra_body": {"hydra": {"explain": True}}, **ASKED}
    assert sdk.answer(CREATE, **asked).model_extra["hydra"]["chosen"] == model
    events, _ = sdk.events(CREATE, **asked)
    told = [event.model_extra["hydra"] for event in events if "hydra" in event.model_extra]
    assert [record["chosen"] for record in told] == [model]
    assert told[0]["cost_usd"]


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("routed", [False, True], ids=["explicit", "routed"])
def test_messages_thoughts_come_back_signed(
    sdk: Sdk, upstream: UpstreamStub, streamed: bool, routed: bool
) -> None:
    """On Claude's own wire signed thoughts come whole, and go back whole in the next turn."""
    asked: dict[str, Any] = {"model": "claude-think", **ASKED}
    if routed:
        asked |= {"model": "auto", "extra_body": {"hydra": {"pool": "one-thinker"}}}
    first = sdk.helped(*HELPER, **asked)[1] if streamed else sdk.answer(CREATE, **asked)
    thought, said = first.content
    assert (thought.thinking, thought.signature) == ("Let me see.", SIGNATURE)
    assert said.text == "Hello from think"
    turns = [*HELLO, {"role": "assistant", "content": first.content}, *HELLO]
    sdk.answer(CREATE, **{**asked, "messages": turns})
    block = upstream.requests[-1]["messages"][1]["content"][0]
    assert (block["thinking"], block["signature"]) == ("Let me see.", SIGNATURE)


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
def test_messages_thoughts_of_a_chat_server_go_back_as_its_own(
    sdk: Sdk, upstream: UpstreamStub, streamed: bool
) -> None:
    """Nobody signed them: the mark is the gateway's, and another family never sees it."""
    asked: dict[str, Any] = {"model": "think", **ASKED}
    first = sdk.helped(*HELPER, **asked)[1] if streamed else sdk.answer(CREATE, **asked)
    assert first.content[0].signature.startswith("hydra:")
    turns = [*HELLO, {"role": "assistant", "content": first.content}, *HELLO]
    sdk.answer(CREATE, model="think", max_tokens=100, messages=turns)
    assert upstream.requests[-1]["messages"][1]["reasoning_content"] == "Let me see."
    sdk.answer(CREATE, model="claude", max_tokens=100, messages=turns)
    assert [b["type"] for b in upstream.requests[-1]["messages"][1]["content"]] == ["text"]


@pytest.mark.parametrize(
    ("model", "is_exact"),
    [("claude", True), ("small", False), ("responder", False), ("auto", False)],
)
def test_messages_count_tokens(
    sdk: Sdk, upstream: UpstreamStub, model: str, is_exact: bool
) -> None:
    """The provider's own count for an explicit profile of Anthropic's; an estimate else."""
    counted = sdk.answer("messages.count_tokens", model=model, messages=HELLO)
    assert (counted.input_tokens == 4321) is is_exact
    assert counted.input_tokens > 0
    assert upstream.paths == (["/v1/messages/count_tokens"] if is_exact else [])


def test_messages_refuse_what_only_their_own_servers_run(sdk: Sdk, upstream: UpstreamStub) -> None:
    search = [{"type": "web_search_20250305", "name": "web_search"}]
    for model in ("small", "responder"):
        with pytest.raises(anthropic.BadRequestError) as caught:
            sdk.answer(CREATE, model=model, tools=search, **ASKED)
        assert "web_search_20250305" in caught.value.message
    sdk.answer(CREATE, model="claude", tools=search, **ASKED)
    assert upstream.requests[-1]["tools"] == search
