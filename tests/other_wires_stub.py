"""The scripted provider's other wires: Anthropic's Messages, OpenAI's Responses, and the two older.

Both judge what they get as strictly as the real servers are documented to, and refuse in their own
shape; what they answer is in upstream_stub.py's way picked by the model's name:

tools          two parallel tool calls when tools are offered and no result has come back yet
think          thinks before it speaks
status-<code>  an error with that status
schema         a small JSON object, as a tool's input if it must call one
cut            a stream that breaks after its first words
hang           never answers
hang-after-1   the first words, then silence
Any other name says "Hello from <model>".
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

Json = dict[str, Any]

_CLAUDE_ID = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_BLOCKS = {
    *("text", "image", "document", "tool_use", "tool_result", "thinking", "redacted_thinking"),
    "server_tool_use",
}
_MESSAGES_FIELDS = {
    *("model", "max_tokens", "messages", "system", "tools", "tool_choice", "stop_sequences"),
    *("stream", "temperature", "top_p", "top_k", "metadata", "thinking", "output_config"),
    *("service_tier", "container", "mcp_servers", "context_management", "a_field_of_tomorrow"),
}
SIGNATURE = "c2lnbmVkIGJ5IHRoZSBzdHVi"
USAGE = {
    "input_tokens": 60,
    "cache_read_input_tokens": 30,
    "cache_creation_input_tokens": 10,
    "output_tokens": 20,
}


def messages_problem(body: Json) -> str | None:
    """What Anthropic's server would refuse in a Messages body, in its words."""
    for name in body:
        if name not in _MESSAGES_FIELDS:
            return f"{name}: Extra inputs are not permitted"
    if not isinstance(body.get("max_tokens"), int):
        return "max_tokens: Field required"
    if str(body).count("'cache_control': {") > 4:
        return "A maximum of 4 blocks with cache_control may be provided"
    unthought = _thinking_problem(body)
    if unthought:
        return unthought
    open_calls: set[str] = set()
    known_calls: set[str] = set()
    for index, message in enumerate(body["messages"]):
        if message["role"] not in ("user", "assistant"):
            return f"messages.{index}.role: Input should be 'user' or 'assistant'"
        if set(message) - {"role", "content"}:
            return f"messages.{index}: Extra inputs are not permitted"
        content = message["content"]
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        if not blocks:
            return f"messages.{index}: content must be non-empty"
        results = {block["tool_use_id"] for block in blocks if block["type"] == "tool_result"}
        if open_calls - results:
            return f"messages.{index}: tool_use ids were found without tool_result blocks"
        if results - open_calls:
            return f"messages.{index}: unexpected tool_use_id found in tool_result blocks"
        kinds = [block["type"] for block in blocks]
        if "tool_result" in kinds[len(results) :]:
            return f"messages.{index}: tool_result blocks must come before other content"
        open_calls = set()
        for block in blocks:
            if block["type"] not in _BLOCKS:
                return f"messages.{index}: unknown block {block['type']}"
            if block["type"] == "text" and not block["text"]:
                return "messages: text content blocks must be non-empty"
            if block["type"] == "thinking" and block.get("signature") != SIGNATURE:
                return f"messages.{index}: Invalid `signature` in `thinking` block"
            if block["type"] == "tool_use":
                if not _CLAUDE_ID.fullmatch(block["id"]):
                    return f"messages.{index}.tool_use.id: String should match pattern"
                if not isinstance(block["input"], dict):
                    return f"messages.{index}.tool_use.input: Input should be a valid dictionary"
                if block["id"] in known_calls:
                    return f"messages.{index}: `tool_use` ids must be unique"
                known_calls.add(block["id"])
                open_calls.add(block["id"])
            if "thinking" in block["type"] and "cache_control" in block:
                return f"messages.{index}: thinking blocks can't have cache_control"
    return "messages: the last tool_use has no result" if open_calls else None


def _thinking_problem(body: Json) -> str | None:
    """Claude that is to think must have thought before the tool calls whose results it gets."""
    thinking = body.get("thinking") or {}
    if thinking.get("type") != "enabled":
        return None
    if thinking["budget_tokens"] >= body["max_tokens"]:
        return "`max_tokens` must be greater than `thinking.budget_tokens`"
    if (body.get("tool_choice") or {}).get("type") in ("any", "tool"):
        return "Thinking may not be enabled when tool_choice forces tool use."
    last = body["messages"][-1]["content"]
    if isinstance(last, str) or not any(block["type"] == "tool_result" for block in last):
        return None
    found = body["messages"][-2]["content"][0]["type"]
    if found in ("thinking", "redacted_thinking"):
        return None
    return f"Expected `thinking` or `redacted_thinking`, but found `{found}`"


