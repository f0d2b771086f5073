"""Anthropic's Messages protocol over chat completions: what is asked, and what comes back."""

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import pytest
from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import Message, RawMessageStreamEvent
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from gateway.errors import InvalidRequest
from gateway.history import OURS
from gateway.messages_answer import Stream, answer
from gateway.messages_native import native_only
from gateway.messages_request import to_chat

Fields = dict[str, Any]

EPHEMERAL = {"type": "ephemeral"}
HELLO = {"role": "user", "content": "hello"}
PIXEL = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}
PIXEL_PART = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
PDF = {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}
PDF_URL = "data:application/pdf;base64,JVBERi0="
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
WEATHER = {"name": "weather", "description": "Today's weather", "input_schema": SCHEMA}
WEATHER_FUNCTION = {"name": "weather", "description": "Today's weather", "parameters": SCHEMA}
CALL = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Köln"}}
CALL_IN_CHAT = {
    "id": "toolu_1",
    "type": "function",
    "function": {"name": "weather", "arguments": '{"city":"Köln"}'},
}
EVENT: TypeAdapter[RawMessageStreamEvent] = TypeAdapter(RawMessageStreamEvent)


def asked(**fields: Any) -> Fields:
    """The chat body of a request for at most nine tokens, without what every one has."""
    chat = to_chat({"max_tokens": 9, "messages": [HELLO], **fields})
    return {
        k: v for k, v in chat.items() if (k, v) not in (("max_tokens", 9), ("messages", [HELLO]))
    }


def conversation(*messages: Mapping[str, Any], **fields: Any) -> Any:
    return to_chat({"max_tokens": 9, "messages": list(messages), **fields})["messages"]


def said(*blocks: Any) -> Any:
    """The chat messages of one user turn."""
    return conversation({"role": "user", "content": list(blocks)})


def replayed(*blocks: Any) -> Any:
    """The chat message of one assistant turn."""
    (message,) = conversation({"role": "assistant", "content": list(blocks)})
    assert message.pop("role") == "assistant"
    return message


def result(**fields: Any) -> Fields:
    return {"type": "tool_result", "tool_use_id": "toolu_1", **fields}


def text(words: str, **fields: Any) -> Fields:
    return {"type": "text", "text": words, **fields}


@pytest.mark.parametrize(
    ("fields", "chat"),
    [
        pytest.param({"model": "auto"}, {"model": "auto"}, id="model"),
        pytest.param(
            {"temperature": 0.5, "top_p": 0.9, "top_k": 40, "stream": True},
            {"temperature": 0.5, "top_p": 0.9, "top_k": 40, "stream": True},
            id="sampling and stream",
        ),
        pytest.param({"a_new_field": [1]}, {"a_new_field": [1]}, id="a field nobody knows"),
        pytest.param({"stop_sequences": ["END"]}, {"stop": ["END"]}, id="stop sequences"),
        pytest.param({"stop_sequences": []}, {}, id="no stop sequence"),
        pytest.param({"metadata": {"user_id": "u1"}}, {"user": "u1"}, id="user"),
        pytest.param(
            {"metadata": {"user_id": None, "session_id": "s1"}},
            {"metadata": {"session_id": "s1"}},
            id="other metadata",
        ),
        pytest.param({"service_tier": "auto"}, {}, id="tier auto is another vocabulary's"),
        pytest.param({"service_tier": "standard_only"}, {}, id="so is standard_only"),
        pytest.param({"service_tier": "flex"}, {"service_tier": "flex"}, id="flex is chat's"),
        pytest.param(
            {"thinking": {"type": "enabled", "budget_tokens": 2048}},
            {"reasoning_effort": "low"},
            id="small budget",
        ),
        pytest.param(
            {"thinking": {"type": "enabled", "budget_tokens": 2049}},
            {"reasoning_effort": "medium"},
            id="middling budget",
        ),
        pytest.param(
            {"thinking": {"type": "enabled", "budget_tokens": 8192}},
            {"reasoning_effort": "medium"},
            id="largest middling budget",
        ),
        pytest.param(
            {"thinking": {"type": "enabled", "budget_tokens": 8193}},
            {"reasoning_effort": "high"},
            id="large budget",
        ),
        pytest.param(
            {
                "thinking": {"type": "enabled", "budget_tokens": 9000},
                "output_config": {"effort": "low"},
            },
            {"reasoning_effort": "low"},
            id="an effort goes before a budget",
        ),
        pytest.param(
            {"thinking": {"type": "adaptive"}}, {"reasoning_effort": "medium"}, id="adaptive"
        ),
        pytest.param(
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "xhigh"}},
            {"reasoning_effort": "xhigh"},
            id="adaptive with an effort",
        ),
        pytest.param({"thinking": {"type": "disabled"}}, {}, id="no thinking"),
        pytest.param(
            {"thinking": {"type": "disabled"}, "output_config": {"effort": "high"}},
            {},
            id="no thinking, whatever the effort",
        ),
        pytest.param({"thinking": {"type": "between_tools"}}, {}, id="a mode of a later model"),
        pytest.param(
            {"output_config": {"effort": "max"}}, {"reasoning_effort": "high"}, id="effort max"
        ),
        pytest.param({"output_config": {"effort": None}}, {}, id="no effort"),
        pytest.param(
            {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "output", "schema": SCHEMA, "strict": True},
                }
            },
            id="schema",
        ),
        pytest.param(
            {"output_format": {"type": "json_schema", "schema": SCHEMA}},
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "output", "schema": SCHEMA, "strict": True},
                }
            },
            id="schema under the beta's name",
        ),
        pytest.param(
            {"mcp_servers": [{"url": "https://mcp.example"}], "container": "c1"},
            {},
            id="what only Anthropic's own server can serve",
        ),
        pytest.param(
            {"tools": [WEATHER]},
            {"tools": [{"type": "function", "function": WEATHER_FUNCTION}]},
            id="tool",
        ),
        pytest.param(
            {"tools": [{**WEATHER, "type": "custom", "strict": True, "cache_control": EPHEMERAL}]},
            {
                "tools": [
                    {
                        "type": "function",
                        "function": {**WEATHER_FUNCTION, "strict": True},
                        "cache_control": EPHEMERAL,
                    }
                ]
            },
            id="custom tool, strict and cached",
        ),
        pytest.param(
            {"tools": [{"name": "now", "input_schema": {}}]},
            {"tools": [{"type": "function", "function": {"name": "now", "parameters": {}}}]},
            id="tool without a description",
        ),
        pytest.param(
            {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
            {},
            id="server tool",
        ),
        pytest.param({"tools": [], "tool_choice": {"type": "auto"}}, {}, id="choice of no tools"),
    ],
)
def test_a_parameter_in_chats_words(fields: Fields, chat: Fields) -> None:
    assert asked(**fields) == chat


