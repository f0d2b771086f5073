"""The content blocks of a Messages request as chat's messages and parts.

Pure. A block knows its place, which tells the caller what to mend. What chat has no words for is
left out; messages_native.py names it.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.errors import InvalidRequest
from gateway.history import OURS
from gateway.json_body import kind, shown
from gateway.messages_native import foreign

Part = dict[str, Any]


def object_in(
    fields: Mapping[str, Any], name: str, where: str = "", *, required: bool = False
) -> Mapping[str, Any]:
    """The object of that name; an absent one is empty unless it is required."""
    value = fields.get(name)
    if value is None and not required:
        return {}
    if not isinstance(value, dict):
        raise wrong(f"{where}.{name}" if where else name, "an object", value)
    return value


def wrong(where: str, right: str, value: object) -> InvalidRequest:
    found = shown(value) if isinstance(value, str) else kind(value)
    return InvalidRequest(f"'{where}' must be {right}, not {found}", param=where)


@dataclass(frozen=True, slots=True)
class Block:
    """A content block and the name of its place, which tells the caller what to mend."""

    fields: Mapping[str, Any]
    where: str

    @property
    def type(self) -> str:
        return self.text("type")

    def text(self, name: str) -> str:
        value = self.fields.get(name)
        if not isinstance(value, str):
            raise wrong(f"{self.where}.{name}", "a string", value)
        return value

    def text_or_none(self, name: str) -> str | None:
        return None if self.fields.get(name) is None else self.text(name)

    def inner(self, name: str) -> "Block":
        return Block(
            object_in(self.fields, name, self.where, required=True), f"{self.where}.{name}"
        )

    def marked(self, part: Part) -> Part:
        """The part with the block's mark for the prompt cache, if it has one."""
        mark = self.fields.get("cache_control")
        return part if mark is None else {**part, "cache_control": mark}


def blocks_in(content: object, where: str) -> list[Block]:
    """The blocks that chat completions know; a string is one block of text."""
    if isinstance(content, str):
        return [Block({"type": "text", "text": content}, where)]
    if not isinstance(content, list):
        raise wrong(where, "a string or an array of content blocks", content)
    for index, item in enumerate(content):
        if not isinstance(item, dict):
            raise wrong(f"{where}[{index}]", "an object", item)
    return [
        Block(item, f"{where}[{index}]") for index, item in enumerate(content) if not foreign(item)
    ]


def optional_blocks(content: object, where: str) -> list[Block]:
    return [] if content is None else blocks_in(content, where)


def system_messages(blocks: Sequence[Block]) -> list[Part]:
    """One system message or none; blocks stay apart only where the prompt cache needs them so."""
    parts = []
    for block in blocks:
        if block.type != "text":
            raise wrong(f"{block.where}.type", "'text'", block.type)
        parts.append(block.marked(_text_part(block.text("text"))))
    if any("cache_control" in part for part in parts):
        return [{"role": "system", "content": parts}]
    text = "\n\n".join(part["text"] for part in parts if part["text"])
    return [{"role": "system", "content": text}] if text else []


def turns(value: object) -> Iterator[Part]:
    if not isinstance(value, list) or not value:
        raise InvalidRequest("'messages' must be a non-empty array of messages", param="messages")
    for index, message in enumerate(value):
        where = f"messages[{index}]"
        if not isinstance(message, dict):
            raise wrong(where, "an object", message)
        role = message.get("role")
        if role not in ("user", "assistant", "system"):
            raise wrong(f"{where}.role", "'user', 'assistant' or 'system'", role)
        blocks = blocks_in(message.get("content"), f"{where}.content")
        if role == "assistant":
            yield _assistant(blocks)
        else:
            yield from _user(blocks) if role == "user" else system_messages(blocks)


def _user(blocks: Sequence[Block]) -> list[Part]:
    """Tool results must follow the calls at once, so they come first, whatever stands before."""
    results = []
    parts: list[Part] = []
    media: list[Part] = []
    for block in blocks:
        if block.type == "tool_result":
            message, beside = _tool_message(block)
            results.append(message)
            media += beside
        else:
            parts += _parts(block)
    if results and not media and not parts:
        return results
    return [*results, {"role": "user", "content": _content([*media, *parts])}]


