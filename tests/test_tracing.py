"""OpenTelemetry as a collector gets it: a receiver of OTLP over HTTP, its protobufs decoded."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import running_gateway
from gateways import Gateway, StartGateway
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes
from opentelemetry.semconv._incubating.metrics import gen_ai_metrics
from servers import serve
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from test_serve import ROOT
from upstream_stub import UpstreamStub

from gateway import __version__
from gateway.errors import ConfigError
from gateway.otel import CLOSE_S
from gateway.tracing import exporters, start

CHAT = "/v1/chat/completions"
PROMPT = "a secret that nobody must see"
SERVER, CLIENT, INTERNAL = Span.SPAN_KIND_SERVER, Span.SPAN_KIND_CLIENT, Span.SPAN_KIND_INTERNAL


class Collector:
    """What an OTLP collector received."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.metrics: dict[str, dict[str, Any]] = {}  # by service, then by name
        self.resources: list[dict[str, Any]] = []
        self.raw = b""
        routes = [
            Route("/v1/traces", self._traces, methods=["POST"]),
            Route("/v1/metrics", self._metrics, methods=["POST"]),
        ]
        self.app = Starlette(routes=routes)

    def forget(self) -> None:
        self.spans.clear()
        self.resources.clear()
        self.raw = b""

    async def _traces(self, http: Request) -> Response:
        self.raw += await http.body()
        got = ExportTraceServiceRequest.FromString(await http.body())
        for resource in got.resource_spans:
            self.resources.append(attributes(resource.resource))
            for scope in resource.scope_spans:
                self.spans += scope.spans
        return Response(status_code=200)

    async def _metrics(self, http: Request) -> Response:
        self.raw += await http.body()
        got = ExportMetricsServiceRequest.FromString(await http.body())
        for resource in got.resource_metrics:
            known = self.metrics.setdefault(attributes(resource.resource)["service.name"], {})
            for scope in resource.scope_metrics:
                known |= {metric.name: metric for metric in scope.metrics}
        return Response(status_code=200)

    def trace(self, decision_id: str) -> list[Span]:
        """The spans around a decision, once they have come; the server's first."""
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            for span in list(self.spans):
                if attributes(span).get("hydra.decision.id") == decision_id:
                    found = [item for item in self.spans if item.trace_id == span.trace_id]
                    return sorted(
                        found, key=lambda item: (item.kind != SERVER, item.start_time_unix_nano)
                    )
            time.sleep(0.02)
        raise AssertionError([span.name for span in self.spans])


def attributes(item: Any) -> dict[str, Any]:
    found = {}
    for pair in item.attributes:
        kind = pair.value.WhichOneof("value")
        value = getattr(pair.value, kind)
        if kind == "array_value":
            value = [entry.string_value for entry in value.values]
        found[pair.key] = value
    return found


@pytest.fixture(scope="module")
def collecting() -> Iterator[Collector]:
    """A collector that the environment points to."""
    received = Collector()
    with serve(received.app) as url, pytest.MonkeyPatch.context() as environ:
        environ.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        environ.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
        environ.setenv("OTEL_METRIC_EXPORT_INTERVAL", "100")
        yield received


@pytest.fixture
def collector(collecting: Collector) -> Collector:
    """The collector, with an empty memory for spans."""
    collecting.forget()
    return collecting


@pytest.fixture
def traced(collecting: Collector, collector: Collector, gateway: Gateway) -> Iterator[httpx.Client]:
    with gateway.http() as http:
        yield http


@pytest.fixture(scope="module")
def shared_gateway(
    collecting: Collector,
    redis_server: str,
    catalog_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Gateway]:
    """As conftest's, but started with the collector's environment."""
    environ = {"HYDRA_REDIS_URL": redis_server, "HYDRA_PROFILES": str(catalog_folder)}
    with running_gateway(tmp_path_factory.mktemp("data"), environ) as started:
        yield started


def ask(http: httpx.Client, model: str = "auto:aggressive", **more: Any) -> httpx.Response:
    body = {"model": model, "messages": [{"role": "user", "content": PROMPT}], **more}
    return http.post(CHAT, json=body)


def spans_of(collector: Collector, answer: httpx.Response) -> list[Span]:
    return collector.trace(answer.headers["x-hydra-decision-id"])


