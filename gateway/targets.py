"""Where a profile's requests go, as litellm resolves it: provider, address, key, headers.

One of the two modules that import litellm (slow_lane.py is the other). A target is resolved once
for each profile and kept; what it makes of a request's fields is dialects.py.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

# Before the import: otherwise litellm goes to the network for its price table.
os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")

import litellm
from litellm.constants import OPENAI_CHAT_COMPLETION_PARAMS
from litellm.main import responses_api_bridge_check
from litellm.types.utils import all_litellm_params
from litellm.utils import ProviderConfigManager

from gateway import history, wires
from gateway.dialects import Dialect
from gateway.history import Reader
from gateway.profile import Profile

litellm.suppress_debug_info = True  # else it prints help to stdout at every error
litellm.telemetry = False
litellm.disable_hf_tokenizer_download = True  # else counting tokens goes to the network in our loop

# Servers that speak OpenAI's protocol and judge the fields themselves: litellm need know none.
PLAIN: Final = frozenset({"hosted_vllm", "openai_like", "custom_openai", "llamafile", "lm_studio"})
# Providers for which both lanes send the same request (tests/test_lane_parity.py). `True`: litellm
# rewrites messages for them, so its transformation is run.
FAST: Final[Mapping[str, bool]] = {
    **dict.fromkeys(PLAIN, False),
    "openai": False,
    "cerebras": False,
    "deepinfra": True,
    "deepseek": True,
    "fireworks_ai": True,
    "groq": True,
    "mistral": True,
    "moonshot": True,
    "nebius": False,
    "novita": False,
    "nvidia_nim": False,
    "openrouter": True,
    "perplexity": False,
    "together_ai": True,
    "xai": True,
    "zai": False,
}
OPENAI_WIRE: Final = frozenset({*PLAIN, "openai"})

# A caller's field of one of these names would steer litellm (another address, another key), not the
# model; it is sent to the provider as a plain field, like every other one litellm has no name for.
STEERS_LITELLM: Final = frozenset(
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
KNOWN: Final = frozenset(OPENAI_CHAT_COMPLETION_PARAMS) - STEERS_LITELLM
LITELLMS_OWN: Final = frozenset(all_litellm_params) | STEERS_LITELLM

_HOMES: Final = {
    "anthropic": ("ANTHROPIC_API_BASE", "ANTHROPIC_BASE_URL", "https://api.anthropic.com"),
    "openai": ("OPENAI_API_BASE", "OPENAI_BASE_URL", "https://api.openai.com/v1"),
    "openrouter": ("OPENROUTER_API_BASE", "", "https://openrouter.ai/api/v1"),
}
_ANTHROPIC_VERSION: Final = "2023-06-01"
_A_TOOL: Final = ({"type": "function", "function": {"name": "f"}},)


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """A profile's server. `headers` carry its key; never log them."""

    profile: Profile
    provider: str
    model: str  # the provider's name for it
    base: str
    secret: str | None
    headers: Mapping[str, str]
    reader: Reader
    dialect: Dialect
    is_bridged: bool  # whether litellm reaches the model by Responses alone
    bridges_tools: bool  # whether it does once there are tools

    @property
    def is_fast(self) -> bool:
        """Whether our own client may send requests: nothing but bytes differs from litellm."""
        return self.provider in FAST and not self.profile.litellm_params

    def is_fast_for(self, chat: Mapping[str, Any]) -> bool:
        """Whether it may send this chat body."""
        is_bridged = self.is_bridged or (self.bridges_tools and bool(chat.get("tools")))
        return self.is_fast and wires.CHAT in self.profile.speaks and not is_bridged

    def url(self, wire: str) -> str:
        """The address of one wire."""
        path = {
            wires.CHAT: "chat/completions",
            wires.COMPLETIONS: "completions",
            wires.EMBEDDINGS: "embeddings",
            wires.RESPONSES: "responses",
        }.get(wire)
        if path is not None:
            return self.base if self.base.endswith(f"/{path}") else f"{self.base}/{path}"
        return f"{messages_root(self.base)}/v1/messages"

    def headers_for(self, wire: str, passed_on: Mapping[str, str]) -> dict[str, str]:
        """The request's headers; `passed_on` are the client's that belong to the protocol."""
        if wire != wires.MESSAGES:
            return dict(self.headers)
        headers = {"anthropic-version": _ANTHROPIC_VERSION, **passed_on}
        if self.secret:
            headers["x-api-key"] = self.secret
            if self.profile.provider != "anthropic":
                headers["authorization"] = f"Bearer {self.secret}"
        return headers

    def messages_fields(self) -> Mapping[str, Any]:
        """The profile's params as the Messages wire has them."""
        params = self.profile.params
        if not params or self.provider != "anthropic":
            return {name: value for name, value in params.items() if name != "reasoning_effort"}
        mapped: dict[str, Any] = self.dialect.config.map_openai_params(
            non_default_params=dict(params), optional_params={}, model=self.model, drop_params=True
        )
        return mapped


