"""Answers in the shapes of real providers, byte for byte: the text arrives, the usage is exact.

tests/data/provider_shapes has one whole answer and one stream of each, written for these tests.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from replay import Json, Replay, Reply, bodies_of, record_of, replaying
from test_protocol_errors import HELLO, PATHS
from test_stream_breaks import text_of

SHAPES = Path(__file__).parent / "data" / "provider_shapes"
TEXT = "Oslo is cold: -7 °C."
PROFILES: dict[str, Json] = {
    "openai": {"litellm_model": "openai/gpt-5-mini", "api_base": "@REPLAY@/v1"},
    "anthropic": {"litellm_model": "anthropic/claude-sonnet-4-5", "api_base": "@REPLAY@"},
    "gemini": {"litellm_model": "gemini/gemini-2.5-flash", "api_base": "@REPLAY@/v1beta"},
    "gemini-chat": {"litellm_model": "openai/gemini-2.5-flash", "api_base": "@REPLAY@/v1"},
    "deepseek": {"litellm_model": "deepseek/deepseek-reasoner", "api_base": "@REPLAY@/v1"},
    "openrouter": {"litellm_model": "openrouter/qwen/qwen3-235b", "api_base": "@REPLAY@/v1"},
    "vllm": {"litellm_model": "hosted_vllm/Qwen/Qwen3-8B", "api_base": "@REPLAY@/v1"},
    "ollama": {"litellm_model": "ollama_chat/llama3.2", "api_base": "@REPLAY@"},
}
USAGES: dict[str, dict[str, int]] = {
    "openai": {"prompt": 1117, "cached": 1024, "completion": 46, "reasoning": 32},
    "anthropic": {"prompt": 2014, "cached": 1800, "cache_write": 200, "completion": 13},
    "gemini": {"prompt": 1200, "cached": 1000, "completion": 52, "reasoning": 40},
    "gemini-chat": {"prompt": 1200, "completion": 52, "reasoning": 40},
    "deepseek": {"prompt": 900, "cached": 832, "completion": 75, "reasoning": 60},
    "openrouter": {
        **{"prompt": 1000, "cached": 600, "cache_write": 300, "completion": 30, "reasoning": 8}
    },
    "vllm": {"prompt": 500, "cached": 480, "completion": 12},
    "ollama": {"prompt": 26, "completion": 12},
}
COUNTS = ("prompt", "cached", "cache_write", "completion", "reasoning", "audio")


@pytest.fixture(scope="module")
def served(
    redis_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Replay, list[httpx.Client]]]:
    with replaying(redis_server, tmp_path_factory, PROFILES, {}) as served:
        yield served


def ask(
    served: tuple[Replay, list[httpx.Client]], provider: str, protocol: str, *, streams: bool
) -> httpx.Response:
    """The answer to a client of the protocol, from the provider's own bytes."""
    served[0].say(_reply(provider, streams=streams))
    prompt: Json = {"input": "hello"} if protocol == "responses" else {"messages": HELLO}
    limit = {"max_tokens": 50} if protocol == "messages" else {}
    body = {"model": provider, "stream": streams, **prompt, **limit}
    answer = served[1][0].post(f"/v1/{PATHS[protocol]}", json=body)
    assert answer.status_code == 200, answer.text
    return answer


def _reply(provider: str, *, streams: bool) -> Reply:
    if not streams:
        return Reply((SHAPES / f"{provider}.json").read_bytes())
    if provider == "ollama":
        return _in_pieces("ollama.ndjson", "application/x-ndjson")
    return _in_pieces(f"{provider}.sse", "text/event-stream")


def _in_pieces(name: str, media_type: str) -> Reply:
    """Cut every 97 bytes, so in the middle of lines and of characters."""
    data = (SHAPES / name).read_bytes()
    pieces = [data[at : at + 97] for at in range(0, len(data), 97)]
    return Reply(pieces, media_type=media_type)


def text_in(protocol: str, body: Json) -> str:
    if protocol == "chat":
        return str(body["choices"][0]["message"]["content"])
    if protocol == "messages":
        return "".join(block["text"] for block in body["content"] if block["type"] == "text")
    items = [item for item in body["output"] if item["type"] == "message"]
    return "".join(part["text"] for item in items for part in item["content"])


def text_streamed(answer: httpx.Response) -> str:
    events: list[Any] = [event for event in bodies_of(answer.text) if isinstance(event, dict)]
    return text_of([event for event in events if "reasoning" not in event.get("type", "")])