def test_a_request_is_a_span_with_its_steps_inside(
    collector: Collector, traced: httpx.Client
) -> None:
    server, *steps = spans_of(collector, ask(traced))
    assert (server.name, server.kind, server.parent_span_id) == (f"POST {CHAT}", SERVER, b"")
    found = [(step.name, step.kind) for step in steps]
    assert found == [("predict", INTERNAL), ("decide", INTERNAL), ("chat ok", CLIENT)]
    at = server.start_time_unix_nano
    for step in steps:
        assert step.parent_span_id == server.span_id
        # Made from durations, which are rounded to a hundredth of a millisecond.
        assert at - 20_000 <= step.start_time_unix_nano <= step.end_time_unix_nano
        at = step.end_time_unix_nano
    assert at <= server.end_time_unix_nano + 20_000


def test_the_server_span_says_what_was_decided_and_what_it_cost(
    collector: Collector, traced: httpx.Client
) -> None:
    answer = ask(traced)
    record = traced.get(f"/v1/decisions/{answer.headers['x-hydra-decision-id']}").json()
    server, predict, decide, _ = spans_of(collector, answer)
    said = attributes(server)
    assert said["http.response.status_code"] == 200
    assert said["http.route"] == CHAT
    assert said["hydra.reason"] == "cheapest_sufficient"
    assert (said["hydra.pool"], said["hydra.mode"]) == ("default", "aggressive")
    assert (said["hydra.profile"], said["hydra.status"]) == ("small", "ok")
    assert said["hydra.threshold"] == 5.0
    assert said["hydra.shortfall"] == record["candidates"][0]["shortfall"]
    assert said["hydra.cost_usd"] == float(record["cost_usd"])
    assert said["hydra.savings_usd"] == float(record["savings_usd"])
    assert server.status.code == Status.STATUS_CODE_UNSET
    for name, value in record["requirements"].items():
        assert attributes(predict)[f"hydra.requirements.{name}"] == value
    assert attributes(decide) == {"hydra.chosen": "small", "hydra.pool": "default"}


@pytest.mark.parametrize("stream", [False, True])
def test_a_call_has_the_attributes_of_the_conventions(
    collector: Collector, traced: httpx.Client, stream: bool
) -> None:
    *_, call = spans_of(collector, ask(traced, stream=stream))
    said = attributes(call)
    first_chunk = said.pop("gen_ai.response.time_to_first_chunk", None)
    assert (first_chunk is not None) is stream
    assert said == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "hosted_vllm",
        "gen_ai.request.model": "ok",
        "gen_ai.request.stream": stream,
        "gen_ai.response.model": "ok-2026-01-01",
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.output_tokens": 20,
        "gen_ai.usage.cache_read.input_tokens": 40,
        "gen_ai.usage.cache_creation.input_tokens": 0,
        "gen_ai.usage.reasoning.output_tokens": 5,
        "http.response.status_code": 200,
        "hydra.profile": "small",
    }


