"""A request of OpenAI's Responses protocol as a chat completions body.

Pure. The protocol's state at the server (stored responses, conversations, hosted tools) has no
counterpart in chat: `native_only` names it, and `to_chat` leaves it out, so that what remains can
still be counted and judged. Our answers carry the model's reasoning as `encrypted_content`; it
comes back here, so a conversation needs no memory of ours.
"""

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from gateway import json_body
from gateway.errors import InvalidRequest
from gateway.history import OURS
from gateway.json_body import kind
from gateway.responses_fields import list_in, object_in, string_at, wrong
from gateway.responses_tools import TOOLS, chat_name, client_tools, objects_in, tool_fields

_ROLES: Final = ("user", "assistant", "system", "developer")
_STATE: Final = ("previous_response_id", "conversation", "prompt")  # what the server remembers
_NOT_FORWARDED: Final = frozenset(
    (
        *_STATE,
        *("input", "instructions", "tools", "tool_choice", "parallel_tool_calls", "text"),
        *("reasoning", "max_output_tokens", "top_logprobs", "include", "store", "truncation"),
        *("max_tool_calls", "background", "stream_options"),
    )
)
_TEXT_PARTS: Final = frozenset({"input_text", "output_text", "text"})
_DETAILS: Final = {"auto": "auto", "low": "low", "high": "high", "original": "high"}
_CALLS: Final = frozenset({"function_call", "custom_tool_call"})
_OUTPUTS: Final = frozenset({"function_call_output", "custom_tool_call_output"})
_ITEMS: Final = _CALLS | _OUTPUTS | {"message", "reasoning"}
_ATTACHED: Final = "(attached in the next message)"  # some servers refuse an empty tool message


def to_chat(body: Mapping[str, Any]) -> dict[str, Any]:
    """The chat completions body of a Responses request. Raises InvalidRequest."""
    chat = {name: value for name, value in body.items() if name not in _NOT_FORWARDED}
    chat["messages"] = _messages(body)
    chat.update(tool_fields(body))
    chat.update(_text_fields(object_in(body, "text")))
    effort = object_in(body, "reasoning").get("effort")
    if effort is not None:
        chat["reasoning_effort"] = effort
    limit = body.get("max_output_tokens")
    if limit is not None:
        if isinstance(limit, bool) or not isinstance(limit, int):
            raise wrong("max_output_tokens", "an integer", limit)
        chat["max_completion_tokens"] = limit
    if "message.output_text.logprobs" in list_in(body, "include"):
        chat["logprobs"] = True
    if body.get("top_logprobs") is not None:
        chat.update(logprobs=True, top_logprobs=body["top_logprobs"])
    return chat


def native_only(body: Mapping[str, Any]) -> str | None:
    """The first field that only a server of the Responses protocol itself can serve, in words."""
    return next(_native(body), None)


def sealed(reasoning: Mapping[str, Any]) -> str:
    """A message's reasoning fields as the text that a client hands back unread."""
    text = json.dumps(reasoning, ensure_ascii=False, separators=(",", ":"))
    return OURS + base64.b64encode(text.encode("utf-8", "replace")).decode("ascii")


def _native(body: Mapping[str, Any]) -> Iterator[str]:
    for name in _STATE:
        if body.get(name) is not None:
            yield name
    if body.get("background"):
        yield "background"
    for _, _, tool, where in client_tools(body):
        if str(tool.get("type")) not in TOOLS:
            yield f"{where}: {tool.get('type')}"
    choice = body.get("tool_choice")
    if isinstance(choice, dict) and str(choice.get("type")) not in TOOLS | {"allowed_tools"}:
        yield f"tool_choice: {choice.get('type')}"
    for index, item in objects_in(body.get("input")):
        item_type = _type_of(item)
        if item_type not in _ITEMS:
            yield f"input[{index}]: {item_type}"
        field = "output" if item_type in _OUTPUTS else "content"
        for position, part in objects_in(item.get(field) if item_type != "reasoning" else None):
            reason = _native_part(part)
            if reason is not None:
                yield f"input[{index}].{field}[{position}]: {reason}"


def _native_part(part: Mapping[str, Any]) -> str | None:
    """What a chat server can't read of a part: another's file, or a type it doesn't know."""
    match str(part.get("type")):
        case "input_image" if part.get("image_url") is None and part.get("file_id") is not None:
            return "file_id"
        case "input_file" if part.get("file_data") is None:
            return next((name for name in ("file_id", "file_url") if part.get(name)), None)
        case "input_image" | "input_file" | "input_audio" | "refusal":
            return None
        case other:
            return None if other in _TEXT_PARTS else other


