"""What providers say on each wire of usage, ends and errors, in the shapes that they send."""

import contextlib
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.decision import Usage
from gateway.wires import (
    CHAT,
    COMPLETIONS,
    EMBEDDINGS,
    MESSAGES,
    METERS,
    RESPONSES,
    Meter,
    error_in,
    finish_reason_in,
    is_usage_only,
    usage_in,
)

Json = dict[str, Any]


def counts(prompt: int, out: int, **details: Any) -> Json:
    usage = {"prompt_tokens": prompt, "completion_tokens": out, "total_tokens": prompt + out}
    return {**usage, **details}


CHAT_USAGES = [
    pytest.param(counts(9, 4), Usage(prompt=9, completion=4), id="the least"),
    pytest.param(
        counts(
            2006,
            300,
            prompt_tokens_details={"cached_tokens": 1920, "audio_tokens": 10},
            completion_tokens_details={
                "reasoning_tokens": 192,
                "audio_tokens": 5,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        ),
        Usage(
            **{"prompt": 2006, "cached": 1920, "completion": 300, "reasoning": 192},
            **{"audio": 15, "audio_output": 5},
        ),
        id="OpenAI: cached, reasoning, audio",
    ),
    pytest.param(
        counts(100, 20, prompt_cache_hit_tokens=64, prompt_cache_miss_tokens=36),
        Usage(prompt=100, cached=64, completion=20),
        id="DeepSeek",
    ),
    pytest.param(
        counts(
            194,
            2,
            cost=0.00095,
            is_byok=False,
            prompt_tokens_details={"cached_tokens": 50, "cache_write_tokens": 100},
            cost_details={"upstream_inference_cost": None},
            completion_tokens_details={"reasoning_tokens": 0, "image_tokens": 0},
        ),
        Usage(
            **{"prompt": 194, "cached": 50, "cache_write": 100, "completion": 2},
            cost_usd=Decimal("0.00095"),
        ),
        id="OpenRouter",
    ),
    pytest.param(
        counts(9, 4, cost="0.1", cost_in_usd_ticks=True),
        Usage(prompt=9, completion=4),
        id="no cost",
    ),
    pytest.param(counts(9, 4, cost=-0.1), Usage(prompt=9, completion=4), id="a cost below nothing"),
    pytest.param(
        counts(9, 4, cost=0.1, is_byok=True),
        Usage(prompt=9, completion=4),
        id="OpenRouter's fee alone",
    ),
    pytest.param(
        counts(9, 4, cost=0),
        Usage(prompt=9, completion=4, cost_usd=Decimal(0)),
        id="a free model of OpenRouter's",
    ),
    pytest.param(
        counts(
            600,
            20,
            cache_creation_input_tokens=500,
            prompt_tokens_details={
                "cache_creation_token_details": {"ephemeral_1h_input_tokens": 400},
                "image_tokens": 50,
            },
            completion_tokens_details={"image_tokens": 7},
            **{"service_tier": "flex", "server_tool_use": {"web_search_requests": 3}},
        ),
        Usage(
            **{"prompt": 600, "cache_write": 500, "cache_write_1h": 400, "completion": 20},
            **{"image_input": 50, "image_output": 7, "web_searches": 3},
            service="flex",
        ),
        id="what else is billed",
    ),
    pytest.param(
        counts(1000, 20, cache_read_input_tokens=700, cache_creation_input_tokens=200),
        Usage(prompt=1000, cached=700, cache_write=200, completion=20),
        id="Claude behind a chat server",
    ),
    pytest.param(
        {"prompt_tokens": 6, "completion_tokens": 7, "total_tokens": 92},
        Usage(prompt=6, completion=86, reasoning=79),
        id="Gemini's chat server: thoughts are in the total alone",
    ),
    pytest.param(
        {
            **{"prompt_tokens": 32, "completion_tokens": 9, "total_tokens": 135},
            "completion_tokens_details": {"reasoning_tokens": 94},
            "num_sources_used": 0,
        },
        Usage(prompt=32, completion=103, reasoning=94),
        id="xAI: thoughts are counted beside the text",
    ),
    pytest.param(
        counts(12, 3, prompt_tokens_details=None, completion_tokens_details=None),
        Usage(prompt=12, completion=3),
        id="vLLM: details null",
    ),
    pytest.param(
        {"prompt_tokens": 26, "completion_tokens": 290.0, "total_tokens": None},
        Usage(prompt=26, completion=290),
        id="a whole number with a point",
    ),
    pytest.param({"prompt_tokens": 8, "total_tokens": 8}, Usage(prompt=8), id="embeddings"),
    pytest.param(counts(0, 0), None, id="nothing was counted"),
    pytest.param({"completion_tokens": 9}, None, id="no prompt"),
    pytest.param({}, None, id="empty"),
    pytest.param(None, None, id="null"),
    pytest.param("12", None, id="text"),
    pytest.param({"prompt_tokens": "12"}, None, id="a count as text"),
    pytest.param({"prompt_tokens": True}, None, id="a truth as a count"),
    pytest.param({"prompt_tokens": -3}, None, id="less than nothing"),
]


@pytest.mark.parametrize(("usage", "found"), CHAT_USAGES)
def test_usage_of_a_chat_server(usage: object, found: Usage | None) -> None:
    assert usage_in(CHAT, {"usage": usage}) == found
    assert usage_in(COMPLETIONS, {"usage": usage}) == found
    meter = Meter()
    meter.saw({"choices": [], "usage": usage} if usage else {"choices": []})
    assert meter.usage == found


@pytest.mark.parametrize(
    ("usage", "found"),
    [
        pytest.param(
            {"input_tokens": 25, "output_tokens": 15}, Usage(prompt=25, completion=15), id="plain"
        ),
        pytest.param(
            {
                **{"input_tokens": 21, "output_tokens": 393, "service_tier": "standard"},
                **{"cache_creation_input_tokens": 188, "cache_read_input_tokens": 1000},
                "cache_creation": {
                    "ephemeral_5m_input_tokens": 188,
                    "ephemeral_1h_input_tokens": 0,
                },
                "server_tool_use": {"web_search_requests": 0},
            },
            Usage(prompt=1209, cached=1000, cache_write=188, completion=393),
            id="the cache is counted apart from the input",
        ),
        pytest.param(
            {
                **{"input_tokens": 0, "output_tokens": 3},
                **{"cache_creation_input_tokens": None, "cache_read_input_tokens": 80},
            },
            Usage(prompt=80, cached=80, completion=3),
            id="all of it cached",
        ),
        pytest.param({"input_tokens": 0, "output_tokens": 0}, None, id="nothing was counted"),
        pytest.param(None, None, id="null"),
    ],
)
def test_usage_of_a_messages_server(usage: object, found: Usage | None) -> None:
    assert usage_in(MESSAGES, {"usage": usage}) == found


def test_usage_of_a_responses_server() -> None:
    usage = {
        **{"input_tokens": 328, "output_tokens": 52, "total_tokens": 380},
        "input_tokens_details": {"cached_tokens": 256, "cache_write_tokens": 16},
        "output_tokens_details": {"reasoning_tokens": 40},
    }
    found = Usage(prompt=328, cached=256, cache_write=16, completion=52, reasoning=40)
    assert usage_in(RESPONSES, {"usage": usage}) == found
    assert usage_in(RESPONSES, {"usage": None}) is None
    search = {"type": "web_search_call", "action": {"type": "search", "query": "x"}}
    opened = {"type": "web_search_call", "action": {"type": "open_page"}}
    output = [search, opened, {"type": "message"}, {"type": "web_search_call"}]
    searched = usage_in(RESPONSES, {"usage": usage, "output": output, "service_tier": "flex"})
    assert searched == replace(found, web_searches=2, service="flex")


@pytest.mark.parametrize(
    ("said", "service"),
    [
        ({}, ""),
        ({"service_tier": "standard", "speed": "standard", "inference_geo": "global"}, ""),
        ({"service_tier": None, "speed": None, "inference_geo": "not_available"}, ""),
        ({"service_tier": "priority"}, "priority"),
        ({"speed": "fast", "service_tier": "standard"}, "fast"),
        ({"speed": "fast", "inference_geo": "us"}, "fast+us"),
        ({"service_tier": 3, "speed": ["fast"]}, ""),
    ],
)
def test_the_service_of_a_messages_server(said: Json, service: str) -> None:
    usage = usage_in(MESSAGES, {"usage": {"input_tokens": 1, "output_tokens": 1, **said}})
    assert usage is not None
    assert usage.service == service


@pytest.mark.parametrize(
    ("wire", "body", "reason"),
    [
        (CHAT, {"choices": [{"finish_reason": None}, {"finish_reason": "length"}]}, "length"),
        (CHAT, {"choices": [{"finish_reason": "", "stop_reason": 7}]}, None),
        (CHAT, {"choices": []}, None),
        (CHAT, {"choices": [{"finish_reason": {"type": "stop"}}, 7]}, None),
        (COMPLETIONS, {"choices": [{"text": "x", "finish_reason": "stop"}]}, "stop"),
        (EMBEDDINGS, {"data": []}, None),
        (MESSAGES, {"stop_reason": "tool_use"}, "tool_use"),
        (MESSAGES, {"stop_reason": ["end_turn"]}, None),
        (RESPONSES, {"status": "completed", "incomplete_details": None}, "completed"),
        (
            RESPONSES,
            {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}},
            "max_output_tokens",
        ),
        (RESPONSES, {"status": 3, "incomplete_details": "cut"}, None),
    ],
)
def test_why_an_answer_stopped(wire: str, body: Json, reason: str | None) -> None:
    assert finish_reason_in(wire, body) == reason