@pytest.mark.parametrize(
    ("path", "body", "operation"),
    [
        ("/v1/messages", {"max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}, "chat"),
        ("/v1/responses", {"input": "x"}, "chat"),
        ("/v1/completions", {"prompt": "x"}, "text_completion"),
        ("/v1/embeddings", {"input": "x"}, "embeddings"),
    ],
)
def test_every_protocol_is_an_operation(
    collector: Collector, traced: httpx.Client, path: str, body: dict[str, Any], operation: str
) -> None:
    server, *_, call = spans_of(collector, traced.post(path, json={"model": "small", **body}))
    assert server.name == f"POST {path}"
    assert attributes(call)["gen_ai.operation.name"] == operation
    assert attributes(call)["gen_ai.response.model"].startswith("ok")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("model", "path", "body"),
    [
        ("claude", "/v1/messages", {"max_tokens": 9}),
        ("responder", "/v1/responses", {}),
    ],
)
def test_each_wire_names_the_model_that_answered(
    collector: Collector,
    traced: httpx.Client,
    model: str,
    path: str,
    body: dict[str, Any],
    stream: bool,
) -> None:
    field = "input" if path == "/v1/responses" else "messages"
    said = {field: [{"role": "user", "content": "x"}], "model": model, "stream": stream, **body}
    *_, call = spans_of(collector, traced.post(path, json=said))
    assert attributes(call)["gen_ai.response.model"]


def test_the_callers_trace_goes_on(collector: Collector, traced: httpx.Client) -> None:
    trace_id, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    traced.headers["traceparent"] = f"00-{trace_id}-{parent}-01"
    server, *steps = spans_of(collector, ask(traced))
    assert server.trace_id.hex() == trace_id
    assert server.parent_span_id.hex() == parent
    assert len(steps) == 3


def test_a_trace_that_the_caller_does_not_sample_is_not_sent(
    collector: Collector, traced: httpx.Client
) -> None:
    unsampled = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"}
    traced.post(CHAT, json={"model": "small", "messages": []}, headers=unsampled)
    spans_of(collector, ask(traced))
    assert len({span.trace_id for span in collector.spans}) == 1


def test_each_attempt_of_a_fallback_is_a_call_and_the_failed_one_an_error(
    collector: Collector, traced: httpx.Client
) -> None:
    answer = ask(traced, hydra={"pool": "falls-503"})
    server, *_, failed, served = spans_of(collector, answer)
    assert attributes(failed)["error.type"] == "overloaded"
    assert attributes(failed)["http.response.status_code"] == 503
    assert failed.status.code == Status.STATUS_CODE_ERROR
    assert "error.type" not in attributes(served)
    assert failed.end_time_unix_nano <= served.start_time_unix_nano
    assert server.status.code == Status.STATUS_CODE_UNSET
    assert attributes(server)["hydra.reason"] == "fallback"


def test_an_error_of_the_provider_is_one_of_the_request(
    collector: Collector, traced: httpx.Client
) -> None:
    server, *_, call = spans_of(collector, ask(traced, "status-500"))
    for span in (server, call):
        assert span.status.code == Status.STATUS_CODE_ERROR
    assert attributes(server)["error.type"] == "502"
    assert attributes(call)["error.type"] == "server_error"


def test_a_stream_that_breaks_is_an_error_after_a_200(
    collector: Collector, traced: httpx.Client
) -> None:
    server, *_, call = spans_of(collector, ask(traced, "cut", stream=True))
    for span in (server, call):
        assert attributes(span)["http.response.status_code"] == 200
        assert attributes(span)["error.type"] == "broken_stream"
        assert span.status.code == Status.STATUS_CODE_ERROR


def test_the_call_of_a_stream_lasts_until_its_end(
    collector: Collector, traced: httpx.Client
) -> None:
    answer = ask(traced, stream=True)
    record = traced.get(f"/v1/decisions/{answer.headers['x-hydra-decision-id']}").json()
    *_, call = spans_of(collector, answer)
    lasted_ms = (call.end_time_unix_nano - call.start_time_unix_nano) / 1e6
    assert lasted_ms == pytest.approx(record["latency_ms"], abs=0.02)


def test_a_refused_request_is_a_span_without_steps(
    collector: Collector, traced: httpx.Client
) -> None:
    ask(traced, "no-such-model")
    deadline = time.monotonic() + 10
    while not collector.spans and time.monotonic() < deadline:
        time.sleep(0.02)
    (span,) = collector.spans
    assert attributes(span)["http.response.status_code"] == 404
    assert span.status.code == Status.STATUS_CODE_UNSET  # the caller's mistake


def test_no_span_and_no_metric_carries_a_text_or_a_key(
    collector: Collector, start_gateway: StartGateway, upstream: UpstreamStub
) -> None:
    with start_gateway(HYDRA_API_KEYS="alice=right-key", HYDRA_LOG_CONTENT="true").http() as http:
        http.headers["authorization"] = "Bearer right-key"
        for model, stream in (("auto", True), ("status-400", False), ("status-401", False)):
            spans_of(collector, ask(http, model, stream=stream))
        assert wait_for(lambda: bool(collector.metrics))
    for word in (PROMPT, "Hello from", "right-key", "sk-upstream-secret", "refuses parameter"):
        assert word.encode() not in collector.raw
    assert b"chat" in collector.raw


def test_the_conventions_metrics_are_sent(
    monkeypatch: pytest.MonkeyPatch,
    collector: Collector,
    start_gateway: StartGateway,
    upstream: UpstreamStub,
) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "metered")
    with start_gateway().http() as http:
        ask(http, "small", stream=True)
        ask(http, "status-429")
    assert wait_for(lambda: len(points(collector, "gen_ai.client.operation.duration")) == 2)
    ok, failed = sorted(
        points(collector, "gen_ai.client.operation.duration"),
        key=lambda point: "error.type" in attributes(point),
    )
    assert ok.count == failed.count == 1
    assert attributes(failed)["error.type"] == "rate_limited"
    assert attributes(ok)["gen_ai.response.model"] == "ok-2026-01-01"
    tokens = points(collector, "gen_ai.client.token.usage")
    counts = {attributes(point)["gen_ai.token.type"]: point.sum for point in tokens}
    assert counts == {"input": 100, "output": 20}
    (first,) = points(collector, "gen_ai.client.operation.time_to_first_chunk")
    assert 0 < first.sum < ok.sum


def points(collector: Collector, name: str, service: str = "metered") -> list[Any]:
    metric = collector.metrics.get(service, {}).get(name)
    return [] if metric is None else list(metric.histogram.data_points)


def wait_for(holds: Callable[[], bool], within_s: float = 10.0) -> bool:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if holds():
            return True
        time.sleep(0.02)
    return False


