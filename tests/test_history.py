"""A conversation of one family, read by another: what goes along, what is renamed, what is gone."""

import copy
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import history
from gateway.history import OURS, Reader, ToolIds, for_chat, for_messages, for_responses

Json = dict[str, Any]

CLAUDE = history.reader("anthropic", "claude-sonnet-4", is_self_hosted=False)
OPENAI = history.reader("openai", "gpt-5", is_self_hosted=False)
VLLM = history.reader("openai", "qwen3", is_self_hosted=True)
MISTRAL = history.reader("mistral", "mistral-large", is_self_hosted=False)
GEMINI = history.reader("gemini", "gemini-3-pro", is_self_hosted=False)
READERS = {"claude": CLAUDE, "openai": OPENAI, "vllm": VLLM, "mistral": MISTRAL, "gemini": GEMINI}
OTHERS = [each for name, each in READERS.items() if name != "claude"]

EPHEMERAL = {"type": "ephemeral"}
THOUGHT = {"type": "thinking", "thinking": "Hm.", "signature": "EqoBCkgIARAB"}
OUR_THOUGHT = {"type": "thinking", "thinking": "Hm.", "signature": OURS}
REDACTED = {"type": "redacted_thinking", "data": "EmwKAhgB"}
GEMINI_ID = "call_7f__thought__" + "CiQB4/2Kb+" * 400 + "=="
HELLO = {"role": "user", "content": "hello"}


def call(id: str, **fields: Any) -> Json:
    return {"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}, **fields}


def said(**fields: Any) -> Json:
    return {"role": "assistant", "content": "Well.", **fields}


def chat(reader: Reader, *messages: Json, **fields: Any) -> Any:
    """What the reader gets of a chat body; the body itself must stay as it was."""
    body = {"model": "m", "messages": list(messages), **fields}
    before = copy.deepcopy(body)
    read = for_chat(body, reader)
    assert body == before
    assert for_chat(read, reader) is read  # once more changes nothing
    return read


def message(reader: Reader, **fields: Any) -> Any:
    """What the reader gets of one assistant message, without what every one has."""
    (read,) = chat(reader, said(**fields))["messages"]
    return {name: value for name, value in read.items() if name not in ("role", "content")}


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_what_needs_no_change_is_the_same_object(reader: Reader) -> None:
    calls = [call("abcde1234")]
    result = {"role": "tool", "tool_call_id": "abcde1234", "content": "x"}
    parts = {"role": "user", "content": [{"type": "text", "text": "hi"}]}
    body = {"messages": [HELLO, parts, said(tool_calls=calls), result], "tools": [{"type": "f"}]}
    assert for_chat(body, reader) is body


@pytest.mark.parametrize(
    ("reader", "gets"),
    [
        pytest.param(
            CLAUDE, {"thinking_blocks": [THOUGHT, REDACTED]}, id="Claude: the signed ones"
        ),
        pytest.param(OPENAI, {}, id="OpenAI: none"),
        pytest.param(VLLM, {}, id="vLLM: none"),
        pytest.param(GEMINI, {}, id="Gemini: none"),
    ],
)
def test_signed_thoughts_are_for_claude(reader: Reader, gets: Json) -> None:
    blocks = [THOUGHT, OUR_THOUGHT, {**THOUGHT, "signature": ""}, {**THOUGHT, "signature": None}]
    fields = {"thinking_blocks": [*blocks, REDACTED], "reasoning_content": "Hm."}
    assert message(reader, **fields) == gets


@pytest.mark.parametrize(
    ("reader", "is_taken"), [(CLAUDE, False), (OPENAI, False), (VLLM, True), (MISTRAL, False)]
)
def test_bare_thoughts_are_for_those_that_write_them(reader: Reader, is_taken: bool) -> None:
    thought = {"reasoning_content": "Hm."}
    assert message(reader, **thought) == (thought if is_taken else {})


def test_openai_gets_no_field_that_only_others_know() -> None:
    """It refuses a message with a field that it does not know."""
    others = {"reasoning": "Hm.", "reasoning_details": [{"type": "reasoning.text"}]}
    signed = call("call_1", extra_content={"google": {"thought_signature": "x"}})
    assert message(OPENAI, **others, refusal=None, tool_calls=[signed]) == {
        "refusal": None,
        "tool_calls": [call("call_1")],
    }
    assert message(VLLM, **others) == others
    assert chat(OPENAI, HELLO, reasoning={"effort": "low"})["reasoning"] == {"effort": "low"}


def test_gemini_gets_its_proofs_back() -> None:
    """Without the thought behind a call it refuses to go on."""
    proofs = {"provider_specific_fields": {"thought_signatures": ["Ci/+="]}}
    calls = [call(GEMINI_ID, provider_specific_fields={"thought_signature": "Ci/+="})]
    assert message(GEMINI, **proofs, tool_calls=calls) == {**proofs, "tool_calls": calls}
    (renamed,) = message(OPENAI, **proofs, tool_calls=calls)["tool_calls"]
    assert renamed == call(renamed["id"])
    vertex = history.reader("vertex_ai", "gemini-3-pro", is_self_hosted=False)
    assert vertex == GEMINI
    assert history.reader("vertex_ai", "claude-sonnet-4", is_self_hosted=False) == CLAUDE


@pytest.mark.parametrize("reader", OTHERS)
def test_cache_markers_are_for_claude(reader: Reader) -> None:
    mark = {"cache_control": EPHEMERAL}
    marked: list[Json] = [
        {"role": "system", "content": [{"type": "text", "text": "Be brief.", **mark}], **mark},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "u"}, **mark}]},
        said(tool_calls=[call("abcde1234", **mark)]),
        {"role": "tool", "tool_call_id": "abcde1234", "content": "x", **mark},
    ]
    tools = [{"type": "function", "function": {"name": "f"}, **mark}]
    read = chat(reader, *marked, tools=tools, cache_control=EPHEMERAL, temperature=0)
    assert "cache_control" not in str(read)
    assert [each["role"] for each in read["messages"]] == ["system", "user", "assistant", "tool"]
    assert read["temperature"] == 0
    body = {"messages": marked, "tools": tools, "cache_control": EPHEMERAL}
    assert for_chat(body, CLAUDE) is body