@pytest.mark.parametrize(
    ("event", "message"),
    [
        pytest.param({"error": {"message": "no"}}, "no", id="OpenAI"),
        pytest.param({"error": "no", "done": True}, "no", id="Ollama: a plain text"),
        pytest.param({"error": ["no"]}, "['no']", id="something else"),
        pytest.param(
            {"type": "error", "error": {"type": "overloaded_error", "message": "no"}},
            "no",
            id="Anthropic",
        ),
        pytest.param({"type": "error", "code": "x", "message": "no"}, "no", id="Responses"),
        pytest.param(
            {"type": "response.failed", "response": {"error": {"code": "x", "message": "no"}}},
            "no",
            id="Responses, failed",
        ),
        pytest.param(
            {"type": "response.failed", "response": None}, "the response failed", id="no reason"
        ),
        pytest.param(
            {"object": "response", "status": "failed", "error": {"message": "no"}},
            "no",
            id="a whole response that failed",
        ),
        pytest.param(
            {"object": "error", "message": "no", "type": "BadRequestError", "code": 400},
            "no",
            id="vLLM's older shape",
        ),
        pytest.param(
            {"id": "gen-1", "choices": [{"finish_reason": "error"}], "error": {"message": "no"}},
            "no",
            id="OpenRouter: beside a last choice",
        ),
    ],
)
def test_an_error_instead_of_content(event: Json, message: str) -> None:
    error = error_in(event)
    assert error is not None
    assert error["message"] == message


