"""What passes on each wire, as far as the log must understand it: usage, the end, errors.

A wire is the protocol that a server speaks: chat, responses or messages, and the two that are never
routed, completions and embeddings. Pure: parsed JSON in, numbers and words out. Nothing is changed
here; what clients get is the concern of whoever reads this.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final

from gateway.decision import Usage
from gateway.price import PLAIN_SERVICES

Json = Mapping[str, Any]

CHAT: Final = "chat"
RESPONSES: Final = "responses"
MESSAGES: Final = "messages"
COMPLETIONS: Final = "completions"
EMBEDDINGS: Final = "embeddings"


_PLAIN: Final = PLAIN_SERVICES | {"", "global", "not_available"}  # the last two: of Claude's places
_TEXTS: Final = frozenset({"content", "reasoning_content", "reasoning", "refusal", "text"})


class Meter:
    """Reads the events of one stream: chat's, and those of the older completions."""

    def __init__(self) -> None:
        self.usage: Usage | None = None  # as the provider counted it, at the end
        self.prompt: Usage | None = None  # what it said of the prompt before that
        self.finish_reason: str | None = None
        self.text_bytes = 0  # UTF-8 bytes of generated text, to estimate an aborted stream
        self.is_complete = False  # whether a clean end has come
        self.service = ""  # that serves it, as far as has been said
        self._tier: object = None  # the word that says so, in each event again
        self.model: str | None = None  # that answers, as the provider names it
        self._open: set[object] = set()  # choices that began and did not finish
        self._finished: set[object] = set()  # after its end a choice may still bring usage

    def saw(self, event: Json) -> None:
        """Take note of one event. Raises AttributeError, TypeError or ValueError for a shape that
        is not the protocol's."""
        if self.model is None:
            self.model = _word(event.get("model"))
        tier = event.get("service_tier")
        if tier and tier != self._tier:
            self._tier, self.service = tier, _service(event)
        if event.get("usage"):
            usage = usage_in(CHAT, event)
            if usage is not None:
                self.usage = replace(usage, service=usage.service or self.service)
        for choice in event.get("choices") or ():
            reason, index = _word(choice.get("finish_reason")), choice.get("index")
            if reason:
                self.finish_reason = reason
                self._finished.add(index)
                self._open.discard(index)
            elif index not in self._finished:
                self._open.add(index)
            self.is_complete = not self._open
            self.text_bytes += _text_bytes(choice.get("delta") or choice)


class MessagesMeter(Meter):
    """Reads the events of the Messages protocol. Its counts are cumulative; later ones replace
    earlier ones, and servers differ in which of them they repeat."""

    def __init__(self) -> None:
        super().__init__()
        self._counts: dict[str, Any] = {}

    def saw(self, event: Json) -> None:
        match event.get("type"):
            case "content_block_delta":
                delta = event.get("delta") or {}
                for name in ("text", "partial_json", "thinking"):
                    self.text_bytes += _length(delta.get(name))
            case "message_start":
                message = event.get("message") or {}
                self._counts = dict(_dict(message.get("usage")))
                self.prompt = usage_in(MESSAGES, message)
                self.model = _word(message.get("model"))
            case "message_delta":
                delta, usage = event.get("delta") or {}, _dict(event.get("usage"))
                self.finish_reason = _word(delta.get("stop_reason")) or self.finish_reason
                self._counts |= {name: count for name, count in usage.items() if count is not None}
                if "output_tokens" in usage:  # that of message_start is only a beginning
                    self.usage = usage_in(MESSAGES, {"usage": self._counts})
            case "message_stop":
                self.is_complete = True


class ResponsesMeter(Meter):
    """Reads the events of the Responses protocol; the last one carries everything."""

    def saw(self, event: Json) -> None:
        kind = str(event.get("type"))
        if kind.endswith(".delta"):
            self.text_bytes += _length(event.get("delta"))
        elif kind in ("response.completed", "response.incomplete", "response.failed"):
            response = event.get("response") or {}
            self.usage = usage_in(RESPONSES, response)
            self.finish_reason = finish_reason_in(RESPONSES, response)
            self.model = _word(response.get("model"))
            self.is_complete = True


METERS: Final[Mapping[str, type[Meter]]] = {
    CHAT: Meter,
    COMPLETIONS: Meter,
    MESSAGES: MessagesMeter,
    RESPONSES: ResponsesMeter,
}


def error_in(event: Json) -> Json | None:
    """The error that an event or an answer carries instead of content, on any wire.

    >>> error_in({"type": "error", "error": {"message": "no"}}), error_in({"error": None})
    ({'message': 'no'}, None)
    """
    error = event.get("error")
    if error:
        return error if isinstance(error, dict) else {"message": str(error)}
    # The Responses protocol's, and vLLM's older one: the fields lie beside the type.
    if event.get("type") == "error" or event.get("object") == "error":
        return event
    if event.get("type") == "response.failed":
        error = _dict(event.get("response")).get("error")
        return error if isinstance(error, dict) else {"message": "the response failed"}
    return None


def finish_reason_in(wire: str, body: Json) -> str | None:
    """Why an answer stopped, in the provider's word."""
    if wire == MESSAGES:
        return _word(body.get("stop_reason"))
    if wire == RESPONSES:
        reason = _word(_dict(body.get("incomplete_details")).get("reason"))
        return reason or _word(body.get("status"))
    reasons = (_word(choice.get("finish_reason")) for choice in _dicts(body.get("choices")))
    return next((reason for reason in reasons if reason), None)


