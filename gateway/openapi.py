"""The OpenAPI 3.1 document of the HTTP API, and the endpoint that serves it.

Closed sets (reasons, modes, filters, groups) are taken from the code that checks them, so that they
can't differ. Requests name only the fields that the gateway itself reads: every other parameter is
the provider's business and passes on.
"""

import functools
import json
from collections.abc import Mapping
from typing import Final, get_args

from starlette.requests import Request
from starlette.responses import Response

from gateway import __version__
from gateway.decision import CostSource, CostStatus, Reason, Status
from gateway.feedback import MAX_COMMENT_CHARS
from gateway.filters import FILTERS
from gateway.listing import MAX_LIMIT
from gateway.profile import MODES, RULES
from gateway.rollups import GROUPS

Json = dict[str, object]

_JSON: Final = "application/json"
_STREAM: Final = "text/event-stream"
_TEXT: Final[Json] = {"type": "string"}
_COUNT: Final[Json] = {"type": "integer", "minimum": 0}
_NUMBER: Final[Json] = {"type": "number"}
_FLAG: Final[Json] = {"type": "boolean"}
_MAX_INTEGER: Final = 2**31 - 1

_ERRORS: Final[Mapping[int, str]] = {
    400: "The request is wrong, or no profile of the pool can take it (`no_eligible_model`).",
    401: "No API key, or not one of the gateway's.",
    404: "No such model, pool, mode or decision.",
    405: "The path takes another method; `allow` names it.",
    413: "The body is too large for the gateway or for the provider.",
    422: "The provider can't process the request.",
    429: "The provider's rate limit; `retry-after` as the provider sent it.",
    502: "The provider failed, or refused the gateway's own credentials.",
    503: "The provider is overloaded, or the gateway can't take the request now.",
    504: "The provider did not answer in time.",
}
_READ: Final = (401, 405)
_LOG: Final = (400, *_READ, 503)
_BODY: Final = (400, 401, 404, 405, 413)
_CALL: Final = (*_BODY, 422, 429, 502, 503, 504)

_RANGE: Final = ("since", "until")
_FILTER_HELP: Final[Mapping[str, str]] = {
    "model": "The profile that served or, where none did, was chosen.",
    "key": "The id of the caller's key.",
    "session": "The conversation.",
    "user": "The end user that the request names.",
    "mode": f"One of {', '.join(MODES)}.",
    "reason": f"One of {', '.join(get_args(Reason))}.",
    "status": "One of ok, error, aborted.",
    "pool": "The pool that was chosen from.",
    "tag": "One of the request's tags.",
    "since": "From this moment: ISO 8601 (UTC where no zone is named) or Unix seconds.",
    "until": "Before this moment, written likewise.",
}
_LAST_ID_HELP: Final = "Go on after this id of an event; without one, from now on."


async def openapi(http: Request) -> Response:
    """GET /openapi.json"""
    return Response(_body(), media_type=_JSON)


@functools.cache
def _body() -> bytes:
    return json.dumps(document(__version__)).encode()


