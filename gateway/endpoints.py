"""The endpoints that route: chat completions, its dry run, and the models there are.

Each is short: every step of a request is visible here and done elsewhere.
"""

import asyncio
from collections.abc import Mapping
from typing import Final, TypedDict, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from gateway import keys, money, request
from gateway.catalog import Catalog
from gateway.decision import record
from gateway.decision_log import DecisionLog
from gateway.errors import BodyTooLarge, GatewayError, NotFound, to_openai_body
from gateway.exchange import Exchange
from gateway.intake import Intake, Routed
from gateway.keys import ApiKey
from gateway.live_catalog import LiveCatalog
from gateway.profile import Profile
from gateway.request import AUTO
from gateway.settings import Settings
from gateway.streaming import SILENCE_S, StreamedAnswer, close
from gateway.upstream import Upstream

T = TypeVar("T")

CHAT: Final = "/v1/chat/completions"
_CLIENT_CLOSED_REQUEST: Final = 499  # nginx's; nobody is there to read it
_DISCARD_AT_MOST: Final = 8  # times the body limit: read on, so that the client hears the 413


class State(TypedDict):
    """What the lifespan opens and every handler may read."""

    settings: Settings
    catalog: LiveCatalog
    intake: Intake
    upstream: Upstream
    log: DecisionLog
    started_at: int


async def chat_completions(http: Request[State]) -> Response:
    """POST /v1/chat/completions: read, predict, decide, forward, record."""
    routed = await _routed(http)
    exchange = Exchange(routed, http.state["upstream"], http.state["log"])
    try:
        return await (_streamed if routed.chat.stream else _answered)(http, exchange)
    except ClientDisconnect:
        exchange.finish("aborted", disconnected=True)
        return Response(status_code=_CLIENT_CLOSED_REQUEST)
    except GatewayError as exc:
        exchange.finish("error", error=exc.message)
        headers = {**exc.headers, **_decision_headers(exchange)}
        return JSONResponse(to_openai_body(exc), status_code=exc.status, headers=headers)
    except BaseException as exc:
        exchange.finish("aborted", error=f"the gateway stopped: {type(exc).__name__}")
        raise


async def route(http: Request[State]) -> Response:
    """POST /v1/route: the whole decision for a chat body; no model is called, nothing logged."""
    routed = await _routed(http)
    return JSONResponse(record(routed.decision, routed.circumstances))


async def models(http: Request[State]) -> Response:
    """GET /v1/models: auto, its modes, and the profiles that can be used here."""
    authenticated(http)
    data = _models(http.state["catalog"].current, http.state)
    return JSONResponse({"object": "list", "data": data, "has_more": False, "next_cursor": None})


async def model(http: Request[State]) -> Response:
    """GET /v1/models/{id}"""
    authenticated(http)
    wanted = http.path_params["id"]
    for entry in _models(http.state["catalog"].current, http.state):
        if entry["id"] == wanted:
            return JSONResponse(entry)
    raise NotFound(f"the model '{wanted}' does not exist", param="model", code="model_not_found")


def authenticated(http: Request[State]) -> ApiKey | None:
    """The caller's key; None while the gateway is open. Raises Unauthorized."""
    return keys.authenticate(http.headers, http.state["settings"].keys)


async def _routed(http: Request[State]) -> Routed:
    key = authenticated(http)
    raw = await _body(http, http.state["settings"].max_body_mib * 2**20)
    chat = request.parse(raw, http.headers)
    return await http.state["intake"].decide(
        chat, key_id=None if key is None else key.id, endpoint=CHAT
    )


async def _answered(http: Request[State], exchange: Exchange) -> Response:
    working = asyncio.ensure_future(exchange.complete())
    await _unless_client_leaves(http, working)
    body = working.result().body
    if exchange.routed.chat.controls.explain:
        body["hydra"] = exchange.record
    headers = _decision_headers(exchange)
    if exchange.cost is not None:
        for name, usd in (("cost", exchange.cost.usd), ("savings", exchange.cost.savings_usd)):
            if usd is not None:  # unknown money has no header, never a zero
                headers[f"x-hydra-{name}-usd"] = str(money.to_text(usd))
    return JSONResponse(body, headers=headers)


async def _streamed(http: Request[State], exchange: Exchange) -> Response:
    opening = asyncio.ensure_future(exchange.open_stream())
    if await _unless_client_leaves(http, opening, timeout_s=SILENCE_S):
        opening.result()  # a provider's refusal before the first event keeps its status
    exchange.commit()
    return StreamedAnswer(exchange, opening, _decision_headers(exchange))


async def _unless_client_leaves(
    http: Request[State], working: "asyncio.Task[T]", *, timeout_s: float | None = None
) -> bool:
    """Wait for the work; False when the time passed first.

    Raises ClientDisconnect, and gives the work up, when the client goes away before.
    """
    leaving = asyncio.ensure_future(_disconnected(http))
    try:
        done, _ = await asyncio.wait(
            {working, leaving}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED
        )
        if leaving in done and working not in done:
            raise ClientDisconnect
        return working in done
    except BaseException:
        close(working)
        raise
    finally:
        leaving.cancel()


async def _disconnected(http: Request[State]) -> None:
    while (await http.receive())["type"] != "http.disconnect":
        pass


async def _body(http: Request[State], limit: int) -> bytes:
    """The whole body. Raises BodyTooLarge after reading on, so that the client hears of it."""
    pieces: list[bytes] = []
    size = 0
    async for piece in http.stream():
        size += len(piece)
        if size <= limit:
            pieces.append(piece)
        elif size > limit * _DISCARD_AT_MOST:
            break
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
        *(_entry(profile.name, _owner(profile), created) for profile in own),
    ]


def _entry(name: str, owner: str, created: int) -> dict[str, object]:
    return {"id": name, "object": "model", "created": created, "owned_by": owner}


def _owner(profile: Profile) -> str:
    provider, separator, _ = profile.litellm_model.partition("/")
    return provider if separator else "openai"
