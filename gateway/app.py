"""The ASGI app: routes, what opens and closes with it, and the one place that answers errors."""

import asyncio
import contextlib
import gc
import logging
import os
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

import predictor
from gateway import (
    endpoints,
    health,
    log_endpoints,
    metrics_endpoint,
    openapi,
    protocols,
    tracing,
)
from gateway.dashboard.pages import ROUTES as DASHBOARD
from gateway.decision_log import DecisionLog, LogUnavailable
from gateway.endpoints import Serving, State, failed, refused
from gateway.errors import (
    GatewayError,
    MethodNotAllowed,
    NotFound,
    SettingsError,
)
from gateway.intake import DEFAULT_POOL, Intake
from gateway.live_catalog import LiveCatalog
from gateway.prediction import Prediction
from gateway.predictor_facts import facts
from gateway.request_ids import RequestIds
from gateway.settings import Settings
from gateway.telemetry import Telemetry
from gateway.upstream import Upstream

logger = logging.getLogger(__name__)

# A request makes some hundred objects that live as long as it does: Python's first threshold, 700
# (2,000 from 3.13 on), would look for cycles in them at every other request.
_GC_THRESHOLDS: Final = (20_000, 10, 20)

ROUTES = [
    *(Route(protocol.path, Serving(protocol), methods=["POST"]) for protocol in protocols.SERVED),
    Route("/v1/messages/count_tokens", endpoints.count_tokens, methods=["POST"]),
    Route("/v1/route", endpoints.route, methods=["POST"]),
    Route("/v1/models", endpoints.models, methods=["GET"]),
    Route("/v1/models/{id:path}", endpoints.model, methods=["GET"]),
    Route("/v1/decisions", log_endpoints.decisions, methods=["GET", "DELETE"]),
    Route("/v1/decisions/stream", log_endpoints.decisions_stream, methods=["GET"]),
    Route("/v1/decisions/{id}", log_endpoints.decision, methods=["GET"]),
    Route("/v1/costs", log_endpoints.costs, methods=["GET"]),
    Route("/v1/feedback", log_endpoints.feedback, methods=["POST"]),
    Route("/healthz", health.healthz, methods=["GET"]),
    Route("/readyz", health.readyz, methods=["GET"]),
    Route("/metrics", metrics_endpoint.metrics, methods=["GET"]),
    Route("/openapi.json", openapi.openapi, methods=["GET"]),
    *DASHBOARD,
]


def create_app(
    settings: Settings,
    *,
    environ: Mapping[str, str] | None = None,
    demo_base: str | None = None,
    metrics_folder: Path | None = None,
) -> ASGIApp:
    """A gateway. `environ` holds the provider keys (default: the process's); `demo_base` is the
    demo upstream's address while it answers for profiles that need a key; `metrics_folder` is where
    several workers share their metrics.

    Raises SettingsError without a Redis URL: starting the embedded one is the command line's part.
    """
    if settings.redis_url is None:
        raise SettingsError(["HYDRA_REDIS_URL: is required here; `hydra-gateway serve` embeds one"])
    redis_url = settings.redis_url
    otel = tracing.start(os.environ)  # where its SDK reads
    providers = os.environ if environ is None else environ

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[State]:
        model = predictor.load(settings.predictor)
        catalog = LiveCatalog(
            settings.catalog_folder,
            facts(model),
            providers,
            usable_without_keys=demo_base is not None,
        )
        prediction = Prediction(model, timeout_ms=settings.predictor_timeout_ms)
        async with (
            contextlib.AsyncExitStack() as stack,
            DecisionLog.open(
                data_dir=settings.data_dir,
                redis_url=redis_url,
                stream_max_len=settings.log_max_decisions,
                detail_ttl_s=settings.log_detail_days * 86_400,
            ) as log,
        ):
            watching = asyncio.create_task(catalog.watch())
            gc.collect()
            gc.freeze()  # a full collection with litellm loaded stops the world for 0.2 s
            gc.set_threshold(*_GC_THRESHOLDS)
            try:
                upstream = Upstream(
                    providers,
                    timeout_s=settings.upstream_timeout_s,
                    demo_base=demo_base,
                    slow_only=settings.upstream == "litellm",
                    trace_headers=otel.headers if otel and settings.trace_providers else None,
                )
                stack.push_async_callback(upstream.close)
                telemetry = Telemetry(
                    log=log,
                    catalog=catalog,
                    predictor_answers=lambda: prediction.is_well,
                    folder=metrics_folder,
                    otel=otel,
                )
                await stack.enter_async_context(telemetry.sharing())
                yield State(
                    settings=settings,
                    catalog=catalog,
                    intake=Intake(
                        lambda: catalog.current,
                        prediction,
                        default_pool=settings.pool or DEFAULT_POOL,
                        log_content=settings.log_content,
                    ),
                    upstream=upstream,
                    log=log,
                    telemetry=telemetry,
                    started_at=int(time.time()),
                )
            finally:
                watching.cancel()
                prediction.close()
                if otel is not None:
                    await asyncio.to_thread(otel.close)

    rest = Starlette(
        routes=ROUTES,
        lifespan=lifespan,
        exception_handlers={
            GatewayError: _on_failure,
            LogUnavailable: _on_failure,
            HTTPException: _on_http_exception,
            Exception: _on_failure,
        },
    )
    app = RequestIds(Front(rest))
    return otel.middleware(app) if otel else app


class Front:
    """Hands requests to models straight to their endpoints, everything else to Starlette."""

    def __init__(self, rest: ASGIApp) -> None:
        self._rest = rest
        self._serving = {protocol.path: Serving(protocol) for protocol in protocols.SERVED}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        serving = None
        if scope["type"] == "http" and scope["method"] == "POST":
            serving = self._serving.get(scope["path"])
        await (serving or self._rest)(scope, receive, send)


async def _on_failure(request: Request, exc: Exception) -> Response:
    return failed(request, exc)


async def _on_http_exception(request: Request, exc: Exception) -> Response:
    """Starlette's own 404 and 405."""
    assert isinstance(exc, HTTPException)
    where = f"{request.method} {request.url.path}"
    if exc.status_code == 405:
        allowed = (exc.headers or {}).get("Allow", "")
        error = MethodNotAllowed(f"{where}: this path takes {allowed}")
        return refused(request, error, {"allow": allowed})
    return refused(request, NotFound(f"{where}: there is no such path", code="unknown_url"))
