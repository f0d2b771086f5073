"""How a provider speaks OpenAI's chat: its words for parameters, tools and messages.

As litellm has them, through the transformation that targets.py gives. Its own mapping costs more
time than the rest of a request, so what it makes of parameters is kept by their values.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

_CHAT_TOO: Final = frozenset({"metadata", "stream", "stream_options"})  # litellm lists them apart
# Without them the answer is another one: the gates chose a profile that has them (demands.py).
_CHANGES_THE_ANSWER: Final = frozenset(
    {"functions", "logprobs", "n", "response_format", "tools", "top_logprobs"}
)
_PLANS_KEPT: Final = 1024  # combinations of parameters for one target
_ADDRESSES: Final = ("https://", "http://", "www.")  # what litellm takes for a file's address
_SCALAR: Final = (str, int, float, bool)


@dataclass(frozen=True, slots=True)
class _Plan:
    """Parameters in the provider's words; `refused` are those whose value litellm would drop."""

    fields: Mapping[str, Any]
    refused: frozenset[str]


_NO_PLAN: Final = _Plan({}, frozenset())


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Dialect:
    """One model's, at one provider. The given bodies stay as they are."""

    provider: str
    model: str  # the provider's name for it
    base: str
    config: Any  # litellm's transformation for the provider's chat wire; None: it has none
    supported: frozenset[str]  # of OpenAI's parameters
    known: frozenset[str]  # those that litellm may have other words for
    is_plain: bool  # the server judges fields itself
    is_openais: bool  # messages and parameters are OpenAI's own
    is_covered: bool  # our own client may speak it
    is_rewritten: bool  # litellm rewrites its messages
    _plans: dict[Any, _Plan] = field(default_factory=dict)

    def unsupported(self, fields: Mapping[str, Any]) -> list[str]:
        """The harmless ones of a chat body's parameters that the provider cannot take."""
        if self.is_plain:
            return []
        unknown = {
            name
            for name in fields
            if self._is_known(name)
            and name not in self.supported
            and name not in _CHANGES_THE_ANSWER
        }
        refused = self._plan(self._named(fields)).refused if self.is_covered else frozenset()
        return sorted(unknown | refused)

    def strangers(self, fields: Mapping[str, Any], own: Iterable[str]) -> list[str]:
        """Fields of another protocol that no chat server knows but those that judge by themselves;
        `own` ones, which the profile itself sends, are not among them."""
        if self.is_plain:
            return []
        kept = self.known.union(_CHAT_TOO, own)
        return sorted(name for name in fields if name not in kept)

    def fields(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """A chat body's parameters in the provider's words (`max_completion_tokens`, ...)."""
        if self.is_plain or self.config is None:
            return dict(fields)
        named = self._named(fields)
        others = {name: value for name, value in fields.items() if name not in named}
        if "stream_options" not in self.supported:
            # Mistral refuses it and others hang; they count the usage of a stream unasked.
            others.pop("stream_options", None)
        if not self.is_openais:
            others = {name: value for name, value in others.items() if value is not None}
        if others.get("tools") and self.is_rewritten:
            others |= self._tools(others["tools"])
        return {**others, **self._plan(named).fields}

    def body(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """A chat body with its messages as the provider wants them. The given stays as it is."""
        if self.is_openais:
            return body
        messages = [_older(message) for message in body["messages"]]
        if not self.is_rewritten or any(map(_has_address_of_file, messages)):
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

    def _is_known(self, name: str) -> bool:
        # OpenAI keeps `metadata` for its own console; litellm hands it to no provider.
        return name in self.known or (name == "metadata" and not self.is_openais)

    def _named(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters that litellm may have other words for."""
        if self.config is None:
            return {}
        return {
            name: value
            for name, value in fields.items()
            if name in self.known
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
