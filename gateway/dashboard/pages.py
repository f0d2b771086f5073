"""The endpoints of the page: each view at its address, and the same values as JSON beside it.

Short on purpose: they ask the log and the catalog, the pure modules beside this one make the view,
templates draw it. What a key may see here is what it may see in /v1/decisions and /v1/costs.
"""

import contextlib
import datetime
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, get_args
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway import json_body, price_list
from gateway.dashboard import assets, entrance, models, one_decision, overview, rendering
from gateway.dashboard.frame import HOME, LOGIN, as_error, own_key, page, problem, seen_by, to
from gateway.decision import Reason
from gateway.decision_log import LogUnavailable
from gateway.endpoints import State, authenticated, error_answer, read_body
from gateway.errors import GatewayError, InvalidRequest, NotFound, Unauthorized
from gateway.filters import FILTERS
from gateway.profile import MODES, Profile

Json = dict[str, Any]

RECENT: Final = 200  # decisions that figures without sums are of: some 10 ms of reading
PAGE: Final = 50
SEARCHED: Final = ("session", "user", "tag", "key", "model")  # where a word is looked for, in order

_DECISION_ID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")
_STATUSES: Final = ("ok", "error", "aborted")
_NO_RECORD: Final = (
    *(ArithmeticError, AttributeError, KeyError, StopIteration, TypeError, ValueError),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One view: `values` asks for what is shown; both its forms show the same."""

    path: str
    template: str
    values: Callable[[Request[State]], Awaitable[Json]]

    async def as_html(self, http: Request[State]) -> Response:
        try:
            authenticated(http)
            values = await self.values(http)
        except Unauthorized:
            wanted = http.url.path + (f"?{http.url.query}" if http.url.query else "")
            return to(f"{LOGIN}?{urlencode({'next': wanted})}")
        except (GatewayError, LogUnavailable) as exc:
            return problem(http, exc)
        return page(http, self.template, values)

    async def as_json(self, http: Request[State]) -> Response:
        try:
            authenticated(http)
            return JSONResponse(await self.values(http), headers=dict(rendering.HEADERS))
        except (GatewayError, LogUnavailable) as exc:
            return error_answer(http, as_error(exc), rendering.HEADERS)

    @property
    def routes(self) -> tuple[Route, Route]:
        """The twin first: an id in a path would match its ending."""
        return (
            Route(f"{self.path}.json", self.as_json, methods=["GET"]),
            Route(self.path, self.as_html, methods=["GET"]),
        )


async def _overview(http: Request[State]) -> Json:
    period = overview.PERIODS.get(http.query_params.get("period", ""), overview.PERIODS["24h"])
    now = datetime.datetime.now(datetime.UTC)
    own, log = own_key(http), http.state["log"]
    group_by, since = ("model", "key", period.bucket), period.starts(now)[0]
    rows = await log.costs(group_by=group_by, since=since, key=own)
    recent = await log.decisions(filters=seen_by(own), limit=RECENT, cursor=None)
    found = overview.view(period, now, rows, recent.data)
    found["baseline"] = _baseline(http, None)
    found["is_empty"] = not rows and not recent.data
    return found


async def _decisions(http: Request[State]) -> Json:
    filters = {
        name: text
        for name in FILTERS
        if (text := http.query_params.get(name, "").strip())
        and (name != "key" or not own_key(http))
    }
    cursor = http.query_params.get("cursor") or None
    try:
        listed = await http.state["log"].decisions(
            filters=filters | seen_by(own_key(http)), limit=PAGE, cursor=cursor
        )
    except ValueError as exc:
        raise InvalidRequest(str(exc), param=str(exc).partition(":")[0]) from exc
    await http.state["log"].feedback.join(listed.data)
    catalog = http.state["catalog"].current
    return {
        "filters": filters,
        "cursor": cursor,
        "not_found": http.query_params.get("not_found", ""),
        "decisions": listed.data,
        "has_more": listed.has_more,
        "next_cursor": listed.next_cursor,
        "choices": {
            "model": sorted(catalog.profiles),
            "mode": list(MODES),
            "reason": list(get_args(Reason)),
            "status": list(_STATUSES),
            "pool": sorted(catalog.pools),
        },
        "may_filter_by_key": own_key(http) is None and bool(http.state["settings"].keys),
    }


async def _decision(http: Request[State]) -> Json:
    wanted = http.path_params["id"]
    found = await _visible(http, wanted)
    if found is None:
        raise NotFound(f"no decision has the id '{wanted[:80]}'", code="decision_not_found")
    with contextlib.suppress(LogUnavailable):  # the record itself may come from the spool
        await http.state["log"].feedback.join([found])
    profile = _profile(http, found.get("served_by"))
    shown = one_decision.view(found, None if profile is None else profile.price)
    shown["catalog_is_current"] = found.get("catalog_sha") == http.state["catalog"].current.sha
    return shown


async def _models(http: Request[State]) -> Json:
    catalog, log, own = http.state["catalog"], http.state["log"], own_key(http)
    now = datetime.datetime.now(datetime.UTC)
    traffic = records = None
    with contextlib.suppress(LogUnavailable):  # the catalog can be read without the log
        since = overview.PERIODS["24h"].starts(now)[0]
        traffic = await log.costs(group_by=("model",), since=since, key=own)
        recent = await log.decisions(filters=seen_by(own), limit=RECENT, cursor=None)
        records = recent.data
    return models.view(
        catalog.current,
        price_list.rows(catalog.current, now.date()),
        traffic,
        records,
        problems=catalog.problems,
    )


async def _try_it(http: Request[State]) -> Json:
    catalog = http.state["catalog"].current
    return {
        "pool": http.state["intake"].pool(None).name,
        "pools": [
            {
                "name": pool.name,
                "rule": pool.rule,
                "modes": dict(pool.modes),
                "default_mode": pool.default_mode,
                "baseline": pool.baseline,
                "models": [profile.name for profile in pool.profiles],
            }
            for pool in catalog.pools.values()
            if pool.profiles
        ],
    }


async def _drawn(http: Request[State]) -> Response:
    """POST /dashboard/drawn: the drawing of a decision that /v1/route answered. Decides nothing."""
    try:
        authenticated(http)
        record = json_body.parse(await read_body(http))
        try:
            values = one_decision.drawing(record, _baseline(http, record.get("pool")))
            next(each for each in values["candidates"] if each["is_chosen"])
            return rendering.html("_try_answer.html", {"view": values, "record": record})
        except _NO_RECORD as exc:
            raise InvalidRequest("the body is not a decision that /v1/route answered") from exc
    except GatewayError as exc:
        return error_answer(http, exc, rendering.HEADERS)


async def _search(http: Request[State]) -> Response:
    """GET /dashboard/search: to the decision of that id, or the decisions of that session, user,
    tag, key or model."""
    try:
        authenticated(http)
        word = http.query_params.get("q", "").strip()
        if _DECISION_ID.fullmatch(word) and await _visible(http, word):
            return to(f"{HOME}/decisions/{word}")
        own = own_key(http)
        for name in SEARCHED if word else ():
            filters = {name: word} | seen_by(own)
            found = await http.state["log"].decisions(filters=filters, limit=1, cursor=None)
            if found.data and filters[name] == word:
                return to(f"{HOME}/decisions?{urlencode({name: word})}")
    except Unauthorized:
        return to(f"{LOGIN}?{urlencode({'next': HOME + '/decisions'})}")
    except LogUnavailable as exc:
        return problem(http, exc)
    missing = f"?{urlencode({'not_found': word})}" if word else ""
    return to(f"{HOME}/decisions{missing}")


async def _static(http: Request[State]) -> Response:
    """GET /dashboard/static/{digest}/{name}: for ever under the digest of now, else asked again."""
    found = assets.asset(http.path_params["name"])
    if found is None:
        return problem(http, NotFound(f"{http.url.path}: there is no such file"))
    is_current = http.path_params["digest"] == assets.digest()
    headers = {
        **rendering.HEADERS,
        "cache-control": "public, max-age=31536000, immutable" if is_current else "no-cache",
        "etag": found.etag,
        "vary": "accept-encoding",
    }
    if found.etag in http.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    if "gzip" in http.headers.get("accept-encoding", ""):
        headers["content-encoding"] = "gzip"
        return Response(found.compressed, media_type=found.media_type, headers=headers)
    return Response(found.body, media_type=found.media_type, headers=headers)


async def _nothing_here(http: Request[State]) -> Response:
    if not http.path_params["rest"]:
        return to(HOME)
    return problem(http, NotFound(f"{http.url.path}: there is no such page"))


async def _visible(http: Request[State], decision_id: str) -> Json | None:
    """The record, if the caller may see it."""
    found = await http.state["log"].get(decision_id)
    own = own_key(http)
    return found if found is not None and own in (None, found.get("key_id")) else None


def _profile(http: Request[State], name: object) -> Profile | None:
    return http.state["catalog"].current.profiles.get(str(name))


def _baseline(http: Request[State], pool: object) -> str | None:
    """The model that a pool's requests are compared with."""
    with contextlib.suppress(NotFound):
        return http.state["intake"].pool(None if pool is None else str(pool)).baseline
    return None


VIEWS: Final = (
    View(path=HOME, template="overview.html", values=_overview),
    View(path=f"{HOME}/decisions", template="decisions.html", values=_decisions),
    View(path=f"{HOME}/decisions/{{id}}", template="decision.html", values=_decision),
    View(path=f"{HOME}/models", template="models.html", values=_models),
    View(path=f"{HOME}/try", template="try.html", values=_try_it),
)
ROUTES: Final = (
    *(route for view in VIEWS for route in view.routes),
    Route(f"{HOME}/drawn", _drawn, methods=["POST"]),
    Route(f"{HOME}/search", _search, methods=["GET"]),
    Route(LOGIN, entrance.log_in, methods=["GET", "POST"]),
    Route(f"{HOME}/logout", entrance.log_out, methods=["POST"]),
    Route(f"{HOME}/static/{{digest}}/{{name}}", _static, methods=["GET"]),
    Route(f"{HOME}/{{rest:path}}", _nothing_here, methods=["GET"]),
)
