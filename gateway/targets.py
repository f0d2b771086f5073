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
from litellm.main import responses_api_bridge_check
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
_A_TOOL: Final = ({"type": "function", "function": {"name": "f"}},)
_ADDRESSES: Final = ("https://", "http://", "www.")  # what litellm takes for a file's address
_SCALAR: Final = (str, int, float, bool)


@dataclass(frozen=True, slots=True)
class _Plan:
    """Parameters in the provider's words; `refused` are those whose value litellm would drop."""

    fields: Mapping[str, Any]
    refused: frozenset[str]


_NO_PLAN: Final = _Plan({}, frozenset())


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
    is_bridged: bool  # whether litellm reaches the model by Responses alone
    bridges_tools: bool  # whether it does once there are tools
    _plans: dict[Any, _Plan] = field(default_factory=dict)

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

    def unsupported(self, fields: Mapping[str, Any]) -> list[str]:
        """The harmless ones of a chat body's parameters that the provider cannot take."""
        if self.provider in PLAIN:
            return []
        unknown = {
            name
            for name in fields
            if self._is_known(name)
            and name not in self.supported
            and name not in _CHANGES_THE_ANSWER
        }
        refused = self._plan(self._named(fields)).refused if self.provider in FAST else frozenset()
        return sorted(unknown | refused)

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
        named = self._named(fields)
        others = {name: value for name, value in fields.items() if name not in named}
        if "stream_options" not in self.supported:
            # Mistral refuses it and others hang; they count the usage of a stream unasked.
            others.pop("stream_options", None)
        if self.provider not in OPENAI_WIRE:
            others = {name: value for name, value in others.items() if value is not None}
        if others.get("tools") and FAST.get(self.provider):
            others |= self._tools(others["tools"])
        return {**others, **self._plan(named).fields}

    def chat_body(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """A chat body with its messages as the provider wants them. The given stays as it is."""
        if self.provider in OPENAI_WIRE:
            return body
        messages = [_older(message) for message in body["messages"]]
        if not FAST[self.provider] or any(map(_has_address_of_file, messages)):
            return {**body, "messages": messages}
        rest = {name: value for name, value in body.items() if name not in ("model", "messages")}
        try:
            made: dict[str, Any] = self.config.transform_request(
                model=self.model,
                messages=_copied(messages),
                optional_params=_copied(rest),
                litellm_params={"custom_llm_provider": self.provider, "api_base": self.base},
                headers={},
            )
        except Exception:  # litellm refuses a message: the provider may say so itself
            return {**body, "messages": messages}
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

    def _is_known(self, name: str) -> bool:
        # OpenAI keeps `metadata` for its own console; litellm hands it to no provider.
        return name in KNOWN or (name == "metadata" and self.provider not in OPENAI_WIRE)

    def _named(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters that litellm may have other words for."""
        if self.config is None:
            return {}
        return {
            name: value
            for name, value in fields.items()
            if name in KNOWN
            and name in self.supported
            and (isinstance(value, _SCALAR) or name == "thinking")
        }

    def _plan(self, named: Mapping[str, Any]) -> _Plan:
        if not named:
            return _NO_PLAN
        key = tuple((name, repr(value)) for name, value in named.items())
        plan = self._plans.get(key)
        if plan is None:
            plan = self._planned(named)
            if len(self._plans) >= _PLANS_KEPT:
                self._plans.clear()
            self._plans[key] = plan
        return plan

    def _planned(self, named: Mapping[str, Any]) -> _Plan:
        try:
            return _Plan(self._mapped(named, drop_params=False), frozenset())
        except Exception:  # litellm refuses a value: the provider may say so itself
            pass
        try:
            mapped = self._mapped(named, drop_params=True)
            refused = frozenset(
                name
                for name in named
                if self._mapped({n: v for n, v in named.items() if n != name}, drop_params=True)
                == mapped  # as if it weren't there: litellm would drop it
            )
        except Exception:
            return _Plan(named, frozenset())
        return _Plan({**mapped, **{name: named[name] for name in refused}}, refused)

    def _tools(self, tools: Any) -> Mapping[str, Any]:
        try:
            return self._mapped({"tools": _copied(tools)}, drop_params=True)
        except Exception:  # no list of tools: the provider says so itself
            return {}

    def _mapped(self, named: Mapping[str, Any], *, drop_params: bool) -> dict[str, Any]:
        made: dict[str, Any] = self.config.map_openai_params(
            non_default_params=dict(named),
            optional_params={},
            model=self.model,
            drop_params=drop_params,
        )
        beside: dict[str, Any] = made.pop("extra_body", {})  # where litellm puts the provider's own
        return {**made, **beside}


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
        config=config,
        supported=frozenset(supported or ()),
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


def _older(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """A message for a server of OpenAI's first protocol: without its later role, and no nulls."""
    if message.get("role") == "developer":
        message = {**message, "role": "system"}
    if None not in message.values():
        return message
    return {name: value for name, value in message.items() if value is not None}


def _has_address_of_file(message: Mapping[str, Any]) -> bool:
    """Whether litellm would fetch a file for it: what a caller names is not ours to open."""
    content = message.get("content")
    return any(
        isinstance(file := part.get("file"), Mapping)
        and str(file.get("file_id")).startswith(_ADDRESSES)
        for part in (content if isinstance(content, list) else ())
    )


def _copied(value: Any) -> Any:
    """JSON that may be changed without changing the original: litellm writes into what it gets."""
    if isinstance(value, dict):
        return {name: _copied(item) for name, item in value.items()}
    return [_copied(item) for item in value] if isinstance(value, list) else value


def _lower(headers: Mapping[str, Any]) -> dict[str, str]:
    return {
        name.lower(): str(value)
        for name, value in headers.items()
        if name.lower() not in ("content-type", "accept")
    }