def test_every_name_is_one_of_the_conventions(collector: Collector, traced: httpx.Client) -> None:
    modules = (gen_ai_attributes, gen_ai_metrics)
    known = {str(value) for module in modules for value in vars(module).values()}
    spans = spans_of(collector, ask(traced, stream=True))
    service = "hydra-gateway"
    assert wait_for(lambda: service in collector.metrics)
    metrics = collector.metrics[service]
    labels = [
        label
        for name in metrics
        for point in points(collector, name, service)
        for label in attributes(point)
    ]
    names = {*metrics, *labels, *(name for span in spans for name in attributes(span))}
    assert {name for name in names if name.startswith("gen_ai.")} <= known


def test_the_resource_is_named_and_the_environment_is_stronger(
    monkeypatch: pytest.MonkeyPatch, collector: Collector, start_gateway: StartGateway
) -> None:
    with start_gateway().http() as http:
        spans_of(collector, ask(http))
    (plain, *_) = collector.resources
    assert (plain["service.name"], plain["service.version"]) == ("hydra-gateway", __version__)
    assert plain["service.instance.id"]
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.instance.id=one,deployment=test")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "named")
    with start_gateway().http() as http:
        spans_of(collector, ask(http))
    named = collector.resources[-1]
    assert (named["service.name"], named["service.instance.id"]) == ("named", "one")
    assert named["deployment"] == "test"


def test_providers_get_the_trace_only_if_that_is_set(
    collector: Collector, start_gateway: StartGateway, upstream: UpstreamStub
) -> None:
    for environ, stream in (({}, False), ({"HYDRA_TRACE_PROVIDERS": "true"}, True)):
        with start_gateway(**environ).http() as http:
            http.headers["traceparent"] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
            server, *_ = spans_of(collector, ask(http, stream=stream))
            collector.spans.clear()
    unset, sent = (headers.get("traceparent") for headers in upstream.headers)
    assert unset is None
    assert sent == f"00-{server.trace_id.hex()}-{server.span_id.hex()}-01"


def test_a_collector_that_is_away_costs_no_request_and_no_stop(
    monkeypatch: pytest.MonkeyPatch, start_gateway: StartGateway, upstream: UpstreamStub
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
    with start_gateway().http() as http:
        for _ in range(3):
            assert ask(http).status_code == 200
    otel = start({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_METRICS_EXPORTER": "otlp"})
    assert otel is not None
    otel.tracer.start_span("waits").end()
    began = time.monotonic()
    otel.close()
    assert time.monotonic() - began < CLOSE_S + 1


@pytest.mark.parametrize(
    ("environ", "found"),
    [
        ({}, ()),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, ("otlp",)),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318"}, ("otlp",)),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://c:4318"}, ()),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, ("otlp",)),
        ({"OTEL_TRACES_EXPORTER": "console, otlp"}, ("console", "otlp")),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, ()),
        ({"OTEL_SDK_DISABLED": "true", "OTEL_TRACES_EXPORTER": "otlp"}, ()),
    ],
)
def test_the_environment_asks_for_traces(environ: dict[str, str], found: tuple[str, ...]) -> None:
    assert exporters(environ, "traces") == found


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "OTEL_TRACES_EXPORTER: expected otlp, console, none"),
        (
            {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            "OTEL_EXPORTER_OTLP_PROTOCOL: only http/protobuf is spoken, got 'grpc'",
        ),
    ],
)
def test_what_cannot_be_had_is_said(environ: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        exporters(environ, "traces")


def python(program: str, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env={**kept, **environ},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )


def test_nothing_is_imported_where_nothing_is_asked_for() -> None:
    done = python(
        "import sys\n"
        "from gateway.app import create_app\n"
        "from gateway.settings import Settings\n"
        'create_app(Settings.from_env({"HYDRA_REDIS_URL": "unix:///none"}))\n'
        'print([name for name in sys.modules if name.startswith("opentelemetry.sdk")])'
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_traces_asked_for_without_the_extra_are_one_line_at_the_start() -> None:
    done = python(
        "import logging, os, sys\n"
        "sys.modules[sys.argv[1]] = None  # as if it were not installed\n"
        'logging.basicConfig(format="%(message)s")\n'
        "from gateway import tracing\n"
        "print(tracing.start(os.environ))",
        "opentelemetry.sdk.metrics",
        OTEL_TRACES_EXPORTER="otlp",
    )
    assert done.stdout == "None\n"
    assert done.stderr == (
        "no OpenTelemetry, which OTEL_* variables ask for: opentelemetry.sdk.metrics is missing;"
        " pip install 'hydra-gateway[otel]'\n"
    )
