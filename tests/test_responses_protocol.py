"""The Responses protocol to chat and back: requests, whole answers, streams."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai import omit
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from gateway.errors import InvalidRequest
from gateway.history import OURS
from gateway.responses_answer import Stream, answer
from gateway.responses_request import native_only, sealed, to_chat

WEATHER = {
    "type": "function",
    "name": "weather",
    "description": "Of a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    "strict": True,
}
PATCH: dict[str, Any] = {"type": "custom", "name": "patch", "description": "Edit files."}
PNG = "data:image/png;base64,AA=="
EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
BLOCK = {"type": "thinking", "thinking": "Hm.", "signature": "s1"}


def messages(*items: Any, **fields: Any) -> Any:
    return to_chat({"model": "m", "input": list(items), **fields})["messages"]


def call(name: str, call_id: str, arguments: str = "{}") -> dict[str, Any]:
    return {"type": "function_call", "call_id": call_id, "name": name, "arguments": arguments}


def output(call_id: str, text: Any) -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": call_id, "output": text}


def chat_call(name: str, call_id: str, arguments: str = "{}") -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return {"id": call_id, "type": "function", "function": function}


def said(role: str, content: Any) -> dict[str, Any]:
    return {"role": role, "content": content}


# --- requests ---


@pytest.mark.parametrize(
    ("item", "message"),
    [
        pytest.param(said("user", "Hi"), said("user", "Hi"), id="easy message"),
        pytest.param(
            {"type": "message", **said("developer", "Be brief.")},
            said("developer", "Be brief."),
            id="developer stays",
        ),
        pytest.param(
            said("user", [{"type": "input_text", "text": "Hi"}]),
            said("user", "Hi"),
            id="one text part is a string",
        ),
        pytest.param(
            said("user", [{"type": "input_text", "text": t} for t in "ab"]),
            said("user", [{"type": "text", "text": t} for t in "ab"]),
            id="parts stay apart",
        ),
        pytest.param(
            {
                "type": "message",
                "id": "msg_1",
                "status": "completed",
                "role": "assistant",
                "content": [
                    {"type": "output_text", "text": "No: ", "annotations": []},
                    {"type": "refusal", "refusal": "I won't."},
                ],
            },
            said("assistant", "No: I won't."),
            id="an answer of before is text",
        ),
        pytest.param(
            said("user", [{"type": "input_image", "image_url": PNG, "detail": "low"}]),
            said("user", [{"type": "image_url", "image_url": {"url": PNG, "detail": "low"}}]),
            id="image",
        ),
        pytest.param(
            said("user", [{"type": "input_image", "image_url": PNG, "detail": "original"}]),
            said("user", [{"type": "image_url", "image_url": {"url": PNG, "detail": "high"}}]),
            id="chat has no detail original",
        ),
        pytest.param(
            said("user", [{"type": "input_image", "image_url": PNG}]),
            said("user", [{"type": "image_url", "image_url": {"url": PNG}}]),
            id="image without detail",
        ),
        pytest.param(
            said("user", [{"type": "input_file", "file_data": "data:,x", "filename": "a.pdf"}]),
            said(
                "user",
                [{"type": "file", "file": {"file_data": "data:,x", "filename": "a.pdf"}}],
            ),
            id="file",
        ),
        pytest.param(
            said("user", [{"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}]),
            said("user", [{"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}]),
            id="audio",
        ),
        pytest.param(
            said(
                "user",
                [{"type": "input_text", "text": "?"}, {"type": "input_image", "file_id": "f"}],
            ),
            said("user", "?"),
            id="what chat can't say is left out",
        ),
    ],
)
def test_a_message_becomes_a_chat_message(item: Any, message: Any) -> None:
    assert messages(item) == [message]


def test_a_string_is_a_user_message_after_the_instructions() -> None:
    assert to_chat({"input": "Hi", "instructions": "Be brief."})["messages"] == [
        said("system", "Be brief."),
        said("user", "Hi"),
    ]


def test_text_and_calls_of_one_turn_are_one_message() -> None:
    assert messages(
        said("user", "Go"),
        said("assistant", "Looking."),
        call("weather", "c1"),
        call("weather", "c2", ""),
        output("c1", "sun"),
        output("c2", [{"type": "input_text", "text": t} for t in ("rain", "wind")]),
        call("weather", "c3"),
        output("c3", ""),
        said("assistant", "Done."),
    ) == [
        said("user", "Go"),
        said("assistant", "Looking.")
        | {"tool_calls": [chat_call("weather", "c1"), chat_call("weather", "c2")]},
        {"role": "tool", "tool_call_id": "c1", "content": "sun"},
        {"role": "tool", "tool_call_id": "c2", "content": "rain\nwind"},
        said("assistant", None) | {"tool_calls": [chat_call("weather", "c3")]},
        {"role": "tool", "tool_call_id": "c3", "content": ""},
        said("assistant", "Done."),
    ]


@pytest.mark.parametrize(
    ("texts", "content"),
    [
        pytest.param(["a"], "a", id="once"),
        pytest.param(["a", "b"], "ab", id="twice"),
        pytest.param(
            ["a", [{"type": "input_image", "image_url": PNG}]],
            [
                {"type": "text", "text": "a"},
                {"type": "image_url", "image_url": {"url": PNG}},
            ],
            id="with an image",
        ),
    ],
)
def test_text_never_comes_between_calls_and_their_outputs(texts: list[Any], content: Any) -> None:
    found = messages(
        call("f", "c1"), *(said("assistant", text) for text in texts), output("c1", "x")
    )
    assert [message["role"] for message in found] == ["assistant", "tool"]
    assert found[0]["content"] == content


def test_two_texts_without_calls_are_two_messages() -> None:
    found = messages(said("assistant", "a"), said("assistant", "b"))
    assert found == [said("assistant", "a"), said("assistant", "b")]


@pytest.mark.parametrize("after", [said("user", "?"), said("assistant", "!"), None])
def test_images_of_tool_outputs_follow_the_tool_messages(after: Any) -> None:
    image = {"type": "input_image", "image_url": PNG}
    items = [call("f", "c1"), call("f", "c2"), output("c1", [image]), output("c2", "text")]
    found = messages(*items, *([after] if after else []))
    assert found[1]["content"] == "(attached in the next message)"
    assert found[2]["content"] == "text"
    assert found[3] == said("user", [{"type": "image_url", "image_url": {"url": PNG}}])
    assert found[4:] == ([after] if after else [])


def test_custom_calls_are_calls_of_a_function_of_one_string() -> None:
    found = messages(
        {"type": "custom_tool_call", "call_id": "c1", "name": "patch", "input": 'a "b"\n'},
        {"type": "custom_tool_call_output", "call_id": "c1", "output": "ok"},
    )
    assert json.loads(found[0]["tool_calls"][0]["function"]["arguments"]) == {"input": 'a "b"\n'}
    assert found[1] == {"role": "tool", "tool_call_id": "c1", "content": "ok"}


def reasoning(**fields: Any) -> dict[str, Any]:
    return {"type": "reasoning", "summary": [], "encrypted_content": sealed(fields)}


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        pytest.param(
            [reasoning(thinking_blocks=[BLOCK], reasoning_content="Hm."), said("assistant", "a")],
            [said("assistant", "a") | {"thinking_blocks": [BLOCK], "reasoning_content": "Hm."}],
            id="before a text",
        ),
        pytest.param(
            [reasoning(reasoning_content="Hm."), call("f", "c")],
            [
                said("assistant", None)
                | {"reasoning_content": "Hm.", "tool_calls": [chat_call("f", "c")]}
            ],
            id="before a call",
        ),
        pytest.param(
            [
                reasoning(thinking_blocks=[BLOCK], reasoning_content="1"),
                said("assistant", "a"),
                reasoning(thinking_blocks=[BLOCK], reasoning_content="2"),
                call("f", "c"),
            ],
            [
                said("assistant", "a")
                | {"thinking_blocks": [BLOCK, BLOCK], "reasoning_content": "12"}
                | {"tool_calls": [chat_call("f", "c")]}
            ],
            id="twice in a turn",
        ),
        pytest.param(
            [reasoning(reasoning_content="Hm."), said("user", "?"), said("assistant", "a")],
            [said("user", "?"), said("assistant", "a")],
            id="before nothing",
        ),
        pytest.param(
            [{"type": "reasoning", "encrypted_content": "gAAAA"}, said("assistant", "a")],
            [said("assistant", "a")],
            id="another server's",
        ),
        pytest.param(
            [{"type": "reasoning", "summary": []}, said("assistant", "a")],
            [said("assistant", "a")],
            id="without content",
        ),
        pytest.param(
            [reasoning(role="system", content="x"), said("assistant", "a")],
            [said("assistant", "a")],
            id="no field but the two",
        ),
    ],
)
def test_our_reasoning_goes_back_to_the_message_it_led_to(items: Any, expected: Any) -> None:
    assert messages(*items) == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param({}, {}, id="nothing"),
        pytest.param(
            {"tools": [WEATHER]},
            {
                "tools": [
                    {
                        "type": "function",
                        "function": {k: WEATHER[k] for k in WEATHER if k != "type"},
                    }
                ]
            },
            id="function",
        ),
        pytest.param(
            {"tools": [{"type": "function", "name": "f", "strict": None, "parameters": None}]},
            {"tools": [{"type": "function", "function": {"name": "f"}}]},
            id="null fields of a function",
        ),
        pytest.param(
            {"tools": [], "tool_choice": "auto", "parallel_tool_calls": True},
            {},
            id="chat refuses choices without tools",
        ),
        pytest.param({"tools": [{"type": "web_search"}]}, {}, id="hosted tools are left out"),
        pytest.param({"tool_choice": {"type": "mcp"}}, {}, id="choice of a hosted tool"),
        pytest.param({"tool_choice": "required"}, {"tool_choice": "required"}, id="impossible"),
        pytest.param({"text": {"format": {"type": "text"}}}, {}, id="text"),
        pytest.param(
            {"text": {"format": {"type": "json_object"}, "verbosity": "low"}},
            {"response_format": {"type": "json_object"}, "verbosity": "low"},
            id="json object",
        ),
        pytest.param(
            {
                "text": {
                    "format": {"type": "json_schema", "name": "n", "schema": {}, "strict": True}
                }
            },
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "n", "schema": {}, "strict": True},
                }
            },
            id="json schema",
        ),
        pytest.param(
            {"reasoning": {"effort": "low", "summary": "auto"}},
            {"reasoning_effort": "low"},
            id="effort",
        ),
        pytest.param({"reasoning": None, "text": None}, {}, id="nulls"),
        pytest.param({"max_output_tokens": 9}, {"max_completion_tokens": 9}, id="limit"),
        pytest.param({"top_logprobs": 2}, {"logprobs": True, "top_logprobs": 2}, id="top logprobs"),
        pytest.param(
            {"include": ["message.output_text.logprobs", "reasoning.encrypted_content"]},
            {"logprobs": True},
            id="logprobs",
        ),
        pytest.param(
            {
                "store": True,
                "truncation": "auto",
                "max_tool_calls": 3,
                "include": [],
                "background": False,
                "stream_options": {"include_obfuscation": False},
            },
            {},
            id="not forwarded",
        ),
        pytest.param(
            fields := {
                "temperature": 0.5,
                "top_p": 1,
                "user": "u",
                "metadata": {"a": "b"},
                "safety_identifier": "s",
                "prompt_cache_key": "k",
                "service_tier": "flex",
                "stream": True,
                "hydra": {"explain": True},
                "unknown": [1],
            },
            fields,
            id="the rest passes",
        ),
    ],
)
def test_fields_of_a_request_in_chats_words(fields: Any, expected: Any) -> None:
    chat = to_chat({"model": "m", "input": "Hi", **fields})
    assert chat == {"model": "m", "messages": [said("user", "Hi")], **expected}


@pytest.mark.parametrize(
    ("choice", "names", "expected"),
    [
        pytest.param("none", ["weather", "patch"], "none", id="none"),
        pytest.param(
            {"type": "function", "name": "weather"},
            ["weather", "patch"],
            {"type": "function", "function": {"name": "weather"}},
            id="function",
        ),
        pytest.param(
            {"type": "custom", "name": "patch"},
            ["weather", "patch"],
            {"type": "function", "function": {"name": "patch"}},
            id="custom",
        ),
        pytest.param(
            {
                "type": "allowed_tools",
                "mode": "required",
                "tools": [{"type": "custom", "name": "patch"}],
            },
            ["patch"],
            "required",
            id="allowed tools",
        ),
    ],
)
def test_the_choice_of_a_tool(choice: Any, names: list[str], expected: Any) -> None:
    body = {"input": "Hi", "tools": [WEATHER, PATCH], "parallel_tool_calls": False}
    chat = to_chat({**body, "tool_choice": choice})
    assert [tool["function"]["name"] for tool in chat["tools"]] == names
    assert chat["tool_choice"] == expected
    assert chat["parallel_tool_calls"] is False


def test_a_grammar_is_told_in_the_description() -> None:
    grammar = {"type": "grammar", "syntax": "lark", "definition": "start: /x/"}
    tools = [{**PATCH, "format": grammar}, {"type": "custom", "name": "bare"}]
    with_grammar, bare = (t["function"] for t in to_chat({"input": "", "tools": tools})["tools"])
    assert with_grammar["description"] == (
        "Edit files.\n\nThe input must match this lark grammar:\nstart: /x/"
    )
    assert "description" not in bare
    assert bare["parameters"]["required"] == ["input"]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        pytest.param({}, "input", id="no input"),
        pytest.param({"input": []}, "input", id="empty input"),
        pytest.param({"input": 5}, "input", id="input is a number"),
        pytest.param({"input": {}, "previous_response_id": "r"}, "input", id="an object"),
        pytest.param({"input": ["Hi"]}, "input[0]", id="item is a string"),
        pytest.param({"input": [{}]}, "input[0].role", id="item without role"),
        pytest.param({"input": [said("tool", "x")]}, "input[0].role", id="unknown role"),
        pytest.param({"input": [said([], "x")]}, "input[0].role", id="role is a list"),  # type: ignore[arg-type]
        pytest.param({"input": [{"role": "user"}]}, "input[0].content", id="no content"),
        pytest.param({"input": [said("user", ["x"])]}, "input[0].content[0]", id="part"),
        pytest.param(
            {"input": [said("user", [{"text": "x"}])]},
            "input[0].content[0].type",
            id="part without type",
        ),
        pytest.param(
            {"input": [said("user", [{"type": ["a"]}])]},
            "input[0].content[0].type",
            id="part type is a list",
        ),
        pytest.param(
            {"input": [said("user", [{"type": "input_text"}])]},
            "input[0].content[0].text",
            id="part without text",
        ),
        pytest.param(
            {"input": [said("user", [{"type": "input_image", "image_url": {"url": PNG}}])]},
            "input[0].content[0].image_url",
            id="chat's image",
        ),
        pytest.param(
            {"input": [said("user", [{"type": "input_file"}])]},
            "input[0].content[0].file_data",
            id="empty file",
        ),
        pytest.param(
            {"input": [said("user", [{"type": "input_audio", "input_audio": "x"}])]},
            "input[0].content[0].input_audio",
            id="audio is a string",
        ),
        pytest.param(
            {"input": [{"type": "function_call_output", "output": "x"}]},
            "input[0].call_id",
            id="output without call_id",
        ),
        pytest.param({"input": [output("c", None)]}, "input[0].output", id="no output"),
        pytest.param(
            {"input": [{"type": "function_call", "name": "f", "arguments": ""}]},
            "input[0].call_id",
            id="call without call_id",
        ),
        pytest.param({"input": [call("f", "c", {})]}, "input[0].arguments", id="arguments"),  # type: ignore[arg-type]
        pytest.param(
            {"input": [{"type": "custom_tool_call", "call_id": "c", "name": "f"}]},
            "input[0].input",
            id="custom call without input",
        ),
        pytest.param({"input": "", "tools": {}}, "tools", id="tools is an object"),
        pytest.param({"input": "", "tools": ["f"]}, "tools[0]", id="tool is a string"),
        pytest.param({"input": "", "tools": [{}]}, "tools[0].type", id="tool without type"),
        pytest.param({"input": "", "tools": [{"type": {}}]}, "tools[0].type", id="type {}"),
        pytest.param(
            {"input": "", "tools": [{"type": "function"}]}, "tools[0].name", id="tool, no name"
        ),
        pytest.param({"input": "", "tool_choice": "any"}, "tool_choice", id="choice"),
        pytest.param({"input": "", "tool_choice": {}}, "tool_choice.type", id="choice type"),
        pytest.param(
            {"input": "", "tool_choice": {"type": "function"}}, "tool_choice.name", id="choice name"
        ),
        pytest.param(
            {"input": "", "tool_choice": {"type": "allowed_tools", "tools": 1}},
            "tool_choice.tools",
            id="allowed tools",
        ),
        pytest.param({"input": "", "text": "json"}, "text", id="text"),
        pytest.param({"input": "", "text": {"format": "x"}}, "text.format", id="format"),
        pytest.param(
            {"input": "", "text": {"format": {"type": "xml"}}}, "text.format.type", id="format type"
        ),
        pytest.param({"input": "", "reasoning": "low"}, "reasoning", id="reasoning"),
        pytest.param({"input": "", "include": "x"}, "include", id="include"),
        pytest.param({"input": "", "instructions": ["x"]}, "instructions", id="instructions"),
        pytest.param(
            {"input": "", "max_output_tokens": True}, "max_output_tokens", id="max_output_tokens"
        ),
    ],
)
def test_what_is_not_the_protocol_is_refused_by_name(body: Any, param: str) -> None:
    native_only(body)  # may be asked first
    with pytest.raises(InvalidRequest) as caught:
        to_chat(body)
    assert caught.value.param == param
    assert param in caught.value.message


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("%%%", id="not base64"),
        pytest.param(base64.b64encode(b"[]").decode(), id="not an object"),
        pytest.param(base64.b64encode(b'{"reasoning_content":1}').decode(), id="a number"),
        pytest.param(base64.b64encode(b'{"thinking_blocks":{}}').decode(), id="blocks, an object"),
        pytest.param(base64.b64encode(b'{"thinking_blocks":["x"]}').decode(), id="a text block"),
        pytest.param(base64.b64encode(b'{"x":' + b"[" * 9999).decode(), id="bottomless"),
    ],
)
def test_reasoning_of_ours_that_was_altered_is_refused(content: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        messages({"type": "reasoning", "encrypted_content": OURS + content})
    assert caught.value.param == "input[0].encrypted_content"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param(
            {"store": True, "background": False, "tools": [WEATHER, PATCH]}, None, id="all ours"
        ),
        pytest.param({"previous_response_id": None, "conversation": None}, None, id="nulls"),
        pytest.param({"previous_response_id": "r"}, "previous_response_id", id="previous"),
        pytest.param({"conversation": "c"}, "conversation", id="conversation"),
        pytest.param({"prompt": {"id": "p"}}, "prompt", id="prompt"),
        pytest.param({"background": True}, "background", id="background"),
        pytest.param(
            {"tools": [WEATHER, {"type": "web_search"}]}, "tools[1]: web_search", id="hosted tool"
        ),
        pytest.param({"tool_choice": {"type": "mcp"}}, "tool_choice: mcp", id="hosted choice"),
        pytest.param(
            {"tool_choice": {"type": "allowed_tools", "tools": []}}, None, id="allowed tools"
        ),
        pytest.param(
            {"input": [said("user", "x"), {"type": "item_reference", "id": "i"}]},
            "input[1]: item_reference",
            id="reference",
        ),
        pytest.param({"input": [{"id": "i"}]}, "input[0]: item_reference", id="bare reference"),
        pytest.param(
            {"input": [{"type": "web_search_call", "id": "w"}]},
            "input[0]: web_search_call",
            id="hosted call",
        ),
        pytest.param(
            {"input": [said("user", [{"type": "input_image", "file_id": "f"}])]},
            "input[0].content[0]: file_id",
            id="image by id",
        ),
        pytest.param(
            {"input": [said("user", [{"type": "input_file", "file_url": "http://x"}])]},
            "input[0].content[0]: file_url",
            id="file by url",
        ),
        pytest.param(
            {"input": [output("c", [{"type": "input_file", "file_id": "f"}])]},
            "input[0].output[0]: file_id",
            id="file of a tool",
        ),
        pytest.param(
            {"input": [said("user", [{"type": "hologram"}])]},
            "input[0].content[0]: hologram",
            id="part of tomorrow",
        ),
        pytest.param(
            {"input": [{"type": "reasoning", "content": [{"type": "reasoning_text"}]}]},
            None,
            id="reasoning",
        ),
        pytest.param(
            {
                "input": [
                    said(
                        "user",
                        [
                            {"type": "input_text", "text": ""},
                            {"type": "input_file", "file_data": ""},
                            {"type": "input_image", "image_url": PNG},
                        ],
                    )
                ]
            },
            None,
            id="content",
        ),
    ],
)
def test_what_only_the_protocols_own_servers_can_do_is_named(fields: Any, expected: Any) -> None:
    body = {"model": "m", "input": "Hi", **fields}
    assert native_only(body) == expected
    to_chat(body)  # what remains can still be judged


@pytest.mark.parametrize("name", ["previous_response_id", "conversation", "prompt"])
@pytest.mark.parametrize("fields", [{}, {"input": []}, {"input": None}])
def test_input_may_be_absent_where_the_server_remembers(name: str, fields: Any) -> None:
    assert to_chat({"model": "m", name: "x", **fields}) == {"model": "m", "messages": []}


# --- answers ---

BODY = {"model": "auto", "input": "Hi", "tools": [WEATHER, PATCH]}
USAGE = {
    "prompt_tokens": 10,
    "completion_tokens": 5,
    "total_tokens": 15,
    "prompt_tokens_details": {"cached_tokens": 4},
    "completion_tokens_details": {"reasoning_tokens": 3},
}


def completion(message: Any, finish_reason: str = "stop", **fields: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": message, "finish_reason": finish_reason}
    logprobs = {"logprobs": fields.pop("logprobs")} if "logprobs" in fields else {}
    return {
        "id": "chatcmpl-7",
        "object": "chat.completion",
        "created": 99,
        "model": "served",
        "choices": [choice | logprobs],
        "usage": USAGE,
        **fields,
    }


def test_an_answer_is_a_response_that_openais_package_reads() -> None:
    body = {**BODY, "instructions": "Be brief.", "temperature": 0.2, "metadata": {"a": "b"}}
    found = answer(completion(said("assistant", "Hello")), body)
    response = Response.model_validate(found)
    assert response.output_text == "Hello"
    assert found == {
        "id": "resp_7",
        "object": "response",
        "created_at": 99,
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "instructions": "Be brief.",
        "max_output_tokens": None,
        "model": "served",
        "output": [
            {
                "id": "msg_7_0",
                "type": "message",
                "status": "completed",
                "role": "assistant",
                "content": [
                    {"type": "output_text", "text": "Hello", "annotations": [], "logprobs": []}
                ],
            }
        ],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "store": False,
        "temperature": 0.2,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [WEATHER, PATCH],
        "top_p": None,
        "truncation": "disabled",
        "usage": {
            "input_tokens": 10,
            "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 0},
            "output_tokens": 5,
            "output_tokens_details": {"reasoning_tokens": 3},
            "total_tokens": 15,
        },
        "user": None,
        "metadata": {"a": "b"},
    }


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        pytest.param(said("assistant", None), [], id="nothing"),
        pytest.param(said("assistant", ""), [], id="empty"),
        pytest.param(
            said("assistant", None)
            | {"tool_calls": [chat_call("weather", "c1", '{"city":"Rome"}')]},
            [
                {
                    "id": "fc_7_0",
                    "type": "function_call",
                    "status": "completed",
                    "call_id": "c1",
                    "name": "weather",
                    "arguments": '{"city":"Rome"}',
                }
            ],
            id="call",
        ),
        pytest.param(
            {"function_call": {"name": "weather", "arguments": ""}},
            [
                {
                    "id": "fc_7_0",
                    "type": "function_call",
                    "status": "completed",
                    "call_id": "call_7_0",
                    "name": "weather",
                    "arguments": "{}",
                }
            ],
            id="legacy call without arguments",
        ),
        pytest.param(
            {"tool_calls": [{"id": "c", "function": {"name": "f", "arguments": {"a": 1}}}]},
            [
                {
                    "id": "fc_7_0",
                    "type": "function_call",
                    "status": "completed",
                    "call_id": "c",
                    "name": "f",
                    "arguments": '{"a": 1}',
                }
            ],
            id="arguments as an object",
        ),
        pytest.param(
            {"tool_calls": [chat_call("patch", "c1", '{"input": "a\\n\\"b\\""}')]},
            [
                {
                    "id": "ctc_7_0",
                    "type": "custom_tool_call",
                    "status": "completed",
                    "call_id": "c1",
                    "name": "patch",
                    "input": 'a\n"b"',
                }
            ],
            id="custom call",
        ),
        pytest.param(
            {"content": "a", "refusal": "b"},
            [
                {
                    "id": "msg_7_0",
                    "type": "message",
                    "status": "completed",
                    "role": "assistant",
                    "content": [
                        {"type": "output_text", "text": "a", "annotations": [], "logprobs": []},
                        {"type": "refusal", "refusal": "b"},
                    ],
                }
            ],
            id="text and refusal",
        ),
        pytest.param(
            {"reasoning_content": "Hm.", "reasoning": "Hm.", "thinking_blocks": [BLOCK]},
            [
                {
                    "id": "rs_7_0",
                    "type": "reasoning",
                    "summary": [{"type": "summary_text", "text": "Hm."}],
                    "encrypted_content": sealed(
                        {"thinking_blocks": [BLOCK], "reasoning_content": "Hm."}
                    ),
                }
            ],
            id="reasoning under three names",
        ),
        pytest.param(
            {"thinking_blocks": [{"type": "redacted_thinking", "data": "x"}]},
            [
                {
                    "id": "rs_7_0",
                    "type": "reasoning",
                    "summary": [],
                    "encrypted_content": sealed(
                        {"thinking_blocks": [{"type": "redacted_thinking", "data": "x"}]}
                    ),
                }
            ],
            id="hidden reasoning",
        ),
    ],
)
def test_items_of_a_message(message: Any, expected: Any) -> None:
    found = answer(completion(message), BODY)
    assert found["output"] == expected
    Response.model_validate(found)


def test_content_in_parts_is_their_text() -> None:
    parts = [{"type": "thinking", "thinking": []}, {"type": "text", "text": "a"}, "?"]
    assert Response.model_validate(answer(completion({"content": parts}), {})).output_text == "a"


@pytest.mark.parametrize(
    ("finish_reason", "reason"),
    [("length", "max_output_tokens"), ("content_filter", "content_filter")],
)
def test_an_answer_cut_short_is_incomplete_in_its_last_item(
    finish_reason: str, reason: str
) -> None:
    message = {"content": "a", "tool_calls": [chat_call("weather", "c1", '{"ci')]}
    found = answer(completion(message, finish_reason), BODY)
    assert found["status"] == "incomplete"
    assert found["incomplete_details"] == {"reason": reason}
    assert [item["status"] for item in found["output"]] == ["completed", "incomplete"]
    assert found["output"][1]["arguments"] == '{"ci'
    Response.model_validate(found)


@pytest.mark.parametrize(
    "usage", [None, {}, {"completion_tokens": 4}, {"prompt_tokens": 0}], ids=str
)
def test_usage_that_is_unknown_is_null(usage: Any) -> None:
    assert answer(completion(said("assistant", "a"), usage=usage), BODY)["usage"] is None


def test_usage_of_anthropics_kind_is_added_up() -> None:
    usage = {
        "prompt_tokens": 9,
        "cache_read_input_tokens": 2,
        "cache_creation_input_tokens": 3,
    }
    found = Response.model_validate(answer(completion({}, usage=usage), BODY)).usage
    assert found is not None
    assert (found.total_tokens, found.input_tokens_details.cached_tokens) == (9, 2)
    assert found.input_tokens_details.cache_write_tokens == 3


def test_logprobs_are_the_texts() -> None:
    entry = {"token": "a", "logprob": -0.5, "bytes": None}
    logprobs = {"content": [{**entry, "top_logprobs": [entry]}]}
    found = answer(completion({"content": "a"}, logprobs=logprobs), BODY)
    expected = {**entry, "bytes": [], "top_logprobs": [{**entry, "bytes": []}]}
    assert found["output"][0]["content"][0]["logprobs"] == [expected]
    Response.model_validate(found)


def test_a_request_and_an_answer_with_nothing_in_them_still_give_a_response() -> None:
    found = answer({}, {"model": "m"})
    assert (found["id"], found["model"], found["output"]) == ("resp_0", "m", [])
    Response.model_validate(found)


def test_an_answer_goes_back_as_it_came() -> None:
    """The client appends the output to its input: the model gets its own message again."""
    message = {
        "role": "assistant",
        "content": "Looking.",
        "reasoning_content": "Hm.",
        "thinking_blocks": [BLOCK],
        "tool_calls": [
            chat_call("weather", "c1", '{"city": "Rome"}'),
            chat_call("patch", "c2", '{"input": "x"}'),
        ],
    }
    items = Response.model_validate(answer(completion(message), BODY)).output
    assert messages(*(item.model_dump(exclude_unset=True) for item in items)) == [message]


# --- streams ---


def chunk(delta: Any = None, finish_reason: str | None = None, **fields: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta or {}, "finish_reason": finish_reason}
    logprobs = {"logprobs": fields.pop("logprobs")} if "logprobs" in fields else {}
    return {
        "id": "chatcmpl-7",
        "object": "chat.completion.chunk",
        "created": 99,
        "model": "served",
        "choices": [choice | logprobs],
        **fields,
    }


def call_delta(index: int | None, arguments: str, call_id: str = "", name: str = "") -> Any:
    function = {"arguments": arguments, **({"name": name} if name else {})}
    return {"tool_calls": [{"index": index, "id": call_id or None, "function": function}]}


def streamed(*chunks: Any, body: Any = BODY) -> list[dict[str, Any]]:
    stream = Stream(body)
    events = [event for piece in chunks for event in stream.events(piece)]
    return [*events, *stream.end()]


def checked(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The events, after everything that must hold of any of them."""
    client: ResponseStreamState[Any] = ResponseStreamState(input_tools=omit, text_format=omit)
    for event in events:
        client.handle_event(EVENT.validate_python(event))
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    return events


