"""The call to a provider: which wire and which lane carry it, and what comes back for the client.

A profile and a request in; the answer out, in the client's protocol, with the usage the provider
counted. Retries and fallbacks are not here: each call is one attempt (exchange.py walks the
candidates).
"""

import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, Final

from gateway import (
    __version__,
    fast_lane,
    history,
    slow_lane,
    sse,
    stream_writers,
    upstream_errors,
    wires,
)
from gateway.decision import Usage
from gateway.errors import InvalidRequest, UpstreamError
from gateway.fast_lane import FastLane
from gateway.profile import Profile
from gateway.request import ModelRequest
from gateway.targets import FAST, Target, Targets
from gateway.wires import METERS, Meter

logger = logging.getLogger(__name__)

_ONE_OBJECT: Final = "Answer with one JSON object and nothing else."
_OURS: Final = ("model", "messages", "stream_options")
# A chat parameter of the profile, and where the Responses protocol has it.
_RESPONSES_FIELDS: Final[Mapping[str, Callable[[Any], dict[str, Any]]]] = {
    "reasoning_effort": lambda value: {"reasoning": {"effort": value}},
    "verbosity": lambda value: {"text": {"verbosity": value}},
    "max_tokens": lambda value: {"max_output_tokens": value},
    "max_completion_tokens": lambda value: {"max_output_tokens": value},
}