@pytest.mark.parametrize(
    ("choice", "chat"),
    [
        pytest.param({"type": "auto"}, {"tool_choice": "auto"}, id="auto"),
        pytest.param({"type": "any"}, {"tool_choice": "required"}, id="any"),
        pytest.param({"type": "none"}, {"tool_choice": "none"}, id="none"),
        pytest.param(
            {"type": "tool", "name": "weather"},
            {"tool_choice": {"type": "function", "function": {"name": "weather"}}},
            id="this one",
        ),
        pytest.param(
            {"type": "auto", "disable_parallel_tool_use": True},
            {"tool_choice": "auto", "parallel_tool_calls": False},
            id="one at a time",
        ),
        pytest.param(
            {"type": "any", "disable_parallel_tool_use": False},
            {"tool_choice": "required"},
            id="several at a time",
        ),
        pytest.param(None, {}, id="not said"),
    ],
)
def test_the_choice_of_tools_in_chats_words(choice: object, chat: Fields) -> None:
    fields = asked(tools=[WEATHER], tool_choice=choice)
    del fields["tools"]
    assert fields == chat


@pytest.mark.parametrize(
    ("system", "messages"),
    [
        pytest.param("Be kind.", [{"role": "system", "content": "Be kind."}], id="string"),
        pytest.param(
            [text("Be kind."), text("Be brief.")],
            [{"role": "system", "content": "Be kind.\n\nBe brief."}],
            id="blocks",
        ),
        pytest.param(
            [text("Be kind.", cache_control=EPHEMERAL), text("Be brief.")],
            [
                {
                    "role": "system",
                    "content": [text("Be kind.", cache_control=EPHEMERAL), text("Be brief.")],
                }
            ],
            id="cached blocks stay apart",
        ),
        pytest.param("", [], id="empty string"),
        pytest.param([], [], id="no block"),
        pytest.param(None, [], id="null"),
    ],
)
def test_the_system_prompt_is_the_first_message(system: object, messages: list[Fields]) -> None:
    assert conversation(HELLO, system=system) == [*messages, HELLO]


def test_a_system_message_amid_the_conversation_keeps_its_place() -> None:
    late = {"role": "system", "content": [text("Be brief.")]}
    assert conversation(HELLO, late, HELLO) == [
        HELLO,
        {"role": "system", "content": "Be brief."},
        HELLO,
    ]


@pytest.mark.parametrize(
    ("block", "content"),
    [
        pytest.param(text("hello"), "hello", id="text is a string"),
        pytest.param(
            text("hello", cache_control=EPHEMERAL),
            [text("hello", cache_control=EPHEMERAL)],
            id="cached text is a part",
        ),
        pytest.param({"type": "image", "source": PIXEL}, [PIXEL_PART], id="image data"),
        pytest.param(
            {"type": "image", "source": PIXEL, "cache_control": EPHEMERAL},
            [{**PIXEL_PART, "cache_control": EPHEMERAL}],
            id="cached image",
        ),
        pytest.param(
            {"type": "image", "source": {"type": "url", "url": "https://a.example/b.png"}},
            [{"type": "image_url", "image_url": {"url": "https://a.example/b.png"}}],
            id="image address",
        ),
        pytest.param(
            {"type": "document", "source": PDF},
            [{"type": "file", "file": {"filename": "document.pdf", "file_data": PDF_URL}}],
            id="PDF",
        ),
        pytest.param(
            {
                "type": "document",
                "source": PDF,
                "title": "bill.pdf",
                "context": "from May",
                "cache_control": EPHEMERAL,
                "citations": {"enabled": False},
            },
            [
                text("from May"),
                {
                    "type": "file",
                    "file": {"filename": "bill.pdf", "file_data": PDF_URL},
                    "cache_control": EPHEMERAL,
                },
            ],
            id="PDF with a title and a context",
        ),
        pytest.param(
            {
                "type": "document",
                "source": {"type": "text", "media_type": "text/plain", "data": "Once upon"},
            },
            "Once upon",
            id="text document",
        ),
        pytest.param(
            {
                "type": "document",
                "title": "Tale",
                "source": {"type": "content", "content": [text("Once"), text("upon")]},
            },
            [text("Tale"), text("Once"), text("upon")],
            id="document of blocks",
        ),
        pytest.param(
            {"type": "document", "source": {"type": "content", "content": "Once upon"}},
            "Once upon",
            id="document of a string",
        ),
        pytest.param(
            {
                "type": "search_result",
                "title": "Tale",
                "source": "https://a.example",
                "content": [text("Once")],
            },
            [text("Tale\nhttps://a.example"), text("Once")],
            id="search result",
        ),
    ],
)
def test_a_users_block_as_chat_content(block: Fields, content: object) -> None:
    assert said(block) == [{"role": "user", "content": content}]


def test_a_users_blocks_keep_their_order() -> None:
    assert said(text("this"), {"type": "image", "source": PIXEL}, text("is what?")) == [
        {"role": "user", "content": [text("this"), PIXEL_PART, text("is what?")]}
    ]


def test_a_turn_without_blocks_stays_a_turn() -> None:
    assert said() == [{"role": "user", "content": ""}]
    assert replayed() == {"content": ""}


