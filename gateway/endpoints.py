"""The endpoints that serve: one for each protocol, the dry run, and the models there are.

Each is short: every step of a request is visible here and done elsewhere.
"""

import asyncio
import logging
from collections.abc import Awaitable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, TypedDict, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from gateway import keys, login, money, protocols, request, request_ids
from gateway.catalog import Catalog
from gateway.decision import record, timestamp
from gateway.decision_log import DecisionLog, LogUnavailable
from gateway.errors import BodyTooLarge, GatewayError, NotFound, Unavailable
from gateway.exchange import Exchange
from gateway.intake import Intake, Routed
from gateway.keys import ApiKey
from gateway.live_catalog import LiveCatalog
from gateway.profile import Profile
from gateway.protocols import ClientProtocol
from gateway.request import AUTO
from gateway.settings import Settings
from gateway.streaming import SILENCE_S, StreamedAnswer, close, disconnected
from gateway.telemetry import Telemetry
from gateway.upstream import Upstream

logger = logging.getLogger(__name__)

T = TypeVar("T")

_CLIENT_CLOSED_REQUEST: Final = 499  # nginx's; nobody is there to read it
_DISCARD_AT_MOST: Final = 8  # times the body limit: read on, so that the client hears the 413


class State(TypedDict):
    """What the lifespan opens and every handler may read."""

    settings: Settings
    catalog: LiveCatalog
    intake: Intake
    upstream: Upstream
    log: DecisionLog
    telemetry: Telemetry
    started_at: int


class Serving:
    """The endpoint of a protocol: read, predict, decide, forward, record.

    An ASGI app that answers its own errors: the nets that Starlette puts around its routes, and the
    search for one of them, would take a tenth of a request's time (app.py).
    """

    def __init__(self, protocol: ClientProtocol) -> None:
        self._protocol = protocol

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        http: Request[State] = Request(scope, receive, send)
        try:
            response = await self._response(http)
        except Exception as exc:
            response = failed(http, exc)
        await response(scope, receive, send)

    async def _response(self, http: Request[State]) -> Response:
        state = http.state
        try:
            routed = await _routed(http, self._protocol)
        except ClientDisconnect:
            return Response(status_code=_CLIENT_CLOSED_REQUEST)
        exchange = Exchange(routed, state["upstream"], state["log"], state["telemetry"])
        return await _served(http, exchange)


async def _served(http: Request[State], exchange: Exchange) -> Response:
    is_streamed = exchange.routed.request.stream
    try:
        return await (_streamed if is_streamed else _answered)(http, exchange)
    except ClientDisconnect:
        exchange.finish("aborted", disconnected=True)
        return Response(status_code=_CLIENT_CLOSED_REQUEST)
    except GatewayError as exc:
        exchange.finish("error", error=exc.message)
        return error_answer(http, exc, _decision_headers(exchange))
    except BaseException as exc:
        exchange.finish("aborted", error=f"the gateway stopped: {type(exc).__name__}")
        raise


def failed(http: Request[Any], exc: Exception) -> Response:
    """The answer to any exception."""
    if isinstance(exc, LogUnavailable):
        exc = Unavailable(str(exc), code="log_unavailable")
    if not isinstance(exc, GatewayError):
        logger.error("unexpected error at %s", http.url.path, exc_info=exc)
        exc = GatewayError("the gateway failed; its log has the details", code="internal")
    return refused(http, exc)


def refused(
    http: Request[Any], error: GatewayError, headers: Mapping[str, str] | None = None
) -> Response:
    """The answer to a request of which no record tells."""
    http.state["telemetry"].refused(http.url.path, error.status)
    return error_answer(http, error, headers)


def error_answer(
    http: Request[Any], error: GatewayError, headers: Mapping[str, str] | None = None
) -> Response:
    """An error in the shape of the protocol that the path belongs to."""
    protocol = protocols.of_path(http.url.path)
    body = protocol.error_body(error, request_ids.of(http.scope))
    return JSONResponse(
        body, status_code=error.status, headers={**error.headers, **(headers or {})}
    )


