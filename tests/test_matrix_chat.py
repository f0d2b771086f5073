"""The `openai` package's chat completions over every kind of server, sync and async."""

import openai
import pytest
from client_matrix import (
    DATA_URL,
    OSLO,
    PARAMETERS,
    SAID,
    WEB_URL,
    Forecast,
    Sdk,
    assert_reached,
    calls_of_chat,
    forced_tool,
    images,
    openai_sdk,
    over,
    refused,
    results,
    schema_fields,
    tool_names,
)
from gateways import Gateway
from other_wires_stub import SIGNATURE
from upstream_stub import UpstreamStub

CREATE = "chat.completions.create"
HELLO = [{"role": "user", "content": "hello"}]
TOOL = {
    "type": "function",
    "function": {"name": "look_up", "parameters": PARAMETERS, "strict": True},
}
FORCED = {"type": "function", "function": {"name": "look_up"}}


@pytest.fixture(params=["sync", "async"])
def sdk(gateway: Gateway, request: pytest.FixtureRequest) -> Sdk:
    return openai_sdk(gateway.url, is_async=request.param == "async")


@over("plain")
def test_chat_plain(sdk: Sdk, upstream: UpstreamStub, model: str) -> None:
    answer = sdk.answer(CREATE, model=model, messages=HELLO)
    assert answer.choices[0].message.content == f"Hello from {SAID[model]}"
    assert answer.choices[0].finish_reason == "stop"
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (100, 20)
    assert answer._request_id.startswith("req_")
    assert_reached(upstream, model)


@over("plain")
def test_chat_stream(sdk: Sdk, upstream: UpstreamStub, model: str) -> None:
    options = {"include_usage": True}
    chunks, headers = sdk.events(CREATE, model=model, messages=HELLO, stream_options=options)
    choices = [choice for chunk in chunks for choice in chunk.choices]
    assert "".join(choice.delta.content or "" for choice in choices) == f"Hello from {SAID[model]}"
    assert [choice.finish_reason for choice in choices if choice.finish_reason] == ["stop"]
    assert (chunks[-1].usage.prompt_tokens, chunks[-1].usage.completion_tokens) == (100, 20)
    assert headers["x-hydra-model"] == model
    assert assert_reached(upstream, model)["stream"] is True


@over("plain")
def test_chat_stream_helper(sdk: Sdk, model: str) -> None:
    _, final = sdk.helped(
        "chat.completions.stream", "get_final_completion", model=model, messages=HELLO
    )
    assert final.choices[0].message.content == f"Hello from {SAID[model]}"
    assert final.choices[0].finish_reason == "stop"


@over("tools")
def test_chat_tools_in_parallel(sdk: Sdk, upstream: UpstreamStub, model: str) -> None:
    answer = sdk.answer(CREATE, model=model, messages=HELLO, tools=[TOOL])
    calls = calls_of_chat(answer.choices[0].message)
    assert [call[1:] for call in calls] == [("look_up", {"q": "x"}), ("look_up", {"q": "y"})]
    assert answer.choices[0].finish_reason == "tool_calls"
    assert tool_names(assert_reached(upstream, model)) == ["look_up"]


@over("tools")
def test_chat_one_tool_at_a_time(sdk: Sdk, model: str) -> None:
    answer = sdk.answer(
        CREATE, model=model, messages=HELLO, tools=[TOOL], parallel_tool_calls=False
    )
    assert len(answer.choices[0].message.tool_calls) == 1


@over("tools")
def test_chat_forced_tool(sdk: Sdk, upstream: UpstreamStub, model: str) -> None:
    sdk.answer(CREATE, model=model, messages=HELLO, tools=[TOOL], tool_choice=FORCED)
    assert forced_tool(assert_reached(upstream, model)) == "look_up"


@over("tools")
def test_chat_tool_stream(sdk: Sdk, model: str) -> None:
    _, final = sdk.helped(
        "chat.completions.stream",
        "get_final_completion",
        model=model,
        messages=HELLO,
        tools=[TOOL],
    )
    calls = calls_of_chat(final.choices[0].message)
    assert [call[1:] for call in calls] == [("look_up", {"q": "x"}), ("look_up", {"q": "y"})]
    assert final.choices[0].finish_reason == "tool_calls"


