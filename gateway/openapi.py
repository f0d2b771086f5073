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
from gateway import openapi_schemas as schemas
from gateway.decision import Reason
from gateway.filters import FILTERS
from gateway.forgotten import NAMES
from gateway.listing import MAX_LIMIT
from gateway.openapi_schemas import Json
from gateway.profile import MODES
from gateway.rollups import GROUPS

_JSON: Final = "application/json"
_STREAM: Final = "text/event-stream"
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
            "schemas": {**schemas.requests(), **schemas.answers(), **schemas.records()},
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
        _query(name, time if name in _RANGE else schemas.TEXT, _FILTER_HELP[name])
        for name in FILTERS
    ]
    limit: Json = {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": 50}
    cursor: Json = {"type": "string", "pattern": r"^[0-9]{1,20}-[0-9]{1,20}$"}
    page = [
        _query("limit", limit, "Decisions on a page, at most; `has_more`: there are others."),
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
        other={"text/csv": {"schema": schemas.TEXT}},
    )
    return {
        "/v1/decisions": {
            **_get(
                "decisions", "The log, newest first", "DecisionList", [*filters, *page], errors=_LOG
            ),
            "delete": _deletion(),
        },
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
    unready = _response("A request could not be served now.", schemas.ref("Readiness"))
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
    ok = _response("The answer.", schemas.ref(answer), _ROUTED if is_routed else ())
    if is_routed and streams:
        ok["description"] = (
            "The answer; with `stream: true` server-sent events, in which a failure after the"
            " first is one error event. The cost headers are on whole answers only."
        )
        ok["content"] = {_JSON: {"schema": schemas.ref(answer)}, _STREAM: {}}
    parameters = [{"$ref": f"#/components/parameters/{name}"} for name in _parameters()]
    return {
        "post": {
            "operationId": operation,
            "summary": summary,
            "parameters": parameters,
            "requestBody": {"required": True, "content": {_JSON: {"schema": schemas.ref(request)}}},
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
    ok = _response("The answer.", schemas.ref(answer))
    ok["content"] = {_JSON: {"schema": schemas.ref(answer)}, **(other or {})}
    return {
        "get": {
            "operationId": operation,
            "summary": summary,
            "parameters": parameters or [],
            "responses": _with_errors(ok, errors, "Error"),
        }
    }


def _deletion() -> Json:
    """The operation that deletes from the log."""
    name: Json = {"type": "string", "minLength": 1}
    return {
        "operationId": "deleteDecisions",
        "summary": "Delete the decisions of a key, a user or a session",
        "description": "Those that have every name given, at least one. Answers when all is done;"
        " a request that was cut off is finished by sending it again. A key that is not the"
        " admin's deletes its own decisions only.",
        "parameters": [_query(each, name, _FILTER_HELP[each]) for each in NAMES],
        "responses": _with_errors(_response("Done.", schemas.ref("Deletion")), _LOG, "Error"),
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
    known: Json = {
        str(status): _response(_ERRORS[status], schemas.ref(shape)) for status in statuses
    }
    return {"200": ok, **known, "default": _response("Any other failure.", schemas.ref(shape))}


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
        "x-request-id": ("The request's own, or one that the gateway gave.", schemas.TEXT),
        "x-hydra-decision-id": ("The decision's id in the log.", schemas.TEXT),
        "x-hydra-model": ("The profile that serves.", schemas.TEXT),
        "x-hydra-reason": ("Why it serves.", {"type": "string", "enum": list(get_args(Reason))}),
        "x-hydra-shortfall": ("How far it falls below the requirements.", schemas.NUMBER),
        "x-hydra-threshold": (
            "Largest shortfall accepted, or dollars per solve.",
            schemas.NUMBER,
        ),
        "x-hydra-requirements": ("`reasoning=0.61,...`", schemas.TEXT),
        "x-hydra-router-ms": ("Milliseconds spent on deciding.", schemas.NUMBER),
        "x-hydra-dropped-params": (
            "Parameters that its provider can't take.",
            schemas.TEXT,
        ),
        "x-hydra-cost-usd": ("What the answer cost.", schemas.dollars("string")),
        "x-hydra-savings-usd": ("Less than the baseline by so much.", schemas.dollars("string")),
    }
    return {
        name: {"description": text, "schema": schema} for name, (text, schema) in described.items()
    }


def _parameters() -> Json:
    """Of requests. The body's `hydra` object holds the same controls, weaker than these."""
    described: Mapping[str, tuple[str, Json]] = {
        "x-hydra-threshold": ("The largest shortfall accepted; hides a mode.", schemas.threshold()),
        "x-hydra-mode": ("A named setting of the pool.", {"type": "string", "enum": list(MODES)}),
        "x-hydra-pool": ("The pool to choose from.", schemas.name()),
        "x-hydra-session": ("The conversation this request belongs to.", schemas.name()),
        "x-hydra-tags": ("Comma list of at most 16 tags to sum costs by.", schemas.TEXT),
        "x-request-id": ("Names the request in the log and the answer.", schemas.name()),
    }
    return {
        name: {"name": name, "in": "header", "description": description, "schema": schema}
        for name, (description, schema) in described.items()
    }
