"""A Messages request (Anthropic's protocol) as the chat completions body that asks for the same.

Pure. Parameters that we do not know pass on untouched. What chat completions have no words for is
left out, and native_only() names it: who gets a name there should send the request to a server of
the Messages protocol, or refuse it.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gateway.errors import InvalidRequest
from gateway.history import OURS
from gateway.json_body import kind, shown

_Part = dict[str, Any]

_NATIVE_FIELDS: Final = ("mcp_servers", "container")
_TRANSLATED: Final = frozenset(
    (
        *("messages", "system", "tools", "tool_choice", "stop_sequences", "thinking", "metadata"),
        *("output_config", "output_format", "service_tier"),
        "context_management",  # tidies long conversations where it is known; not asked for a result
    )
)
_TIERS: Final = ("auto", "standard_only")  # what is left is no word of Anthropic's: the caller's
_CHAT_BLOCKS: Final = frozenset(
    (
        *("text", "image", "document", "search_result", "tool_use", "tool_result"),
        *("thinking", "redacted_thinking"),
    )
)
_CHAT_SOURCES: Final = {
    "image": ("base64", "url"),
    "document": ("base64", "text", "content"),  # a chat file is data or an id, never an address
}
_MAX_USER_CHARS: Final = 64
_TOOL_CHOICES: Final = {"auto": "auto", "any": "required", "none": "none"}
_LOW_BUDGET_TOKENS: Final = 2048  # of thinking, up to here "low"; Anthropic's least is 1024
_MEDIUM_BUDGET_TOKENS: Final = 8192


def to_chat(body: Mapping[str, Any]) -> dict[str, Any]:
    """The chat completions body of a Messages request. Raises InvalidRequest.

    >>> to_chat({"max_tokens": 9, "messages": [{"role": "user", "content": "hello"}]})
    {'max_tokens': 9, 'messages': [{'role': 'user', 'content': 'hello'}]}
    """
    _count(body.get("max_tokens"), "max_tokens")
    dropped = _TRANSLATED.union(_NATIVE_FIELDS)
    return {
        **{name: value for name, value in body.items() if name not in dropped},
        "messages": [
            *_system(_optional_blocks(body.get("system"), "system")),
            *_messages(body.get("messages")),
        ],
        **_tools(body),
        **_reasoning(body),
        **_response_format(body),
        **_stop(body.get("stop_sequences")),
        **_metadata(_object(body, "metadata")),
        **_service_tier(body.get("service_tier")),
    }


def native_only(body: Mapping[str, Any]) -> str | None:
    """The first field that only a server of the Messages protocol can serve, in words, or None.

    Of a body that is not the protocol it says nothing: to_chat() does.

    >>> native_only({"tools": [{"type": "web_search_20250305", "name": "web_search"}]})
    'tools[0]: web_search_20250305'
    """
    return next(_native(body), None)


def _native(body: Mapping[str, Any]) -> Iterator[str]:
    for index, tool in enumerate(_objects(body.get("tools"))):
        if _is_native_tool(tool):
            yield f"tools[{index}]: {tool['type']}"
    yield from (name for name in _NATIVE_FIELDS if body.get(name))
    yield from _native_blocks(body.get("system"), "system")
    for index, message in enumerate(_objects(body.get("messages"))):
        yield from _native_blocks(message.get("content"), f"messages[{index}].content")


def _native_blocks(content: object, where: str) -> Iterator[str]:
    for index, block in enumerate(_objects(content)):
        here = f"{where}[{index}]"
        what = _foreign(block)
        source = block.get("source")
        if what:
            yield f"{here}: {what}"
        elif block.get("type") == "tool_result":
            yield from _native_blocks(block.get("content"), f"{here}.content")
        elif isinstance(source, dict):
            yield from _native_blocks(source.get("content"), f"{here}.source.content")


def _foreign(block: Mapping[str, Any]) -> str | None:
    """What a block is that chat completions have no counterpart of. New types are, until known."""
    name = block.get("type")
    if not isinstance(name, str):
        return None
    if name not in _CHAT_BLOCKS:
        return name
    citations = block.get("citations")
    if isinstance(citations, dict) and citations.get("enabled"):
        return f"{name} with citations"
    source = block.get("source")
    origin = source.get("type") if isinstance(source, dict) else None
    if isinstance(origin, str) and origin not in _CHAT_SOURCES.get(name, (origin,)):
        return f"{name} from a source of type {origin}"
    return None


def _is_native_tool(tool: Mapping[str, Any]) -> bool:
    """Whether the server itself runs the tool, or the model knows its schema by the type."""
    return tool.get("type") not in (None, "custom")


def _objects(value: object) -> Sequence[Mapping[str, Any]]:
    """The array's items, those that are no objects as empty ones so that the rest keep places."""
    if not isinstance(value, list):
        return ()
    return [item if isinstance(item, dict) else {} for item in value]