def _type_of(item: Mapping[str, Any]) -> str:
    """An item's type; messages and references may leave it out."""
    if item.get("type") is not None:
        return str(item["type"])
    return "item_reference" if "role" not in item and "id" in item else "message"


class _Conversation:
    """Chat messages under construction: what one model turn said and called is one message."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self._turn: dict[str, Any] | None = None  # the assistant message that calls still join
        self._reasoning: list[Mapping[str, Any]] = []  # goes to the next assistant message
        self._media: list[dict[str, Any]] = []  # of tool outputs: chat's tool messages are text

    def say(self, role: str, content: str | list[dict[str, Any]]) -> None:
        if role == "assistant":
            self._say_in_turn(content)
            return
        self.end()
        self.messages.append({"role": role, "content": content})

    def think(self, reasoning: Mapping[str, Any]) -> None:
        self._reasoning.append(reasoning)

    def call(self, call: Mapping[str, Any]) -> None:
        self._assistant(self._turn).setdefault("tool_calls", []).append(call)

    def output(self, call_id: str, text: str, media: Sequence[dict[str, Any]]) -> None:
        self._turn = None
        content = text or (_ATTACHED if media else "")
        self.messages.append({"role": "tool", "tool_call_id": call_id, "content": content})
        self._media.extend(media)

    def end(self) -> None:
        """Close the turn. Reasoning that no message followed says nothing to a model."""
        self._turn = None
        self._reasoning.clear()
        if self._media:
            self.messages.append({"role": "user", "content": self._media})
            self._media = []

    def _say_in_turn(self, content: str | list[dict[str, Any]]) -> None:
        turn = self._turn
        if turn is not None and turn["content"] is not None and "tool_calls" not in turn:
            turn = None  # a second text is a second message, unless calls wait for their outputs
        message = self._assistant(turn)
        before = message["content"]
        if before is None:
            message["content"] = content
        elif isinstance(before, str) and isinstance(content, str):
            message["content"] = before + content
        else:
            message["content"] = [*_as_parts(before), *_as_parts(content)]

    def _assistant(self, turn: dict[str, Any] | None) -> dict[str, Any]:
        """The assistant message to add to, with the reasoning that came before."""
        if turn is None:
            reasoning = list(self._reasoning)
            self.end()
            self._reasoning = reasoning
            turn = {"role": "assistant", "content": None}
            self.messages.append(turn)
        self._turn = turn
        for fields in self._reasoning:
            for name, value in fields.items():
                turn[name] = turn[name] + value if name in turn else value
        self._reasoning.clear()
        return turn


def _messages(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    conversation = _Conversation()
    instructions = body.get("instructions")
    if instructions is not None:
        conversation.say("system", string_at(instructions, "instructions"))
    items = body.get("input")
    if isinstance(items, str):
        conversation.say("user", items)
    elif isinstance(items, list) and items:
        for index, item in enumerate(items):
            where = f"input[{index}]"
            if not isinstance(item, dict):
                raise wrong(where, "an object", item)
            _add(conversation, item, where)
    elif items not in (None, []) or all(body.get(name) is None for name in _STATE):
        raise InvalidRequest(
            "'input' must be a string or a non-empty array of items"
            + (f", not {kind(items)}" if items not in (None, []) else ""),
            param="input",
        )
    conversation.end()
    return conversation.messages


def _add(conversation: _Conversation, item: Mapping[str, Any], where: str) -> None:
    item_type = _type_of(item)
    if item_type == "message":
        role = item.get("role")
        if role not in _ROLES:
            raise wrong(f"{where}.role", " or ".join(f"'{name}'" for name in _ROLES), role)
        conversation.say(role, _content(item.get("content"), f"{where}.content", role))
    elif item_type == "reasoning":
        conversation.think(_unsealed(item.get("encrypted_content"), f"{where}.encrypted_content"))
    elif item_type in _CALLS:
        conversation.call(_call(item, where, is_custom=item_type == "custom_tool_call"))
    elif item_type in _OUTPUTS:
        call_id = string_at(item.get("call_id"), f"{where}.call_id")
        output = item.get("output")
        if isinstance(output, str):
            conversation.output(call_id, output, ())
        else:
            parts = _parts(output, f"{where}.output")
            texts = [part["text"] for part in parts if part["type"] == "text"]
            media = [part for part in parts if part["type"] != "text"]
            conversation.output(call_id, "\n".join(texts), media)


def _call(item: Mapping[str, Any], where: str, *, is_custom: bool) -> dict[str, Any]:
    field = "input" if is_custom else "arguments"
    text = string_at(item.get(field), f"{where}.{field}")
    arguments = json.dumps({"input": text}, ensure_ascii=False) if is_custom else text or "{}"
    return {
        "id": string_at(item.get("call_id"), f"{where}.call_id"),
        "type": "function",
        "function": {
            "name": chat_name(string_at(item.get("name"), f"{where}.name"), item.get("namespace")),
            "arguments": arguments,
        },
    }


def _content(value: object, where: str, role: str) -> str | list[dict[str, Any]]:
    """A message's content; text alone as a string, which every server reads."""
    if isinstance(value, str):
        return value
    parts = _parts(value, where)
    if all(part["type"] == "text" for part in parts) and (role == "assistant" or len(parts) <= 1):
        return "".join(part["text"] for part in parts)
    return parts