@pytest.mark.parametrize(
    ("block", "message"),
    [
        pytest.param(result(content="sunny"), {"content": "sunny"}, id="string"),
        pytest.param(result(), {"content": ""}, id="nothing"),
        pytest.param(
            result(content=[text("sunny"), text("21 °C")]),
            {"content": "sunny\n21 °C"},
            id="blocks of text",
        ),
        pytest.param(
            result(content="no such city", is_error=True),
            {"content": "Error: no such city"},
            id="error",
        ),
        pytest.param(
            result(content="Error: no such city", is_error=True),
            {"content": "Error: no such city"},
            id="error that says so",
        ),
        pytest.param(result(content="sunny", is_error=False), {"content": "sunny"}, id="no error"),
        pytest.param(
            result(content="sunny", cache_control=EPHEMERAL),
            {"content": "sunny", "cache_control": EPHEMERAL},
            id="cached",
        ),
        pytest.param(
            result(content=[text("sunny", cache_control=EPHEMERAL)]),
            {"content": "sunny", "cache_control": EPHEMERAL},
            id="cached inside",
        ),
    ],
)
def test_a_tool_result_is_a_tool_message(block: Fields, message: Fields) -> None:
    assert said(block) == [{"role": "tool", "tool_call_id": "toolu_1", **message}]


