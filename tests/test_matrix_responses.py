"""The `openai` package's responses over every kind of server, sync and async."""

import json
from typing import Any

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

CREATE = "responses.create"
HELPER = ("responses.stream", "get_final_response")
HELLO = [{"role": "user", "content": "hello"}]
TOOL = {"type": "function", "name": "look_up", "parameters": PARAMETERS, "strict": True}
FORCED = {"type": "function", "name": "look_up"}


@pytest.fixture(params=["sync", "async"])
def sdk(gateway: Gateway, request: pytest.FixtureRequest) -> Sdk:
    return openai_sdk(gateway.url, is_async=request.param == "async")


def calls_of(response: Any) -> list[Any]:
    return [item for item in response.output if item.type == "function_call"]


@over("plain")
def test_responses_plain(sdk: Sdk, upstream: UpstreamStub, model: str) -> None:
    answer = sdk.answer(CREATE, model=model, input="hello")
    assert answer.output_text == f"Hello from {SAID[model]}"
    assert answer.status == "completed"
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (100, 20)
    assert answer._request_id.startswith("req_")
    assert_reached(upstream, model)


@over("plain")
def test_responses_stream(sdk: Sdk, upstream: UpstreamStub, model: str) -> None:
    events, headers = sdk.events(CREATE, model=model, input="hello")
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(deltas) == f"Hello from {SAID[model]}"
    assert (events[0].type, events[-1].type) == ("response.created", "response.completed")
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[-1].response.usage.output_tokens == 20
    assert headers["x-hydra-model"] == model
    assert assert_reached(upstream, model)["stream"] is True


@over("plain")
def test_responses_stream_helper(sdk: Sdk, model: str) -> None:
    _, final = sdk.helped(*HELPER, model=model, input="hello")
    assert final.output_text == f"Hello from {SAID[model]}"
    assert final.status == "completed"


@over("tools")
def test_responses_tools_in_parallel(sdk: Sdk, upstream: UpstreamStub, model: str) -> None:
    answer = sdk.answer(CREATE, model=model, input="hello", tools=[TOOL])
    calls = [(call.name, json.loads(call.arguments)) for call in calls_of(answer)]
    assert calls == [("look_up", {"q": "x"}), ("look_up", {"q": "y"})]
    assert tool_names(assert_reached(upstream, model)) == ["look_up"]


@over("tools")
def test_responses_one_tool_at_a_time(sdk: Sdk, model: str) -> None:
    answer = sdk.answer(CREATE, model=model, input="hello", tools=[TOOL], parallel_tool_calls=False)
    assert len(calls_of(answer)) == 1


@over("tools")
def test_responses_forced_tool(sdk: Sdk, upstream: UpstreamStub, model: str) -> None:
    sdk.answer(CREATE, model=model, input="hello", tools=[TOOL], tool_choice=FORCED)
    assert forced_tool(assert_reached(upstream, model)) == "look_up"


@over("tools")
def test_responses_tool_stream(sdk: Sdk, model: str) -> None:
    events, final = sdk.helped(*HELPER, model=model, input="hello", tools=[TOOL])
    calls = [(call.name, json.loads(call.arguments)) for call in calls_of(final)]
    assert calls == [("look_up", {"q": "x"}), ("look_up", {"q": "y"})]
    done = [e.arguments for e in events if e.type == "response.function_call_arguments.done"]
    assert [json.loads(arguments) for arguments in done] == [{"q": "x"}, {"q": "y"}]


@over("tools")
def test_responses_tool_loop(sdk: Sdk, upstream: UpstreamStub, model: str) -> None:
    """The output items go back as they came, as the package's documentation shows."""
    first = sdk.answer(CREATE, model=model, input=HELLO, tools=[TOOL])
    found = {call.call_id: f"found {call.call_id}" for call in calls_of(first)}
    outputs = [
        {"type": "function_call_output", "call_id": id, "output": text}
        for id, text in found.items()
    ]
    answer = sdk.answer(CREATE, model=model, input=[*HELLO, *first.output, *outputs], tools=[TOOL])
    assert answer.output_text == "Hello from tools"
    assert results(assert_reached(upstream, model)) == found


@over("vision")
@pytest.mark.parametrize("url", [DATA_URL, WEB_URL], ids=["data", "web"])
def test_responses_vision(sdk: Sdk, upstream: UpstreamStub, model: str, url: str) -> None:
    parts = [
        {"type": "input_text", "text": "what is it?"},
        {"type": "input_image", "image_url": url, "detail": "auto"},
    ]
    answer = sdk.answer(CREATE, model=model, input=[{"role": "user", "content": parts}])
    assert answer.output_text == f"Hello from {SAID[model]}"
    assert images(assert_reached(upstream, model)) == [url]


