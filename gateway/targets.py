"""Where a profile's requests go, as litellm resolves it: provider, address, key, headers, fields.

One of the two modules that import litellm (slow_lane.py is the other). A target is resolved once
for each profile and kept; what depends on a request's parameters is kept by their values, because
litellm's own mapping costs more time than the rest of a request.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

# Before the import: otherwise litellm goes to the network for its price table.
os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")

import litellm
from litellm.constants import OPENAI_CHAT_COMPLETION_PARAMS
from litellm.types.utils import all_litellm_params
from litellm.utils import ProviderConfigManager

from gateway import history, wires
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

_CHAT_TOO: Final = frozenset({"metadata", "stream", "stream_options"})  # litellm lists them apart
# Without them the answer is another one: the gates chose a profile that has them (demands.py).
_CHANGES_THE_ANSWER: Final = frozenset(
    {"functions", "logprobs", "n", "response_format", "tools", "top_logprobs"}
)
_HOMES: Final = {
    "anthropic": ("ANTHROPIC_API_BASE", "ANTHROPIC_BASE_URL", "https://api.anthropic.com"),
    "openai": ("OPENAI_API_BASE", "OPENAI_BASE_URL", "https://api.openai.com/v1"),
    "openrouter": ("OPENROUTER_API_BASE", "", "https://openrouter.ai/api/v1"),
}
_ANTHROPIC_VERSION: Final = "2023-06-01"
_PLANS_KEPT: Final = 1024  # combinations of parameters for one target
_SCALAR: Final = (str, int, float, bool)


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
    config: Any  # litellm's transformation for the provider's chat wire; None: it has none
    supported: frozenset[str]  # of OpenAI's parameters
    _plans: dict[Any, dict[str, Any]] = field(default_factory=dict)

    @property
    def is_fast(self) -> bool:
        """Whether our own client may send chat requests: nothing but bytes differs from litellm."""
        return self.provider in FAST and not self.profile.litellm_params

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

    def unsupported(self, fields: Mapping[str, Any]) -> list[str]:
        """The harmless ones of a chat body's parameters that the provider cannot take."""
        if self.provider in PLAIN:
            return []
        return sorted(
            name
            for name in fields
            if name in KNOWN and name not in self.supported and name not in _CHANGES_THE_ANSWER
        )

    def strangers(self, fields: Mapping[str, Any]) -> list[str]:
        """Fields of another protocol that no chat server knows but those that judge by themselves;
        what the profile itself sends is not among them."""
        if self.provider in PLAIN:
            return []
        own = KNOWN.union(_CHAT_TOO, self.profile.params)
        return sorted(name for name in fields if name not in own)

    def chat_fields(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """A chat body's parameters in the provider's words (`max_completion_tokens`, ...)."""
        if self.provider in PLAIN or self.config is None:
            return dict(fields)
        named = {
            name: value
            for name, value in fields.items()
            if name in KNOWN and name in self.supported and isinstance(value, _SCALAR)
        }
        if not named:
            return dict(fields)
        others = {name: value for name, value in fields.items() if name not in named}
        return {**others, **self._plan(named)}

    def chat_body(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """A chat body with its messages as the provider wants them."""
        if not FAST[self.provider]:
            return body
        rest = {name: value for name, value in body.items() if name not in ("model", "messages")}
        made: dict[str, Any] = self.config.transform_request(
            model=self.model,
            messages=list(body["messages"]),
            optional_params=rest,
            litellm_params={},
            headers={},
        )
        return made

    def messages_fields(self) -> Mapping[str, Any]:
        """The profile's params as the Messages wire has them."""
        params = self.profile.params
        if not params or self.provider != "anthropic":
            return {name: value for name, value in params.items() if name != "reasoning_effort"}
        mapped: dict[str, Any] = self.config.map_openai_params(
            non_default_params=dict(params), optional_params={}, model=self.model, drop_params=True
        )
        return mapped

    def _plan(self, named: Mapping[str, Any]) -> Mapping[str, Any]:
        key = tuple((name, type(value), value) for name, value in named.items())
        plan = self._plans.get(key)
        if plan is None:
            try:
                plan = self.config.map_openai_params(
                    non_default_params=dict(named),
                    optional_params={},
                    model=self.model,
                    drop_params=False,
                )
            except Exception:  # litellm refuses a value: the provider may say so itself
                plan = dict(named)
            if len(self._plans) >= _PLANS_KEPT:
                self._plans.clear()
            self._plans[key] = plan
        return plan


def resolve(profile: Profile, secret: str | None) -> Target:
    """The target of a profile; `secret` is its key."""
    model, provider, _, found = litellm.get_llm_provider(
        litellm_name(profile), api_base=profile.api_base
    )
    if profile.wire == wires.RESPONSES:
        _let_stream(model)
    own, other, home = _HOMES.get(provider, ("", "", ""))
    base = profile.api_base or found or os.environ.get(own) or os.environ.get(other) or home
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
        config=config,
        supported=frozenset(supported or ()),
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
        facts = {"litellm_provider": "openai", "mode": "responses"}
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


def _lower(headers: Mapping[str, Any]) -> dict[str, str]:
    return {
        name.lower(): str(value)
        for name, value in headers.items()
        if name.lower() not in ("content-type", "accept")
    }
