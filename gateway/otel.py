"""OpenTelemetry: the server span around a request, and where spans and metrics are sent.

Needs the `otel` extra; imported only when asked for (tracing.py). The SDK itself reads the OTEL_*
variables: endpoint, headers, sampler, resource, batching. What a request's spans say is
otel_spans.py.
"""

import os
import threading
import time
import uuid
from collections.abc import Mapping
from typing import Any, Final

from opentelemetry import propagate, trace
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    ConsoleMetricExporter,
    MetricExporter,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    ConsoleSpanExporter,
    SpanExporter,
)
from opentelemetry.semconv.attributes import error_attributes, http_attributes, url_attributes
from opentelemetry.trace import SpanKind, StatusCode
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway import __version__, protocols
from gateway.otel_spans import Instruments, finish_span, report_calls
from gateway.profile import Profile

CLOSE_S: Final = 2.0
_NAME: Final = "hydra-gateway"
_PATHS: Final = frozenset(protocol.path for protocol in protocols.SERVED)
_SPAN_EXPORTERS: Final[Mapping[str, type[SpanExporter]]] = {
    "otlp": OTLPSpanExporter,
    "console": ConsoleSpanExporter,
}
_METRIC_EXPORTERS: Final[Mapping[str, type[MetricExporter]]] = {
    "otlp": OTLPMetricExporter,
    "console": ConsoleMetricExporter,
}


class OpenTelemetry:
    """The tracer and the instruments of one process. Providers of our own, not the global ones, so
    that no library's spans go along unasked."""

    def __init__(self, *, traces: tuple[str, ...], metrics: tuple[str, ...]) -> None:
        resource = _resource()
        self._traces = TracerProvider(resource=resource, shutdown_on_exit=False)
        for name in traces:
            self._traces.add_span_processor(BatchSpanProcessor(_SPAN_EXPORTERS[name]()))
        readers = [PeriodicExportingMetricReader(_METRIC_EXPORTERS[name]()) for name in metrics]
        self._metrics = MeterProvider(readers, resource=resource, shutdown_on_exit=False)
        self.tracer = self._traces.get_tracer(_NAME, __version__)
        self._is_traced = bool(traces)
        meter = self._metrics.get_meter(_NAME, __version__)
        self._instruments = Instruments(meter) if metrics else None

    def middleware(self, app: ASGIApp) -> ASGIApp:
        """The app, each served request of it in a span."""
        return _Traced(app, self.tracer) if self._is_traced else app

    def finished(
        self,
        record: Mapping[str, Any],
        profiles: Mapping[str, Profile],
        response_model: str | None,
    ) -> None:
        """Report a finished record (DESIGN.md section 5); called inside its server span."""
        span = trace.get_current_span()
        if span.is_recording():
            finish_span(span, self.tracer, record, profiles, response_model)
        if self._instruments is not None:
            report_calls(self._instruments, record, profiles, response_model)

    def headers(self) -> dict[str, str]:
        """The W3C trace context of the running request, for a provider."""
        carrier: dict[str, str] = {}
        propagate.inject(carrier)
        return carrier

    def close(self) -> None:
        """Send what waits, for at most CLOSE_S: the SDK itself would try for half a minute where
        nobody listens. Blocks."""
        ends = (self._traces.shutdown, self._metrics.shutdown)
        ending = [threading.Thread(target=end, daemon=True) for end in ends]
        for thread in ending:
            thread.start()
        deadline = time.monotonic() + CLOSE_S
        for thread in ending:
            thread.join(max(0.0, deadline - time.monotonic()))


class _Traced:
    """A server span for each request of a protocol, the caller's `traceparent` its parent."""

    def __init__(self, app: ASGIApp, tracer: trace.Tracer) -> None:
        self._app = app
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] not in _PATHS:
            await self._app(scope, receive, send)
            return
        # Bytes that are not ASCII are no trace context.
        carrier = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        attributes = {
            http_attributes.HTTP_REQUEST_METHOD: scope["method"],
            http_attributes.HTTP_ROUTE: scope["path"],
            url_attributes.URL_PATH: scope["path"],
            url_attributes.URL_SCHEME: scope["scheme"],
        }
        with self._tracer.start_as_current_span(
            f"{scope['method']} {scope['path']}",
            context=propagate.extract(carrier),
            kind=SpanKind.SERVER,
            attributes=attributes,
            record_exception=False,  # its words may quote the request
            set_status_on_exception=False,
        ) as span:

            async def watched(message: Message) -> None:
                if message["type"] == "http.response.start":
                    _answered(span, message["status"])
                await send(message)

            try:
                await self._app(scope, receive, watched)
            except Exception:
                _answered(span, 500)  # that answer is given outside
                raise


def _answered(span: trace.Span, status: int) -> None:
    span.set_attribute(http_attributes.HTTP_RESPONSE_STATUS_CODE, status)
    if status >= 500:
        span.set_attribute(error_attributes.ERROR_TYPE, str(status))
        span.set_status(StatusCode.ERROR)


def _resource() -> Resource:
    """OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME, and what they leave out."""
    named = Resource.create()
    ours = {"service.version": __version__, "service.instance.id": str(uuid.uuid4())}
    if not os.environ.get("OTEL_SERVICE_NAME") and "service.name" not in os.environ.get(
        "OTEL_RESOURCE_ATTRIBUTES", ""
    ):
        named = named.merge(Resource({"service.name": _NAME}))
    return Resource(ours).merge(named)