@over("tools")
def test_chat_tool_loop(sdk: Sdk, upstream: UpstreamStub, model: str) -> None:
    """The package's own message object goes back, as its documentation shows."""
    said = sdk.answer(CREATE, model=model, messages=HELLO, tools=[TOOL]).choices[0].message
    found = {call.id: f"found {call.id}" for call in said.tool_calls}
    outputs = [{"role": "tool", "tool_call_id": id, "content": text} for id, text in found.items()]
    answer = sdk.answer(CREATE, model=model, messages=[*HELLO, said, *outputs], tools=[TOOL])
    assert answer.choices[0].message.content == "Hello from tools"
    assert results(assert_reached(upstream, model)) == found


@over("vision")
@pytest.mark.parametrize("url", [DATA_URL, WEB_URL], ids=["data", "web"])
def test_chat_vision(sdk: Sdk, upstream: UpstreamStub, model: str, url: str) -> None:
    parts = [
        {"type": "text", "text": "what is it?"},
        {"type": "image_url", "image_url": {"url": url}},
    ]
    answer = sdk.answer(CREATE, model=model, messages=[{"role": "user", "content": parts}])
    assert answer.choices[0].message.content == f"Hello from {SAID[model]}"
    assert images(assert_reached(upstream, model)) == [url]


@over("schema")
def test_chat_schema(sdk: Sdk, upstream: UpstreamStub, model: str) -> None:
    answer = sdk.answer(
        "chat.completions.parse", model=model, messages=HELLO, response_format=Forecast
    )
    assert answer.choices[0].message.parsed == OSLO
    assert schema_fields(assert_reached(upstream, model)) == {"city", "degrees"}


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
@refused
def test_chat_error(sdk: Sdk, model: str, error: str, message: str, streamed: bool) -> None:
    with pytest.raises(getattr(openai, error)) as caught:
        sdk.answer(CREATE, model=model, messages=HELLO, stream=streamed)
    assert message in caught.value.message
    assert caught.value.request_id.startswith("req_")
    wait = caught.value.response.headers.get("retry-after")
    assert wait == ("7" if model.endswith("429") else None)


@over("hang-after-1")
def test_chat_cancel_in_mid_stream(sdk: Sdk, upstream: UpstreamStub, model: str) -> None:
    assert sdk.leave(upstream, CREATE, model=model, messages=HELLO)


@over("hang")
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
def test_chat_cancel_before_the_first_token(
    sdk: Sdk, upstream: UpstreamStub, model: str, streamed: bool
) -> None:
    assert sdk.give_up(upstream, CREATE, model=model, messages=HELLO, stream=streamed)


@pytest.mark.parametrize("pool", ["one-claude", "one-responder"])
def test_chat_auto_through_a_pool(sdk: Sdk, pool: str) -> None:
    answer, headers = sdk.raw(
        "chat.completions.with_raw_response.create",
        model="auto",
        messages=HELLO,
        extra_body={"hydra": {"pool": pool}},
    )
    assert answer.choices[0].message.content == "Hello from ok"
    assert headers["x-hydra-model"] == pool.removeprefix("one-")
    assert headers["x-hydra-reason"] == "only_eligible"
    assert float(headers["x-hydra-cost-usd"]) > 0
    assert headers["x-hydra-decision-id"]


@over("plain")
def test_chat_explain(sdk: Sdk, model: str) -> None:
    asked = {"model": model, "messages": HELLO, "extra_body": {"hydra": {"explain": True}}}
    assert sdk.answer(CREATE, **asked).model_extra["hydra"]["chosen"] == model
    chunks, _ = sdk.events(CREATE, **asked)
    told = [chunk.model_extra["hydra"] for chunk in chunks if "hydra" in chunk.model_extra]
    assert [record["chosen"] for record in told] == [model]
    assert told[0]["cost_usd"]


def test_chat_thoughts_come_back_signed(sdk: Sdk, upstream: UpstreamStub) -> None:
    said = sdk.answer(CREATE, model="claude-think", messages=HELLO).choices[0].message
    assert said.model_extra["reasoning_content"] == "Let me see."
    (thought,) = said.model_extra["thinking_blocks"]
    assert thought["signature"] == SIGNATURE
    sdk.answer(CREATE, model="claude-think", messages=[*HELLO, said, *HELLO])
    block = upstream.requests[-1]["messages"][1]["content"][0]
    assert (block["thinking"], block["signature"]) == ("Let me see.", SIGNATURE)