def brief(events: list[dict[str, Any]]) -> list[str]:
    """Type and place of each event, without what all begin with."""
    return [
        event["type"].removeprefix("response.")
        + (f" {event['output_index']}" if "output_index" in event else "")
        for event in events
    ]


def test_a_text_comes_in_openais_order() -> None:
    events = checked(
        streamed(
            chunk({"role": "assistant", "content": ""}),
            chunk({"content": "Hel"}),
            chunk({"content": "lo"}),
            chunk({}, "stop"),
            {**chunk(usage=USAGE), "choices": []},
        )
    )
    assert brief(events) == [
        "created",
        "in_progress",
        "output_item.added 0",
        "content_part.added 0",
        "output_text.delta 0",
        "output_text.delta 0",
        "output_text.done 0",
        "content_part.done 0",
        "output_item.done 0",
        "completed",
    ]
    assert events[0]["response"]["status"] == "in_progress"
    assert events[-1]["response"] == answer(completion(said("assistant", "Hello")), BODY)


def test_reasoning_closes_where_the_answer_begins() -> None:
    """litellm sends Anthropic's thinking under two names, and its signature last."""
    thinking = {"type": "thinking", "signature": ""}
    events = checked(
        streamed(
            chunk({"reasoning_content": "H", "thinking_blocks": [thinking | {"thinking": "H"}]}),
            chunk({"reasoning_content": "m.", "thinking_blocks": [thinking | {"thinking": "m."}]}),
            chunk({"thinking_blocks": [thinking | {"thinking": "", "signature": "s1"}]}),
            chunk({"thinking_blocks": [{"type": "redacted_thinking", "data": "x"}]}),
            chunk({"content": "a"}),
            chunk({}, "stop", usage=USAGE),
        )
    )
    assert brief(events) == [
        "created",
        "in_progress",
        "output_item.added 0",
        "reasoning_summary_part.added 0",
        "reasoning_summary_text.delta 0",
        "reasoning_summary_text.delta 0",
        "reasoning_summary_text.done 0",
        "reasoning_summary_part.done 0",
        "output_item.done 0",
        "output_item.added 1",
        "content_part.added 1",
        "output_text.delta 1",
        "output_text.done 1",
        "content_part.done 1",
        "output_item.done 1",
        "completed",
    ]
    blocks = [BLOCK, {"type": "redacted_thinking", "data": "x"}]
    message = {"content": "a", "reasoning_content": "Hm.", "thinking_blocks": blocks}
    assert events[-1]["response"] == answer(completion(message), BODY)


