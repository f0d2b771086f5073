"""A Messages request (Anthropic's protocol) as the chat completions body that asks for the same.

Pure. Parameters that we do not know pass on untouched. What chat completions have no words for is
left out, and messages_native.py names it: who gets a name there should send the request to a server
of the Messages protocol, or refuse it.
"""

import hashlib
from collections.abc import Mapping
from typing import Any, Final

from gateway.errors import InvalidRequest
from gateway.json_body import shown
from gateway.messages_blocks import (
    Block,
    Part,
    object_in,
    optional_blocks,
    system_messages,
    turns,
    wrong,
)
from gateway.messages_native import NATIVE_FIELDS, is_native_tool

_TRANSLATED: Final = frozenset(
    (
        *("messages", "system", "tools", "tool_choice", "stop_sequences", "thinking", "metadata"),
        *("output_config", "output_format", "service_tier"),
        "context_management",  # tidies long conversations where it is known; not asked for a result
    )
)
_TIERS: Final = ("auto", "standard_only")  # what is left is no word of Anthropic's: the caller's
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
    dropped = _TRANSLATED.union(NATIVE_FIELDS)
    return {
        **{name: value for name, value in body.items() if name not in dropped},
        "messages": [
            *system_messages(optional_blocks(body.get("system"), "system")),
            *turns(body.get("messages")),
        ],
        **_tools(body),
        **_reasoning(body),
        **_response_format(body),
        **_stop(body.get("stop_sequences")),
        **_metadata(object_in(body, "metadata")),
        **_service_tier(body.get("service_tier")),
    }


def _tools(body: Mapping[str, Any]) -> Part:
    """The tools that the client runs, and how to choose: chat servers refuse a choice of none."""
    tools = body.get("tools")
    if not isinstance(tools, list | None):
        raise wrong("tools", "an array of tools", tools)
    functions = []
    for index, tool in enumerate(tools or ()):
        if not isinstance(tool, dict):
            raise wrong(f"tools[{index}]", "an object", tool)
        if not is_native_tool(tool):
            functions.append(_function(Block(tool, f"tools[{index}]")))
    choice = _tool_choice(object_in(body, "tool_choice"))
    return {"tools": functions, **choice} if functions else {}


def _function(tool: Block) -> Part:
    function: Part = {"name": tool.text("name")}
    description = tool.text_or_none("description")
    if description is not None:
        function["description"] = description
    function["parameters"] = tool.inner("input_schema").fields
    if tool.fields.get("strict") is not None:
        function["strict"] = tool.fields["strict"]
    return tool.marked({"type": "function", "function": function})


def _tool_choice(choice: Mapping[str, Any]) -> Part:
    if not choice:
        return {}
    block = Block(choice, "tool_choice")
    chat: Part = {}
    if block.type == "tool":
        chat["tool_choice"] = {"type": "function", "function": {"name": block.text("name")}}
    elif block.type in _TOOL_CHOICES:
        chat["tool_choice"] = _TOOL_CHOICES[block.type]
    else:
        raise wrong("tool_choice.type", "'auto', 'any', 'tool' or 'none'", block.type)
    if choice.get("disable_parallel_tool_use"):
        chat["parallel_tool_calls"] = False
    return chat


def _reasoning(body: Mapping[str, Any]) -> Part:
    """How hard to think. An effort in the client's own words goes before a budget in tokens."""
    thinking = object_in(body, "thinking")
    mode = Block(thinking, "thinking").type if thinking else None
    effort = Block(object_in(body, "output_config"), "output_config").text_or_none("effort")
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


def _response_format(body: Mapping[str, Any]) -> Part:
    """The answer's schema, under its present name or the beta's."""
    present = object_in(object_in(body, "output_config"), "format", "output_config")
    block = Block(present, "output_config.format")
    if not present:
        block = Block(object_in(body, "output_format"), "output_format")
    if not block.fields:
        return {}
    if block.type != "json_schema":
        raise wrong(f"{block.where}.type", "'json_schema'", block.type)
    schema = {"name": "output", "schema": block.inner("schema").fields, "strict": True}
    return {"response_format": {"type": "json_schema", "json_schema": schema}}


def _stop(value: object) -> Part:
    if not isinstance(value, list | None) or not all(isinstance(item, str) for item in value or ()):
        raise wrong("stop_sequences", "an array of strings", value)
    return {"stop": value} if value else {}


def _metadata(metadata: Mapping[str, Any]) -> Part:
    """`user_id` has a field of its own in a chat body; the rest is the same object there.

    Claude Code's has 150 characters and more; what chat servers are known to take is 64.
    """
    user = Block(metadata, "metadata").text_or_none("user_id")
    if user is not None and len(user) > _MAX_USER_CHARS:
        user = hashlib.sha256(user.encode("utf-8", "replace")).hexdigest()
    rest = {name: value for name, value in metadata.items() if name != "user_id"}
    return {**({"user": user} if user else {}), **({"metadata": rest} if rest else {})}


def _service_tier(value: object) -> Part:
    return {} if value is None or value in _TIERS else {"service_tier": value}


def _count(value: object, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InvalidRequest(
            f"'{where}' must be an integer of at least 1, got {shown(value)}", param=where
        )
    return value