@dataclass(frozen=True, slots=True)
class Call:
    """One request made ready for one profile."""

    request: ModelRequest
    target: Target
    wire: str  # what its server will be spoken to in
    is_fast: bool
    body: Mapping[str, Any]
    dropped: tuple[str, ...] = ()  # parameters that the provider can't take

    @property
    def is_translated(self) -> bool:
        """Whether the answer must be written anew in the client's protocol."""
        return self.wire != self.request.protocol.wire


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer in the client's protocol. `raw`: its bytes, where they are the provider's."""

    body: Mapping[str, Any]
    raw: bytes | None
    usage: Usage | None
    finish_reason: str | None
    model: str | None  # as the provider names it


@dataclass(frozen=True, slots=True)
class Batch:
    """Some events of a stream, ready for the client, and what has been read of it so far.

    `last` are the events that end it: they come once, and nothing after them.
    """

    events: list[bytes]
    meter: Meter
    last: list[bytes] | None = None


class Upstream:
    """Calls providers for profiles. `demo_base`, when set, answers for those that need a key.

    Use from the loop that made it. `slow_only`: litellm carries everything. `trace_headers` gives
    what our own client sends along with the running request.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        *,
        timeout_s: float,
        demo_base: str | None = None,
        slow_only: bool = False,
        trace_headers: Callable[[], Mapping[str, str]] | None = None,
    ) -> None:
        self._environ = environ
        self._timeout_s = timeout_s
        self._demo_base = demo_base
        self._slow_only = slow_only
        self._trace_headers = trace_headers
        self._targets = Targets(self._secret)
        self._simulations: dict[str, tuple[Profile, Profile]] = {}
        self._fast = FastLane(timeout_s=timeout_s, user_agent=f"hydra-gateway/{__version__}")

    async def close(self) -> None:
        """Close the connections to providers."""
        await self._fast.close()

    def prepare(self, profile: Profile, request: ModelRequest) -> Call:
        """The request as the profile's server is to get it.

        Raises InvalidRequest if it is one that only another protocol's server could serve.
        """
        target = self._targets.of(self._simulated(profile))
        wire = request.protocol.wire
        if wire in (wires.COMPLETIONS, wires.EMBEDDINGS):
            body = {**request.body, "model": target.model}
            if request.stream:
                body["stream_options"] = _with_usage(request.body)
            return Call(request, target, wire, self._may_be_fast(target), body)
        if wire != wires.CHAT and wire in target.profile.speaks and not self._slow_only:
            return Call(request, target, wire, True, _native_body(request, target))
        if request.demands.native is not None:
            native, words = request.demands.native
            raise InvalidRequest(
                f"{profile.name}: {words}: only a server of the {native} protocol takes it",
                param=words.partition(":")[0],
            )
        return self._chat_call(request, target)

    def _chat_call(self, request: ModelRequest, target: Target) -> Call:
        is_fast = target.is_fast_for(request.chat) and not self._slow_only
        chat = history.for_chat(request.chat, target.reader)
        fields = {**target.profile.params}
        fields |= {name: value for name, value in chat.items() if name not in _OURS}
        dropped: list[str] = []
        # An explicit model gets its provider's own words, unless the field is of our own making.
        may_drop = request.is_routed or request.protocol.wire != wires.CHAT
        if may_drop:
            dropped = target.dialect.unsupported(fields)
            if request.protocol.wire != wires.CHAT:
                dropped += target.dialect.strangers(fields, target.profile.params)
            for name in dropped:
                del fields[name]
        if request.stream:
            fields["stream_options"] = _with_usage(chat)
        messages = chat["messages"]
        if not is_fast:
            messages = _for_litellm(messages, fields, target)
        body: Mapping[str, Any] = {"model": target.model, "messages": messages}
        if is_fast:
            body = target.dialect.body({**body, **target.dialect.fields(fields)})
        else:
            body = {**body, **fields}
        return Call(request, target, wires.CHAT, is_fast, body, tuple(dropped))

    async def complete(self, call: Call) -> Answer:
        """One whole answer. Raises UpstreamError."""
        raw: bytes | None = None
        if call.is_fast:
            raw, body = await self._fast.whole(**self._sending(call))
            error = wires.error_in(body)
            if error is not None:
                raise self._error(error, call)
        elif call.wire == wires.CHAT:
            may_drop = call.request.is_routed or call.is_translated
            body = await slow_lane.chat(
                call.target, call.body, may_drop=may_drop, timeout_s=self._timeout_s
            )
        else:
            body = await slow_lane.older(
                call.wire, call.target, call.body, timeout_s=self._timeout_s
            )
        usage = wires.usage_in(call.wire, body)
        finish_reason = wires.finish_reason_in(call.wire, body)
        model = str(body["model"]) if body.get("model") else None
        if call.is_translated:
            raw = None
            try:
                body = call.request.protocol.answer(body, call.request.body)
            except _UNREADABLE as exc:
                raise _unreadable(call, exc) from exc
        return Answer(body, raw, usage, finish_reason, model)

    async def stream(self, call: Call) -> AsyncGenerator[Batch, None]:
        """The events of a stream. Raises UpstreamError, before the first event or in the middle."""
        meter = METERS[call.wire]()
        request = call.request
        writer = stream_writers.writer(
            request.protocol, request.body, call.wire, shows_usage=request.wants_usage
        )
        source = self._events(call)
        async with aclosing(source) as pieces:
            async for events in pieces:
                written: list[bytes] = []
                failed: UpstreamError | None = None
                try:
                    for event in events:
                        if event.data == sse.DONE_DATA:
                            meter.is_complete = True
                            continue
                        parsed = fast_lane.parse(event.data)
                        if isinstance(parsed, dict):
                            error = wires.error_in(parsed)
                            if error is not None:
                                failed = self._error(error, call)
                                break
                            _note(meter, parsed)
                            written += writer.write(event, parsed)
                        elif not call.is_translated:  # not ours to judge
                            written.append(event.encoded())
                except _UNREADABLE as exc:
                    failed = _unreadable(call, exc)
                if written:
                    yield Batch(written, meter)
                if failed is not None:
                    raise failed
        if not meter.is_complete:
            raise upstream_errors.broke_off(call.target.profile.name)
        yield Batch([], meter, writer.end())

    async def count_tokens(self, call: Call) -> bytes:
        """The provider's own count of a Messages request. Raises UpstreamError."""
        sending = self._sending(call)
        raw, _ = await self._fast.whole(**{**sending, "url": f"{sending['url']}/count_tokens"})
        return raw

    def _events(self, call: Call) -> AsyncGenerator[list[sse.Event], None]:
        if call.is_fast:
            return self._fast.events(**self._sending(call))
        return self._slow_events(call)

    async def _slow_events(self, call: Call) -> AsyncGenerator[list[sse.Event], None]:
        if call.wire != wires.CHAT:
            raise UpstreamError(
                f"{call.target.profile.name}: {call.wire} can't be streamed from this provider",
                status=400,
                provider_status=400,
                error_type="invalid_request_error",
                param="stream",
            )
        may_drop = call.request.is_routed or call.is_translated
        chunks = slow_lane.chat_chunks(
            call.target, call.body, may_drop=may_drop, timeout_s=self._timeout_s
        )
        async with aclosing(chunks) as pieces:
            async for chunk in pieces:
                yield [sse.Event(None, fast_lane.encode(chunk))]
        yield [sse.Event(None, sse.DONE_DATA)]  # litellm ends where the provider did

    def _sending(self, call: Call) -> dict[str, Any]:
        target = call.target
        headers = target.headers_for(call.wire, call.request.passed_on)
        if self._trace_headers is not None:
            headers |= self._trace_headers()
        return {
            "url": target.url(call.wire),
            "body": fast_lane.encode(call.body),
            "headers": headers,
            "profile": target.profile.name,
            "secret": target.secret,
        }

    def _error(self, error: Mapping[str, Any], call: Call) -> UpstreamError:
        target = call.target
        return upstream_errors.of_event(
            error, profile=target.profile.name, secrets=(target.secret or "", target.base)
        )

    def _may_be_fast(self, target: Target) -> bool:
        return target.is_fast and not self._slow_only

    def _simulated(self, profile: Profile) -> Profile:
        """The profile as the demo upstream serves it: every one that needs a key, set or not, since
        a demo must not spend money."""
        if self._demo_base is None or not profile.api_key_env:
            return profile
        known, simulated = self._simulations.get(profile.name, (None, profile))
        if known is not profile:
            simulated = replace(
                profile,
                litellm_model=f"hosted_vllm/{profile.name}",
                api_base=self._demo_base,
                api_key_env=None,
                params={},
                litellm_params={},
                wire=None,
            )
            self._simulations[profile.name] = (profile, simulated)
        return simulated

    def _secret(self, profile: Profile) -> str | None:
        return self._environ.get(profile.api_key_env) if profile.api_key_env else None