@dataclass(frozen=True, slots=True)
class _Block:
    """A content block and the name of its place, which tells the caller what to mend."""

    fields: Mapping[str, Any]
    where: str

    @property
    def type(self) -> str:
        return self.text("type")

    def text(self, name: str) -> str:
        value = self.fields.get(name)
        if not isinstance(value, str):
            raise _wrong(f"{self.where}.{name}", "a string", value)
        return value

    def text_or_none(self, name: str) -> str | None:
        return None if self.fields.get(name) is None else self.text(name)

    def inner(self, name: str) -> "_Block":
        return _Block(_object(self.fields, name, self.where, required=True), f"{self.where}.{name}")

    def marked(self, part: _Part) -> _Part:
        """The part with the block's mark for the prompt cache, if it has one."""
        mark = self.fields.get("cache_control")
        return part if mark is None else {**part, "cache_control": mark}


def _blocks(content: object, where: str) -> list[_Block]:
    """The blocks that chat completions know; a string is one block of text."""
    if isinstance(content, str):
        return [_Block({"type": "text", "text": content}, where)]
    if not isinstance(content, list):
        raise _wrong(where, "a string or an array of content blocks", content)
    for index, item in enumerate(content):
        if not isinstance(item, dict):
            raise _wrong(f"{where}[{index}]", "an object", item)
    return [
        _Block(item, f"{where}[{index}]")
        for index, item in enumerate(content)
        if not _foreign(item)
    ]


def _optional_blocks(content: object, where: str) -> list[_Block]:
    return [] if content is None else _blocks(content, where)


def _system(blocks: Sequence[_Block]) -> list[_Part]:
    """One system message or none; blocks stay apart only where the prompt cache needs them so."""
    parts = []
    for block in blocks:
        if block.type != "text":
            raise _wrong(f"{block.where}.type", "'text'", block.type)
        parts.append(block.marked(_text_part(block.text("text"))))
    if any("cache_control" in part for part in parts):
        return [{"role": "system", "content": parts}]
    text = "\n\n".join(part["text"] for part in parts if part["text"])
    return [{"role": "system", "content": text}] if text else []


def _messages(value: object) -> Iterator[_Part]:
    if not isinstance(value, list) or not value:
        raise InvalidRequest("'messages' must be a non-empty array of messages", param="messages")
    for index, message in enumerate(value):
        where = f"messages[{index}]"
        if not isinstance(message, dict):
            raise _wrong(where, "an object", message)
        role = message.get("role")
        if role not in ("user", "assistant", "system"):
            raise _wrong(f"{where}.role", "'user', 'assistant' or 'system'", role)
        blocks = _blocks(message.get("content"), f"{where}.content")
        if role == "assistant":
            yield _assistant(blocks)
        else:
            yield from _user(blocks) if role == "user" else _system(blocks)


def _user(blocks: Sequence[_Block]) -> list[_Part]:
    """Tool results must follow the calls at once, so they come first, whatever stands before."""
    results = []
    parts: list[_Part] = []
    media: list[_Part] = []
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


def _tool_message(block: _Block) -> tuple[_Part, list[_Part]]:
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


def _assistant(blocks: Sequence[_Block]) -> _Part:
    """Thoughts that a provider signed go back as they came; ours are text without a proof."""
    parts: list[_Part] = []
    calls: list[_Part] = []
    signed: list[_Part] = []
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


def _call(block: _Block) -> _Part:
    arguments = json.dumps(block.inner("input").fields, ensure_ascii=False, separators=(",", ":"))
    function = {"name": block.text("name"), "arguments": arguments}
    return block.marked({"id": block.text("id"), "type": "function", "function": function})


def _content(parts: list[_Part]) -> str | list[_Part]:
    """Text alone as a plain string, which every server takes."""
    if not parts:
        return ""
    if len(parts) == 1 and parts[0].keys() == {"type", "text"}:
        return str(parts[0]["text"])
    return parts


def _parts(block: _Block) -> list[_Part]:
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


def _document(block: _Block) -> list[_Part]:
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
            else _inner_parts(source)  # type "content": _foreign() lets no other through
        ),
    ]


def _inner_parts(block: _Block) -> list[_Part]:
    inner = _optional_blocks(block.fields.get("content"), f"{block.where}.content")
    return [part for each in inner for part in _parts(each)]


def _image_url(source: _Block) -> str:
    return source.text("url") if source.type == "url" else _data_url(source)


def _data_url(source: _Block) -> str:
    return f"data:{source.text('media_type')};base64,{source.text('data')}"


def _text_part(text: str) -> _Part:
    return {"type": "text", "text": text}