def test_tool_messages_come_first_then_what_they_show_then_what_the_user_says() -> None:
    screenshot = result(content=[text("done"), {"type": "image", "source": PIXEL}])
    assert said(text("and now?"), screenshot, {**result(content="2"), "tool_use_id": "b"}) == [
        {"role": "tool", "tool_call_id": "toolu_1", "content": "done"},
        {"role": "tool", "tool_call_id": "b", "content": "2"},
        {"role": "user", "content": [PIXEL_PART, text("and now?")]},
    ]


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        pytest.param([text("Hi.")], {"content": "Hi."}, id="text"),
        pytest.param(
            [text("Hi."), text("You?")], {"content": [text("Hi."), text("You?")]}, id="texts"
        ),
        pytest.param(
            [text("Hi.", citations=[{"type": "char_location"}])],
            {"content": "Hi."},
            id="citations are not asked back",
        ),
        pytest.param([CALL], {"content": None, "tool_calls": [CALL_IN_CHAT]}, id="only a call"),
        pytest.param(
            [text("Let me look."), {**CALL, "cache_control": EPHEMERAL}],
            {
                "content": "Let me look.",
                "tool_calls": [{**CALL_IN_CHAT, "cache_control": EPHEMERAL}],
            },
            id="text and a cached call",
        ),
        pytest.param(
            [{"type": "thinking", "thinking": "Hm.", "signature": OURS}, text("Hi.")],
            {"content": "Hi.", "reasoning_content": "Hm."},
            id="thoughts of ours",
        ),
        pytest.param(
            [
                {"type": "thinking", "thinking": "Hm.", "signature": "EqQB"},
                {"type": "redacted_thinking", "data": "EmwK"},
                text("Hi."),
            ],
            {
                "content": "Hi.",
                "thinking_blocks": [
                    {"type": "thinking", "thinking": "Hm.", "signature": "EqQB"},
                    {"type": "redacted_thinking", "data": "EmwK"},
                ],
            },
            id="signed thoughts",
        ),
    ],
)
def test_an_earlier_answer_as_a_chat_message(blocks: list[Fields], message: Fields) -> None:
    assert replayed(*blocks) == message


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        pytest.param({"messages": None}, "messages", id="no messages"),
        pytest.param({"messages": []}, "messages", id="empty messages"),
        pytest.param({"messages": "hello"}, "messages", id="messages a string"),
        pytest.param({"messages": ["hello"]}, "messages[0]", id="message a string"),
        pytest.param({"messages": [{"content": "a"}]}, "messages[0].role", id="no role"),
        pytest.param(
            {"messages": [HELLO, {"role": "tool", "content": "a"}]},
            "messages[1].role",
            id="a chat role",
        ),
        pytest.param({"messages": [{"role": "user"}]}, "messages[0].content", id="no content"),
        pytest.param(
            {"messages": [{"role": "system"}]}, "messages[0].content", id="no system content"
        ),
        pytest.param(
            {"messages": [{"role": "user", "content": {"type": "text"}}]},
            "messages[0].content",
            id="content an object",
        ),
        pytest.param({"max_tokens": None}, "max_tokens", id="no max_tokens"),
        pytest.param({"max_tokens": 0}, "max_tokens", id="max_tokens zero"),
        pytest.param({"max_tokens": True}, "max_tokens", id="max_tokens a boolean"),
        pytest.param({"max_tokens": 1.5}, "max_tokens", id="max_tokens a fraction"),
        pytest.param({"system": 1}, "system", id="system a number"),
        pytest.param({"system": ["a"]}, "system[0]", id="system of strings"),
        pytest.param(
            {"system": [{"type": "image", "source": PIXEL}]}, "system[0].type", id="system image"
        ),
        pytest.param({"tools": {}}, "tools", id="tools an object"),
        pytest.param({"tools": ["weather"]}, "tools[0]", id="tool a string"),
        pytest.param({"tools": [{"input_schema": {}}]}, "tools[0].name", id="tool without name"),
        pytest.param({"tools": [{"name": "a"}]}, "tools[0].input_schema", id="tool without schema"),
        pytest.param({"tool_choice": "auto"}, "tool_choice", id="choice a string"),
        pytest.param({"tool_choice": {"name": "a"}}, "tool_choice.type", id="choice untyped"),
        pytest.param({"tool_choice": {"type": "all"}}, "tool_choice.type", id="choice of all"),
        pytest.param({"tool_choice": {"type": "tool"}}, "tool_choice.name", id="choice of which"),
        pytest.param({"stop_sequences": "END"}, "stop_sequences", id="stop a string"),
        pytest.param({"stop_sequences": [1]}, "stop_sequences", id="stop of numbers"),
        pytest.param({"metadata": "u1"}, "metadata", id="metadata a string"),
        pytest.param({"metadata": {"user_id": 1}}, "metadata.user_id", id="user a number"),
        pytest.param({"thinking": True}, "thinking", id="thinking a boolean"),
        pytest.param({"thinking": {"budget_tokens": 9}}, "thinking.type", id="thinking untyped"),
        pytest.param(
            {"thinking": {"type": "enabled"}}, "thinking.budget_tokens", id="thinking unbounded"
        ),
        pytest.param({"output_config": {"effort": 3}}, "output_config.effort", id="effort 3"),
        pytest.param(
            {"output_config": {"format": "json"}}, "output_config.format", id="format a string"
        ),
        pytest.param(
            {"output_config": {"format": {"type": "xml"}}}, "output_config.format.type", id="XML"
        ),
        pytest.param(
            {"output_format": {"type": "json_schema"}}, "output_format.schema", id="no schema"
        ),
    ],
)
def test_a_wrong_field_is_named(fields: Fields, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        asked(**fields)
    assert caught.value.param == param
    assert caught.value.message.startswith(f"'{param}' must be ")


@pytest.mark.parametrize(
    ("role", "block", "field"),
    [
        pytest.param("user", "hello", "", id="a string"),
        pytest.param("user", {"text": "hello"}, ".type", id="no type"),
        pytest.param("user", {"type": "text"}, ".text", id="no text"),
        pytest.param("user", {"type": "image"}, ".source", id="no source"),
        pytest.param("user", {"type": "image", "source": {}}, ".source.type", id="source untyped"),
        pytest.param(
            "user", {"type": "image", "source": {**PIXEL, "data": 1}}, ".source.data", id="no data"
        ),
        pytest.param(
            "user", {"type": "image", "source": {"type": "url"}}, ".source.url", id="no address"
        ),
        pytest.param(
            "user",
            {"type": "document", "source": PDF, "title": 1},
            ".title",
            id="title a number",
        ),
        pytest.param("user", {"type": "tool_result"}, ".tool_use_id", id="result of no call"),
        pytest.param("user", result(content=7), ".content", id="result a number"),
        pytest.param(
            "user", result(content=[{"type": "text"}]), ".content[0].text", id="result untold"
        ),
        pytest.param("user", CALL, ".type", id="a user's call"),
        pytest.param("assistant", result(content="a"), ".type", id="an assistant's result"),
        pytest.param("assistant", {**CALL, "id": None}, ".id", id="call without id"),
        pytest.param("assistant", {**CALL, "name": None}, ".name", id="call without name"),
        pytest.param("assistant", {**CALL, "input": "{}"}, ".input", id="call with text for input"),
        pytest.param(
            "assistant", {"type": "thinking", "signature": OURS}, ".thinking", id="no thoughts"
        ),
    ],
)
def test_a_wrong_block_is_named(role: str, block: object, field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        conversation({"role": role, "content": [block]})
    assert caught.value.param == f"messages[0].content[0]{field}"


def in_content(*blocks: object) -> Fields:
    return {"messages": [{"role": "user", "content": list(blocks)}]}


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        pytest.param({}, None, id="a greeting"),
        pytest.param({"tools": [WEATHER, {**WEATHER, "type": "custom"}]}, None, id="own tools"),
        pytest.param(
            {"tools": [WEATHER, {"type": "web_search_20250305", "name": "web_search"}]},
            "tools[1]: web_search_20250305",
            id="server tool",
        ),
        pytest.param({"mcp_servers": [{"name": "a"}]}, "mcp_servers", id="MCP servers"),
        pytest.param({"mcp_servers": []}, None, id="no MCP server"),
        pytest.param({"container": "c1"}, "container", id="container"),
        pytest.param({"context_management": {"edits": []}}, None, id="context management"),
        pytest.param(
            in_content(text("a"), {"type": "server_tool_use", "id": "b"}),
            "messages[0].content[1]: server_tool_use",
            id="server tool's call",
        ),
        *(
            pytest.param(in_content({"type": name}), f"messages[0].content[0]: {name}", id=name)
            for name in (
                *("web_search_tool_result", "code_execution_tool_result", "mcp_tool_use"),
                *("container_upload", "a_block_of_tomorrow"),
            )
        ),
        pytest.param(
            in_content({"type": "search_result", "citations": {"enabled": True}}),
            "messages[0].content[0]: search_result with citations",
            id="cited search result",
        ),
        pytest.param(
            in_content({"type": "document", "source": PDF, "citations": {"enabled": True}}),
            "messages[0].content[0]: document with citations",
            id="cited document",
        ),
        pytest.param(
            in_content({"type": "document", "source": PDF, "citations": {"enabled": False}}),
            None,
            id="uncited document",
        ),
        pytest.param(
            in_content({"type": "document", "source": {"type": "url", "url": "https://a"}}),
            "messages[0].content[0]: document from a source of type url",
            id="document address",
        ),
        pytest.param(
            in_content({"type": "image", "source": {"type": "file", "file_id": "f1"}}),
            "messages[0].content[0]: image from a source of type file",
            id="stored image",
        ),
        pytest.param(
            in_content(result(content=[text("a"), {"type": "tool_reference", "tool_name": "b"}])),
            "messages[0].content[0].content[1]: tool_reference",
            id="inside a tool result",
        ),
        pytest.param(
            in_content(
                {
                    "type": "document",
                    "source": {
                        "type": "content",
                        "content": [{"type": "image", "source": {"type": "file"}}],
                    },
                }
            ),
            "messages[0].content[0].source.content[0]: image from a source of type file",
            id="inside a document",
        ),
        pytest.param({"system": [{"type": "fallback"}]}, "system[0]: fallback", id="system"),
        pytest.param(
            {"messages": ["a", {"content": 1}, {"content": ["b", {"type": 2}]}], "tools": "c"},
            None,
            id="what is not the protocol",
        ),
    ],
)
def test_what_only_a_server_of_the_protocol_can_serve(fields: Fields, what: str | None) -> None:
    assert native_only({"max_tokens": 9, "messages": [HELLO], **fields}) == what


def test_what_chat_has_no_words_for_is_left_out() -> None:
    assert said(text("a"), {"type": "container_upload", "file_id": "f1"}) == [
        {"role": "user", "content": "a"}
    ]


def chat_of(message: Mapping[str, Any], **choice: Any) -> Fields:
    choice = {"index": 0, "finish_reason": "stop", "message": message, **choice}
    return {"id": "chatcmpl-7f3c-11", "model": "m1", "choices": [choice]}


def called(name: str, arguments: object, **fields: Any) -> Fields:
    return {"type": "function", "function": {"name": name, "arguments": arguments}, **fields}


def tool_use(id: str, name: str, input: Fields) -> Fields:
    return {"type": "tool_use", "id": id, "name": name, "input": input}


def thought(words: str, signature: str = OURS) -> Fields:
    return {"type": "thinking", "thinking": words, "signature": signature}


