"""The shapes of the OpenAPI document: what requests, answers and records hold.

Closed sets (reasons, modes, rules) are taken from the code that checks them. Requests name only the
fields that the gateway itself reads.
"""

from typing import Final, get_args

from gateway.decision import CostSource, CostStatus, Reason, Status
from gateway.feedback import MAX_COMMENT_CHARS
from gateway.profile import MODES, RULES
from gateway.rollups import GROUPS

Json = dict[str, object]

TEXT: Final[Json] = {"type": "string"}
COUNT: Final[Json] = {"type": "integer", "minimum": 0}
NUMBER: Final[Json] = {"type": "number"}
FLAG: Final[Json] = {"type": "boolean"}
MAX_INTEGER: Final = 2**31 - 1


def requests() -> Json:
    """The bodies, as far as the gateway looks at them."""
    model: Json = {"type": "string", "minLength": 1, "maxLength": 256}
    routed = {**model, "description": "`auto`, `auto:<mode>` or a profile's name."}
    explicit = {**model, "description": "A profile's name."}
    text_or_list = {"type": ["string", "array"], "minItems": 1}
    count = {"type": ["integer", "null"], "minimum": 1, "maximum": MAX_INTEGER}
    shared: Json = {"stream": nullable("boolean"), "hydra": ref("HydraControls")}
    message = object_of(
        {"role": TEXT},
        {"content": {"type": ["string", "array", "null"], "items": {"type": "object"}}},
    )
    messages: Json = {"type": "array", "minItems": 1, "items": ref("ChatMessage")}
    block = object_of({"type": TEXT})
    turn = object_of(
        {
            "role": {"enum": ["user", "assistant", "system"]},
            "content": {"type": ["string", "array"], "items": block},
        }
    )
    anthropic: Json = {"model": routed, "messages": {**messages, "items": ref("Turn")}}
    return {
        "ChatMessage": message,
        "Turn": turn,
        "ChatRequest": object_of(
            {"model": routed, "messages": messages},
            {
                **shared,
                "stream_options": nullable("object"),
                "n": count,
                "max_tokens": count,
                "max_completion_tokens": count,
            },
        ),
        "ResponsesRequest": {
            **object_of(
                {"model": routed},
                {**shared, "input": text_or_list, "previous_response_id": nullable("string")},
            ),
            "anyOf": [{"required": ["input"]}, {"required": ["previous_response_id"]}],
        },
        "MessagesRequest": object_of(
            {
                **anthropic,
                "max_tokens": {"type": "integer", "minimum": 1, "maximum": MAX_INTEGER},
            },
            shared,
        ),
        "CountTokensRequest": object_of(anthropic, {"hydra": ref("HydraControls")}),
        "EmbeddingsRequest": object_of(
            {"model": explicit, "input": text_or_list}, {"hydra": ref("HydraControls")}
        ),
        "CompletionsRequest": object_of({"model": explicit, "prompt": text_or_list}, shared),
        "HydraControls": {
            "type": ["object", "null"],
            "description": "The headers' controls for SDKs that send a body only; removed before"
            " the request goes on.",
            "properties": {
                "threshold": {**threshold(), "type": ["number", "null"]},
                "mode": {"enum": [*MODES, None]},
                "pool": {**name(), "type": ["string", "null"]},
                "session": {**name(), "type": ["string", "null"]},
                "tags": {"type": ["array", "null"], "items": TEXT, "maxItems": 16},
                "explain": {
                    **nullable("boolean"),
                    "description": "Add the decision and its cost to the answer, under `hydra`.",
                },
            },
            "additionalProperties": False,
        },
    }


def answers() -> Json:
    """Providers' answers, only as far as every one has it, and the two shapes of an error."""
    things: Json = {"type": "array", "items": {"type": "object"}}
    usage: Json = {"type": ["object", "null"]}
    explained: Json = {"hydra": ref("Decision"), "usage": usage}
    return {
        "ChatCompletion": object_of(
            {"id": TEXT, "object": {"const": "chat.completion"}, "choices": things}, explained
        ),
        "Response": object_of(
            {"id": TEXT, "object": {"const": "response"}, "output": things}, explained
        ),
        "Message": object_of(
            {"id": TEXT, "type": {"const": "message"}, "role": TEXT, "content": things},
            explained,
        ),
        "TokenCount": object_of({"input_tokens": COUNT}),
        "EmbeddingList": object_of({"object": {"const": "list"}, "data": things}, explained),
        "Completion": object_of(
            {"id": TEXT, "object": {"const": "text_completion"}, "choices": things}, explained
        ),
        "Model": object_of(
            {
                **{name: TEXT for name in ("id", "owned_by", "display_name")},
                **{name: {"const": "model"} for name in ("object", "type")},
                "created": COUNT,
                "created_at": {"type": "string", "format": "date-time"},
            },
            {"hydra": facts()},
        ),
        "ModelList": list_of("Model", {"first_id": TEXT, "last_id": TEXT}),
        "Error": object_of(
            {
                "error": object_of(
                    {
                        "message": TEXT,
                        "type": TEXT,
                        "param": nullable("string"),
                        "code": nullable("string"),
                    }
                )
            }
        ),
        "AnthropicError": object_of(
            {
                "type": {"const": "error"},
                "error": object_of({"type": TEXT, "message": TEXT}),
                "request_id": nullable("string"),
            }
        ),
        "Health": object_of({"status": {"const": "ok"}}),
        "OpenApi": object_of({"openapi": TEXT, "info": {"type": "object"}}),
    }