def _tools(body: Mapping[str, Any]) -> _Part:
    """The tools that the client runs, and how to choose: chat servers refuse a choice of none."""
    tools = body.get("tools")
    if not isinstance(tools, list | None):
        raise _wrong("tools", "an array of tools", tools)
    functions = []
    for index, tool in enumerate(tools or ()):
        if not isinstance(tool, dict):
            raise _wrong(f"tools[{index}]", "an object", tool)
        if not _is_native_tool(tool):
            functions.append(_function(_Block(tool, f"tools[{index}]")))
    choice = _tool_choice(_object(body, "tool_choice"))
    return {"tools": functions, **choice} if functions else {}


def _function(tool: _Block) -> _Part:
    function: _Part = {"name": tool.text("name")}
    description = tool.text_or_none("description")
    if description is not None:
        function["description"] = description
    function["parameters"] = tool.inner("input_schema").fields
    if tool.fields.get("strict") is not None:
        function["strict"] = tool.fields["strict"]
    return tool.marked({"type": "function", "function": function})


def _tool_choice(choice: Mapping[str, Any]) -> _Part:
    if not choice:
        return {}
    block = _Block(choice, "tool_choice")
    chat: _Part = {}
    if block.type == "tool":
        chat["tool_choice"] = {"type": "function", "function": {"name": block.text("name")}}
    elif block.type in _TOOL_CHOICES:
        chat["tool_choice"] = _TOOL_CHOICES[block.type]
    else:
        raise _wrong("tool_choice.type", "'auto', 'any', 'tool' or 'none'", block.type)
    if choice.get("disable_parallel_tool_use"):
        chat["parallel_tool_calls"] = False
    return chat


def _reasoning(body: Mapping[str, Any]) -> _Part:
    """How hard to think. An effort in the client's own words goes before a budget in tokens."""
    thinking = _object(body, "thinking")
    mode = _Block(thinking, "thinking").type if thinking else None
    effort = _Block(_object(body, "output_config"), "output_config").text_or_none("effort")
    if mode == "enabled":
        budget = _count(thinking.get("budget_tokens"), "thinking.budget_tokens")
        effort = effort or _effort(budget)
    elif mode == "adaptive":
        effort = effort or "medium"
    elif mode == "disabled":
        effort = None
    if not effort:
        return {}
    return {"reasoning_effort": "high" if effort == "max" else effort}


def _effort(budget_tokens: int) -> str:
    if budget_tokens <= _LOW_BUDGET_TOKENS:
        return "low"
    return "medium" if budget_tokens <= _MEDIUM_BUDGET_TOKENS else "high"


def _response_format(body: Mapping[str, Any]) -> _Part:
    """The answer's schema, under its present name or the beta's."""
    present = _object(_object(body, "output_config"), "format", "output_config")
    block = _Block(present, "output_config.format")
    if not present:
        block = _Block(_object(body, "output_format"), "output_format")
    if not block.fields:
        return {}
    if block.type != "json_schema":
        raise _wrong(f"{block.where}.type", "'json_schema'", block.type)
    schema = {"name": "output", "schema": block.inner("schema").fields, "strict": True}
    return {"response_format": {"type": "json_schema", "json_schema": schema}}


def _stop(value: object) -> _Part:
    if not isinstance(value, list | None) or not all(isinstance(item, str) for item in value or ()):
        raise _wrong("stop_sequences", "an array of strings", value)
    return {"stop": value} if value else {}


def _metadata(metadata: Mapping[str, Any]) -> _Part:
    """`user_id` has a field of its own in a chat body; the rest is the same object there.

    Claude Code's has 150 characters and more; what chat servers are known to take is 64.
    """
    user = _Block(metadata, "metadata").text_or_none("user_id")
    if user is not None and len(user) > _MAX_USER_CHARS:
        user = hashlib.sha256(user.encode("utf-8", "replace")).hexdigest()
    rest = {name: value for name, value in metadata.items() if name != "user_id"}
    return {**({"user": user} if user else {}), **({"metadata": rest} if rest else {})}


def _service_tier(value: object) -> _Part:
    return {} if value is None or value in _TIERS else {"service_tier": value}


def _object(
    fields: Mapping[str, Any], name: str, where: str = "", *, required: bool = False
) -> Mapping[str, Any]:
    """The object of that name; an absent one is empty unless it is required."""
    value = fields.get(name)
    if value is None and not required:
        return {}
    if not isinstance(value, dict):
        raise _wrong(f"{where}.{name}" if where else name, "an object", value)
    return value


def _count(value: object, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InvalidRequest(
            f"'{where}' must be an integer of at least 1, got {shown(value)}", param=where
        )
    return value


def _wrong(where: str, right: str, value: object) -> InvalidRequest:
    found = shown(value) if isinstance(value, str) else kind(value)
    return InvalidRequest(f"'{where}' must be {right}, not {found}", param=where)