ANSWERS = [
    pytest.param({"content": "Hi."}, [text("Hi.")], id="text"),
    pytest.param({"content": None}, [], id="nothing"),
    pytest.param({"content": ""}, [], id="empty text"),
    pytest.param({"content": [text("a"), text("b")]}, [text("ab")], id="text in parts"),
    pytest.param(
        {"content": "Hi.", "reasoning_content": "Hm."}, [thought("Hm."), text("Hi.")], id="thoughts"
    ),
    pytest.param(
        {"content": "Hi.", "reasoning": "Hm."},
        [thought("Hm."), text("Hi.")],
        id="thoughts under the newer name",
    ),
    pytest.param(
        {
            "content": "Hi.",
            "reasoning_content": "Hm.",
            "thinking_blocks": [
                thought("Hm.", "EqQB"),
                {"type": "redacted_thinking", "data": "EmwK"},
            ],
        },
        [thought("Hm.", "EqQB"), {"type": "redacted_thinking", "data": "EmwK"}, text("Hi.")],
        id="signed thoughts are told once",
    ),
    pytest.param(
        {"thinking_blocks": [{"type": "thinking", "thinking": "Hm."}]},
        [thought("Hm.")],
        id="a block that nobody signed",
    ),
    pytest.param(
        {"thinking_blocks": [thought("", "EqQB")]}, [thought("", "EqQB")], id="hidden thoughts"
    ),
    pytest.param({"refusal": "I won't."}, [text("I won't.")], id="refusal"),
    pytest.param(
        {"content": "Let me look.", "tool_calls": [called("weather", '{"a": 1}', id="call_1")]},
        [text("Let me look."), tool_use("call_1", "weather", {"a": 1})],
        id="text and a call",
    ),
    pytest.param(
        {"tool_calls": [called("a", "{}", id="x", index=0), called("b", "{}", id="y", index=1)]},
        [tool_use("x", "a", {}), tool_use("y", "b", {})],
        id="calls",
    ),
    pytest.param(
        {"tool_calls": [called("a", "", id="x")]}, [tool_use("x", "a", {})], id="no arguments"
    ),
    pytest.param(
        {"tool_calls": [called("a", {"b": 1}, id="x")]},
        [tool_use("x", "a", {"b": 1})],
        id="arguments as an object",
    ),
    pytest.param(
        {"tool_calls": [called("a", "{}"), called("b", "{}", index=1)]},
        [tool_use("toolu_7f3c11_0", "a", {}), tool_use("toolu_7f3c11_1", "b", {})],
        id="calls without ids",
    ),
    pytest.param(
        {"function_call": {"name": "a", "arguments": "{}"}},
        [tool_use("toolu_7f3c11_0", "a", {})],
        id="a call of the first tools API",
    ),
]


@pytest.mark.parametrize(("message", "content"), ANSWERS)
def test_an_answer_as_blocks(message: Fields, content: list[Fields]) -> None:
    message_object = answer(chat_of({"role": "assistant", **message}), "auto")
    assert message_object["content"] == content
    Message.model_validate(message_object)


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param('{"a": ', id="broken off"),
        pytest.param("[1]", id="an array"),
        pytest.param('{"a": NaN}', id="not a number"),
        pytest.param('{"a": "\\ud83d"}', id="half a surrogate pair"),
        pytest.param('{"a": "\ud83d"}', id="half a surrogate pair, unescaped"),
    ],
)
def test_arguments_that_are_no_json_object_stand_in_one(arguments: str) -> None:
    message = answer(chat_of({"tool_calls": [called("a", arguments, id="x")]}), "auto")
    assert message["content"] == [tool_use("x", "a", {"arguments": arguments})]


def test_an_answer_has_its_own_model_and_the_chats_id() -> None:
    assert answer(chat_of({"content": "Hi."}), "auto") == {
        "id": "msg_7f3c11",
        "type": "message",
        "role": "assistant",
        "model": "m1",
        "content": [text("Hi.")],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 0,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": 0,
        },
    }


def test_an_answer_without_id_model_and_choice_is_still_a_message() -> None:
    message = answer({}, "auto")
    assert (message["id"], message["model"], message["content"]) == ("msg_hydra", "auto", [])
    Message.model_validate(message)


CALLED = {"tool_calls": [called("a", "{}", id="x")]}
ENDINGS = [
    pytest.param({}, {"finish_reason": "stop"}, "end_turn", None, id="stop"),
    pytest.param({}, {"finish_reason": "length"}, "max_tokens", None, id="length"),
    pytest.param(CALLED, {"finish_reason": "tool_calls"}, "tool_use", None, id="tool calls"),
    pytest.param(CALLED, {"finish_reason": "function_call"}, "tool_use", None, id="first API"),
    pytest.param(CALLED, {"finish_reason": "stop"}, "tool_use", None, id="a call that was forced"),
    pytest.param(CALLED, {"finish_reason": "length"}, "max_tokens", None, id="a call broken off"),
    pytest.param({}, {"finish_reason": "content_filter"}, "refusal", None, id="filter"),
    pytest.param({"refusal": "No."}, {"finish_reason": "stop"}, "refusal", None, id="refusal"),
    pytest.param({}, {"finish_reason": None}, "end_turn", None, id="no reason"),
    pytest.param({}, {"finish_reason": "eos"}, "end_turn", None, id="another reason"),
    pytest.param({}, {"stop_reason": "END"}, "stop_sequence", "END", id="vLLM's sequence"),
    pytest.param({}, {"stop_reason": 128009}, "end_turn", None, id="vLLM's token"),
    pytest.param({}, {"stop_reason": "end_turn"}, "end_turn", None, id="another's stop reason"),
    pytest.param(
        {},
        {"provider_specific_fields": {"stop_reason": "stop_sequence", "stop_sequence": "END"}},
        "stop_sequence",
        "END",
        id="litellm's sequence",
    ),
    pytest.param(
        {},
        {"provider_specific_fields": {"stop_reason": "END"}},
        "stop_sequence",
        "END",
        id="vLLM's sequence through litellm",
    ),
]