def facts() -> Json:
    """What a profile adds to its model."""
    prices = ("input", "output", "cached_input", "cache_write")
    price = object_of({f"{name}_usd_per_mtok": ref("Dollars") for name in prices})
    return object_of(
        {
            "context_tokens": nullable("integer"),
            "output_tokens": nullable("integer"),
            "features": {"type": "array", "items": TEXT},
            "price": {**price, "type": ["object", "null"]},
        }
    )


def records() -> Json:
    """What the gateway knows itself: decisions, costs, readiness."""
    by_dimension: Json = {"type": "object", "additionalProperties": NUMBER}
    count, number, text = nullable("integer"), nullable("number"), nullable("string")
    usage = ("prompt", "cached", "cache_write", "completion", "reasoning", "audio")
    rarer = ("cache_write_1h", "audio_output", "image_input", "image_output", "web_searches")
    counted: Json = {name: COUNT for name in rarer}
    decided: Json = {
        **{name: TEXT for name in ("id", "endpoint", "pool", "model_requested", "chosen")},
        **{name: TEXT for name in ("catalog_sha", "predictor_sha", "prompt_sha256")},
        **{name: text for name in ("key_id", "session", "mode", "runner_up")},
        **{name: number for name in ("threshold", "value_usd", "predictor_ms", "router_ms")},
        "ts": {"type": "string", "format": "date-time"},
        "schema": COUNT,
        "rule": {"enum": list(RULES)},
        "requirements": {**by_dimension, "type": ["object", "null"]},
        "candidates": {"type": "array", "items": ref("Candidate")},
        "reason": {"enum": list(get_args(Reason))},
        "stream": FLAG,
        "tags": {"type": "array", "items": TEXT},
        "prompt_chars": COUNT,
    }
    outcome: Json = {
        "attempts": {"type": "array", "items": ref("Attempt")},
        **{name: text for name in ("served_by", "finish_reason", "error", "baseline")},
        "status": {"enum": list(get_args(Status))},
        "disconnected": FLAG,
        "usage": {
            **object_of({name: COUNT for name in usage}, {**counted, "service_tier": TEXT}),
            "type": ["object", "null"],
        },
        **{name: ref("Dollars") for name in ("cost_usd", "baseline_cost_usd", "savings_usd")},
        "cost_status": {"enum": list(get_args(CostStatus))},
        **{name: number for name in ("ttft_ms", "latency_ms")},
    }
    candidate: Json = {
        "model": TEXT,
        "capabilities": by_dimension,
        "shortfall": number,
        "p_solve": number,
        "expected_output_tokens": COUNT,
        "expected_cost_usd": ref("Dollars"),
        "eligible": FLAG,
        "excluded_by": text,
    }
    groups: Json = {name: TEXT for name in GROUPS}
    sums: Json = {
        **{name: COUNT for name in ("requests", "prompt_tokens", "completion_tokens")},
        **{name: ref("Dollars") for name in ("cost_usd", "baseline_cost_usd", "savings_usd")},
        "unknown_cost_requests": COUNT,
    }
    check = object_of({"ok": FLAG})
    checks = ("redis", "log", "predictor", "pool", "catalog")
    return {
        "Dollars": {**dollars("string", "null"), "description": "Exact; null is unknown."},
        "Candidate": object_of(candidate),
        "Attempt": object_of({"model": TEXT, "status": count, "error": text, "latency_ms": number}),
        "Decision": {
            **object_of(
                decided,
                {
                    **{"request_id": text, "user": text, "demands": {"type": "object"}},
                    **{**outcome, "cost_source": {"enum": list(get_args(CostSource))}},
                },
            ),
            "description": "What was decided and, once its answer has ended, what came of it.",
        },
        "DecisionList": list_of("Decision"),
        "FeedbackRequest": object_of(
            {"decision_id": TEXT, "score": {"type": "number", "minimum": 0, "maximum": 1}},
            {"comment": {"type": ["string", "null"], "maxLength": MAX_COMMENT_CHARS}},
        ),
        "Feedback": object_of({"decision_id": TEXT, "score": NUMBER, "ts": TEXT}),
        "Deletion": object_of({"object": {"const": "deletion"}, "deleted": COUNT}),
        "CostRow": {
            **object_of(sums, groups),
            "description": "Sums, after the fields that the row is grouped by.",
            "additionalProperties": False,
        },
        "CostList": list_of("CostRow"),
        "Readiness": object_of(
            {
                "status": {"enum": ["ready", "degraded", "unready"]},
                "checks": object_of({name: check for name in checks}),
            }
        ),
    }


def ref(schema: str) -> Json:
    return {"$ref": f"#/components/schemas/{schema}"}


def object_of(required: Json, optional: Json | None = None) -> Json:
    return {
        "type": "object",
        "required": list(required),
        "properties": {**required, **(optional or {})},
    }


def list_of(of: str, more: Json | None = None) -> Json:
    data: Json = {"type": "array", "items": ref(of)}
    return object_of(
        {
            "object": {"const": "list"},
            "data": data,
            "has_more": FLAG,
            "next_cursor": nullable("string"),
            **(more or {}),
        }
    )


def nullable(kind: str) -> Json:
    return {"type": [kind, "null"]}


def name() -> Json:
    return {"type": "string", "maxLength": 256}


def threshold() -> Json:
    return {"type": "number", "minimum": 0}


def dollars(*types: str) -> Json:
    return {"type": list(types), "pattern": r"^-?[0-9]+(\.[0-9]+)?$", "examples": ["0.000164"]}
