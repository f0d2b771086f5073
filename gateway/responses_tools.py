"""The tools of a Responses request as chat's, and their way back to the client's own names.

Pure. Chat has no namespaces and no tools of free text: the first become part of a name, the second
functions of one string.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from gateway.responses_fields import each, string_at, wrong

TOOLS: Final = frozenset({"function", "custom"})

_NAMESPACE: Final = "namespace"  # a group of the client's own tools, as Codex offers some

_MAX_NAME_CHARS: Final = 64


class Offered(NamedTuple):
    """A tool as its client knows it. `is_custom`: its input is free text, which chat knows as a
    function of one string."""

    name: str
    namespace: str | None
    is_custom: bool


def offered(body: Mapping[str, Any]) -> dict[str, Offered]:
    """The client's tools by the names that they have in the chat body."""
    return {
        chat_name: Offered(str(tool.get("name")), namespace, tool.get("type") == "custom")
        for chat_name, namespace, tool, _ in client_tools(body)
    }


def client_tools(
    body: Mapping[str, Any],
) -> Iterator[tuple[str, str | None, Mapping[str, Any], str]]:
    """(name in chat, namespace, tool, where) of every tool that the client itself runs. Chat has no
    namespaces: there a tool of one bears both names."""
    for index, tool in objects_in(body.get("tools")):
        where = f"tools[{index}]"
        if tool.get("type") == _NAMESPACE:
            space = str(tool.get("name"))
            for position, inner in objects_in(tool.get("tools")):
                name = chat_name(str(inner.get("name")), space)
                yield name, space, inner, f"{where}.tools[{position}]"
        else:
            yield str(tool.get("name")), None, tool, where


def chat_name(name: str, namespace: object) -> str:
    """A tool's name where there are no namespaces; chat servers take 64 of these characters.

    >>> chat_name("spawn", "agents"), chat_name("spawn", None)
    ('agents__spawn', 'spawn')
    """
    if not isinstance(namespace, str) or not namespace:
        return name
    joined = re.sub(r"[^a-zA-Z0-9_-]", "_", f"{namespace}__{name}")
    if len(joined) <= _MAX_NAME_CHARS:
        return joined
    digest = hashlib.sha256(f"{namespace}\n{name}".encode("utf-8", "replace")).hexdigest()
    return f"{joined[: _MAX_NAME_CHARS - 9]}_{digest[:8]}"


def tool_fields(body: Mapping[str, Any]) -> dict[str, Any]:
    """Chat's tools, tool_choice and parallel_tool_calls; without tools, OpenAI refuses the rest."""
    for where, tool in each(body, "tools"):
        string_at(tool.get("type"), f"{where}.type")
    tools = [
        _tool(tool, where, namespace)
        for _, namespace, tool, where in client_tools(body)
        if string_at(tool.get("type"), f"{where}.type") in TOOLS
    ]
    choice = body.get("tool_choice")
    if isinstance(choice, dict) and choice.get("type") == "allowed_tools":
        names = {
            chat_name(str(tool.get("name")), tool.get("namespace"))
            for _, tool in each(choice, "tools", "tool_choice")
        }
        tools = [tool for tool in tools if tool["function"]["name"] in names]
        choice = choice.get("mode", "auto")
    elif isinstance(choice, dict):
        choice = _named_choice(choice)
    elif choice not in (None, "auto", "none", "required"):
        raise wrong("tool_choice", "'auto', 'none', 'required' or an object", choice)
    parallel = body.get("parallel_tool_calls")
    return {
        **({"tools": tools} if tools else {}),
        **({"tool_choice": choice} if choice and (tools or choice == "required") else {}),
        **({"parallel_tool_calls": parallel} if tools and parallel is not None else {}),
    }


def _named_choice(choice: Mapping[str, Any]) -> dict[str, Any] | None:
    if string_at(choice.get("type"), "tool_choice.type") not in TOOLS:
        return None  # a hosted tool: native_only names it
    name = chat_name(string_at(choice.get("name"), "tool_choice.name"), choice.get("namespace"))
    return {"type": "function", "function": {"name": name}}


def _tool(tool: Mapping[str, Any], where: str, namespace: str | None) -> dict[str, Any]:
    function = {"name": chat_name(string_at(tool.get("name"), f"{where}.name"), namespace)}
    if tool["type"] == "custom":
        return {"type": "function", "function": {**function, **_free_text(tool)}}
    fields = ("description", "parameters", "strict")
    kept = {name: tool[name] for name in fields if tool.get(name) is not None}
    return {"type": "function", "function": {**function, **kept}}


def _free_text(tool: Mapping[str, Any]) -> dict[str, Any]:
    """A custom tool as a function of one string; its grammar can only be told, not enforced."""
    lines = [str(tool["description"])] if tool.get("description") else []
    grammar = tool.get("format")
    if isinstance(grammar, dict) and grammar.get("type") == "grammar":
        syntax, definition = grammar.get("syntax"), grammar.get("definition")
        lines.append(f"The input must match this {syntax} grammar:\n{definition}")
    return {
        **({"description": "\n\n".join(lines)} if lines else {}),
        "parameters": {
            "type": "object",
            "properties": {"input": {"type": "string", "description": "The tool's whole input."}},
            "required": ["input"],
            "additionalProperties": False,
        },
    }


def objects_in(value: object) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for index, entry in enumerate(value if isinstance(value, list) else ()):
        if isinstance(entry, dict):
            yield index, entry