@pytest.mark.parametrize(("message", "choice", "reason", "sequence"), ENDINGS)
def test_why_an_answer_stopped(
    message: Fields, choice: Fields, reason: str, sequence: str | None
) -> None:
    found = answer(chat_of(message, **choice), "auto")
    assert (found["stop_reason"], found["stop_sequence"]) == (reason, sequence)


def counts(input: int, written: int, read: int, output: int) -> Fields:
    return {
        "input_tokens": input,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": read,
        "output_tokens": output,
    }


USAGES = [
    pytest.param(
        {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
        counts(10, 0, 0, 5),
        id="plain",
    ),
    pytest.param(
        {
            "prompt_tokens": 10,
            "completion_tokens": 5,
            "prompt_tokens_details": {"cached_tokens": 4, "cache_creation_tokens": 3},
        },
        counts(3, 3, 4, 5),
        id="details",
    ),
    pytest.param(
        {
            "prompt_tokens": 10,
            "completion_tokens": 5,
            "prompt_tokens_details": {"cached_tokens": None},
            "cache_read_input_tokens": 4,
            "cache_creation_input_tokens": 3,
        },
        counts(3, 3, 4, 5),
        id="litellm's fields",
    ),
    pytest.param(
        {
            "prompt_tokens": 10,
            "completion_tokens": 5,
            "prompt_tokens_details": {"cache_write_tokens": 3},
        },
        counts(7, 3, 0, 5),
        id="OpenAI's name for writes",
    ),
    pytest.param(
        {
            "prompt_tokens": 2,
            "completion_tokens": 5,
            "prompt_tokens_details": {"cached_tokens": 4},
        },
        counts(0, 0, 4, 5),
        id="a prompt count without the cache",
    ),
    pytest.param({"prompt_tokens": None}, counts(0, 0, 0, 0), id="no counts"),
]


@pytest.mark.parametrize(("usage", "tokens"), USAGES)
def test_usage_counts_the_cache_apart(usage: Fields, tokens: Fields) -> None:
    assert answer({**chat_of({"content": "Hi."}), "usage": usage}, "auto")["usage"] == tokens


def chunk(delta: Mapping[str, Any] | None = None, **choice: Any) -> Fields:
    choices = [] if delta is None else [{"index": 0, "delta": delta, **choice}]
    return {"id": "chatcmpl-7f3c-11", "model": "m1", "choices": choices}


def streamed(chunks: Iterable[Mapping[str, Any]]) -> list[Fields]:
    stream = Stream("auto")
    return [event for chunk in chunks for event in stream.events(chunk)] + stream.end()


def deltas(*deltas: Mapping[str, Any]) -> list[Fields]:
    return streamed(chunk(delta) for delta in deltas)


def started(events: Sequence[Fields]) -> list[Fields]:
    return [event["content_block"] for event in events if event["type"] == "content_block_start"]


def blocks(events: Sequence[Fields]) -> list[Fields]:
    """The blocks that the events tell, a call's arguments as the text they came in.

    Fails if the events are not in the protocol's order.
    """
    for event in events:
        EVENT.validate_python(event)
    kinds = [event["type"] for event in events]
    assert (kinds[0], kinds[-2:]) == ("message_start", ["message_delta", "message_stop"])
    told: list[Fields] = []
    allowed = {
        "message_start": {"content_block_start", "message_delta"},
        "content_block_start": {"content_block_delta", "content_block_stop"},
        "content_block_delta": {"content_block_delta", "content_block_stop"},
        "content_block_stop": {"content_block_start", "message_delta"},
        "message_delta": {"message_stop"},
    }
    for before, event in pairwise(events):
        assert event["type"] in allowed[before["type"]]
        match event["type"]:
            case "content_block_start":
                assert event["index"] == len(told)
                told.append({**event["content_block"]})
                if told[-1]["type"] == "tool_use":
                    assert told[-1].pop("input") == {}
                    told[-1]["arguments"] = ""
            case "content_block_delta":
                assert event["index"] == len(told) - 1
                add(told[-1], event["delta"])
            case "content_block_stop":
                assert event["index"] == len(told) - 1
    return told


def add(block: Fields, delta: Fields) -> None:
    field, value = {
        "text_delta": ("text", "text"),
        "thinking_delta": ("thinking", "thinking"),
        "signature_delta": ("signature", "signature"),
        "input_json_delta": ("arguments", "partial_json"),
    }[delta["type"]]
    assert delta[value], "a delta of nothing"
    assert field in block, "a delta of another kind of block"
    block[field] += delta[value]


def call(id: str, name: str, arguments: str) -> Fields:
    return {"type": "tool_use", "id": id, "name": name, "arguments": arguments}


def tools(*calls: Mapping[str, Any]) -> Fields:
    return {"tool_calls": list(calls)}


def fragment(index: int, arguments: str, id: str | None = None, name: str | None = None) -> Fields:
    return {"index": index, "id": id, "function": {"name": name, "arguments": arguments}}


def test_a_stream_of_text_is_one_block() -> None:
    chunks = [
        chunk({"role": "assistant", "content": ""}),
        chunk({"content": "Hel"}),
        chunk({"content": "lo"}),
        chunk({}, finish_reason="stop"),
        {**chunk(), "usage": {"prompt_tokens": 3, "completion_tokens": 2}},
    ]
    start: Fields = {
        "id": "msg_7f3c11",
        "type": "message",
        "role": "assistant",
        "model": "m1",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": counts(0, 0, 0, 0),
    }
    assert streamed(chunks) == [
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": text("")},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hel"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "lo"}},
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": counts(3, 0, 0, 2),
        },
        {"type": "message_stop"},
    ]


def test_the_first_chunk_starts_the_message_and_an_empty_one_adds_nothing() -> None:
    stream = Stream("auto")
    assert [event["type"] for event in stream.events(chunk({"role": "assistant"}))] == [
        "message_start"
    ]
    assert stream.events(chunk({})) == []
    assert stream.events(chunk({"content": None, "tool_calls": None})) == []
    assert stream.events(chunk(tools({"index": 0, "function": {}}))) == []


def test_a_stream_that_never_began_is_still_a_message() -> None:
    events = Stream("auto").end()
    assert blocks(events) == []
    assert events[0]["message"]["id"] == "msg_hydra"
    assert events[0]["message"]["model"] == "auto"
    assert events[1]["usage"] == {"output_tokens": 0}