def test_reasoning_that_goes_on_after_text_is_an_item_of_its_own() -> None:
    events = checked(
        streamed(chunk({"reasoning": "a"}), chunk({"content": "b"}), chunk({"reasoning": "c"}))
    )
    output = events[-1]["response"]["output"]
    assert [item["id"] for item in output] == ["rs_7_0", "msg_7_1", "rs_7_2"]


def test_calls_that_interleave_are_open_at_the_same_time() -> None:
    events = checked(
        streamed(
            chunk({"content": "Go."}),
            chunk(call_delta(0, "", "c1", "weather")),
            chunk(call_delta(1, '{"input"', "c2", "patch")),
            chunk(call_delta(0, '{"a"')),
            chunk(call_delta(1, ': "x\\')),
            chunk(call_delta(0, ":1}")),
            chunk(call_delta(1, 'ny"}')),
            chunk({}, "tool_calls", usage=USAGE),
        )
    )
    assert brief(events)[2:] == [
        "output_item.added 0",
        "content_part.added 0",
        "output_text.delta 0",
        "output_item.added 1",
        "output_item.added 2",
        "function_call_arguments.delta 1",
        "custom_tool_call_input.delta 2",
        "function_call_arguments.delta 1",
        "custom_tool_call_input.delta 2",
        "output_text.done 0",
        "content_part.done 0",
        "output_item.done 0",
        "function_call_arguments.done 1",
        "output_item.done 1",
        "custom_tool_call_input.done 2",
        "output_item.done 2",
        "completed",
    ]
    calls = [chat_call("weather", "c1", '{"a":1}'), chat_call("patch", "c2", '{"input": "x\\ny"}')]
    message = {"content": "Go.", "tool_calls": calls}
    assert events[-1]["response"] == answer(completion(message), BODY)