def _tool_message(block: Block) -> tuple[Part, list[Part]]:
    """The tool's text, and what else it gave: a chat tool message carries nothing but text."""
    parts = _inner_parts(block)
    text = "\n".join(part["text"] for part in parts if part["type"] == "text")
    if block.fields.get("is_error") and not text.startswith("Error:"):
        text = f"Error: {text}"
    message = {"role": "tool", "tool_call_id": block.text("tool_use_id"), "content": text}
    for part in parts:  # the text is joined, so a mark on a part of it moves to the whole
        if part["type"] == "text" and "cache_control" in part:
            message["cache_control"] = part["cache_control"]
    return block.marked(message), [part for part in parts if part["type"] != "text"]


def _assistant(blocks: Sequence[Block]) -> Part:
    """Thoughts that a provider signed go back as they came; ours are text without a proof."""
    parts: list[Part] = []
    calls: list[Part] = []
    signed: list[Part] = []
    thoughts: list[str] = []
    for block in blocks:
        match block.type:
            case "tool_use":
                calls.append(_call(block))
            case "thinking" if str(block.fields.get("signature")).startswith(OURS):
                thoughts.append(block.text("thinking"))
            case "thinking" | "redacted_thinking":
                signed.append(dict(block.fields))
            case _:
                parts += _parts(block)
    return {
        "role": "assistant",
        "content": _content(parts) if parts or not calls else None,
        **({"reasoning_content": "\n".join(thoughts)} if thoughts else {}),
        **({"thinking_blocks": signed} if signed else {}),
        **({"tool_calls": calls} if calls else {}),
    }


def _call(block: Block) -> Part:
    arguments = json.dumps(block.inner("input").fields, ensure_ascii=False, separators=(",", ":"))
    function = {"name": block.text("name"), "arguments": arguments}
    return block.marked({"id": block.text("id"), "type": "function", "function": function})


def _content(parts: list[Part]) -> str | list[Part]:
    """Text alone as a plain string, which every server takes."""
    if not parts:
        return ""
    if len(parts) == 1 and parts[0].keys() == {"type", "text"}:
        return str(parts[0]["text"])
    return parts


def _parts(block: Block) -> list[Part]:
    """The chat parts of a block; its mark is on the last, because it marks where a prefix ends."""
    match block.type:
        case "text":
            parts = [_text_part(block.text("text"))]
        case "image":
            parts = [{"type": "image_url", "image_url": {"url": _image_url(block.inner("source"))}}]
        case "document":
            parts = _document(block)
        case "search_result":
            heading = f"{block.text('title')}\n{block.text('source')}"
            parts = [_text_part(heading), *_inner_parts(block)]
        case _:
            raise InvalidRequest(
                f"'{block.where}' can't be of type {shown(block.type)} in this place",
                param=f"{block.where}.type",
            )
    return [*parts[:-1], *(block.marked(part) for part in parts[-1:])]


def _document(block: Block) -> list[Part]:
    source = block.inner("source")
    title, context = block.text_or_none("title"), block.text_or_none("context")
    if source.type == "base64":
        file = {"filename": title or "document.pdf", "file_data": _data_url(source)}
        return [*([_text_part(context)] if context else []), {"type": "file", "file": file}]
    heading = "\n".join(text for text in (title, context) if text)
    return [
        *([_text_part(heading)] if heading else []),
        *(
            [_text_part(source.text("data"))]
            if source.type == "text"
            else _inner_parts(source)  # type "content": foreign() lets no other through
        ),
    ]


def _inner_parts(block: Block) -> list[Part]:
    inner = optional_blocks(block.fields.get("content"), f"{block.where}.content")
    return [part for each in inner for part in _parts(each)]


def _image_url(source: Block) -> str:
    return source.text("url") if source.type == "url" else _data_url(source)


def _data_url(source: Block) -> str:
    return f"data:{source.text('media_type')};base64,{source.text('data')}"


def _text_part(text: str) -> Part:
    return {"type": "text", "text": text}