@pytest.mark.parametrize("protocol", PATHS)
@pytest.mark.parametrize("provider", PROFILES)
def test_a_whole_answer(
    served: tuple[Replay, list[httpx.Client]], provider: str, protocol: str
) -> None:
    answer = ask(served, provider, protocol, streams=False)
    assert text_in(protocol, answer.json()) == TEXT
    check_record(record_of(served[1][0], answer), provider)


@pytest.mark.parametrize("protocol", PATHS)
@pytest.mark.parametrize("provider", PROFILES)
def test_a_stream(served: tuple[Replay, list[httpx.Client]], provider: str, protocol: str) -> None:
    answer = ask(served, provider, protocol, streams=True)
    assert text_streamed(answer) == TEXT
    check_record(record_of(served[1][0], answer), provider)


def check_record(record: Json, provider: str) -> None:
    assert record["usage"] == {**dict.fromkeys(COUNTS, 0), **USAGES[provider]}
    assert (record["status"], record["cost_status"]) == ("ok", "exact")
    assert record["finish_reason"] in ("stop", "end_turn")


@pytest.mark.parametrize("provider", ["openai", "vllm", "gemini-chat"])
def test_a_chat_answer_that_needs_no_translation_is_the_providers_bytes(
    served: tuple[Replay, list[httpx.Client]], provider: str
) -> None:
    answer = ask(served, provider, "chat", streams=False)
    assert answer.content == (SHAPES / f"{provider}.json").read_bytes()


def test_deepseeks_thoughts_arrive_in_every_protocol(
    served: tuple[Replay, list[httpx.Client]],
) -> None:
    thought = "Winter, so cold."
    chat = ask(served, "deepseek", "chat", streams=False).json()
    assert chat["choices"][0]["message"]["reasoning_content"] == thought
    message = ask(served, "deepseek", "messages", streams=False).json()
    assert message["content"][0]["thinking"] == thought
    response = ask(served, "deepseek", "responses", streams=False).json()
    assert thought in str(response["output"][0])


SIGNATURE = "CiQB4/2Kb+" * 40 + "=="  # of a thought; Gemini refuses to go on without it
SIGNED_CALL = {
    "functionCall": {"name": "look_up", "args": {"q": "x"}},
    "thoughtSignature": SIGNATURE,
}
CALLING = {
    "candidates": [{"content": {"parts": [SIGNED_CALL], "role": "model"}, "finishReason": "STOP"}],
    "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 2, "totalTokenCount": 11},
}


@pytest.mark.parametrize("protocol", PATHS)
def test_gemini_gets_the_proof_of_its_thought_back(
    served: tuple[Replay, list[httpx.Client]], protocol: str
) -> None:
    replay, http = served[0], served[1][0]
    schema = {"type": "object", "properties": {"q": {"type": "string"}}}
    function: Json = {"name": "look_up", "parameters": schema}
    tools: Json = {
        "chat": {"type": "function", "function": function},
        "responses": {"type": "function", **function},
        "messages": {"name": "look_up", "input_schema": schema},
    }[protocol]
    field = "input" if protocol == "responses" else "messages"
    limit = {"max_tokens": 50} if protocol == "messages" else {}
    history: list[Any] = [*HELLO]
    body = {"model": "gemini", "tools": [tools], field: history, **limit}
    replay.say(Reply(json.dumps(CALLING).encode()), _reply("gemini", streams=False))
    called = http.post(f"/v1/{PATHS[protocol]}", json=body)
    assert called.status_code == 200, called.text
    history += continued(protocol, called.json())
    answer = http.post(f"/v1/{PATHS[protocol]}", json=body)
    assert answer.status_code == 200, answer.text
    parts = [part for content in replay.requests[1]["contents"] for part in content["parts"]]
    assert [part["thoughtSignature"] for part in parts if "thoughtSignature" in part] == [SIGNATURE]


def continued(protocol: str, body: Json) -> list[Json]:
    """The answer and the result of its call, as the next request tells them."""
    if protocol == "chat":
        message = body["choices"][0]["message"]
        id = message["tool_calls"][0]["id"]
        return [message, {"role": "tool", "tool_call_id": id, "content": "found"}]
    if protocol == "messages":
        id = body["content"][-1]["id"]
        result = {"type": "tool_result", "tool_use_id": id, "content": "found"}
        turn = {"role": "assistant", "content": body["content"]}
        return [turn, {"role": "user", "content": [result]}]
    id = body["output"][-1]["call_id"]
    return [*body["output"], {"type": "function_call_output", "call_id": id, "output": "found"}]
