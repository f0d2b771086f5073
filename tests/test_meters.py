"""What a stream's events add up to: its usage, its end, how much text has come."""

from typing import Any

import pytest
from test_wires import counts

from gateway.decision import Usage
from gateway.wires import MessagesMeter, Meter, ResponsesMeter

Json = dict[str, Any]


def choice(index: int, text: str = "", reason: str | None = None) -> Json:
    return {"index": index, "delta": {"content": text}, "finish_reason": reason}


def seen(*events: Json, meter: Meter | None = None) -> Meter:
    meter = meter or Meter()
    for event in events:
        meter.saw(event)
    return meter


def chunk(*choices: Json, **fields: Any) -> Json:
    return {"object": "chat.completion.chunk", "choices": list(choices), **fields}


def test_a_stream_is_complete_when_every_choice_has_finished() -> None:
    begun = [chunk(choice(0, "a"), choice(1, "b"), usage=None), chunk(choice(0, reason="stop"))]
    assert not seen(*begun).is_complete
    meter = seen(*begun, chunk(choice(1, "c")), chunk(choice(1, reason="length")))
    assert meter.is_complete
    assert meter.finish_reason == "length"


def test_usage_after_the_end_reopens_nothing() -> None:
    """Some servers send the usage beside an empty choice."""
    meter = seen(chunk(choice(0, "a")), chunk(choice(0, reason="stop")))
    meter = seen(chunk(choice(0), usage=counts(9, 4)), meter=meter)
    assert meter.is_complete
    assert meter.usage == Usage(prompt=9, completion=4)


def test_usage_in_the_chunk_that_finishes() -> None:
    meter = seen(
        chunk(choice(0, "a"), usage=None), chunk(choice(0, "", "stop"), usage=counts(9, 4))
    )
    assert (meter.is_complete, meter.usage) == (True, Usage(prompt=9, completion=4))


def test_usage_in_every_chunk_counts_once() -> None:
    """vLLM's continuous usage stats."""
    chunks = [chunk(choice(0, "a"), usage=counts(9, n)) for n in (1, 2, 3)]
    assert seen(*chunks, chunk(choice(0, "", "stop"), usage=counts(9, 3))).usage == Usage(
        prompt=9, completion=3
    )


@pytest.mark.parametrize(
    ("delta", "size"),
    [
        ({"content": "ü"}, 2),
        ({"content": None, "refusal": "no"}, 2),
        ({"reasoning_content": "hm", "content": ""}, 2),
        ({"reasoning": "hmm"}, 3),
        ({"reasoning": "hm", "reasoning_content": "hm"}, 2),
        ({"tool_calls": [{"function": {"arguments": '{"a"'}}, {"function": None}, 7]}, 4),
        ({"content": [{"type": "text"}]}, 0),
        ({}, 0),
    ],
)
def test_generated_text_is_measured_in_bytes(delta: Json, size: int) -> None:
    assert seen(chunk({"index": 0, "delta": delta})).text_bytes == size


def test_text_of_the_older_completions_is_measured() -> None:
    assert seen({"choices": [{"index": 0, "text": "abc", "finish_reason": None}]}).text_bytes == 3


def started(**usage: Any) -> Json:
    return {"type": "message_start", "message": {"usage": usage}}


def ended(reason: str | None, **usage: Any) -> Json:
    return {"type": "message_delta", "delta": {"stop_reason": reason}, "usage": usage}


@pytest.mark.parametrize(
    ("start", "delta", "found"),
    [
        pytest.param(
            {"input_tokens": 25, "cache_read_input_tokens": 80, "output_tokens": 1},
            {"output_tokens": 15},
            Usage(prompt=105, cached=80, completion=15),
            id="the input at the start, the output at the end",
        ),
        pytest.param(
            {"input_tokens": 2679, "cache_read_input_tokens": 0, "output_tokens": 3},
            {"input_tokens": 10682, "cache_read_input_tokens": 0, "output_tokens": 510},
            Usage(prompt=10682, completion=510),
            id="the end repeats the input, and more of it after a search",
        ),
        pytest.param(
            {"input_tokens": 25, "cache_read_input_tokens": 80, "output_tokens": 1},
            {"input_tokens": 25, "cache_read_input_tokens": None, "output_tokens": 15},
            Usage(prompt=105, cached=80, completion=15),
            id="the end repeats a part",
        ),
        pytest.param(
            {"input_tokens": 0, "output_tokens": 0},
            {"input_tokens": 25, "output_tokens": 15},
            Usage(prompt=25, completion=15),
            id="all of it at the end",
        ),
        pytest.param({"input_tokens": 25, "output_tokens": 1}, {}, None, id="the output never"),
    ],
)
def test_counts_of_a_messages_stream(start: Json, delta: Json, found: Usage | None) -> None:
    meter = seen(started(**start), ended("end_turn", **delta), meter=MessagesMeter())
    assert meter.usage == found
    assert (meter.finish_reason, meter.is_complete) == ("end_turn", False)
    assert seen({"type": "message_stop"}, meter=meter).is_complete


def test_a_messages_stream_cut_short_knows_its_prompt() -> None:
    text = {"type": "text_delta", "text": "abc"}
    meter = seen(
        started(input_tokens=25, output_tokens=1),
        {"type": "content_block_delta", "index": 0, "delta": text},
        {"type": "content_block_delta", "index": 0, "delta": {"thinking": "ab"}},
        {"type": "content_block_delta", "index": 1, "delta": {"partial_json": '{"a"'}},
        meter=MessagesMeter(),
    )
    assert (meter.usage, meter.text_bytes, meter.is_complete) == (None, 9, False)
    assert meter.prompt == Usage(prompt=25, completion=1)


@pytest.mark.parametrize(
    ("kind", "details", "reason"),
    [
        ("response.completed", None, "completed"),
        ("response.incomplete", {"reason": "content_filter"}, "content_filter"),
    ],
)
def test_the_last_event_of_a_responses_stream(kind: str, details: object, reason: str) -> None:
    usage = {"input_tokens": 7, "output_tokens": 2}
    response = {"status": "completed", "incomplete_details": details, "usage": usage}
    deltas = [{"type": "response.output_text.delta", "delta": "ab"}, {"type": "x.delta"}]
    meter = seen(*deltas, meter=ResponsesMeter())
    assert (meter.is_complete, meter.text_bytes) == (False, 2)
    seen({"type": kind, "response": response}, meter=meter)
    assert (meter.is_complete, meter.finish_reason) == (True, reason)
    assert meter.usage == Usage(prompt=7, completion=2)