def _parts(value: object, where: str) -> list[dict[str, Any]]:
    if not isinstance(value, list):
        raise wrong(where, "a string or an array of parts", value)
    found = (_part(part, f"{where}[{position}]") for position, part in enumerate(value))
    return [part for part in found if part is not None]


def _part(part: object, where: str) -> dict[str, Any] | None:
    """A part in chat's words; None where only the protocol's own servers know it."""
    if not isinstance(part, dict):
        raise wrong(where, "an object", part)
    part_type = string_at(part.get("type"), f"{where}.type")
    if _native_part(part) is not None:
        return None
    match part_type:
        case "input_image":
            image = {"url": string_at(part.get("image_url"), f"{where}.image_url")}
            detail = _DETAILS.get(str(part.get("detail")))
            return {
                "type": "image_url",
                "image_url": image | ({"detail": detail} if detail else {}),
            }
        case "input_file":
            file = {"file_data": string_at(part.get("file_data"), f"{where}.file_data")}
            name = part.get("filename")
            return {"type": "file", "file": file | ({"filename": name} if name else {})}
        case "input_audio":
            return {"type": "input_audio", "input_audio": object_in(part, "input_audio", where)}
        case "refusal":  # said by one model, read by any: as text
            return {"type": "text", "text": string_at(part.get("refusal"), f"{where}.refusal")}
        case _:
            return {"type": "text", "text": string_at(part.get("text"), f"{where}.text")}


def _as_parts(content: str | list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _unsealed(value: object, where: str) -> dict[str, Any]:
    """The reasoning fields that we sealed; nothing of another server's."""
    if not isinstance(value, str) or not value.startswith(OURS):
        return {}
    try:
        fields = json_body.parse(base64.b64decode(value.removeprefix(OURS), validate=True))
        blocks, text = fields.get("thinking_blocks", []), fields.get("reasoning_content", "")
    except (ValueError, InvalidRequest) as exc:
        raise _foreign(where) from exc
    if not isinstance(text, str) or not isinstance(blocks, list):
        raise _foreign(where)
    if not all(isinstance(block, dict) for block in blocks):
        raise _foreign(where)
    return {
        **({"thinking_blocks": blocks} if blocks else {}),
        **({"reasoning_content": text} if text else {}),
    }


def _foreign(where: str) -> InvalidRequest:
    return InvalidRequest(
        f"'{where}' begins as this gateway's does but is cut or altered", param=where
    )


def _text_fields(text: Mapping[str, Any]) -> dict[str, Any]:
    """`text` as chat's response_format and verbosity."""
    verbosity = text.get("verbosity")
    fields = {} if verbosity is None else {"verbosity": verbosity}
    output = object_in(text, "format", "text")
    match output.get("type", "text"):
        case "text":
            return fields
        case "json_object":
            return {**fields, "response_format": {"type": "json_object"}}
        case "json_schema":
            kept = {k: v for k, v in output.items() if k != "type" and v is not None}
            return {**fields, "response_format": {"type": "json_schema", "json_schema": kept}}
        case other:
            raise wrong("text.format.type", "'text', 'json_object' or 'json_schema'", other)
