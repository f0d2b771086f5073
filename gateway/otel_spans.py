"""What spans and OpenTelemetry's metrics say of a finished request: names and numbers, no texts.

The attributes are those of the semantic conventions for generative AI, and `hydra.*`. Their names
are written out: the conventions' package moves those that are not stable yet. Spans are made when
the record is complete, from its times; needs the `otel` extra.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from opentelemetry.metrics import Histogram, Meter
from opentelemetry.semconv.attributes import error_attributes, http_attributes
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer
from opentelemetry.util.types import AttributeValue

from gateway import protocols
from gateway.failure import OK, failure, outcome
from gateway.profile import Profile

Attributes = dict[str, AttributeValue]

_OPERATIONS: Final[Mapping[str, str]] = {
    protocols.COMPLETIONS.path: "text_completion",
    protocols.EMBEDDINGS.path: "embeddings",
}
# litellm's names of providers, where the conventions have others.
_PROVIDER_NAMES: Final[Mapping[str, str]] = {
    "azure": "azure.ai.openai",
    "azure_ai": "azure.ai.inference",
    "bedrock": "aws.bedrock",
    "bedrock_converse": "aws.bedrock",
    "cohere_chat": "cohere",
    "gemini": "gcp.gemini",
    "mistral": "mistral_ai",
    "vertex_ai": "gcp.vertex_ai",
    "watsonx": "ibm.watsonx.ai",
    "xai": "x_ai",
}
# The conventions' own buckets: seconds, tokens.
_SECONDS: Final = [0.01 * 2**n for n in range(14)]
_FIRST_CHUNK_S: Final = [
    0.001,
    0.005,
    0.01,
    0.02,
    0.04,
    0.06,
    0.08,
    0.1,
    0.25,
    0.5,
    0.75,
    1,
    2.5,
    5,
    7.5,
    10,
]
_TOKENS: Final = [float(4**n) for n in range(14)]


class Instruments:
    """The conventions' metrics of a client of generative AI."""

    def __init__(self, meter: Meter) -> None:
        self.duration: Histogram = meter.create_histogram(
            "gen_ai.client.operation.duration",
            unit="s",
            description="GenAI operation duration.",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        self.first_chunk: Histogram = meter.create_histogram(
            "gen_ai.client.operation.time_to_first_chunk",
            unit="s",
            description="Time to the first chunk of a streamed answer.",
            explicit_bucket_boundaries_advisory=_FIRST_CHUNK_S,
        )
        self.tokens: Histogram = meter.create_histogram(
            "gen_ai.client.token.usage",
            unit="{token}",
            description="Number of input and output tokens used.",
            explicit_bucket_boundaries_advisory=_TOKENS,
        )


@dataclass(frozen=True, slots=True)
class _Call:
    """One call to a provider. Times in milliseconds from the decision on."""

    name: str  # of its span
    attributes: Attributes
    began_ms: float
    ended_ms: float
    outcome: str
    status: int | None
    serves: bool


def _calls(
    record: Mapping[str, Any], profiles: Mapping[str, Profile], response_model: str | None
) -> Iterator[_Call]:
    """The attempts; the one that serves lasts until the answer has ended."""
    operation = _OPERATIONS.get(record["endpoint"], "chat")
    at_ms = 0.0
    attempts = record["attempts"]
    for number, attempt in enumerate(attempts, start=1):
        came_to = outcome(attempt["status"])
        serves = number == len(attempts) and came_to == OK
        ended_ms = record["latency_ms"] if serves else at_ms + attempt["latency_ms"]
        name = attempt["model"]
        profile = profiles.get(name)  # None: the catalog changed meanwhile
        model = name if profile is None else _model(profile)
        provider = "" if profile is None else profile.provider
        attributes: Attributes = {
            "gen_ai.operation.name": operation,
            "gen_ai.provider.name": _PROVIDER_NAMES.get(provider, provider),
            "gen_ai.request.model": model,
            "hydra.profile": name,
        }
        if serves and response_model is not None:
            attributes["gen_ai.response.model"] = response_model
        if serves and record["status"] != OK:
            came_to = failure(record) or OK
        if came_to != OK:
            attributes[error_attributes.ERROR_TYPE] = came_to
        yield _Call(
            f"{operation} {model}",
            attributes,
            at_ms,
            ended_ms,
            came_to,
            attempt["status"],
            serves,
        )
        at_ms = ended_ms


def finish_span(
    server: Span,
    tracer: Tracer,
    record: Mapping[str, Any],
    profiles: Mapping[str, Profile],
    response_model: str | None,
) -> None:
    """Complete the server span and give it its children: predict, decide, one for each call."""
    server.set_attributes(_decision(record))
    failed = failure(record)
    if failed is not None and record["served_by"] is not None and failed != "disconnected":
        server.set_attribute(error_attributes.ERROR_TYPE, failed)  # after a status of 200
        server.set_status(StatusCode.ERROR)
    decided = time.time_ns() - _ns(record["latency_ms"])
    began = decided - _ns(record["router_ms"])
    predicted = began
    if record["predictor_ms"] is not None:
        predicted += _ns(record["predictor_ms"])
        requirements = record["requirements"] or {}
        span = tracer.start_span(
            "predict",
            start_time=began,
            attributes={f"hydra.requirements.{name}": r for name, r in requirements.items()},
        )
        span.end(predicted)
    attributes = {"hydra.chosen": record["chosen"], "hydra.pool": record["pool"]}
    tracer.start_span("decide", start_time=predicted, attributes=attributes).end(decided)
    for call in _calls(record, profiles, response_model):
        span = tracer.start_span(
            call.name,
            kind=SpanKind.CLIENT,
            start_time=decided + _ns(call.began_ms),
            attributes=call.attributes,
        )
        if call.status is not None:
            span.set_attribute(http_attributes.HTTP_RESPONSE_STATUS_CODE, call.status)
        if call.outcome not in (OK, "disconnected"):
            span.set_status(StatusCode.ERROR)
        if call.serves:
            span.set_attributes(_answer(record))
        span.end(decided + _ns(call.ended_ms))


def report_calls(
    instruments: Instruments,
    record: Mapping[str, Any],
    profiles: Mapping[str, Profile],
    response_model: str | None,
) -> None:
    """Add a finished record to the metrics."""
    for call in _calls(record, profiles, response_model):
        instruments.duration.record((call.ended_ms - call.began_ms) / 1000, call.attributes)
        if not call.serves:
            continue
        if record["stream"] and record["ttft_ms"] is not None:
            instruments.first_chunk.record(
                (record["ttft_ms"] - call.began_ms) / 1000, call.attributes
            )
        usage = record["usage"]
        if usage is not None:
            for kind, tokens in (("input", usage["prompt"]), ("output", usage["completion"])):
                labels = {**call.attributes, "gen_ai.token.type": kind}
                instruments.tokens.record(tokens, labels)


def _decision(record: Mapping[str, Any]) -> Attributes:
    """The server span's own: what was decided and what it cost. Dollars are floats here."""
    found = {
        "hydra.decision.id": record["id"],
        "hydra.pool": record["pool"],
        "hydra.mode": record["mode"],
        "hydra.reason": record["reason"],
        "hydra.status": record["status"],
        "hydra.profile": record["served_by"],
        "hydra.threshold": record["threshold"],
        "hydra.value_usd": record["value_usd"],
        "hydra.shortfall": _shortfall(record),
        "hydra.cost_usd": _float(record["cost_usd"]),
        "hydra.cost_status": record["cost_status"],
        "hydra.savings_usd": _float(record["savings_usd"]),
    }
    return {name: value for name, value in found.items() if value is not None}


def _answer(record: Mapping[str, Any]) -> Attributes:
    """What the answer was, without its text."""
    attributes: Attributes = {"gen_ai.request.stream": record["stream"]}
    if record["finish_reason"] is not None:
        attributes["gen_ai.response.finish_reasons"] = [record["finish_reason"]]
    if record["stream"] and record["ttft_ms"] is not None:
        attributes["gen_ai.response.time_to_first_chunk"] = record["ttft_ms"] / 1000
    usage = record["usage"]
    if usage is not None:
        attributes |= {
            "gen_ai.usage.input_tokens": usage["prompt"],
            "gen_ai.usage.output_tokens": usage["completion"],
            "gen_ai.usage.cache_read.input_tokens": usage["cached"],
            "gen_ai.usage.cache_creation.input_tokens": usage["cache_write"],
            "gen_ai.usage.reasoning.output_tokens": usage["reasoning"],
        }
    return attributes


def _model(profile: Profile) -> str:
    """The model's name at its provider."""
    return profile.litellm_model.partition("/")[2] or profile.litellm_model


def _shortfall(record: Mapping[str, Any]) -> float | None:
    serving = record["served_by"] or record["chosen"]
    for candidate in record["candidates"]:
        if candidate["model"] == serving:
            found: float | None = candidate["shortfall"]
            return found
    return None


def _float(usd: str | None) -> float | None:
    return None if usd is None else float(usd)


def _ns(milliseconds: float) -> int:
    return round(milliseconds * 1_000_000)
