"""The endpoints that read the log: decisions and what they cost."""

import csv
import io
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gateway.endpoints import State, authenticated
from gateway.errors import InvalidRequest, NotFound
from gateway.keys import ApiKey
from gateway.ledger import FILTERS

_DEFAULT_LIMIT: Final = 50
_MAX_LIMIT: Final = 1000


async def decisions(http: Request[State]) -> Response:
    """GET /v1/decisions: newest first, filtered, page by page."""
    key = authenticated(http)
    _known_parameters(http, (*FILTERS, "limit", "cursor"))
    filters = {name: http.query_params[name] for name in FILTERS if name in http.query_params}
    own = _only_key(http, key)
    if own is not None:
        filters["key"] = own
    try:
        page = await http.state["log"].decisions(
            filters=filters, limit=_limit(http), cursor=http.query_params.get("cursor")
        )
    except ValueError as exc:
        raise _invalid(exc) from exc
    return JSONResponse(
        {
            "object": "list",
            "data": page.data,
            "has_more": page.has_more,
            "next_cursor": page.next_cursor,
        }
    )


async def decision(http: Request[State]) -> Response:
    """GET /v1/decisions/{id}"""
    key = authenticated(http)
    wanted = http.path_params["id"]
    found = await http.state["log"].get(wanted)
    own = _only_key(http, key)
    if found is None or (own is not None and found.get("key_id") != own):
        raise NotFound(f"no decision has the id '{wanted}'", param="id", code="decision_not_found")
    return JSONResponse(found)


async def costs(http: Request[State]) -> Response:
    """GET /v1/costs?group_by=model|key|tag|mode|day|hour (a comma list combines them)."""
    key = authenticated(http)
    _known_parameters(http, ("group_by", "since", "until", "format"))
    group_by = tuple(filter(None, http.query_params.get("group_by", "model").split(",")))
    shape = http.query_params.get("format", "json")
    if shape not in ("json", "csv"):
        raise InvalidRequest(f"'format' must be json or csv, got '{shape}'", param="format")
    own = _only_key(http, key)
    hidden = own is not None and "key" not in group_by
    try:
        rows = await http.state["log"].costs(
            group_by=(*group_by, "key") if hidden else group_by,
            since=http.query_params.get("since"),
            until=http.query_params.get("until"),
        )
    except ValueError as exc:
        raise _invalid(exc) from exc
    if own is not None:
        rows = [row for row in rows if row["key"] == own]
    for row in rows if hidden else ():
        del row["key"]
    if shape == "csv":
        return Response(_csv(rows, group_by), media_type="text/csv; charset=utf-8")
    return JSONResponse({"object": "list", "data": rows, "has_more": False, "next_cursor": None})


def _only_key(http: Request[State], key: ApiKey | None) -> str | None:
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
    names = list(rows[0]) if rows else list(group_by)
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=names)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