@over("schema")
def test_responses_schema(sdk: Sdk, upstream: UpstreamStub, model: str) -> None:
    answer = sdk.answer("responses.parse", model=model, input="hello", text_format=Forecast)
    assert answer.output_parsed == OSLO
    assert schema_fields(assert_reached(upstream, model)) == {"city", "degrees"}


@over("schema")
def test_responses_schema_in_a_stream(sdk: Sdk, model: str) -> None:
    _, final = sdk.helped(*HELPER, model=model, input="hello", text_format=Forecast)
    assert final.output_parsed == OSLO


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
@refused
def test_responses_error(sdk: Sdk, model: str, error: str, message: str, streamed: bool) -> None:
    with pytest.raises(getattr(openai, error)) as caught:
        sdk.answer(CREATE, model=model, input="hello", stream=streamed)
    assert message in caught.value.message
    assert caught.value.request_id.startswith("req_")
    wait = caught.value.response.headers.get("retry-after")
    assert wait == ("7" if model.endswith("429") else None)


@over("hang-after-1")
def test_responses_cancel_in_mid_stream(sdk: Sdk, upstream: UpstreamStub, model: str) -> None:
    assert sdk.leave(upstream, CREATE, model=model, input="hello")


@over("hang")
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
def test_responses_cancel_before_the_first_token(
    sdk: Sdk, upstream: UpstreamStub, model: str, streamed: bool
) -> None:
    assert sdk.give_up(upstream, CREATE, model=model, input="hello", stream=streamed)


@pytest.mark.parametrize("pool", ["one-claude", "one-responder"])
def test_responses_auto_through_a_pool(sdk: Sdk, pool: str) -> None:
    answer, headers = sdk.raw(
        "responses.with_raw_response.create",
        model="auto",
        input="hello",
        extra_body={"hydra": {"pool": pool}},
    )
    assert answer.output_text == "Hello from ok"
    assert headers["x-hydra-model"] == pool.removeprefix("one-")
    assert headers["x-hydra-reason"] == "only_eligible"
    assert float(headers["x-hydra-cost-usd"]) > 0
    assert headers["x-hydra-decision-id"]


@over("plain")
def test_responses_explain(sdk: Sdk, model: str) -> None:
    """In a stream it is in the event that ends it, beside the response."""
    asked = {"model": model, "input": "hello", "extra_body": {"hydra": {"explain": True}}}
    assert sdk.answer(CREATE, **asked).model_extra["hydra"]["chosen"] == model
    events, _ = sdk.events(CREATE, **asked)
    told = [event.model_extra["hydra"] for event in events if "hydra" in event.model_extra]
    assert [record["chosen"] for record in told] == [model]
    assert told[0]["cost_usd"]


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
def test_responses_thoughts_come_back_signed(
    sdk: Sdk, upstream: UpstreamStub, streamed: bool
) -> None:
    """Claude's signature travels inside the reasoning item's encrypted content."""
    asked: dict[str, Any] = {"model": "claude-think", "input": HELLO}
    first = sdk.helped(*HELPER, **asked)[1] if streamed else sdk.answer(CREATE, **asked)
    assert [item.type for item in first.output] == ["reasoning", "message"]
    sdk.answer(CREATE, model="claude-think", input=[*HELLO, *first.output, *HELLO])
    block = upstream.requests[-1]["messages"][1]["content"][0]
    assert (block["thinking"], block["signature"]) == ("Let me see.", SIGNATURE)


def test_responses_refuse_what_only_their_own_servers_keep(
    sdk: Sdk, upstream: UpstreamStub
) -> None:
    """A response that a server remembers is known to a server of the protocol alone."""
    sdk.answer(CREATE, model="responder", input="go on", previous_response_id="resp_1")
    assert upstream.requests[-1]["previous_response_id"] == "resp_1"
    for model in ("small", "claude"):
        with pytest.raises(openai.BadRequestError) as caught:
            sdk.answer(CREATE, model=model, input="go on", previous_response_id="resp_1")
        assert "previous_response_id" in caught.value.message
    search = [{"type": "web_search"}]
    with pytest.raises(openai.BadRequestError) as caught:
        sdk.answer(CREATE, model="small", input="hello", tools=search)
    assert "web_search" in caught.value.message
    sdk.answer(CREATE, model="responder", input="hello", tools=search)
    assert upstream.requests[-1]["tools"] == search
