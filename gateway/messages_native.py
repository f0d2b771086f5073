"""What of a Messages request only a server of that protocol can serve, named by its place.

Pure. It judges bodies that messages_request.py may have to refuse, so it takes any shape.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

NATIVE_FIELDS: Final = ("mcp_servers", "container")

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


def native_only(body: Mapping[str, Any]) -> str | None:
    """The first field that only a server of the Messages protocol can serve, in words, or None.

    Of a body that is not the protocol it says nothing: to_chat() does.

    >>> native_only({"tools": [{"type": "web_search_20250305", "name": "web_search"}]})
    'tools[0]: web_search_20250305'
    """
    return next(_native(body), None)


def _native(body: Mapping[str, Any]) -> Iterator[str]:
    for index, tool in enumerate(_objects(body.get("tools"))):
        if is_native_tool(tool):
            yield f"tools[{index}]: {tool['type']}"
    yield from (name for name in NATIVE_FIELDS if body.get(name))
    yield from _native_blocks(body.get("system"), "system")
    for index, message in enumerate(_objects(body.get("messages"))):
        yield from _native_blocks(message.get("content"), f"messages[{index}].content")


def _native_blocks(content: object, where: str) -> Iterator[str]:
    for index, block in enumerate(_objects(content)):
        here = f"{where}[{index}]"
        what = foreign(block)
        source = block.get("source")
        if what:
            yield f"{here}: {what}"
        elif block.get("type") == "tool_result":
            yield from _native_blocks(block.get("content"), f"{here}.content")
        elif isinstance(source, dict):
            yield from _native_blocks(source.get("content"), f"{here}.source.content")


def foreign(block: Mapping[str, Any]) -> str | None:
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


def is_native_tool(tool: Mapping[str, Any]) -> bool:
    """Whether the server itself runs the tool, or the model knows its schema by the type."""
    return tool.get("type") not in (None, "custom")


def _objects(value: object) -> Sequence[Mapping[str, Any]]:
    """The array's items, those that are no objects as empty ones so that the rest keep places."""
    if not isinstance(value, list):
        return ()
    return [item if isinstance(item, dict) else {} for item in value]