def usage_in(wire: str, body: Json) -> Usage | None:
    """The provider's counts in an answer, and what it says of the bill. A usage object without a
    prompt count is no usage."""
    usage = body.get("usage")
    if not isinstance(usage, dict):
        return None
    if wire == MESSAGES:
        cached = _count(usage, "cache_read_input_tokens")
        written = _count(usage, "cache_creation_input_tokens")
        prompt = _count(usage, "input_tokens") + cached + written
        if not prompt:
            return None
        return Usage(
            prompt=prompt,
            cached=cached,
            cache_write=written,
            cache_write_1h=_count(usage.get("cache_creation"), "ephemeral_1h_input_tokens"),
            completion=_count(usage, "output_tokens"),
            web_searches=_count(usage.get("server_tool_use"), "web_search_requests"),
            service=_service(usage),
            cost_usd=_cost_usd(usage),
        )
    into, out = ("input", "output") if wire == RESPONSES else ("prompt", "completion")
    prompt = _count(usage, f"{into}_tokens")
    if not prompt:
        return None
    read = usage.get(f"{into}_tokens_details")
    wrote = usage.get(f"{out}_tokens_details")
    completion, reasoning = _count(usage, f"{out}_tokens"), _count(wrote, "reasoning_tokens")
    # xAI and Gemini count thoughts in the total alone, and bill them as output.
    apart = _count(usage, "total_tokens") - prompt - completion
    if apart > 0 and reasoning in (0, apart):
        completion, reasoning = completion + apart, apart
    # litellm's names for Anthropic's counts, which are not OpenAI's.
    made = usage.get("cache_creation") or _dict(read).get("cache_creation_token_details")
    spoken = _count(wrote, "audio_tokens")
    return Usage(
        prompt=prompt,
        cached=_count(read, "cached_tokens")
        or _count(usage, "cache_read_input_tokens")
        or _count(usage, "prompt_cache_hit_tokens"),  # DeepSeek's
        cache_write=_count(usage, "cache_creation_input_tokens")
        or _count(read, "cache_write_tokens"),  # OpenRouter's
        cache_write_1h=_count(made, "ephemeral_1h_input_tokens"),
        completion=completion,
        reasoning=reasoning,
        audio=_count(read, "audio_tokens") + spoken,
        audio_output=spoken,
        image_input=_count(read, "image_tokens"),
        image_output=_count(wrote, "image_tokens"),
        web_searches=_count(usage.get("server_tool_use"), "web_search_requests")
        or sum(_is_search(item) for item in _dicts(body.get("output"))),
        service=_service(body) or _service(usage),
        cost_usd=_cost_usd(usage),
    )


def _service(said: Json) -> str:
    """Which service it was, where that has a price: OpenAI's and Anthropic's `service_tier`, and
    Anthropic's fast mode and the place of its computers, in one word."""
    words = [said.get("service_tier"), said.get("speed"), said.get("inference_geo")]
    return "+".join(word for word in words if isinstance(word, str) and word not in _PLAIN)


def _cost_usd(usage: Json) -> Decimal | None:
    """What the provider says that it bills: OpenRouter's `cost`, Perplexity's object of that name,
    xAI's ticks of 1e-10 dollars. With a key of one's own at OpenRouter, `cost` is its fee alone."""
    cost = usage.get("cost")
    said = _dollars(cost.get("total_cost") if isinstance(cost, dict) else cost)
    if said is None:
        ticks = _dollars(usage.get("cost_in_usd_ticks"))
        return None if ticks is None else ticks.scaleb(-10)
    if usage.get("is_byok") is True:
        upstream = _dollars(_dict(usage.get("cost_details")).get("upstream_inference_cost"))
        return None if upstream is None else said + upstream
    return said


def _dollars(value: object) -> Decimal | None:
    """A JSON number as the decimal that was written; Python's shortest form of a float is that."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < 1e15:
        return None
    return Decimal(repr(value))


def _is_search(item: Json) -> bool:
    """Whether an output item of the Responses protocol is a search that OpenAI charges for."""
    action = _dict(item.get("action")).get("type")
    return item.get("type") == "web_search_call" and action in (None, "search")


def is_usage_only(chunk: Json) -> bool:
    """Whether a chat chunk is the one that only a client who asked for usage may see."""
    return not chunk.get("choices") and bool(chunk.get("usage"))


def _text_bytes(delta: Json) -> int:
    total = _length(delta.get("content"))
    if total and len(delta) == 1:  # as most are
        return total
    total += _length(delta.get("text"))
    # Some servers send thoughts under both names.
    total += _length(delta.get("reasoning_content")) or _length(delta.get("reasoning"))
    total += _length(delta.get("refusal"))
    for call in _dicts(delta.get("tool_calls")):
        total += _length((call.get("function") or {}).get("arguments"))
    return total


def _length(text: object) -> int:
    if not isinstance(text, str):
        return 0
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))


def _count(of: object, name: str) -> int:
    value = of.get(name) if isinstance(of, dict) else None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _word(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _dict(value: object) -> Json:
    return value if isinstance(value, dict) else {}


def _dicts(items: object) -> Iterator[Json]:
    return (
        (item for item in items if isinstance(item, dict)) if isinstance(items, list) else iter(())
    )