def document(version: str) -> dict[str, object]:
    """The whole document for this version of the gateway."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "HyDRA gateway",
            "version": version,
            "description": "Sends each request whose model is `auto` to the cheapest model that is"
            " good enough, and says why. Parameters that are not named here go to the provider.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{}, {"bearer": []}, {"api_key": []}],
        "paths": {**_protocol_paths(), **_log_paths(), **_service_paths()},
        "components": {
            "schemas": {**_requests(), **_answers(), **_records()},
            "parameters": _parameters(),
            "headers": _headers(),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "api_key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
            },
        },
    }


def _protocol_paths() -> Json:
    """What SDKs call, and the dry run."""
    return {
        "/v1/chat/completions": _post(
            "chatCompletions", "OpenAI Chat Completions", "ChatRequest", "ChatCompletion"
        ),
        "/v1/responses": _post("responses", "OpenAI Responses", "ResponsesRequest", "Response"),
        "/v1/messages": _post(
            "messages", "Anthropic Messages", "MessagesRequest", "Message", error="AnthropicError"
        ),
        "/v1/messages/count_tokens": _post(
            "countTokens",
            "Count the tokens of a Messages body",
            "CountTokensRequest",
            "TokenCount",
            error="AnthropicError",
            is_routed=False,
        ),
        "/v1/embeddings": _post(
            "embeddings",
            "OpenAI Embeddings, explicit models only",
            "EmbeddingsRequest",
            "EmbeddingList",
            streams=False,
        ),
        "/v1/completions": _post(
            "completions",
            "OpenAI Completions (legacy), explicit models only",
            "CompletionsRequest",
            "Completion",
        ),
        "/v1/route": _post(
            "route",
            "Dry run: the decision for a chat body; no model is called, nothing is logged",
            "ChatRequest",
            "Decision",
            is_routed=False,
            errors=_BODY,
        ),
        "/v1/models": _get("models", "`auto`, its modes and the usable profiles", "ModelList"),
        "/v1/models/{id}": _get(
            "model", "One of them", "Model", [_path_id()], errors=(404, *_READ)
        ),
    }


def _log_paths() -> Json:
    time: Json = {
        "type": "string",
        "anyOf": [{"format": "date-time"}, {"format": "date"}, {"pattern": r"^[0-9]+(\.[0-9]+)?$"}],
    }
    filters = [
        _query(name, time if name in _RANGE else _TEXT, _FILTER_HELP[name]) for name in FILTERS
    ]
    limit: Json = {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": 50}
    cursor: Json = {"type": "string", "pattern": r"^[0-9]{1,20}-[0-9]{1,20}$"}
    page = [
        _query("limit", limit, "Decisions on a page."),
        _query("cursor", cursor, "`next_cursor` of the page before."),
    ]
    last_id: Json = {
        **{"name": "last-event-id", "in": "header", "schema": cursor},
        "description": f"{_LAST_ID_HELP} Stronger than `cursor`.",
    }
    groups: Json = {
        "type": "array",
        "items": {"type": "string", "enum": list(GROUPS)},
        "default": ["model"],
    }
    shape: Json = {"type": "string", "enum": ["json", "csv"], "default": "json"}
    whole = "Whole hours; by user or session, whole days."
    range_ = [_query(name, time, f"{_FILTER_HELP[name]} {whole}") for name in _RANGE]
    grouping: Json = {
        **_query(
            "group_by",
            groups,
            "One row for each combination of these; empty: one row in all. At most one of tag, user"
            " and session; user and session not with hour.",
        ),
        "style": "form",
        "explode": False,
    }
    costs = _get(
        "costs",
        "What was spent and saved",
        "CostList",
        [grouping, *range_, _query("format", shape, "How to answer.")],
        errors=_LOG,
        other={"text/csv": {"schema": _TEXT}},
    )
    return {
        "/v1/decisions": _get(
            "decisions", "The log, newest first", "DecisionList", [*filters, *page], errors=_LOG
        ),
        "/v1/decisions/stream": _tail([*filters, _query("cursor", cursor, _LAST_ID_HELP), last_id]),
        "/v1/decisions/{id}": _get(
            "decision", "One decision", "Decision", [_path_id()], errors=(404, *_READ, 503)
        ),
        "/v1/costs": costs,
        "/v1/feedback": _post(
            "feedback",
            "A score for a decision's answer; the last one counts",
            "FeedbackRequest",
            "Feedback",
            is_routed=False,
            errors=(*_BODY, 503),
        ),
    }


def _service_paths() -> Json:
    unready = _response("A request could not be served now.", _ref("Readiness"))
    return {
        "/healthz": _open(_get("healthz", "The process answers", "Health", errors=(405,))),
        "/readyz": _open(
            _get("readyz", "Whether requests can be served", "Readiness", errors=(405,)),
            {"503": unready},
        ),
        "/openapi.json": _open(_get("openapi", "This document", "OpenApi", errors=(405,))),
    }


def _post(
    operation: str,
    summary: str,
    request: str,
    answer: str,
    *,
    error: str = "Error",
    is_routed: bool = True,
    streams: bool = True,
    errors: tuple[int, ...] = _CALL,
) -> Json:
    """The path item of an endpoint that takes a JSON body."""
    ok = _response("The answer.", _ref(answer), _ROUTED if is_routed else ())
    if is_routed and streams:
        ok["description"] = (
            "The answer; with `stream: true` server-sent events, in which a failure after the"
            " first is one error event. The cost headers are on whole answers only."
        )
        ok["content"] = {_JSON: {"schema": _ref(answer)}, _STREAM: {}}
    parameters = [{"$ref": f"#/components/parameters/{name}"} for name in _parameters()]
    return {
        "post": {
            "operationId": operation,
            "summary": summary,
            "parameters": parameters,
            "requestBody": {"required": True, "content": {_JSON: {"schema": _ref(request)}}},
            "responses": _with_errors(ok, errors, error),
        }
    }


def _get(
    operation: str,
    summary: str,
    answer: str,
    parameters: list[Json] | None = None,
    *,
    errors: tuple[int, ...] = _READ,
    other: Json | None = None,
) -> Json:
    """The path item of an endpoint that reads; `other` holds further media types."""
    ok = _response("The answer.", _ref(answer))
    ok["content"] = {_JSON: {"schema": _ref(answer)}, **(other or {})}
    return {
        "get": {
            "operationId": operation,
            "summary": summary,
            "parameters": parameters or [],
            "responses": _with_errors(ok, errors, "Error"),
        }
    }


def _tail(parameters: list[Json]) -> Json:
    """The path item of the log as it is written."""
    ok = _response(
        "Server-sent events without an end: `id` is the event's place in the log, `event` is"
        " `decision`, `data` is a Decision as in the list.",
        {},
    )
    ok["content"] = {_STREAM: {}}
    return {
        "get": {
            "operationId": "decisionsStream",
            "summary": "The log as it is written",
            "parameters": parameters,
            "responses": _with_errors(ok, (400, *_READ), "Error"),
        }
    }


def _open(item: Json, responses: Json | None = None) -> Json:
    """The same for everyone, key or not, with more responses."""
    operation = item["get"]
    assert isinstance(operation, dict)  # _get made it
    return {
        "get": {
            **operation,
            "security": [],
            "responses": {**operation["responses"], **(responses or {})},
        }
    }


def _with_errors(ok: Json, statuses: tuple[int, ...], shape: str) -> Json:
    known: Json = {str(status): _response(_ERRORS[status], _ref(shape)) for status in statuses}
    return {"200": ok, **known, "default": _response("Any other failure.", _ref(shape))}


def _response(description: str, schema: Json, headers: tuple[str, ...] = ()) -> Json:
    shown = ("x-request-id", *headers)
    return {
        "description": description,
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in shown},
        "content": {_JSON: {"schema": schema}},
    }


def _query(name: str, schema: Json, description: str) -> Json:
    return {"name": name, "in": "query", "description": description, "schema": schema}


def _path_id() -> Json:
    return {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}


_ROUTED: Final = (
    "x-hydra-decision-id",
    "x-hydra-model",
    "x-hydra-reason",
    "x-hydra-shortfall",
    "x-hydra-threshold",
    "x-hydra-requirements",
    "x-hydra-router-ms",
    "x-hydra-dropped-params",
    "x-hydra-cost-usd",
    "x-hydra-savings-usd",
)


def _headers() -> Json:
    """Of answers. Numbers that are not known have no header."""
    described: Mapping[str, tuple[str, Json]] = {
        "x-request-id": ("The request's own, or one that the gateway gave.", _TEXT),
        "x-hydra-decision-id": ("The decision's id in the log.", _TEXT),
        "x-hydra-model": ("The profile that serves.", _TEXT),
        "x-hydra-reason": ("Why it serves.", {"type": "string", "enum": list(get_args(Reason))}),
        "x-hydra-shortfall": ("How far it falls below the requirements.", _NUMBER),
        "x-hydra-threshold": ("The largest shortfall accepted, or dollars per solve.", _NUMBER),
        "x-hydra-requirements": ("`reasoning=0.61,...`", _TEXT),
        "x-hydra-router-ms": ("Milliseconds spent on deciding.", _NUMBER),
        "x-hydra-dropped-params": ("Parameters that the profile's provider can't take.", _TEXT),
        "x-hydra-cost-usd": ("What the answer cost.", _dollars("string")),
        "x-hydra-savings-usd": ("Less than the baseline by so much.", _dollars("string")),
    }
    return {
        name: {"description": text, "schema": schema} for name, (text, schema) in described.items()
    }


def _parameters() -> Json:
    """Of requests. The body's `hydra` object holds the same controls, weaker than these."""
    described: Mapping[str, tuple[str, Json]] = {
        "x-hydra-threshold": ("The largest shortfall accepted; hides a mode.", _threshold()),
        "x-hydra-mode": ("A named setting of the pool.", {"type": "string", "enum": list(MODES)}),
        "x-hydra-pool": ("The pool to choose from.", _name()),
        "x-hydra-session": ("The conversation this request belongs to.", _name()),
        "x-hydra-tags": ("Comma list of at most 16 tags to sum costs by.", _TEXT),
        "x-request-id": ("Names the request in the log and the answer.", _name()),
    }
    return {
        name: {"name": name, "in": "header", "description": description, "schema": schema}
        for name, (description, schema) in described.items()
    }