def responses_problem(body: Json) -> str | None:
    """What OpenAI's Responses server would refuse in the input, in its words."""
    items = body["input"] if isinstance(body.get("input"), list) else []
    open_calls: set[str] = set()
    for index, item in enumerate(items):
        if str(item.get("encrypted_content", "")).startswith("hydra:"):
            return "The encrypted content could not be verified."
        if len(item.get("call_id", "")) > 64:
            return f"Invalid 'input[{index}].call_id': string too long, at most 64"
        if item.get("type") == "function_call":
            json.loads(item["arguments"])
            open_calls.add(item["call_id"])
        elif item.get("type") == "function_call_output":
            if item["call_id"] not in open_calls:
                return f"No tool call found for function call output with call_id {index}."
            open_calls.discard(item["call_id"])
    return f"No tool output found for function call {open_calls}." if open_calls else None


def chat_problem(body: Json) -> str | None:
    """What OpenAI's own chat server would refuse in the messages, in its words."""
    allowed = {"role", "content", "name", "tool_calls", "tool_call_id", "refusal", "audio"}
    for name in ("thinking", "cache_control", "system", "stop_sequences", "top_k", "hydra"):
        if name in body:
            return f"Unrecognized request argument supplied: {name}"
    open_calls: set[str] = set()
    for index, message in enumerate(body["messages"]):
        extra = set(message) - allowed
        if extra:
            return f"Additional properties are not allowed ({extra}) - messages.{index}"
        if message["role"] == "tool":
            if message["tool_call_id"] not in open_calls:
                return f"messages.{index}: tool_call_id is not of a preceding call"
            open_calls.discard(message["tool_call_id"])
            continue
        if open_calls:
            return f"messages.{index}: tool_call_ids did not have response messages: {open_calls}"
        for part in message["content"] if isinstance(message.get("content"), list) else ():
            if set(part) - {"type", part["type"]}:
                return f"messages.{index}: unknown fields in a {part['type']} part: {set(part)}"
        for call in message.get("tool_calls") or ():
            if set(call) - {"id", "type", "function"}:
                return f"messages.{index}.tool_calls: unknown fields in {set(call)}"
            if len(call["id"]) > 40:
                return f"messages.{index}.tool_calls: string too long, at most 40"
            json.loads(call["function"]["arguments"])
            open_calls.add(call["id"])
    for tool in body.get("tools") or ():
        if set(tool) - {"type", "function"}:
            return f"tools: unknown fields {set(tool)}"
    return None


