"""The call to a provider, through litellm's SDK: the one module that imports litellm.

A profile and a chat body in; the provider's answer out, as litellm gives it, with the usage the
provider counted. Retries and fallbacks are not here: each call is one attempt (exchange.py walks
the candidates).
"""

import logging
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

# Before the import: otherwise litellm goes to the network for its price table.
os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")

import litellm
from litellm.constants import OPENAI_CHAT_COMPLETION_PARAMS

from gateway import upstream_errors
from gateway.decision import Usage
from gateway.profile import Profile

logger = logging.getLogger(__name__)

litellm.suppress_debug_info = True  # else it prints help to stdout at every error
litellm.telemetry = False

# A caller's field of one of these names would steer litellm (another address, another key), not the
# model; it is sent to the provider as a plain field, like every other one litellm has no name for.
_STEERS_LITELLM: Final = frozenset(
    {
        "api_base",
        "api_key",
        "api_version",
        "base_url",
        "default_headers",
        "deployment_id",
        "extra_headers",
        "max_retries",
        "organization",
        "request_timeout",
        "stream",
        "stream_options",
        "timeout",
    }
)
_KNOWN: Final = frozenset(OPENAI_CHAT_COMPLETION_PARAMS) - _STEERS_LITELLM
_OURS: Final = frozenset({"model", "messages", "stream", "stream_options"})
# Servers that speak OpenAI's protocol and judge the fields themselves: litellm need know none.
_PLAIN_WIRE: Final = frozenset({"hosted_vllm", "openai_like", "custom_openai"})
_OPENAI_WIRE: Final = _PLAIN_WIRE | {"openai"}


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer: the body for the client, the provider's usage, why it stopped."""

    body: dict[str, Any]
    usage: Usage | None
    finish_reason: str | None


@dataclass(frozen=True, slots=True)
class Chunk:
    """One event of a stream. `is_usage_only`: the chunk that only a client who asked may see."""

    body: dict[str, Any]
    usage: Usage | None
    finish_reason: str | None
    is_usage_only: bool
    text_bytes: int  # UTF-8 bytes of generated text, to estimate an aborted stream


class Upstream:
    """Calls providers for profiles. `demo_base`, when set, answers for those that need a key."""

    def __init__(
        self, environ: Mapping[str, str], *, timeout_s: float, demo_base: str | None = None
    ) -> None:
        self._environ = environ
        self._timeout_s = timeout_s
        self._demo_base = demo_base

    async def complete(self, profile: Profile, body: Mapping[str, Any], *, routed: bool) -> Answer:
        """One whole answer. Raises UpstreamError."""
        arguments = self._arguments(profile, body, routed=routed)
        try:
            response = await litellm.acompletion(**arguments)
        except Exception as exc:
            raise self._translated(exc, profile) from exc
        answer = _answer_body(response)
        return Answer(answer, _usage(answer.get("usage")), _finish_reason(answer))

    async def stream(
        self, profile: Profile, body: Mapping[str, Any], *, routed: bool
    ) -> AsyncIterator[Chunk]:
        """The events of a stream. Raises UpstreamError, before the first event or in the middle.

        Usage is always asked for: without it a stream can't be priced.
        """
        arguments = self._arguments(profile, body, routed=routed)
        options = body.get("stream_options")
        arguments["stream"] = True
        arguments["stream_options"] = {
            **(options if isinstance(options, dict) else {}),
            "include_usage": True,
        }
        response = None
        try:
            response = await litellm.acompletion(**arguments)
            async for piece in response:
                yield _chunk(piece)
        except Exception as exc:
            raise self._translated(exc, profile) from exc
        finally:
            # A stream that is only dropped keeps running, and costing, at the provider.
            if response is not None:
                await response.aclose()

    def _arguments(
        self, profile: Profile, body: Mapping[str, Any], *, routed: bool
    ) -> dict[str, Any]:
        """litellm's arguments: the profile's params under the client's, strangers in extra_body."""
        profile = self._simulated(profile)
        fields = {**profile.params, **{k: v for k, v in body.items() if k not in _OURS}}
        provider = _provider(profile)
        known = frozenset() if provider in _PLAIN_WIRE else _KNOWN
        strangers = {name: value for name, value in fields.items() if name not in known}
        if provider not in _OPENAI_WIRE:
            strangers.pop("metadata", None)  # other wires refuse OpenAI's
        return {
            **{name: value for name, value in fields.items() if name in known},
            **profile.litellm_params,
            **({"extra_body": strangers} if strangers else {}),
            "model": profile.litellm_model,
            "messages": body["messages"],
            "api_key": self._secret(profile),
            "api_base": profile.api_base,
            "timeout": self._timeout_s,
            "num_retries": 0,
            "max_retries": 0,
            # What the router may drop is harmless: what changes the answer was a gate before.
            "drop_params": routed,
        }

    def _simulated(self, profile: Profile) -> Profile:
        """The profile as the demo upstream serves it: every one that needs a key, set or not, since
        a demo must not spend money."""
        if self._demo_base is None or not profile.api_key_env:
            return profile
        return replace(
            profile,
            litellm_model=f"hosted_vllm/{profile.name}",
            api_base=self._demo_base,
            api_key_env=None,
            params={},
            litellm_params={},
        )

    def _secret(self, profile: Profile) -> str | None:
        return self._environ.get(profile.api_key_env) if profile.api_key_env else None

    def _translated(self, exc: Exception, profile: Profile) -> Exception:
        logger.warning("%s: %s: %s", profile.name, type(exc).__name__, _first_line(exc))
        secrets = (self._secret(profile) or "", profile.api_base or "")
        return upstream_errors.translate(exc, profile=profile.name, secrets=secrets)