def _requests() -> Json:
    """The bodies, as far as the gateway looks at them."""
    model: Json = {"type": "string", "minLength": 1, "maxLength": 256}
    routed = {**model, "description": "`auto`, `auto:<mode>` or a profile's name."}
    explicit = {**model, "description": "A profile's name."}
    text_or_list = {"type": ["string", "array"], "minItems": 1}
    count = {"type": ["integer", "null"], "minimum": 1, "maximum": _MAX_INTEGER}
    shared: Json = {"stream": _nullable("boolean"), "hydra": _ref("HydraControls")}
    message = _object(
        {"role": _TEXT},
        {"content": {"type": ["string", "array", "null"], "items": {"type": "object"}}},
    )
    messages: Json = {"type": "array", "minItems": 1, "items": _ref("ChatMessage")}
    block = _object({"type": _TEXT})
    turn = _object(
        {
            "role": {"enum": ["user", "assistant", "system"]},
            "content": {"type": ["string", "array"], "items": block},
        }
    )
    anthropic: Json = {"model": routed, "messages": {**messages, "items": _ref("Turn")}}
    return {
        "ChatMessage": message,
        "Turn": turn,
        "ChatRequest": _object(
            {"model": routed, "messages": messages},
            {
                **shared,
                "stream_options": _nullable("object"),
                "n": count,
                "max_tokens": count,
                "max_completion_tokens": count,
            },
        ),
        "ResponsesRequest": {
            **_object(
                {"model": routed},
                {**shared, "input": text_or_list, "previous_response_id": _nullable("string")},
            ),
            "anyOf": [{"required": ["input"]}, {"required": ["previous_response_id"]}],
        },
        "MessagesRequest": _object(
            {
                **anthropic,
                "max_tokens": {"type": "integer", "minimum": 1, "maximum": _MAX_INTEGER},
            },
            shared,
        ),
        "CountTokensRequest": _object(anthropic, {"hydra": _ref("HydraControls")}),
        "EmbeddingsRequest": _object(
            {"model": explicit, "input": text_or_list}, {"hydra": _ref("HydraControls")}
        ),
        "CompletionsRequest": _object({"model": explicit, "prompt": text_or_list}, shared),
        "HydraControls": {
            "type": ["object", "null"],
            "description": "The headers' controls for SDKs that send a body only; removed before"
            " the request goes on.",
            "properties": {
                "threshold": {**_threshold(), "type": ["number", "null"]},
                "mode": {"enum": [*MODES, None]},
                "pool": {**_name(), "type": ["string", "null"]},
                "session": {**_name(), "type": ["string", "null"]},
                "tags": {"type": ["array", "null"], "items": _TEXT, "maxItems": 16},
                "explain": {
                    **_nullable("boolean"),
                    "description": "Add the decision and its cost to the answer, under `hydra`.",
                },
            },
            "additionalProperties": False,
        },
    }


