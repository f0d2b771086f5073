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

_CLAUDES: Final = ("thinking_blocks", "cache_control")
_SIGNED: Final = ("provider_specific_fields",)  # Claude's and Gemini's proofs, as litellm has them
# Of other servers' answers; OpenAI refuses fields of messages and calls that it does not know.
_NOT_OPENAIS: Final = ("reasoning", "reasoning_details", "extra_content")


class ToolIds(NamedTuple):
    """Which ids of tool calls a provider takes, and one made for those that it refuses."""

    accepted: re.Pattern[str]
    make: Callable[[str], str]

    def fitting(self, name: str) -> str:
        """The id itself if the provider takes it, else one that stands for it, always the same."""
        if self.accepted.fullmatch(name):
            return name
        return self.make(hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest())


# OpenAI refuses more than 40 characters; Gemini's ids, with a thought inside, have thousands, and
# Gemini wants the thought back.
OPENAI_IDS: Final = ToolIds(re.compile(r".{1,40}", re.DOTALL), lambda made: f"call_{made[:24]}")
CLAUDE_IDS: Final = ToolIds(re.compile(r"[a-zA-Z0-9_-]{1,128}"), lambda made: f"toolu_{made[:24]}")
RESPONSES_IDS: Final = ToolIds(re.compile(r".{1,64}", re.DOTALL), OPENAI_IDS.make)
MISTRAL_IDS: Final = ToolIds(re.compile(r"[a-zA-Z0-9]{9}"), lambda made: made[:9])
GEMINI_IDS: Final = ToolIds(re.compile(r".+", re.DOTALL), lambda made: f"call_{made[:24]}")


_REFUSE_REASONING: Final = ("cerebras", "groq", "mistral")


class Reader(NamedTuple):
    """What the model that is to read the conversation understands."""

    is_claude: bool  # whoever serves it: thinking signatures and cache markers are the family's
    ids: ToolIds
    takes_reasoning: bool  # `reasoning_content` in messages, as the servers of open models do
    foreign: tuple[str, ...] = ()  # fields of messages, parts, calls and tools that it must not get


def reader(provider: str, model: str, *, is_self_hosted: bool) -> Reader:
    """The reader behind a provider's model name.

    >>> reader("bedrock", "anthropic.claude-sonnet-4", is_self_hosted=False).is_claude
    True
    """
    if provider == "anthropic" or "claude" in model.lower():
        return Reader(is_claude=True, ids=CLAUDE_IDS, takes_reasoning=False)
    if provider == "gemini" or (provider.startswith("vertex_ai") and "gemini" in model.lower()):
        return Reader(is_claude=False, ids=GEMINI_IDS, takes_reasoning=True, foreign=_CLAUDES)
    foreign = _CLAUDES + _SIGNED
    if provider == "openai" and not is_self_hosted:
        return Reader(False, OPENAI_IDS, takes_reasoning=False, foreign=foreign + _NOT_OPENAIS)
    ids = MISTRAL_IDS if provider == "mistral" else OPENAI_IDS
    return Reader(False, ids, provider not in _REFUSE_REASONING, foreign=foreign)


def for_chat(body: Mapping[str, Any], reader: Reader) -> Mapping[str, Any]:
    """A chat body whose messages and tools the reader understands."""
    changed: dict[str, Any] = {}
    messages = _mapped(body.get("messages"), lambda message: _message(message, reader))
    if messages is not body.get("messages"):
        changed["messages"] = messages
    tools = _mapped(body.get("tools"), lambda tool: _without(tool, reader.foreign))
    if tools is not body.get("tools"):
        changed["tools"] = tools
    gone: tuple[str, ...] = ("cache_control",)
    if reader.is_claude:
        gone = () if _may_think_on_in_chat(messages) else ("reasoning_effort", "thinking")
    return _without({**body, **changed} if changed else body, gone)


def for_messages(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """A Messages body for a server of that protocol: without thinking that is not Claude's own."""
    messages = body.get("messages")
    if not isinstance(messages, list):
        return body
    changed: dict[str, Any] = {}
    kept = _mapped(messages, _claude_turn)
    if kept is not messages:
        kept = [message for message in kept if message.get("content") != []]
        changed["messages"] = kept
    thinking = body.get("thinking")
    wants = isinstance(thinking, Mapping) and thinking.get("type") == "enabled"
    if wants and not _may_think_on(kept):
        changed["thinking"] = {"type": "disabled"}
    return {**body, **changed} if changed else body


def for_responses(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """A Responses body for a server of that protocol: without reasoning that it did not write."""
    items = body.get("input")
    if not isinstance(items, list):
        return body
    kept = [item for item in items if not _is_our_reasoning(item)]
    read = _mapped(kept, lambda item: _with_fitting(item, "call_id", RESPONSES_IDS))
    return body if read is kept and len(kept) == len(items) else {**body, "input": read}


def _message(message: Message, reader: Reader) -> Message:
    changed: dict[str, Any] = {}
    blocks = message.get("thinking_blocks")
    gone = tuple(name for name in reader.foreign if name in message)
    if "reasoning_content" in message and (not reader.takes_reasoning or blocks):
        gone += ("reasoning_content",)
    if reader.is_claude and isinstance(blocks, list):
        signed = [block for block in blocks if not _is_foreign_thinking(block)]
        if len(signed) < len(blocks):
            changed["thinking_blocks"] = signed
    content = message.get("content")
    parts = _mapped(content, lambda part: _without(part, reader.foreign))
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
    return _without({**message, **changed} if changed else message, gone)


def _call(call: Message, reader: Reader) -> Message:
    return _with_fitting(_without(call, reader.foreign), "id", reader.ids)


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


def _may_think_on(messages: Sequence[Any]) -> bool:
    """Whether Claude may think in its next turn: amid tool calls only if it thought before them."""
    if len(messages) < 2 or not _blocks(messages[-1], "tool_result"):
        return True
    before = messages[-2].get("content")
    first = before[0] if isinstance(before, list) and before else None
    kind = first.get("type") if isinstance(first, Mapping) else None
    return kind in ("thinking", "redacted_thinking")


def _may_think_on_in_chat(messages: Any) -> bool:
    """The same of chat messages, where the results are messages of their own."""
    turns = messages if isinstance(messages, list) else []
    for message in reversed(turns):
        role = message.get("role") if isinstance(message, Mapping) else None
        if role == "assistant":
            return message is turns[-1] or bool(message.get("thinking_blocks"))
        if role != "tool":
            break
    return True


def _blocks(message: Message, kind: str) -> list[Message]:
    content = message.get("content")
    found = content if isinstance(content, list) else ()
    return [block for block in found if isinstance(block, Mapping) and block.get("type") == kind]


def _without(item: Message, names: Sequence[str]) -> Message:
    if not any(name in item for name in names):
        return item
    return {name: value for name, value in item.items() if name not in names}


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