def _first_line(exc: Exception) -> str:
    """What an operator needs of an error; a provider's 401 may quote a part of our key."""
    line = str(exc).partition("\n")[0]
    return "see the provider's console" if "api key" in line.lower() else line[:500]


def _provider(profile: Profile) -> str:
    """The part of `provider/model`; a bare name is OpenAI's."""
    provider, separator, _ = profile.litellm_model.partition("/")
    return provider if separator else "openai"


def _answer_body(response: Any) -> dict[str, Any]:
    """litellm's answer as JSON, without the fields it adds for itself where they are empty."""
    body: dict[str, Any] = response.model_dump(mode="json", exclude_none=True)
    for choice in body.get("choices", ()):
        _tidy(choice)
        message = choice.get("message")
        if isinstance(message, dict):
            message.setdefault("content", None)  # null, not absent, beside tool calls
    return body


def _chunk(piece: Any) -> Chunk:
    body: dict[str, Any] = piece.model_dump(mode="json", exclude_none=True)
    text_bytes = 0
    empty = True
    for choice in body.get("choices", ()):
        _tidy(choice)
        choice.setdefault("finish_reason", None)
        delta = choice.setdefault("delta", {})
        empty = empty and not delta and choice["finish_reason"] is None
        text_bytes += _text_bytes(delta)
    usage = body.get("usage")
    is_usage_only = usage is not None and empty
    if is_usage_only:
        body["choices"] = []  # OpenAI's shape; litellm sends one empty choice
    return Chunk(body, _usage(usage), _finish_reason(body), is_usage_only, text_bytes)


def _tidy(choice: dict[str, Any]) -> None:
    for part in (choice, choice.get("message"), choice.get("delta")):
        if isinstance(part, dict) and not part.get("provider_specific_fields", True):
            del part["provider_specific_fields"]


def _text_bytes(delta: Mapping[str, Any]) -> int:
    texts = [delta.get("content"), delta.get("reasoning_content"), delta.get("refusal")]
    for call in delta.get("tool_calls") or ():
        texts.append((call.get("function") or {}).get("arguments"))
    return sum(len(text.encode("utf-8", "replace")) for text in texts if isinstance(text, str))


def _finish_reason(body: Mapping[str, Any]) -> str | None:
    choices: Sequence[Mapping[str, Any]] = body.get("choices") or ()
    return next((c["finish_reason"] for c in choices if c.get("finish_reason")), None)


def _usage(usage: Mapping[str, Any] | None) -> Usage | None:
    """The provider's counts. A usage object without a prompt count is no usage."""
    if not usage or not usage.get("prompt_tokens"):
        return None
    prompt = usage.get("prompt_tokens_details") or {}
    completion = usage.get("completion_tokens_details") or {}
    return Usage(
        prompt=usage["prompt_tokens"],
        cached=prompt.get("cached_tokens") or usage.get("cache_read_input_tokens") or 0,
        cache_write=usage.get("cache_creation_input_tokens") or 0,
        completion=usage.get("completion_tokens") or 0,
        reasoning=completion.get("reasoning_tokens") or 0,
        audio=(prompt.get("audio_tokens") or 0) + (completion.get("audio_tokens") or 0),
    )