@pytest.mark.parametrize("index", [0, None])
def test_calls_that_share_an_index_are_told_apart_by_their_ids(index: int | None) -> None:
    events = checked(
        streamed(
            chunk(call_delta(index, '{"a":1}', "c1", "weather")),
            chunk(call_delta(index, '{"a":2}', "c2", "weather")),
            chunk(call_delta(index, '{"a":3}', "c3", "weather")),
        )
    )
    output = events[-1]["response"]["output"]
    assert [(item["call_id"], item["arguments"]) for item in output] == [
        ("c1", '{"a":1}'),
        ("c2", '{"a":2}'),
        ("c3", '{"a":3}'),
    ]


def test_arguments_wait_for_the_name() -> None:
    events = checked(
        streamed(
            chunk(call_delta(0, "{", "c1")),
            chunk({"tool_calls": [{"index": 0, "function": {"name": "weather"}}]}),
            chunk(call_delta(0, "}")),
            chunk(call_delta(1, "{}", "c2")),
        )
    )
    assert [item["arguments"] for item in events[-1]["response"]["output"]] == ["{}", "{}"]
    assert [item["name"] for item in events[-1]["response"]["output"]] == ["weather", ""]


def test_a_legacy_function_call_is_the_first_call() -> None:
    events = checked(
        streamed(
            chunk({"function_call": {"name": "weather", "arguments": "{"}}),
            chunk({"function_call": {"arguments": "}"}}, "function_call", usage=USAGE),
        )
    )
    message = {"function_call": {"name": "weather", "arguments": "{}"}}
    assert events[-1]["response"] == answer(completion(message), BODY)