class OtherWires:
    """Handlers for the stub's app; `record` keeps what came, `gone` waits for the caller to go.

    `ended` is called when a stream has ended, by itself or by the caller.
    """

    def __init__(
        self,
        record: Callable[[Request, Json], None],
        gone: Callable[[Request], Awaitable[None]],
        ended: Callable[[], None],
    ) -> None:
        self._record = record
        self._gone = gone
        self._ended = ended

    async def messages(self, request: Request) -> Response:
        body = await request.json()
        self._record(request, body)
        model = str(body["model"])
        refused = messages_problem(body)
        if refused:
            return _claude_error(400, "invalid_request_error", refused)
        if model.startswith("status-"):
            status = int(model.removeprefix("status-"))
            kinds = {401: "authentication_error", 429: "rate_limit_error", 529: "overloaded_error"}
            return _claude_error(status, kinds.get(status, "api_error"), f"stub says {status}")
        if model == "hang":
            await self._gone(request)
        content = _claude_content(model, body)
        message = {
            "id": "msg_stub",
            "type": "message",
            "role": "assistant",
            "model": f"{model}-2026-01-01",
            "content": content,
            "stop_reason": "tool_use" if content[-1]["type"] == "tool_use" else "end_turn",
            "stop_sequence": None,
            "usage": USAGE,
            "a_field_of_tomorrow": {"kept": True},
        }
        if body.get("stream"):
            return self._stream(_claude_events(model, message))
        return JSONResponse(message, headers={"request-id": "req_stub"})

    async def count_tokens(self, request: Request) -> Response:
        self._record(request, await request.json())
        return JSONResponse({"input_tokens": 4321})

    async def responses(self, request: Request) -> Response:
        body = await request.json()
        self._record(request, body)
        model = str(body["model"])
        if model.startswith("status-"):
            status = int(model.removeprefix("status-"))
            error = {"message": f"stub says {status}", "type": "server_error"}
            return JSONResponse(
                {"error": {**error, "code": None, "param": None}},
                status_code=status,
                headers={"retry-after": "7"} if status == 429 else {},
            )
        refused = responses_problem(body)
        if refused:
            error = {"message": refused, "type": "invalid_request_error"}
            return JSONResponse({"error": error}, status_code=400)
        if model == "hang":
            await self._gone(request)
        response = _response(model, body)
        if body.get("stream"):
            return self._stream(_response_events(model, response))
        return JSONResponse(response)

    def _stream(self, events: AsyncIterator[bytes]) -> Response:
        async def told() -> AsyncIterator[bytes]:
            try:
                async for event in events:
                    yield event
            finally:
                self._ended()

        return StreamingResponse(told(), media_type="text/event-stream")

    async def embeddings(self, request: Request) -> Response:
        body = await request.json()
        self._record(request, body)
        items = body["input"] if isinstance(body["input"], list) else [body["input"]]
        data = [
            {"object": "embedding", "index": index, "embedding": [0.25, -0.5]}
            for index in range(len(items))
        ]
        usage = {"prompt_tokens": 8, "total_tokens": 8}
        return JSONResponse(
            {"object": "list", "data": data, "model": body["model"], "usage": usage}
        )

    async def completions(self, request: Request) -> Response:
        body = await request.json()
        self._record(request, body)
        usage = {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14}
        head = {
            "id": "cmpl-stub",
            "object": "text_completion",
            "created": 1,
            "model": body["model"],
        }
        if body.get("stream"):
            asked = (body.get("stream_options") or {}).get("include_usage")
            events = _text_events(head, usage if asked else None)
            return StreamingResponse(events, media_type="text/event-stream")
        choice = {"index": 0, "text": "Once upon", "finish_reason": "stop", "logprobs": None}
        return JSONResponse({**head, "choices": [choice], "usage": usage})


