"""Thirty turns of an agent, switched from family to family: each accepts all it gets.

A switch happens where a user speaks. Each family refuses what the real one refuses of another's
history: thoughts without its own signature, foreign ids, cache markers, unknown fields.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anthropic
import pytest
from conftest import running_gateway
from family_stub import LONG_ID, Families
from gateways import Gateway
from other_wires_stub import SIGNATURE
from servers import serve

Json = dict[str, Any]

TURNS = 30
ORDER = ("openai", "claude", "open", "claude", "openai", "open")  # every pair of neighbours
CACHED = {"cache_control": {"type": "ephemeral"}}
SCHEMA = {"type": "object", "properties": {"q": {"type": "string"}}}
MODELS = {
    "openai": "openai/gpt-5-mini",  # no address of its own: it is OpenAI's server itself
    "claude": "anthropic/claude-sonnet-4-5",
    "open": "hosted_vllm/qwen3",
}


def write_catalog(folder: Path, url: str) -> Path:
    """One profile and one pool for each family."""
    dimensions = Path(__file__).parent / "data" / "catalog" / "dimensions.yaml"
    (folder / "dimensions.yaml").write_bytes(dimensions.read_bytes())
    pools: Json = {}
    for name, model in MODELS.items():
        profile: Json = {
            "name": name,
            "litellm_model": model,
            "api_key_env": "TEST_PROVIDER_KEY",
            "capabilities": dict.fromkeys(
                ("reasoning", "code_generation", "debugging", "tool_use"), 0.5
            ),
            "price": {"input_usd_per_mtok": 1, "output_usd_per_mtok": 5},
            "features": ["tools", "parallel_tools"],
            "limits": {"context_tokens": 100000, "output_tokens": 8000},
        }
        if name != "openai":
            profile["api_base"] = f"{url}/{name}/v1"
        (folder / f"{name}.yaml").write_text(json.dumps(profile))
        pools[name] = {"profiles": [name], "modes": {"iso": 0.2}, "default_mode": "iso"}
        pools[name]["baseline"] = name
    (folder / "pools.yaml").write_text(json.dumps({"pools": {**pools, "default": pools["openai"]}}))
    return folder


@pytest.fixture(scope="module")
def served(
    redis_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Gateway, Families]]:
    stub = Families()
    with serve(stub.app) as url, pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENAI_API_BASE", f"{url}/openai/v1")
        catalog = write_catalog(tmp_path_factory.mktemp("families"), url)
        environ = {"HYDRA_REDIS_URL": redis_server, "HYDRA_PROFILES": str(catalog)}
        with running_gateway(tmp_path_factory.mktemp("data"), environ) as gateway:
            yield gateway, stub


@pytest.fixture
def families(served: tuple[Gateway, Families]) -> Families:
    served[1].reset()
    return served[1]


def play(ask: Callable[[str, int], bool]) -> None:
    """`ask` sends the conversation to a family and says whether tools were called."""
    for turn in range(TURNS):
        family = ORDER[turn // 2 % len(ORDER)]  # two turns with each
        assert ask(family, turn)
        assert not ask("", turn), "the results of tools are answered with text"


def text_of(bodies: list[Json]) -> str:
    return json.dumps(bodies)


def check(families: Families, *, openai_got: str) -> None:
    """What no family may get, whatever the protocol of the client."""
    got = families.got
    assert len(got["openai"] + got["responses"]) == len(got["claude"]) == len(got["open"]) == 20
    assert len(got[openai_got]) == 20
    for_openai = text_of(got[openai_got])
    for name in ("thinking", "signature", "cache_control", "reasoning_content"):
        assert f'"{name}' not in for_openai
    for sign in (SIGNATURE, "hydra:", LONG_ID):
        assert sign not in for_openai
    assert SIGNATURE not in text_of(got["open"])
    assert "hydra:" not in text_of(got["claude"])
    assert LONG_ID not in text_of(got["claude"])


def thoughts(bodies: list[Json]) -> list[list[int]]:
    """For each Messages body: which of its assistant turns begin with a thought, by index."""
    return [
        [n for n, each in enumerate(body["messages"]) if each["role"] == "assistant"
         and each["content"][0]["type"] == "thinking"]
        for body in bodies
    ]  # fmt: skip


def test_a_chat_client(served: tuple[Gateway, Families], families: Families) -> None:
    client = served[0].openai()
    system = [{"type": "text", "text": "You look things up.", **CACHED}]
    messages: list[Any] = [{"role": "system", "content": system}]
    tool = {"type": "function", "function": {"name": "look_up", "parameters": SCHEMA}, **CACHED}
    current = ""

    def ask(family: str, turn: int) -> bool:
        nonlocal current
        current = family or current
        if family:
            text = [{"type": "text", "text": f"Question {turn}", **CACHED}]
            for message in messages[1:]:
                message.pop("cache_control", None)
                if message["role"] == "user":
                    message["content"][0].pop("cache_control", None)
            messages.append({"role": "user", "content": text})
        answer = client.chat.completions.create(
            model="auto",
            messages=messages,
            tools=[tool],  # type: ignore[list-item]
            reasoning_effort="low",
            max_tokens=4000,
            extra_headers={"x-hydra-pool": current},
        )
        message = answer.choices[0].message
        messages.append(message.model_dump(exclude_none=True))
        for call in message.tool_calls or ():
            messages.append({"role": "tool", "tool_call_id": call.id, "content": "found"})
        return bool(message.tool_calls)

    play(ask)
    check(families, openai_got="openai")
    last = families.got["claude"][-1]
    assert last["thinking"]["type"] == "enabled"
    assert len(thoughts([last])[0]) == 19  # its own turns, all of them
    assert text_of([last]).count("cache_control") == 3


def test_a_messages_client(served: tuple[Gateway, Families], families: Families) -> None:
    client = anthropic.Anthropic(base_url=served[0].url, api_key="any", max_retries=0)
    messages: list[Any] = []
    tool = {"name": "look_up", "input_schema": SCHEMA, **CACHED}
    current = ""

    def ask(family: str, turn: int) -> bool:
        nonlocal current
        current = family or current
        if family:
            for message in messages:
                for block in message["content"]:
                    block.pop("cache_control", None)
            text = {"type": "text", "text": f"Question {turn}", **CACHED}
            messages.append({"role": "user", "content": [text]})
        answer = client.messages.create(
            model="auto",
            max_tokens=4000,
            messages=messages,
            system=[{"type": "text", "text": "You look things up.", **CACHED}],
            tools=[tool],
            thinking={"type": "enabled", "budget_tokens": 1024},
            extra_headers={"x-hydra-pool": current},
        )
        content = [block.model_dump(exclude_none=True) for block in answer.content]
        messages.append({"role": "assistant", "content": content})
        calls = [block["id"] for block in content if block["type"] == "tool_use"]
        if calls:
            results = [{"type": "tool_result", "tool_use_id": id, "content": "x"} for id in calls]
            messages.append({"role": "user", "content": results})
        return bool(calls)

    play(ask)
    check(families, openai_got="openai")
    last = families.got["claude"][-1]
    assert len(thoughts([last])[0]) == 19
    assert text_of([last]).count("cache_control") == 3
    assert "hydra:" in text_of(messages)  # the open model's thoughts, as the client keeps them
    assert "Let me see." in text_of(families.got["open"])


def test_a_responses_client(served: tuple[Gateway, Families], families: Families) -> None:
    client = served[0].openai()
    items: list[Any] = []
    tool = {"type": "function", "name": "look_up", "parameters": SCHEMA, "strict": False}
    current = ""

    def ask(family: str, turn: int) -> bool:
        nonlocal current
        current = family or current
        if family:
            items.append({"role": "user", "content": f"Question {turn}"})
        answer = client.responses.create(
            model="auto",
            input=items,
            instructions="You look things up.",
            tools=[tool],  # type: ignore[list-item]
            reasoning={"effort": "low"},
            max_output_tokens=4000,
            store=False,
            include=["reasoning.encrypted_content"],
            extra_headers={"x-hydra-pool": current},
        )
        items.extend(item.model_dump(exclude_none=True) for item in answer.output)
        calls = [item.call_id for item in answer.output if item.type == "function_call"]
        for id in calls:
            items.append({"type": "function_call_output", "call_id": id, "output": "found"})
        return bool(calls)

    play(ask)
    check(families, openai_got="responses")
    last = families.got["claude"][-1]
    assert len(thoughts([last])[0]) == 19
    assert "gAAAA" in text_of(
        families.got["responses"][-1:]
    )  # OpenAI's own reasoning, for it alone
    assert "gAAAA" not in text_of(families.got["claude"] + families.got["open"])


@pytest.mark.parametrize("before", ["openai", "open"])
def test_claude_may_take_over_amid_tool_calls(
    served: tuple[Gateway, Families], families: Families, before: str
) -> None:
    """As after a failure of the other. It may not think then: it did not before the calls."""
    client = anthropic.Anthropic(base_url=served[0].url, api_key="any", max_retries=0)
    messages: list[Any] = [{"role": "user", "content": "hello"}]
    for family in (before, "claude"):
        answer = client.messages.create(
            model="auto",
            max_tokens=4000,
            messages=messages,
            tools=[{"name": "look_up", "input_schema": SCHEMA}],
            thinking={"type": "enabled", "budget_tokens": 1024},
            extra_headers={"x-hydra-pool": family},
        )
        content = [block.model_dump(exclude_none=True) for block in answer.content]
        messages.append({"role": "assistant", "content": content})
        results = [
            {"type": "tool_result", "tool_use_id": block["id"], "content": "x"}
            for block in content
            if block["type"] == "tool_use"
        ]
        messages.append({"role": "user", "content": results})
    assert families.got["claude"][0]["thinking"] == {"type": "disabled"}
    assert answer.content[0].text == "It is done."


def test_claude_may_take_over_amid_the_tool_calls_of_a_chat_client(
    served: tuple[Gateway, Families], families: Families
) -> None:
    client = served[0].openai()
    messages: list[Any] = [{"role": "user", "content": "hello"}]
    for family in ("open", "claude"):
        answer = client.chat.completions.create(
            model="auto",
            messages=messages,
            tools=[{"type": "function", "function": {"name": "look_up", "parameters": SCHEMA}}],
            reasoning_effort="low",
            max_tokens=4000,
            extra_headers={"x-hydra-pool": family},
        )
        message = answer.choices[0].message
        messages.append(message.model_dump(exclude_none=True))
        for call in message.tool_calls or ():
            messages.append({"role": "tool", "tool_call_id": call.id, "content": "found"})
    assert message.content == "It is done."