def test_only_the_first_choice_is_told() -> None:
    other = {"index": 1, "delta": {"content": "b"}, "finish_reason": "length"}
    events = checked(streamed({**chunk(), "choices": [other]}, chunk({"content": "a"}, "stop")))
    assert Response.model_validate(events[-1]["response"]).output_text == "a"


def test_logprobs_come_with_their_delta() -> None:
    entries = [
        {"token": token, "logprob": -0.5, "bytes": [97], "top_logprobs": []} for token in "abc"
    ]
    events = checked(
        streamed(
            chunk({"content": "a"}, logprobs={"content": entries[:1]}),
            chunk({"content": "b"}, logprobs={"content": entries[1:2]}),
            chunk({}, "stop", logprobs={"content": entries[2:]}),
        )
    )
    deltas = [event["logprobs"] for event in events if event["type"].endswith("text.delta")]
    assert deltas == [entries[:1], entries[1:2]]
    done = next(event for event in events if event["type"].endswith("text.done"))
    assert done["logprobs"] == entries
    assert events[-1]["response"]["output"][0]["content"][0]["logprobs"] == entries


def test_a_refusal_is_a_part_of_its_own() -> None:
    events = checked(streamed(chunk({"refusal": "I "}), chunk({"refusal": "won't."}, "stop")))
    assert brief(events)[3:-2] == [
        "content_part.added 0",
        "refusal.delta 0",
        "refusal.delta 0",
        "refusal.done 0",
        "content_part.done 0",
    ]