IDS = {
    "short": "call_1",
    "OpenAI's longest": "call_" + "a" * 35,
    "one more": "call_" + "a" * 36,
    "Claude's longest": "t" * 128,
    "longer than Claude's": "t" * 129,
    "other characters": "functions.look_up:0",
    "Gemini's, with a thought inside": GEMINI_ID,
    "Mistral's": "Abcde1234",
    "empty": "",
    "no ASCII": "café",
    "half of a surrogate pair": "call_\ud800",
}
TAKES = {
    "openai": (OPENAI, re.compile(r".{1,40}")),
    "claude": (CLAUDE, re.compile(r"[a-zA-Z0-9_-]{1,128}")),
    "mistral": (MISTRAL, re.compile(r"[a-zA-Z0-9]{9}")),
    "gemini": (GEMINI, re.compile(r".+")),
}


@pytest.mark.parametrize("id", IDS.values(), ids=IDS)
@pytest.mark.parametrize(("reader", "takes"), TAKES.values(), ids=TAKES)
def test_a_call_and_its_result_keep_together(reader: Reader, takes: re.Pattern, id: str) -> None:
    other = call("other-call-2")
    result = {"role": "tool", "tool_call_id": id, "content": "x"}
    read = chat(reader, HELLO, said(tool_calls=[call(id), other]), result)["messages"]
    called, stranger = (each["id"] for each in read[1]["tool_calls"])
    assert called == read[2]["tool_call_id"] != stranger
    assert takes.fullmatch(called)
    assert called == id or not takes.fullmatch(id)


@given(st.sets(st.text(max_size=50), max_size=8), st.sampled_from(list(READERS.values())))
def test_ids_stay_distinct_and_the_same(ids: set[str], reader: Reader) -> None:
    tool_ids: ToolIds = reader.ids
    renamed = {id: tool_ids.fitting(id) for id in ids}
    assert len(set(renamed.values())) == len(ids)
    assert all(tool_ids.fitting(made) == made for made in renamed.values())
    assert renamed == {id: tool_ids.fitting(id) for id in ids}


def test_ids_without_a_type_are_left_to_the_provider() -> None:
    odd = [said(tool_calls=[{"id": None}, {"id": 7}, "x"]), {"role": "tool", "tool_call_id": None}]
    assert chat(OPENAI, *odd)["messages"] == odd


def test_shapes_nobody_knows_pass_through() -> None:
    for messages in (None, "x", [7, None, {"content": 3, "tool_calls": "no"}]):
        body = {"messages": messages, "tools": "none"}
        assert all(for_chat(body, reader) is body for reader in READERS.values())


def use(id: str) -> Json:
    return {"type": "tool_use", "id": id, "name": "f", "input": {}}


def result(id: str) -> Json:
    return {"role": "user", "content": [{"type": "tool_result", "tool_use_id": id}]}


def turn(*blocks: Json) -> Json:
    return {"role": "assistant", "content": list(blocks)}