def resolve(profile: Profile, secret: str | None) -> Target:
    """The target of a profile; `secret` is its key."""
    model, provider, _, found = litellm.get_llm_provider(
        litellm_name(profile), api_base=profile.api_base
    )
    if profile.wire == wires.RESPONSES:
        _let_stream(model)
    own, other, home = _HOMES.get(provider, ("", "", ""))
    base = profile.api_base or found or os.environ.get(own) or os.environ.get(other) or home
    # Elsewhere a model of the same name speaks what its profile says.
    at_home = provider in FAST and profile.wire is None and profile.api_base is None
    config = _config(provider, model)
    supported = litellm.get_supported_openai_params(model=model, custom_llm_provider=provider)
    headers = {"authorization": f"Bearer {secret}"} if secret else {}
    if provider in FAST and provider not in OPENAI_WIRE and config is not None:
        headers = _lower(
            config.validate_environment(
                headers={},
                model=model,
                messages=[],
                optional_params={},
                litellm_params={},
                api_key=secret or "none",
                api_base=base,
            )
        )
    return Target(
        profile=profile,
        provider=provider,
        model=model.removeprefix("responses/"),
        base=base.rstrip("/"),
        secret=secret,
        headers=headers,
        reader=history.reader(provider, model, is_self_hosted=profile.api_base is not None),
        dialect=Dialect(
            provider=provider,
            model=model.removeprefix("responses/"),
            base=base.rstrip("/"),
            config=config,
            supported=frozenset(supported or ()),
            known=KNOWN,
            is_plain=provider in PLAIN,
            is_openais=provider in OPENAI_WIRE,
            is_covered=provider in FAST,
            is_rewritten=FAST.get(provider, False),
        ),
        is_bridged=at_home and _is_bridged(provider, model, base, None),
        bridges_tools=at_home and _is_bridged(provider, model, base, _A_TOOL),
    )


def litellm_name(profile: Profile) -> str:
    """litellm's name for the model on the wire that its server speaks."""
    _, _, name = profile.litellm_model.rpartition(f"{profile.provider}/")
    if profile.wire == wires.RESPONSES and not name.startswith("responses/"):
        return f"openai/responses/{name}"
    if profile.wire == wires.MESSAGES and profile.provider != "anthropic":
        return f"anthropic/{name}"
    return profile.litellm_model


def _let_stream(model: str) -> None:
    """Tell litellm that a model streams on the Responses wire: for one that it does not know it
    asks for the whole answer and only acts as if it streamed."""
    name = model.removeprefix("responses/")
    if name not in litellm.model_cost:
        facts = {"litellm_provider": "openai", "mode": "responses", "supports_reasoning": True}
        litellm.register_model({name: {**facts, "supports_native_streaming": True}})


class Targets:
    """The targets of the profiles that were asked for, kept while a profile is the same object."""

    def __init__(self, secret_of: Callable[[Profile], str | None]) -> None:
        self._secret_of = secret_of
        self._kept: dict[str, Target] = {}

    def of(self, profile: Profile) -> Target:
        """The profile's target; a changed catalog brings new profiles and so new targets."""
        target = self._kept.get(profile.name)
        if target is None or target.profile is not profile:
            target = resolve(profile, self._secret_of(profile))
            self._kept[profile.name] = target
        return target


def messages_root(base: str) -> str:
    """An address of the Messages protocol without the part that clients of it append.

    >>> messages_root("http://host/v1"), messages_root("http://host/v1/messages")
    ('http://host', 'http://host')
    """
    return base.rstrip("/").removesuffix("/messages").removesuffix("/v1")


def _config(provider: str, model: str) -> Any:
    try:
        return ProviderConfigManager.get_provider_chat_config(model, litellm.LlmProviders(provider))
    except ValueError:  # a provider that litellm knows by name only
        return None


def _is_bridged(provider: str, model: str, base: str, tools: object) -> bool:
    info, _ = responses_api_bridge_check(
        model=model, custom_llm_provider=provider, tools=tools, api_base=base
    )
    return bool(info.get("mode") == "responses")


def _lower(headers: Mapping[str, Any]) -> dict[str, str]:
    return {
        name.lower(): str(value)
        for name, value in headers.items()
        if name.lower() not in ("content-type", "accept")
    }