@pytest.mark.parametrize("chunks", [[], [chunk({"content": "a"})]])
def test_a_provider_that_breaks_off_fails_the_response(chunks: list[Any]) -> None:
    stream = Stream(BODY)
    events = [event for piece in chunks for event in stream.events(piece)]
    events += stream.failed("server_error", "The provider broke off.")
    checked(events)
    assert [e["type"] for e in events].count("response.failed") == 1
    response = events[-1]["response"]
    assert (response["status"], response["output"]) == ("failed", [])
    assert response["error"] == {"code": "server_error", "message": "The provider broke off."}


def test_an_empty_stream_is_an_empty_response() -> None:
    assert brief(checked(streamed())) == ["created", "in_progress", "completed"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        pytest.param('{"input": "a\\tb\\u00e9\\/\\\\"}', "a\tbé/\\", id="escapes"),
        pytest.param('{"input": "\\ud83d\\ude00!"}', "😀!", id="a pair"),
        pytest.param('{"input": "\\ud83dx"}', "\ufffdx", id="half a pair"),
        pytest.param('{"input": "\\ud83d\\n"}', "\ufffd\n", id="half a pair, then an escape"),
        pytest.param('{"input": "\\ud83d"}', "\ufffd", id="half a pair at the end"),
        pytest.param('{"input": "\\ude00"}', "\ufffd", id="the second half alone"),
        pytest.param('{"input": "\\d+\\u12"}', "\\d+\\u12", id="escapes that JSON doesn't know"),
        pytest.param('{"input": "\\\\u0041"}', "\\u0041", id="an escaped backslash"),
        pytest.param('{"input": "a\nb"}', "a\nb", id="a newline as it is"),
        pytest.param('{"input": ""}', "", id="empty"),
        pytest.param('{"input": "a", "x": 1}', "a", id="another field after it"),
        pytest.param('{"x": 1, "input": "\\ud83d"}', "\ufffd", id="another field before it"),
        pytest.param('{"patch": "a"}', '{"patch": "a"}', id="another name"),
        pytest.param('{"input": 1}', '{"input": 1}', id="not a string"),
        pytest.param("*** Begin Patch", "*** Begin Patch", id="not JSON"),
        pytest.param('["a"]', '["a"]', id="an array"),
        pytest.param('{"input": "a\\', "a", id="cut"),
        pytest.param("", "", id="nothing"),
    ],
)
def test_a_custom_tools_input_is_the_text_in_its_arguments(arguments: str, text: str) -> None:
    whole = answer(completion({"tool_calls": [chat_call("patch", "c1", arguments)]}), BODY)
    events = checked(
        streamed(
            chunk(call_delta(0, "", "c1", "patch")),
            *(chunk(call_delta(0, character)) for character in arguments),
            chunk({}, "tool_calls", usage=USAGE),
        )
    )
    assert whole["output"][0]["input"] == text
    assert events[-1]["response"]["output"] == whole["output"]
    assert "".join(deltas_of(events, 0)) == text