def _answers() -> Json:
    """Providers' answers, only as far as every one has it, and the two shapes of an error."""
    things: Json = {"type": "array", "items": {"type": "object"}}
    usage: Json = {"type": ["object", "null"]}
    explained: Json = {"hydra": _ref("Decision"), "usage": usage}
    return {
        "ChatCompletion": _object(
            {"id": _TEXT, "object": {"const": "chat.completion"}, "choices": things}, explained
        ),
        "Response": _object(
            {"id": _TEXT, "object": {"const": "response"}, "output": things}, explained
        ),
        "Message": _object(
            {"id": _TEXT, "type": {"const": "message"}, "role": _TEXT, "content": things},
            explained,
        ),
        "TokenCount": _object({"input_tokens": _COUNT}),
        "EmbeddingList": _object({"object": {"const": "list"}, "data": things}, explained),
        "Completion": _object(
            {"id": _TEXT, "object": {"const": "text_completion"}, "choices": things}, explained
        ),
        "Model": _object(
            {
                **{name: _TEXT for name in ("id", "owned_by", "display_name")},
                **{name: {"const": "model"} for name in ("object", "type")},
                "created": _COUNT,
                "created_at": {"type": "string", "format": "date-time"},
            },
            {"hydra": _facts()},
        ),
        "ModelList": _list("Model", {"first_id": _TEXT, "last_id": _TEXT}),
        "Error": _object(
            {
                "error": _object(
                    {
                        "message": _TEXT,
                        "type": _TEXT,
                        "param": _nullable("string"),
                        "code": _nullable("string"),
                    }
                )
            }
        ),
        "AnthropicError": _object(
            {
                "type": {"const": "error"},
                "error": _object({"type": _TEXT, "message": _TEXT}),
                "request_id": _nullable("string"),
            }
        ),
        "Health": _object({"status": {"const": "ok"}}),
        "OpenApi": _object({"openapi": _TEXT, "info": {"type": "object"}}),
    }