@pytest.mark.parametrize(("message", "content"), ANSWERS)
def test_an_answer_in_one_chunk_gives_the_same_blocks(
    message: Fields, content: list[Fields]
) -> None:
    assert accumulated(deltas(message))["content"] == content


@pytest.mark.parametrize(("message", "choice", "reason", "sequence"), ENDINGS)
def test_why_a_stream_stopped(
    message: Fields, choice: Fields, reason: str, sequence: str | None
) -> None:
    events = streamed([chunk(message), chunk({}, **choice), chunk()])
    assert events[-2]["delta"] == {"stop_reason": reason, "stop_sequence": sequence}


@pytest.mark.parametrize(("usage", "tokens"), USAGES)
def test_the_last_usage_of_a_stream_is_its_usage(usage: Fields, tokens: Fields) -> None:
    first = {**chunk({"content": "Hi."}), "usage": {"prompt_tokens": 1, "completion_tokens": 1}}
    events = streamed([first, {**chunk(), "usage": usage}, {**chunk(), "usage": None}])
    assert events[-2]["usage"] == tokens


@pytest.mark.parametrize(
    ("chunks", "told"),
    [
        pytest.param(
            [{"reasoning_content": "H"}, {"reasoning_content": "m."}, {"content": "Hi."}],
            [thought("Hm."), text("Hi.")],
            id="thoughts, then text",
        ),
        pytest.param(
            [{"reasoning": "Hm.", "content": "Hi."}], [thought("Hm."), text("Hi.")], id="at once"
        ),
        pytest.param(
            [{"reasoning": "Hm.", "reasoning_content": "Hm."}], [thought("Hm.")], id="under 2 names"
        ),
        pytest.param(
            [
                {
                    "reasoning_content": "Hm.",
                    "thinking_blocks": [{"type": "thinking", "thinking": "Hm."}],
                },
                {"reasoning_content": "", "thinking_blocks": [thought("", "EqQB")]},
                {"content": "Hi."},
            ],
            [thought("Hm.", "EqQB"), text("Hi.")],
            id="signed thoughts are told once",
        ),
        pytest.param(
            [
                {"thinking_blocks": [thought("a", "s1")]},
                {"thinking_blocks": [{"type": "redacted_thinking", "data": "EmwK"}]},
                {"thinking_blocks": [{"type": "thinking", "thinking": "b"}]},
                {"thinking_blocks": [thought("", "s2")]},
                {"thinking_blocks": [thought("c", "s3")]},
            ],
            [
                thought("a", "s1"),
                {"type": "redacted_thinking", "data": "EmwK"},
                thought("b", "s2"),
                thought("c", "s3"),
            ],
            id="a signature completes a block",
        ),
        pytest.param(
            [{"content": "a"}, {"reasoning": "b"}, {"content": "c"}],
            [text("a"), thought("b"), text("c")],
            id="text between thoughts",
        ),
        pytest.param(
            [{"content": "I "}, {"refusal": "won't."}], [text("I won't.")], id="refusal after text"
        ),
        pytest.param(
            [
                {"content": "Let me look."},
                tools(fragment(0, "", "x", "a")),
                tools(fragment(0, '{"b"')),
                tools(fragment(0, ":1}")),
            ],
            [text("Let me look."), call("x", "a", '{"b":1}')],
            id="text, then a call",
        ),
        pytest.param(
            [
                tools(fragment(0, '{"b"', "x", "a"), fragment(1, '{"c', "y", "b")),
                tools(fragment(1, '":2}'), fragment(0, ":1}")),
            ],
            [call("x", "a", '{"b":1}'), call("y", "b", '{"c":2}')],
            id="calls interleaved",
        ),
        pytest.param(
            [
                tools(fragment(0, '{"b"', "x", "a")),
                {"content": "Well"},
                tools(fragment(0, ":1}")),
                {"content": "."},
            ],
            [call("x", "a", '{"b":1}'), text("Well.")],
            id="text amid a call",
        ),
        pytest.param(
            [tools(fragment(0, "", "x", "a")), tools(fragment(1, "", "y", "b"))],
            [call("x", "a", ""), call("y", "b", "")],
            id="calls without arguments",
        ),
        pytest.param(
            [
                tools(fragment(0, '{"b":', "x", "a")),
                tools(fragment(1, "{}", "y", "b")),
            ],
            [call("x", "a", '{"b":'), call("y", "b", "{}")],
            id="a call broken off before the next",
        ),
        pytest.param(
            [tools(fragment(0, "{}", "x", "a")), tools(fragment(0, "{}", "y", "a"))],
            [call("x", "a", "{}"), call("y", "a", "{}")],
            id="every call has the index 0",
        ),
        pytest.param(
            [tools(fragment(0, "{", "x", "a")), tools(fragment(0, "}", "x", "a"))],
            [call("x", "a", "{}")],
            id="id and name in every chunk",
        ),
        pytest.param(
            [tools(fragment(0, "{", "x", "a")), tools(fragment(0, "}", "y"))],
            [call("x", "a", "{}")],
            id="a new id in every chunk",
        ),
        pytest.param(
            [tools(fragment(0, "", None, "a")), tools(fragment(0, "{}", "x"))],
            [call("x", "a", "{}")],
            id="the id after the name",
        ),
        pytest.param(
            [tools(fragment(0, "{", "x")), tools(fragment(0, "}", None, "a"))],
            [call("x", "a", "{}")],
            id="the name after the arguments",
        ),
        pytest.param(
            [
                tools(fragment(0, "{}", "x", "a")),
                tools(fragment(1, "{", "y", "b")),
                tools(fragment(0, " ")),
                tools(fragment(1, "}")),
            ],
            [call("x", "a", "{}"), call("y", "b", "{}")],
            id="blanks after a call's end",
        ),
        pytest.param(
            [tools(fragment(0, "{}"))], [call("toolu_7f3c11_0", "", "{}")], id="never a name"
        ),
        pytest.param(
            [
                {"function_call": {"name": "a", "arguments": ""}},
                {"function_call": {"arguments": "{"}},
                {"function_call": {"arguments": "}"}},
            ],
            [call("toolu_7f3c11_0", "a", "{}")],
            id="a call of the first tools API",
        ),
    ],
)
def test_a_stream_as_blocks(chunks: list[Fields], told: list[Fields]) -> None:
    assert blocks(deltas(*chunks)) == told


