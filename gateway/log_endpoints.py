"""The endpoints of the log: decisions, what they cost, what was thought of them; and deletion."""

import contextlib
import csv
import io
from dataclasses import replace
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from gateway import json_body, spool_files
from gateway.endpoints import State, authenticated, read_body
from gateway.errors import InvalidRequest, NotFound
from gateway.feedback import parse as parse_feedback
from gateway.filters import FILTERS, matcher
from gateway.forgotten import NAMES, Selection
from gateway.keys import ApiKey
from gateway.ledger import LogUnavailable
from gateway.listing import check_id
from gateway.log_tail import tail

_DEFAULT_LIMIT: Final = 50
_MAX_LIMIT: Final = 1000


async def decisions(http: Request[State]) -> Response:
    """GET /v1/decisions: newest first, filtered, page by page. DELETE: those of a key, a user or a
    session."""
    if http.method == "DELETE":
        return await _forget(http)
    key = authenticated(http)
    _known_parameters(http, (*FILTERS, "limit", "cursor"))
    try:
        page = await http.state["log"].decisions(
            filters=_filters(http, key), limit=_limit(http), cursor=http.query_params.get("cursor")
        )
    except ValueError as exc:
        raise _invalid(exc) from exc
    await http.state["log"].feedback.join(page.data)
    return _list(page.data, has_more=page.has_more, next_cursor=page.next_cursor)


async def decisions_stream(http: Request[State]) -> Response:
    """GET /v1/decisions/stream: what is logged from now on, or after an event of an earlier stream,
    as server-sent events."""
    key = authenticated(http)
    _known_parameters(http, (*FILTERS, "cursor"))
    filters = _filters(http, key)
    # A browser that comes back repeats the address, with the last id in a header.
    name, last = "cursor", http.query_params.get("cursor")
    if http.headers.get("last-event-id"):
        name, last = "last-event-id", http.headers["last-event-id"]
    try:
        matcher(filters)
        if last is not None:
            check_id(name, last)
    except ValueError as exc:
        raise _invalid(exc) from exc
    return StreamingResponse(
        tail(http.state["log"], filters, last),
        media_type="text/event-stream",
        headers={"cache-control": "no-cache", "x-accel-buffering": "no"},
    )


async def decision(http: Request[State]) -> Response:
    """GET /v1/decisions/{id}"""
    key = authenticated(http)
    wanted = http.path_params["id"]
    found = await http.state["log"].get(wanted)
    own = only_key(http, key)
    if found is None or (own is not None and found.get("key_id") != own):
        raise NotFound(f"no decision has the id '{wanted}'", param="id", code="decision_not_found")
    with contextlib.suppress(LogUnavailable):  # the record itself may come from the spool
        await http.state["log"].feedback.join([found])
    return JSONResponse(found)


async def feedback(http: Request[State]) -> Response:
    """POST /v1/feedback: a score for a decision's answer; the last one counts."""
    key = authenticated(http)
    decision_id, score, comment = parse_feedback(json_body.parse(await read_body(http)))
    log, own = http.state["log"], only_key(http, key)
    found = await log.get(decision_id)
    if found is None or (own is not None and found.get("key_id") != own):
        raise NotFound(
            f"no decision has the id '{decision_id}'",
            param="decision_id",
            code="decision_not_found",
        )
    kept = await log.feedback.give(
        decision_id, score, comment, key_id=None if key is None else key.id
    )
    return JSONResponse({"object": "feedback", "decision_id": decision_id, **kept})


async def costs(http: Request[State]) -> Response:
    """GET /v1/costs?group_by=model|key|mode|pool|tag|user|session|day|hour (a comma list
    combines them)."""
    key = authenticated(http)
    _known_parameters(http, ("group_by", "since", "until", "format"))
    group_by = tuple(filter(None, http.query_params.get("group_by", "model").split(",")))
    shape = http.query_params.get("format", "json")
    if shape not in ("json", "csv"):
        raise InvalidRequest(f"'format' must be json or csv, got '{shape}'", param="format")
    try:
        rows = await http.state["log"].costs(
            group_by=group_by,
            since=http.query_params.get("since"),
            until=http.query_params.get("until"),
            key=only_key(http, key),
        )
    except ValueError as exc:
        raise _invalid(exc) from exc
    if shape == "csv":
        return Response(_csv(rows, group_by), media_type="text/csv; charset=utf-8")
    return _list(rows)


async def _forget(http: Request[State]) -> Response:
    """Delete what has all the names given. Only the admin's key deletes other keys' decisions."""
    key = authenticated(http)
    _known_parameters(http, tuple(NAMES))
    names = {name: http.query_params[name] for name in NAMES if name in http.query_params}
    try:
        selection = Selection(**names)
    except ValueError as exc:
        raise _invalid(exc) from exc
    if key is not None and key != http.state["settings"].admin_key:
        if selection.key not in (None, key.id):
            raise InvalidRequest(
                f"'key' must be '{key.id}': only the admin's key deletes another's decisions",
                param="key",
            )
        selection = replace(selection, key=key.id)
    deleted = await http.state["log"].forget(selection)
    return JSONResponse({"object": "deletion", "deleted": deleted})


def _list(
    data: list[dict[str, Any]], *, has_more: bool = False, next_cursor: str | None = None
) -> Response:
    body = {"object": "list", "data": data, "has_more": has_more, "next_cursor": next_cursor}
    return Response(spool_files.to_json(body), media_type="application/json")


def _filters(http: Request[State], key: ApiKey | None) -> dict[str, str]:
    """Those of the query, within what the caller may see."""
    filters = {name: http.query_params[name] for name in FILTERS if name in http.query_params}
    own = only_key(http, key)
    return filters if own is None else {**filters, "key": own}


def only_key(http: Request[State], key: ApiKey | None) -> str | None:
    """The key whose records alone the caller may see; None: all of them."""
    admin = http.state["settings"].admin_key
    return None if key is None or admin is None or key == admin else key.id


def _known_parameters(http: Request[State], known: tuple[str, ...]) -> None:
    for name in http.query_params:
        if name not in known:
            raise InvalidRequest(
                f"unknown parameter '{name}': known are {', '.join(known)}", param=name
            )


def _limit(http: Request[State]) -> int:
    text = http.query_params.get("limit", str(_DEFAULT_LIMIT))
    if not text.isdecimal() or not 1 <= int(text) <= _MAX_LIMIT:
        raise InvalidRequest(
            f"'limit' must be a whole number from 1 to {_MAX_LIMIT}, got '{text}'", param="limit"
        )
    return int(text)


def _invalid(exc: ValueError) -> InvalidRequest:
    """The ledger's `name: words` as the error of that parameter."""
    return InvalidRequest(str(exc), param=str(exc).partition(":")[0])


def _csv(rows: list[dict[str, object]], group_by: tuple[str, ...]) -> str:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(rows[0] if rows else group_by)
    writer.writerows(row.values() for row in rows)
    return text.getvalue()