async def count_tokens(http: Request[State]) -> Response:
    """POST /v1/messages/count_tokens: the provider's count where it has one, else our estimate."""
    authenticated(http)
    counted = request.parse(await read_body(http), http.headers, protocols.COUNTING)
    if not counted.is_routed:
        upstream = http.state["upstream"]
        profile = http.state["intake"].named(counted.model)
        call = upstream.prepare(profile, counted)
        if not call.is_translated:
            return Response(await upstream.count_tokens(call), media_type="application/json")
    return JSONResponse({"input_tokens": counted.demands.prompt_tokens})


async def route(http: Request[State]) -> Response:
    """POST /v1/route: the whole decision for a chat body; no model is called, nothing logged."""
    routed = await _routed(http, protocols.CHAT, is_served=False)
    return JSONResponse(record(routed.decision, routed.circumstances))


async def models(http: Request[State]) -> Response:
    """GET /v1/models: auto, its modes, and the profiles that can be used here."""
    authenticated(http)
    data = _models(http.state["catalog"].current, http.state)
    ends = {"first_id": data[0]["id"], "last_id": data[-1]["id"]}  # as Anthropic's clients page
    return JSONResponse(
        {"object": "list", "data": data, "has_more": False, "next_cursor": None, **ends}
    )


async def model(http: Request[State]) -> Response:
    """GET /v1/models/{id}"""
    authenticated(http)
    wanted = http.path_params["id"]
    for entry in _models(http.state["catalog"].current, http.state):
        if entry["id"] == wanted:
            return JSONResponse(entry)
    raise NotFound(f"the model '{wanted}' does not exist", param="model", code="model_not_found")


def authenticated(http: Request[State]) -> ApiKey | None:
    """The caller's key; None while the gateway is open. Raises Unauthorized.

    Where a request shows no key, the dashboard's cookie may stand for one (login.py).
    """
    known = http.state["settings"].keys
    if known and login.is_ours(http.method, http.url.path, http.headers):
        key = login.key_of(http.cookies.get(login.COOKIE), known)
        if key is not None:
            return key
    return keys.authenticate(http.headers, known)


async def _routed(
    http: Request[State], protocol: ClientProtocol, *, is_served: bool = True
) -> Routed:
    # Looking a name up in Starlette's headers reads all of them, and a dozen are looked up.
    headers = {
        name.decode("latin-1"): value.decode("latin-1") for name, value in http.scope["headers"]
    }
    if is_served:
        key = keys.authenticate(headers, http.state["settings"].keys)
    else:
        key = authenticated(http)
    parsed = request.parse(await read_body(http), headers, protocol)
    return await http.state["intake"].decide(
        parsed,
        key_id=None if key is None else key.id,
        request_id=request_ids.of(http.scope) if is_served else None,
    )


async def _answered(http: Request[State], exchange: Exchange) -> Response:
    answer = await _unless_client_leaves(http, exchange.complete())
    headers = _decision_headers(exchange)
    if exchange.cost is not None:
        for name, usd in (("cost", exchange.cost.usd), ("savings", exchange.cost.savings_usd)):
            if usd is not None:  # unknown money has no header, never a zero
                headers[f"x-hydra-{name}-usd"] = str(money.to_text(usd))
    if exchange.routed.request.controls.explain:
        return JSONResponse({**answer.body, "hydra": exchange.record}, headers=headers)
    if answer.raw is None:
        return JSONResponse(answer.body, headers=headers)
    return Response(answer.raw, media_type="application/json", headers=headers)


async def _streamed(http: Request[State], exchange: Exchange) -> Response:
    opening = asyncio.ensure_future(exchange.open_stream())
    try:
        await _unless_client_leaves(http, asyncio.wait({opening}, timeout=SILENCE_S))
        if opening.done():
            opening.result()  # a provider's refusal before the first event keeps its status
    except BaseException:
        close(opening)
        raise
    exchange.commit()
    return StreamedAnswer(
        exchange, opening, _decision_headers(exchange), request_ids.of(http.scope)
    )