def _facts() -> Json:
    """What a profile adds to its model."""
    prices = ("input", "output", "cached_input", "cache_write")
    price = _object({f"{name}_usd_per_mtok": _ref("Dollars") for name in prices})
    return _object(
        {
            "context_tokens": _nullable("integer"),
            "output_tokens": _nullable("integer"),
            "features": {"type": "array", "items": _TEXT},
            "price": {**price, "type": ["object", "null"]},
        }
    )


def _records() -> Json:
    """What the gateway knows itself: decisions, costs, readiness."""
    by_dimension: Json = {"type": "object", "additionalProperties": _NUMBER}
    count, number, text = _nullable("integer"), _nullable("number"), _nullable("string")
    usage = ("prompt", "cached", "cache_write", "completion", "reasoning", "audio")
    rarer = ("cache_write_1h", "audio_output", "image_input", "image_output", "web_searches")
    counted: Json = {name: _COUNT for name in rarer}
    decided: Json = {
        **{name: _TEXT for name in ("id", "endpoint", "pool", "model_requested", "chosen")},
        **{name: _TEXT for name in ("catalog_sha", "predictor_sha", "prompt_sha256")},
        **{name: text for name in ("key_id", "session", "mode", "runner_up")},
        **{name: number for name in ("threshold", "value_usd", "predictor_ms", "router_ms")},
        "ts": {"type": "string", "format": "date-time"},
        "schema": _COUNT,
        "rule": {"enum": list(RULES)},
        "requirements": {**by_dimension, "type": ["object", "null"]},
        "candidates": {"type": "array", "items": _ref("Candidate")},
        "reason": {"enum": list(get_args(Reason))},
        "stream": _FLAG,
        "tags": {"type": "array", "items": _TEXT},
        "prompt_chars": _COUNT,
    }
    outcome: Json = {
        "attempts": {"type": "array", "items": _ref("Attempt")},
        **{name: text for name in ("served_by", "finish_reason", "error", "baseline")},
        "status": {"enum": list(get_args(Status))},
        "disconnected": _FLAG,
        "usage": {
            **_object({name: _COUNT for name in usage}, {**counted, "service_tier": _TEXT}),
            "type": ["object", "null"],
        },
        **{name: _ref("Dollars") for name in ("cost_usd", "baseline_cost_usd", "savings_usd")},
        "cost_status": {"enum": list(get_args(CostStatus))},
        **{name: number for name in ("ttft_ms", "latency_ms")},
    }
    candidate: Json = {
        "model": _TEXT,
        "capabilities": by_dimension,
        "shortfall": number,
        "p_solve": number,
        "expected_output_tokens": _COUNT,
        "expected_cost_usd": _ref("Dollars"),
        "eligible": _FLAG,
        "excluded_by": text,
    }
    groups: Json = {name: _TEXT for name in GROUPS}
    sums: Json = {
        **{name: _COUNT for name in ("requests", "prompt_tokens", "completion_tokens")},
        **{name: _ref("Dollars") for name in ("cost_usd", "baseline_cost_usd", "savings_usd")},
        "unknown_cost_requests": _COUNT,
    }
    check = _object({"ok": _FLAG})
    checks = ("redis", "log", "predictor", "pool", "catalog")
    return {
        "Dollars": {**_dollars("string", "null"), "description": "Exact; null is unknown."},
        "Candidate": _object(candidate),
        "Attempt": _object({"model": _TEXT, "status": count, "error": text, "latency_ms": number}),
        "Decision": {
            **_object(
                decided,
                {
                    **{"request_id": text, "user": text, "demands": {"type": "object"}},
                    **{**outcome, "cost_source": {"enum": list(get_args(CostSource))}},
                },
            ),
            "description": "What was decided and, once its answer has ended, what came of it.",
        },
        "DecisionList": _list("Decision"),
        "FeedbackRequest": _object(
            {"decision_id": _TEXT, "score": {"type": "number", "minimum": 0, "maximum": 1}},
            {"comment": {"type": ["string", "null"], "maxLength": MAX_COMMENT_CHARS}},
        ),
        "Feedback": _object({"decision_id": _TEXT, "score": _NUMBER, "ts": _TEXT}),
        "CostRow": {
            **_object(sums, groups),
            "description": "Sums, after the fields that the row is grouped by.",
            "additionalProperties": False,
        },
        "CostList": _list("CostRow"),
        "Readiness": _object(
            {
                "status": {"enum": ["ready", "degraded", "unready"]},
                "checks": _object({name: check for name in checks}),
            }
        ),
    }


def _ref(schema: str) -> Json:
    return {"$ref": f"#/components/schemas/{schema}"}


def _object(required: Json, optional: Json | None = None) -> Json:
    return {
        "type": "object",
        "required": list(required),
        "properties": {**required, **(optional or {})},
    }


def _list(of: str, more: Json | None = None) -> Json:
    data: Json = {"type": "array", "items": _ref(of)}
    return _object(
        {
            "object": {"const": "list"},
            "data": data,
            "has_more": _FLAG,
            "next_cursor": _nullable("string"),
            **(more or {}),
        }
    )


def _nullable(kind: str) -> Json:
    return {"type": [kind, "null"]}


def _name() -> Json:
    return {"type": "string", "maxLength": 256}


def _threshold() -> Json:
    return {"type": "number", "minimum": 0}


def _dollars(*types: str) -> Json:
    return {"type": list(types), "pattern": r"^-?[0-9]+(\.[0-9]+)?$", "examples": ["0.000164"]}
