"""A conversation that one family of models wrote, made readable for another.

Thinking signatures, tool ids and cache markers mean something to the family that made them and are
errors elsewhere, so they go along to the same family and are taken out, or renamed, for any other.
Pure; what needs no change is returned as it came.
"""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

Message = Mapping[str, Any]

OURS: Final = "hydra:"  # begins what our own translations sign: thoughts, sealed reasoning

_CLAUDES: Final = ("thinking_blocks", "provider_specific_fields", "cache_control")


class ToolIds(NamedTuple):
    """Which ids of tool calls a provider takes, and one made for those that it refuses."""

    accepted: re.Pattern[str]
    make: Callable[[str], str]

    def fitting(self, name: str) -> str:
        """The id itself if the provider takes it, else one that stands for it, always the same."""
        if self.accepted.fullmatch(name):
            return name
        return self.make(hashlib.sha256(name.encode("utf-8", "replace")).hexdigest())


# OpenAI refuses more than 40 characters; Gemini's ids, with a thought inside, have thousands.
OPENAI_IDS: Final = ToolIds(re.compile(r".{1,40}", re.DOTALL), lambda made: f"call_{made[:24]}")
CLAUDE_IDS: Final = ToolIds(re.compile(r"[a-zA-Z0-9_-]{1,128}"), lambda made: f"toolu_{made[:24]}")
MISTRAL_IDS: Final = ToolIds(re.compile(r"[a-zA-Z0-9]{9}"), lambda made: made[:9])


class Reader(NamedTuple):
    """What the model that is to read the conversation understands."""

    is_claude: bool  # whoever serves it: thinking signatures and cache markers are the family's
    ids: ToolIds
    takes_reasoning: bool  # `reasoning_content` in messages, as the servers of open models do


def reader(provider: str, model: str, *, is_self_hosted: bool) -> Reader:
    """The reader behind a provider's model name.

    >>> reader("bedrock", "anthropic.claude-sonnet-4", is_self_hosted=False).is_claude
    True
    """
    is_claude = provider == "anthropic" or "claude" in model.lower()
    ids = CLAUDE_IDS if is_claude else MISTRAL_IDS if provider == "mistral" else OPENAI_IDS
    is_openai = provider == "openai" and not is_self_hosted
    return Reader(is_claude, ids, takes_reasoning=not is_claude and not is_openai)


def for_chat(body: Mapping[str, Any], reader: Reader) -> Mapping[str, Any]:
    """A chat body whose messages and tools the reader understands."""
    changed: dict[str, Any] = {}
    messages = _mapped(body.get("messages"), lambda message: _message(message, reader))
    if messages is not body.get("messages"):
        changed["messages"] = messages
    if not reader.is_claude and body.get("tools"):
        tools = _mapped(body["tools"], _without_cache_marker)
        if tools is not body["tools"]:
            changed["tools"] = tools
    if not changed and (reader.is_claude or "cache_control" not in body):
        return body
    made = {**body, **changed}
    if not reader.is_claude:
        made.pop("cache_control", None)
    return made


def for_messages(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """A Messages body for a server of that protocol: without thinking that is not Claude's own."""
    messages = body.get("messages")
    if not isinstance(messages, list):
        return body
    kept = _mapped(messages, _claude_turn)
    if kept is messages:
        return body
    return {**body, "messages": [message for message in kept if message.get("content") != []]}


def for_responses(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """A Responses body for a server of that protocol: without reasoning that it did not write."""
    items = body.get("input")
    if not isinstance(items, list) or not any(_is_our_reasoning(item) for item in items):
        return body
    return {**body, "input": [item for item in items if not _is_our_reasoning(item)]}


def _message(message: Message, reader: Reader) -> Message:
    changed: dict[str, Any] = {}
    blocks = message.get("thinking_blocks")
    gone = () if reader.is_claude else tuple(name for name in _CLAUDES if name in message)
    if "reasoning_content" in message and (not reader.takes_reasoning or blocks):
        gone += ("reasoning_content",)
    if reader.is_claude and isinstance(blocks, list):
        signed = [block for block in blocks if not _is_foreign_thinking(block)]
        if len(signed) < len(blocks):
            changed["thinking_blocks"] = signed
    content = message.get("content")
    if not reader.is_claude:
        parts = _mapped(content, _without_cache_marker)
        if parts is not content:
            changed["content"] = parts
    calls = message.get("tool_calls")
    if isinstance(calls, list):
        renamed = _mapped(calls, lambda call: _call(call, reader))
        if renamed is not calls:
            changed["tool_calls"] = renamed
    name = message.get("tool_call_id")
    if isinstance(name, str) and (fitting := reader.ids.fitting(name)) != name:
        changed["tool_call_id"] = fitting
    if not changed and not gone:
        return message
    return {name: value for name, value in {**message, **changed}.items() if name not in gone}


def _call(call: Message, reader: Reader) -> Message:
    if not reader.is_claude and any(name in call for name in _CLAUDES):
        call = {name: value for name, value in call.items() if name not in _CLAUDES}
    return _with_fitting(call, "id", reader.ids)


def _claude_turn(message: Message) -> Message:
    content = message.get("content")
    if not isinstance(content, list):
        return message
    kept = [block for block in content if not _is_foreign_thinking(block)]
    blocks = _mapped(kept if len(kept) < len(content) else content, _claude_block)
    return message if blocks is content else {**message, "content": blocks}


def _claude_block(block: Message) -> Message:
    return _with_fitting(_with_fitting(block, "tool_use_id", CLAUDE_IDS), "id", CLAUDE_IDS)


def _is_foreign_thinking(block: object) -> bool:
    if not isinstance(block, Mapping) or block.get("type") != "thinking":
        return False
    signature = block.get("signature")
    return not isinstance(signature, str) or not signature or signature.startswith(OURS)


def _is_our_reasoning(item: object) -> bool:
    if not isinstance(item, Mapping) or item.get("type") != "reasoning":
        return False
    return str(item.get("encrypted_content")).startswith(OURS)


def _without_cache_marker(part: Message) -> Message:
    if "cache_control" not in part:
        return part
    return {name: value for name, value in part.items() if name != "cache_control"}


def _with_fitting(item: Message, field: str, ids: ToolIds) -> Message:
    name = item.get(field)
    if not isinstance(name, str) or (fitting := ids.fitting(name)) == name:
        return item
    return {**item, field: fitting}


def _mapped(items: Any, change: Callable[[Message], Message]) -> Any:
    """The items changed; the very same list if none was, and what is no list as it is."""
    if not isinstance(items, list):
        return items
    made: Sequence[Any] = [change(item) if isinstance(item, Mapping) else item for item in items]
    same = all(new is old for new, old in zip(made, items, strict=True))
    return items if same else made