async def _unless_client_leaves(http: Request[State], work: Awaitable[T]) -> T:
    """What the work gives. Raises ClientDisconnect, and gives it up, when the client goes first."""
    handling = asyncio.current_task()
    has_left = False

    async def watch() -> None:
        nonlocal has_left
        await disconnected(http.receive)
        has_left = True
        if handling is not None:
            handling.cancel()

    watching = asyncio.ensure_future(watch())
    try:
        return await work
    except asyncio.CancelledError:
        if has_left:
            raise ClientDisconnect from None
        raise
    finally:
        watching.cancel()


async def read_body(http: Request[State]) -> bytes:
    """The whole body. Raises BodyTooLarge after reading on, so that the client hears of it."""
    limit = http.state["settings"].max_body_mib * 2**20
    pieces: list[bytes] = []
    size = 0
    is_whole = False
    while not is_whole and size <= limit * _DISCARD_AT_MOST:
        message = await http.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        piece: bytes = message.get("body", b"")
        size += len(piece)
        if size <= limit:
            pieces.append(piece)
        is_whole = not message.get("more_body", False)
    if size > limit:
        raise BodyTooLarge(
            f"the body is larger than {limit // 2**20} MiB: send less, or raise HYDRA_MAX_BODY_MIB"
        )
    return b"".join(pieces)


def _decision_headers(exchange: Exchange) -> dict[str, str]:
    """Why this model: on every routed answer, streams and errors too (DESIGN.md 3)."""
    decision = exchange.routed.decision
    headers = {
        "x-hydra-decision-id": exchange.routed.circumstances.id,
        "x-hydra-model": exchange.serving.name,
        "x-hydra-reason": exchange.reason,
        "x-hydra-router-ms": f"{exchange.routed.circumstances.router_ms:.2f}",
    }
    shortfall = decision.candidate(exchange.serving.name).shortfall
    if shortfall is not None:
        headers["x-hydra-shortfall"] = f"{shortfall:.4f}"
    if decision.threshold is not None:
        headers["x-hydra-threshold"] = f"{decision.threshold:g}"
    if exchange.dropped:
        headers["x-hydra-dropped-params"] = ",".join(exchange.dropped)
    if decision.requirements is not None:
        pairs = zip(decision.dimensions, decision.requirements, strict=True)
        headers["x-hydra-requirements"] = ",".join(f"{name}={value:.2f}" for name, value in pairs)
    return headers


def _models(catalog: Catalog, state: State) -> list[Mapping[str, object]]:
    pool = state["intake"].pool(None)
    names = [AUTO, *(f"{AUTO}:{mode}" for mode in pool.modes)]
    own = [profile for name, profile in catalog.profiles.items() if catalog.is_usable(name)]
    created = state["started_at"]
    return [
        *(_entry(name, "hydra", created) for name in names),
        *(
            {**_entry(profile.name, profile.provider, created), "hydra": _facts(profile)}
            for profile in own
        ),
    ]


def _entry(name: str, owner: str, created: int) -> dict[str, object]:
    """A model as OpenAI's clients list it, and with what Anthropic's read beside it."""
    return {
        "id": name,
        "object": "model",
        "created": created,
        "owned_by": owner,
        "type": "model",
        "display_name": name,
        "created_at": timestamp(datetime.fromtimestamp(created, UTC)),
    }


def _facts(profile: Profile) -> dict[str, object]:
    """What a client may want to know of a profile: limits in tokens, features, list prices."""
    rates = None if profile.price is None else profile.price.base
    return {
        "context_tokens": profile.limits.context_tokens,
        "output_tokens": profile.limits.output_tokens,
        "features": sorted(profile.features),
        "price": None
        if rates is None
        else {
            "input_usd_per_mtok": money.to_text(rates.input_usd_per_mtok),
            "output_usd_per_mtok": money.to_text(rates.output_usd_per_mtok),
            "cached_input_usd_per_mtok": _dollars(rates.cached_input_usd_per_mtok),
            "cache_write_usd_per_mtok": _dollars(rates.cache_write_usd_per_mtok),
        },
    }


def _dollars(usd: Decimal | None) -> str | None:
    return None if usd is None else money.to_text(usd)