TEXT = {"type": "text", "text": "Well."}


def messages(*turns: Json, **fields: Any) -> Any:
    """What a server of the Messages protocol gets."""
    body = {"max_tokens": 9, "messages": list(turns), **fields}
    before = copy.deepcopy(body)
    read = for_messages(body)
    assert body == before
    assert for_messages(read) is read
    return read


def test_claudes_own_conversation_is_the_same_object() -> None:
    marked = {**TEXT, "cache_control": EPHEMERAL}
    turns = [HELLO, turn(THOUGHT, marked, use("toolu_1")), result("toolu_1"), turn(REDACTED, TEXT)]
    thinking = {"type": "enabled", "budget_tokens": 1024}
    body = {"messages": turns, "thinking": thinking, "cache_control": EPHEMERAL}
    assert for_messages(body) is body


def test_thinking_that_claude_did_not_sign_is_left_out() -> None:
    bare = {"type": "thinking", "thinking": "Hm."}
    read = messages(HELLO, turn(OUR_THOUGHT, THOUGHT, TEXT), HELLO, turn(bare), HELLO)
    assert read["messages"] == [HELLO, turn(THOUGHT, TEXT), HELLO, HELLO]


def test_tool_ids_that_claude_refuses_are_renamed_in_both_places() -> None:
    read = messages(HELLO, turn(use(GEMINI_ID), use("toolu_2")), result(GEMINI_ID))["messages"]
    made = read[1]["content"][0]["id"]
    assert re.fullmatch(r"toolu_[0-9a-f]{24}", made)
    assert read[2] == result(made)
    assert read[1]["content"][1] == use("toolu_2")


@pytest.mark.parametrize(
    ("before", "kept"),
    [
        pytest.param(turn(THOUGHT, use("t")), True, id="thought before the calls"),
        pytest.param(turn(REDACTED, use("t")), True, id="a thought that nobody may read"),
        pytest.param(turn(use("t")), False, id="no thought: another family's turn"),
        pytest.param(turn(OUR_THOUGHT, use("t")), False, id="a thought without a proof"),
        pytest.param(turn(TEXT, use("t")), False, id="text"),
    ],
)
def test_claude_thinks_amid_tool_calls_only_if_it_did_before(before: Json, kept: bool) -> None:
    """It refuses the request otherwise."""
    enabled = {"type": "enabled", "budget_tokens": 1024}
    read = messages(HELLO, before, result("t"), thinking=enabled)
    assert read["thinking"] == (enabled if kept else {"type": "disabled"})
    assert messages(HELLO, before, result("t"), turn(TEXT), HELLO, thinking=enabled)[
        "thinking"
    ] == (enabled)
    assert messages(HELLO, before, result("t"), thinking={"type": "adaptive"})["thinking"] == {
        "type": "adaptive"
    }


def test_reasoning_that_we_sealed_is_not_for_another_server() -> None:
    ours = {"type": "reasoning", "summary": [], "encrypted_content": f"{OURS}eyJ9"}
    theirs = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAA"}
    body = {"input": [HELLO, ours, theirs, "odd"], "store": False}
    read = for_responses(body)
    assert read == {"input": [HELLO, theirs, "odd"], "store": False}
    assert for_responses(read) is read
    long = [{"type": kind, "call_id": GEMINI_ID} for kind in ("function_call", "other")]
    first, second = for_responses({"input": long})["input"]
    assert first["call_id"] == second["call_id"] == OPENAI.ids.fitting(GEMINI_ID)
    for unchanged in ({"input": "hello"}, {"input": [HELLO, theirs]}, {}):
        assert for_responses(unchanged) is unchanged


@pytest.mark.parametrize(
    ("fields", "is_asked"),
    [
        ({"thinking_blocks": [THOUGHT]}, True),
        ({"thinking_blocks": [OUR_THOUGHT]}, False),
        ({}, False),
    ],
)
def test_claude_is_asked_to_think_amid_a_chats_tool_calls_only_if_it_did_before(
    fields: Json, is_asked: bool
) -> None:
    result = {"role": "tool", "tool_call_id": "t", "content": "x"}
    turns = [HELLO, said(tool_calls=[call("t"), call("u")], **fields), result, result]
    asked = {"reasoning_effort": "low"}
    assert ("reasoning_effort" in chat(CLAUDE, *turns, **asked)) == is_asked
    assert "reasoning_effort" in chat(OPENAI, *turns, **asked)
    assert "reasoning_effort" in chat(CLAUDE, *turns, said(), HELLO, **asked)
    assert "reasoning_effort" in chat(CLAUDE, HELLO, said(), **asked)  # a beginning to go on from