def test_a_call_makes_room_for_the_next_as_soon_as_its_arguments_are_complete() -> None:
    stream = Stream("auto")
    stream.events(chunk(tools(fragment(0, '{"b":', "x", "a"))))
    assert stream.events(chunk(tools(fragment(1, "{", "y", "b")))) == []
    events = stream.events(chunk(tools(fragment(0, "1}"))))
    assert [(event["type"], event["index"]) for event in events] == [
        ("content_block_delta", 0),
        ("content_block_stop", 0),
        ("content_block_start", 1),
        ("content_block_delta", 1),
    ]
    assert [event["type"] for event in stream.events(chunk(tools(fragment(1, "}"))))] == [
        "content_block_delta"
    ]


def test_only_the_first_choice_is_told() -> None:
    other = {"index": 1, "delta": {"content": "Bye."}, "finish_reason": "length"}
    chunks = [chunk({"content": "Hi."}), {**chunk(), "choices": [other]}]
    events = streamed(chunks)
    assert blocks(events) == [text("Hi.")]
    assert events[-2]["delta"]["stop_reason"] == "end_turn"


WORDS = st.text(st.characters(codec="utf-8"), max_size=4)
INPUTS = st.dictionaries(WORDS, st.one_of(WORDS, st.lists(st.integers())), max_size=3)


@st.composite
def sequences(draw: st.DrawFn) -> tuple[list[Fields], str, str, dict[str, Fields]]:
    """Deltas in any order, and the text, the thoughts and the inputs by id that they tell."""
    inputs = {f"call_{n}": draw(INPUTS) for n in range(draw(st.integers(0, 3)))}
    queues: list[list[Fields]] = []
    for index, (id, value) in enumerate(inputs.items()):
        arguments = json.dumps(value)
        cut = draw(st.integers(0, len(arguments)))
        pieces = [fragment(index, arguments[:cut], id, "a"), fragment(index, arguments[cut:])]
        queues.append([tools(piece) for piece in pieces])
    said, thoughts = draw(st.lists(WORDS)), draw(st.lists(WORDS))
    queues += [[{"content": word} for word in said], [{"reasoning": word} for word in thoughts]]
    queues.append([{}] * draw(st.integers(0, 2)))
    deltas = []
    while any(queues):
        deltas.append(draw(st.sampled_from([queue for queue in queues if queue])).pop(0))
    return deltas, "".join(said), "".join(thoughts), inputs


@given(sequences())
def test_any_order_of_deltas_gives_well_formed_events_and_loses_nothing(
    drawn: tuple[list[Fields], str, str, dict[str, Fields]],
) -> None:
    chunks, said, thoughts, inputs = drawn
    events = deltas(*chunks)
    told = blocks(events)
    assert "".join(block.get("text", "") for block in told) == said
    assert "".join(block.get("thinking", "") for block in told) == thoughts
    calls = [block for block in told if block["type"] == "tool_use"]
    assert {block["id"]: json.loads(block["arguments"]) for block in calls} == inputs
    assert len(calls) == len(inputs)
    assert events[-2]["delta"]["stop_reason"] == ("tool_use" if inputs else "end_turn")


@given(
    st.lists(
        st.one_of(
            st.builds(
                fragment,
                st.integers(0, 2),
                st.sampled_from(["", "a", '{"', '"', "[", "1", "\\"]),
                st.none(),
                st.sampled_from([None, "a", "b"]),
            ).map(tools),
            st.builds(lambda word: {"content": word}, WORDS),
        )
    )
)
def test_arguments_that_are_no_json_are_not_lost_either(chunks: list[Fields]) -> None:
    told = blocks(deltas(*chunks))
    sent: dict[int, str] = {}
    for delta in chunks:
        for piece in delta.get("tool_calls", ()):
            arguments, name = piece["function"]["arguments"], piece["function"]["name"]
            if arguments or name or piece["index"] in sent:
                sent[piece["index"]] = sent.get(piece["index"], "") + arguments
    assert [b["arguments"] for b in told if b["type"] == "tool_use"] == list(sent.values())


def accumulated(events: Sequence[Fields]) -> Fields:
    """The message that Anthropic's own client makes of the events."""
    message, buffers = None, dict[int, bytes]()
    for event in events:
        message = accumulate_event(
            event=EVENT.validate_python(event), current_snapshot=message, json_bufs=buffers
        )
    assert message is not None
    return message.to_dict(mode="json")


@given(sequences())
def test_anthropics_client_reads_from_the_stream_what_was_sent(
    drawn: tuple[list[Fields], str, str, dict[str, Fields]],
) -> None:
    chunks, said, _, inputs = drawn
    usage = {"prompt_tokens": 7, "completion_tokens": 5}
    events = streamed([*(chunk(delta) for delta in chunks), {**chunk(), "usage": usage}])
    message = accumulated(events)
    content = message["content"]
    assert "".join(block.get("text", "") for block in content) == said
    assert {b["id"]: b["input"] for b in content if b["type"] == "tool_use"} == inputs
    assert message["usage"]["input_tokens"] == 7
    assert message["usage"]["output_tokens"] == 5


def test_thoughts_come_back_the_way_their_signature_says() -> None:
    message = {"content": "Hi.", "reasoning_content": "Hm."}
    assert replayed(*accumulated(deltas(message))["content"]) == message
    signed = {"content": "Hi.", "thinking_blocks": [thought("Hm.", "EqQB")]}
    assert replayed(*accumulated(deltas(signed))["content"]) == signed


def test_a_call_and_its_result_come_back_as_chat_messages() -> None:
    content = answer(chat_of({"tool_calls": [called("weather", '{"a":1}', id="c1")]}), "m")[
        "content"
    ]
    messages = conversation(
        {"role": "assistant", "content": content},
        {"role": "user", "content": [{**result(content="sunny"), "tool_use_id": "c1"}]},
    )
    assert messages[0]["tool_calls"] == [called("weather", '{"a":1}', id="c1")]
    assert messages[1] == {"role": "tool", "tool_call_id": "c1", "content": "sunny"}