@pytest.mark.parametrize(
    "event",
    [
        {"choices": [{"delta": {"content": "error"}}], "error": None},
        {"type": "ping"},
        {"type": "response.created", "response": {"error": None, "status": "in_progress"}},
        {"object": "response", "status": "completed", "error": None},
        {},
    ],
)
def test_no_error(event: Json) -> None:
    assert error_in(event) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)
FIELDS = ("error", "type", "object", "usage", "choices", "stop_reason", "status", "response")
COUNTS = ("prompt_tokens", "completion_tokens", "input_tokens", "output_tokens", "total_tokens")
DETAILS = ("prompt_tokens_details", "output_tokens_details", "cache_read_input_tokens")
BILLS = ("cost", "cost_details", "is_byok", "cost_in_usd_ticks", "cache_creation", "service_tier")
USAGES = st.dictionaries(st.sampled_from(COUNTS + DETAILS + BILLS), JSON)
BODIES = st.dictionaries(
    st.sampled_from((*FIELDS, "incomplete_details", "output", "service_tier")), JSON | USAGES
)


@given(BODIES | st.builds(lambda usage: {"usage": usage}, USAGES), st.sampled_from(list(METERS)))
def test_wrong_types_are_never_an_exception(body: Json, wire: str) -> None:
    assert error_in(body) is None or isinstance(error_in(body), Mapping)
    assert isinstance(finish_reason_in(wire, body), str | None)
    usage = usage_in(wire, body)
    assert usage is None or min(usage.prompt, usage.cached, usage.completion) >= 0
    # A meter may say that it can't read an event; it never fails in another way.
    with contextlib.suppress(AttributeError, TypeError, ValueError):
        METERS[wire]().saw(body)


def test_the_usage_chunk_is_known() -> None:
    assert is_usage_only({"choices": [], "usage": counts(1, 1)})
    assert not is_usage_only({"choices": [{"index": 0}], "usage": counts(1, 1)})
    assert not is_usage_only({"choices": [], "usage": None})