def _with_usage(body: Mapping[str, Any]) -> dict[str, Any]:
    """Usage is always asked for: without it a stream can't be priced."""
    options = body.get("stream_options")
    return {**(options if isinstance(options, dict) else {}), "include_usage": True}


def _for_litellm(messages: Any, fields: dict[str, Any], target: Target) -> Any:
    """The messages, and the fields changed in place, where litellm would lose or break something.

    Raises InvalidRequest for a tool that it has no words for.
    """
    for index, tool in enumerate(fields.get("tools") or ()):
        if isinstance(tool, dict) and tool.get("type", "function") != "function":
            raise InvalidRequest(
                f"{target.profile.name}: tools[{index}]: its provider takes no tools of type"
                f" '{tool.get('type')}' in chat completions",
                param=f"tools[{index}]",
            )
    limits = ("max_tokens", "max_completion_tokens")
    if target.provider == "anthropic" and not any(fields.get(name) for name in limits):
        # The provider wants a limit, and litellm's is that of its table.
        most = target.profile.limits.output_tokens
        fields |= {} if most is None else {"max_tokens": most}
    form = fields.get("response_format")
    asks_for_json = isinstance(form, dict) and form.get("type") == "json_object"
    if asks_for_json and target.reader.is_claude and target.provider not in FAST:
        # Claude's own wires have no such mode, and litellm drops it without a word.
        del fields["response_format"]
        return [{"role": "system", "content": _ONE_OBJECT}, *messages]
    return messages


def _native_body(request: ModelRequest, target: Target) -> Mapping[str, Any]:
    """The body for a server of the client's own protocol: the profile's params under its own."""
    body = request.protocol.for_server(request.body)
    params: dict[str, Any] = {}
    if request.protocol.wire == wires.MESSAGES:
        params = {**target.messages_fields()}
        thinking, limit = params.get("thinking"), body.get("max_tokens")
        budget = thinking.get("budget_tokens") if isinstance(thinking, dict) else None
        if budget is not None and (not isinstance(limit, int) or limit <= budget):
            del params["thinking"]  # the provider refuses a budget as large as the limit
    else:
        for name, value in target.profile.params.items():
            place = _RESPONSES_FIELDS.get(name)
            params |= {name: value} if place is None else place(value)
    return {**params, **body, "model": target.model}


# What reading an answer of the wrong shape raises: the provider's failure, not ours.
_UNREADABLE: Final = (AttributeError, KeyError, TypeError, ValueError)


def _unreadable(call: Call, exc: Exception) -> UpstreamError:
    logger.warning("%s: unreadable answer: %r", call.target.profile.name, exc)
    return UpstreamError(
        f"{call.target.profile.name}: the provider's answer is not of its protocol",
        provider_status=502,
        code="upstream_invalid_answer",
    )


def _note(meter: Meter, event: Mapping[str, Any]) -> None:
    try:
        meter.saw(event)
    except _UNREADABLE:
        # Not the protocol's shape. The client is handed it as it is; it only can't be counted.
        return
