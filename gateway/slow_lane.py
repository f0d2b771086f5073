"""The slow lane: litellm's SDK speaks to providers whose wire is their own.

With targets.py the only module that imports litellm. Chat bodies in, chat answers and chunks out,
as litellm gives them, without the fields that it adds for itself where they are empty.
"""

import copy
import logging
import os
from collections.abc import AsyncGenerator, Mapping
from typing import Any

# Before the import, here as in targets.py: otherwise litellm goes to the network for its prices.
os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")

import litellm

from gateway import upstream_errors, wires
from gateway.errors import UpstreamError
from gateway.targets import (
    KNOWN,
    LITELLMS_OWN,
    OPENAI_WIRE,
    PLAIN,
    Target,
    litellm_name,
    messages_root,
)

logger = logging.getLogger(__name__)


async def chat(
    target: Target, body: Mapping[str, Any], *, may_drop: bool, timeout_s: float
) -> dict[str, Any]:
    """One whole chat completion. Raises UpstreamError.

    `may_drop`: litellm leaves out values that it knows the model refuses.
    """
    try:
        response = await litellm.acompletion(**_arguments(target, body, may_drop, timeout_s))
    except Exception as exc:
        raise _translated(exc, target) from exc
    answer: dict[str, Any] = response.model_dump(mode="json", exclude_none=True)
    for choice in answer.get("choices", ()):
        _tidy(choice)
        message = choice.get("message")
        if isinstance(message, dict):
            message.setdefault("content", None)  # null, not absent, beside tool calls
            for call in message.get("tool_calls") or ():
                call.pop("index", None)  # a stream's field
    return answer


async def chat_chunks(
    target: Target, body: Mapping[str, Any], *, may_drop: bool, timeout_s: float
) -> AsyncGenerator[dict[str, Any], None]:
    """The chunks of a chat stream. Raises UpstreamError, before the first chunk or later."""
    response = None
    try:
        response = await litellm.acompletion(**_arguments(target, body, may_drop, timeout_s))
        async for piece in response:
            chunk = _chunk(piece)
            if _is_made_up_end(response, chunk):
                raise upstream_errors.broke_off(target.profile.name)
            yield chunk
    except UpstreamError:
        raise
    except Exception as exc:
        raise _translated(exc, target) from exc
    finally:
        # A stream that is only dropped keeps running, and costing, at the provider.
        if response is not None:
            await response.aclose()


def _is_made_up_end(response: Any, chunk: Mapping[str, Any]) -> bool:
    """Whether litellm says `stop` for a provider that said nothing of an end."""
    if not any(choice.get("finish_reason") for choice in chunk.get("choices", ())):
        return False
    names = ("received_finish_reason", "intermittent_finish_reason")
    return all(getattr(response, name, "") is None for name in names)


async def older(
    wire: str, target: Target, body: Mapping[str, Any], *, timeout_s: float
) -> dict[str, Any]:
    """One whole answer on the completions or the embeddings wire. Raises UpstreamError."""
    call = litellm.aembedding if wire == wires.EMBEDDINGS else litellm.atext_completion
    fields = {name: value for name, value in body.items() if name not in LITELLMS_OWN}
    try:
        response = await call(**{**fields, **_common(target, timeout_s)})
    except Exception as exc:
        raise _translated(exc, target) from exc
    answer: dict[str, Any] = response.model_dump(mode="json", exclude_none=True)
    return answer


def _arguments(
    target: Target, body: Mapping[str, Any], may_drop: bool, timeout_s: float
) -> dict[str, Any]:
    """litellm's arguments: what it has no name for goes along as the provider's own field."""
    known = frozenset() if target.provider in PLAIN else KNOWN
    if target.provider in OPENAI_WIRE:  # its SDK takes no names that it does not know
        known &= target.dialect.supported
    fields = {name: value for name, value in body.items() if name not in ("model", "messages")}
    stream: dict[str, Any] = {
        name: fields.pop(name) for name in ("stream", "stream_options") if name in fields
    }
    strangers = {name: value for name, value in fields.items() if name not in known}
    arguments = {name: value for name, value in fields.items() if name in known}
    if target.provider in OPENAI_WIRE:
        arguments["extra_body"] = strangers
    else:
        # litellm knows no extra_body there: it passes names on that are not its own.
        arguments |= {n: v for n, v in strangers.items() if n not in LITELLMS_OWN}
    return {
        **arguments,
        **target.profile.litellm_params,
        **stream,
        **_common(target, timeout_s),
        "messages": copy.deepcopy(body["messages"]),  # litellm writes into them
        "drop_params": may_drop,
        # What the provider can't take was dropped before, where that was ours to do (upstream.py);
        # an explicit model gets its provider's own words.
        "allowed_openai_params": target.dialect.unsupported(arguments),
    }


def _common(target: Target, timeout_s: float) -> dict[str, Any]:
    return {
        "model": litellm_name(target.profile),
        "api_key": target.secret,
        "api_base": _base(target),
        "timeout": timeout_s,
        "num_retries": 0,
        "max_retries": 0,
    }


def _base(target: Target) -> str | None:
    base = target.profile.api_base
    if base is None or wires.MESSAGES not in target.profile.speaks:
        return base
    return messages_root(base)


def _translated(exc: Exception, target: Target) -> Exception:
    logger.warning("%s: %s: %s", target.profile.name, type(exc).__name__, _first_line(exc))
    secrets = (target.secret or "", target.profile.api_base or "")
    return upstream_errors.translate(exc, profile=target.profile.name, secrets=secrets)


def _first_line(exc: Exception) -> str:
    """What an operator needs of an error; a provider's 401 may quote a part of our key."""
    line = str(exc).partition("\n")[0]
    return "see the provider's console" if "api key" in line.lower() else line[:500]


def _chunk(piece: Any) -> dict[str, Any]:
    body: dict[str, Any] = piece.model_dump(mode="json", exclude_none=True)
    empty = True
    for choice in body.get("choices", ()):
        _tidy(choice)
        choice.setdefault("finish_reason", None)
        delta = choice.setdefault("delta", {})
        empty = empty and not delta and choice["finish_reason"] is None
    if empty and body.get("usage") is not None:
        body["choices"] = []  # OpenAI's shape; litellm sends one empty choice
    return body


def _tidy(choice: dict[str, Any]) -> None:
    for part in (choice, choice.get("message"), choice.get("delta")):
        if not isinstance(part, dict):
            continue
        own = part.get("provider_specific_fields")
        if own is not None and all(value is None for value in own.values()):
            del part["provider_specific_fields"]