def _claude_error(status: int, kind: str, message: str) -> Response:
    headers = {"retry-after": "7"} if status == 429 else {}
    body = {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_stub"}
    return JSONResponse(body, status_code=status, headers=headers)


def _said(model: str) -> str:
    return '{"city": "Oslo", "degrees": 7}' if model == "schema" else f"Hello from {model}"


def _wants_tools(model: str, body: Json) -> bool:
    last = body["messages"][-1]["content"] if "messages" in body else ()
    has_result = isinstance(last, list) and any(b.get("type") == "tool_result" for b in last)
    return model == "tools" and bool(body.get("tools")) and not has_result


def _claude_content(model: str, body: Json) -> list[Json]:
    if _wants_tools(model, body):
        choice = body.get("tool_choice") or {}
        count = 1 if choice.get("disable_parallel_tool_use") else 2
        calls = [
            {"type": "tool_use", "id": "toolu_1", "name": "look_up", "input": {"q": "x"}},
            {"type": "tool_use", "id": "toolu_2", "name": "look_up", "input": {"q": "y"}},
        ]
        return [{"type": "text", "text": "Let me look."}, *calls[:count]]
    if model == "schema" and body.get("tools"):  # the older way to ask for a schema
        name = body["tools"][0]["name"]
        return [
            {"type": "tool_use", "id": "toolu_1", "name": name, "input": json.loads(_said(model))}
        ]
    text = {"type": "text", "text": _said(model)}
    if model == "think":
        return [{"type": "thinking", "thinking": "Let me see.", "signature": SIGNATURE}, text]
    return [text]


async def _claude_events(model: str, message: Json) -> AsyncIterator[bytes]:
    start = {**message, "content": [], "stop_reason": None}
    start["usage"] = {**USAGE, "output_tokens": 1}
    yield _named({"type": "message_start", "message": start})
    yield _named({"type": "ping"})
    for index, block in enumerate(message["content"]):
        deltas: list[Json]
        match block["type"]:
            case "text":
                opened, words = {**block, "text": ""}, block["text"].split(" ")
                deltas = [
                    {"type": "text_delta", "text": word if n == 0 else f" {word}"}
                    for n, word in enumerate(words)
                ]
            case "thinking":
                opened = {"type": "thinking", "thinking": "", "signature": ""}
                deltas = [
                    {"type": "thinking_delta", "thinking": block["thinking"]},
                    {"type": "signature_delta", "signature": SIGNATURE},
                ]
            case _:
                opened = {**block, "input": {}}
                text = json.dumps(block["input"])
                deltas = [
                    {"type": "input_json_delta", "partial_json": part}
                    for part in ("", text[:4], text[4:])
                ]
        yield _named({"type": "content_block_start", "index": index, "content_block": opened})
        for number, delta in enumerate(deltas):
            if model == "cut" and number == 1:
                raise ConnectionError("the script says: cut here")
            if model == "overloaded-later" and number == 1:
                yield _named(
                    {"type": "error", "error": {"type": "overloaded_error", "message": "b"}}
                )
                return
            if model == "hang-after-1" and number == 1:
                await asyncio.sleep(30)
            yield _named({"type": "content_block_delta", "index": index, "delta": delta})
        yield _named({"type": "content_block_stop", "index": index})
    delta = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    yield _named({"type": "message_delta", "delta": delta, "usage": {"output_tokens": 20}})
    yield _named({"type": "message_stop"})


def _response(model: str, body: Json) -> Json:
    text = {"type": "output_text", "text": _said(model), "annotations": []}
    item: Json = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed"}
    output = [{**item, "content": [text]}]
    items = body.get("input")
    has_result = isinstance(items, list) and items[-1].get("type") == "function_call_output"
    if model == "tools" and body.get("tools") and not has_result:
        output = [
            {
                "type": "function_call",
                "id": f"fc_{n}",
                "call_id": f"call_{n}",
                "name": "look_up",
                "arguments": json.dumps({"q": q}),
                "status": "completed",
            }
            for n, q in ((1, "x"), (2, "y"))
        ]
        output = output[: 1 if body.get("parallel_tool_calls") is False else 2]
    return {
        "id": "resp_stub",
        "object": "response",
        "created_at": 1_700_000_000,
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "model": f"{model}-2026-01-01",
        "output": output,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "previous_response_id": body.get("previous_response_id"),
        "usage": {
            "input_tokens": 100,
            "input_tokens_details": {"cached_tokens": 40},
            "output_tokens": 20,
            "output_tokens_details": {"reasoning_tokens": 5},
            "total_tokens": 120,
        },
        "a_field_of_tomorrow": {"kept": True},
    }


async def _response_events(model: str, response: Json) -> AsyncIterator[bytes]:
    begun = {**response, "status": "in_progress", "output": [], "usage": None}
    number = 0

    def event(kind: str, **fields: Any) -> bytes:
        nonlocal number
        number += 1
        return _named({"type": kind, "sequence_number": number - 1, **fields})

    yield event("response.created", response=begun)
    for index, item in enumerate(response["output"]):
        place: Json = {"output_index": index, "item_id": item["id"]}
        empty = {name: type(item[name])() for name in ("content", "arguments") if name in item}
        opened = {**item, **empty, "status": "in_progress"}
        yield event("response.output_item.added", output_index=index, item=opened)
        if item["type"] == "message":
            part = item["content"][0]
            at: Json = {**place, "content_index": 0}
            yield event("response.content_part.added", **at, part={**part, "text": ""})
            for count, word in enumerate(part["text"].split(" ")):
                if model == "cut" and count == 1:
                    raise ConnectionError("the script says: cut here")
                if model == "hang-after-1" and count == 1:
                    await asyncio.sleep(30)
                delta = word if count == 0 else f" {word}"
                yield event("response.output_text.delta", **at, delta=delta, logprobs=[])
            yield event("response.output_text.done", **at, text=part["text"], logprobs=[])
            yield event("response.content_part.done", **at, part=part)
        else:
            kind = "response.function_call_arguments"
            yield event(f"{kind}.delta", **place, delta=item["arguments"])
            yield event(f"{kind}.done", **place, name=item["name"], arguments=item["arguments"])
        yield event("response.output_item.done", output_index=index, item=item)
    yield event("response.completed", response=response)


async def _text_events(head: Json, usage: Json | None) -> AsyncIterator[bytes]:
    for text, reason in (("Once", None), (" upon", None), ("", "stop")):
        choice = {"index": 0, "text": text, "finish_reason": reason}
        yield b"data: " + json.dumps({**head, "choices": [choice]}).encode() + b"\n\n"
    if usage is not None:
        yield b"data: " + json.dumps({**head, "choices": [], "usage": usage}).encode() + b"\n\n"
    yield b"data: [DONE]\n\n"


def _named(event: Json) -> bytes:
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()