def deltas_of(events: list[dict[str, Any]], index: int) -> list[str]:
    """An item's deltas, part by part: text and refusal may come mixed."""
    own = [e for e in events if e.get("output_index") == index and "delta" in e]
    return [e["delta"] for e in sorted(own, key=lambda e: e.get("content_index", 0))]


# --- properties ---

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
CALL = st.tuples(st.sampled_from(["weather", "patch", "other"]), TEXT)


@st.composite
def answers(draw: st.DrawFn) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A chat message and one of the ways in which a server may cut it into deltas."""

    def cut(text: str) -> list[str]:
        at = sorted(draw(st.lists(st.integers(0, len(text)), max_size=4)))
        return [text[a:b] for a, b in zip([0, *at], [*at, len(text)], strict=True)]

    message: dict[str, Any] = {"role": "assistant", "content": None}
    deltas: list[dict[str, Any]] = [{"role": "assistant"}]
    for name in ("reasoning_content", "content", "refusal"):
        text = draw(TEXT)
        if text:
            message[name] = text
            deltas += [{name: piece} for piece in cut(text)]
    rows: list[list[dict[str, Any]]] = []
    for index, (name, text) in enumerate(draw(st.lists(CALL, max_size=3))):
        arguments = json.dumps({"input": text}, ensure_ascii=draw(st.booleans()))
        message.setdefault("tool_calls", []).append(chat_call(name, f"c{index}", arguments))
        deltas.append(call_delta(index, "", f"c{index}", name))
        rows.append([call_delta(index, piece) for piece in cut(arguments)])
    while any(rows):
        row = draw(st.sampled_from([row for row in rows if row]))
        deltas.append(row.pop(0))
    return message, deltas


@given(answers(), st.sampled_from(["stop", "length", "content_filter"]), st.booleans())
def test_a_stream_tells_what_the_whole_answer_tells(
    made: tuple[dict[str, Any], list[dict[str, Any]]], finish_reason: str, counts: bool
) -> None:
    message, deltas = made
    usage = USAGE if counts else None
    events = checked(
        streamed(
            *(chunk(delta) for delta in deltas),
            chunk({}, finish_reason),
            {**chunk(usage=usage), "choices": []},
        )
    )
    response = events[-1]["response"]
    assert response == answer(completion(message, finish_reason, usage=usage), BODY)
    Response.model_validate(response)
    assert_well_formed(events)


@given(
    st.lists(answers(), min_size=1, max_size=3).flatmap(
        lambda made: st.permutations([d for _, deltas in made for d in deltas])
    )
)
def test_events_are_well_formed_in_whatever_order_deltas_come(deltas: list[Any]) -> None:
    events = checked(streamed(*(chunk(delta) for delta in deltas), chunk({}, "stop")))
    Response.model_validate(events[-1]["response"])
    assert_well_formed(events)


def assert_well_formed(events: list[dict[str, Any]]) -> None:
    """Each item opens once, closes once, tells nothing before or after; deltas make up the end."""
    output = events[-1]["response"]["output"]
    assert len({item["id"] for item in output}) == len(output)
    opened = [e["output_index"] for e in events if e["type"] == "response.output_item.added"]
    assert opened == list(range(len(output)))
    for index, item in enumerate(output):
        own = [event for event in events if event.get("output_index") == index]
        assert own[0]["type"] == "response.output_item.added"
        assert own[0]["item"]["id"] == item["id"]
        assert own[-1] == own[-1] | {"type": "response.output_item.done", "item": item}
        assert {event["item_id"] for event in own[1:-1]} <= {item["id"]}
        assert "".join(deltas_of(events, index)) == text_of(item)


def text_of(item: dict[str, Any]) -> str:
    if item["type"] == "message":
        return "".join(part.get("text", part.get("refusal")) for part in item["content"])
    if item["type"] == "reasoning":
        return "".join(part["text"] for part in item["summary"])
    return str(item.get("arguments", item.get("input")))
