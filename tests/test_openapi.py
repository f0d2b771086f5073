"""The OpenAPI document: it is valid, it names every route, and the gateway keeps to it."""

import re
from typing import Any

import httpx
import pytest
import schemathesis
from gateways import Gateway
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import max_response_time, not_a_server_error
from schemathesis.config import (
    ChecksConfig,
    CoveragePhaseConfig,
    GenerationConfig,
    NotAServerErrorConfig,
    OutputConfig,
    PhasesConfig,
    ProjectConfig,
    ProjectsConfig,
    SanitizationConfig,
    SchemathesisConfig,
)
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from gateway import __version__
from gateway.app import ROUTES
from gateway.openapi import document

ANSWER_S = 10  # without an event for so long, a request counts as hanging
CHECKS = [
    max_response_time,  # of at most 10 s
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
# Random names would only ever be unknown: these are answered, and fail, in every way there is.
ROUTED = ["auto", "auto:peak", "auto:aggressive"]
FAILING = ["status-400", "status-401", "status-404", "status-422", "status-429", "status-500"]
MODELS = ["small", "large", "tools", "no-usage", "unpriced", "cut", "empty", "html", "nobody"]
MODELS += [*FAILING, "status-503", "status-529", "unreachable"]
EXPLICIT = ["CompletionsRequest", "EmbeddingsRequest"]  # take no routed model
STREAMS = ["/v1/chat/completions", "/v1/responses", "/v1/messages", "/v1/completions"]
POOLS = ["default", "valued", "text-only", "falls-429", "falls-503", "all-fail", "nobody"]


def test_the_document_is_valid_openapi() -> None:
    schemathesis.openapi.from_dict(document(__version__)).validate()


def test_every_reference_leads_somewhere() -> None:
    described = document("1")
    for reference in re.findall(r"#/components/([\w/-]+)", str(described)):
        found: Any = described["components"]
        for name in reference.split("/"):
            found = found[name]


def test_the_document_names_every_route_and_nothing_else() -> None:
    paths: Any = document("1")["paths"]
    documented = {(path, method.upper()) for path, item in paths.items() for method in item}
    served = {
        (re.sub(r":\w+}", "}", route.path), method)
        for route in ROUTES
        for method in (route.methods or ()) - {"HEAD"}
        if route.path.startswith("/v1/") or route.path in ("/healthz", "/readyz", "/openapi.json")
    }
    assert documented == served


def test_anyone_may_read_the_document(start_gateway: Any) -> None:
    with start_gateway(HYDRA_API_KEYS="alice=a-secret").http() as http:
        answer = http.get("/openapi.json")
    assert answer.status_code == 200
    assert answer.json() == document(__version__)


def api(*, modes: list[GenerationMode], stream: bool | None = None) -> schemathesis.BaseSchema:
    """The document with the test catalog's names in it, and without the way out that `default`
    leaves: every status has to be named. `stream` fixes that field."""
    told: Any = document(__version__)
    for item in told["paths"].values():
        for operation in item.values():
            del operation["responses"]["default"]
    for name, schema in told["components"]["schemas"].items():
        fields = schema.get("properties", {})
        if "maxLength" in fields.get("model", {}):  # a request's
            fields["model"]["enum"] = [*([] if name in EXPLICIT else ROUTED), *MODELS]
        if stream is not None and "hydra" in fields:
            fields["stream"] = {"const": stream}
            schema["required"].append("stream")
    told["components"]["parameters"]["x-hydra-pool"]["schema"]["enum"] = POOLS
    project = ProjectConfig(
        checks=ChecksConfig(
            not_a_server_error=NotAServerErrorConfig(
                expected_statuses=["2xx", "4xx", 502, 503, 504]
            )
        ),
        generation=GenerationConfig(deterministic=True, modes=modes),
        phases=PhasesConfig(coverage=CoveragePhaseConfig(enabled=GenerationMode.NEGATIVE in modes)),
    )
    config = SchemathesisConfig(
        output=OutputConfig(sanitization=SanitizationConfig(enabled=False)),  # no secrets here
        projects=ProjectsConfig(default=project),
    )
    return schemathesis.openapi.from_dict(told, config=config)


TAIL = "/v1/decisions/stream"  # never ends: its tests are in test_log_tail.py
API = api(modes=list(GenerationMode)).exclude(path=TAIL)
STREAMING = api(modes=[GenerationMode.POSITIVE], stream=True).include(path=STREAMS)

bounded = settings(
    max_examples=12,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@API.parametrize()
@bounded
def test_the_gateway_keeps_to_its_document(case: schemathesis.Case, gateway: Gateway) -> None:
    case.call_and_validate(base_url=gateway.url, checks=CHECKS, timeout=ANSWER_S)


@STREAMING.parametrize()
@bounded
def test_streams_keep_to_the_document(case: schemathesis.Case, gateway: Gateway) -> None:
    case.call_and_validate(base_url=gateway.url, checks=CHECKS, timeout=ANSWER_S)


@pytest.mark.parametrize("model", ["auto", "small", "unpriced", "status-503"])
def test_what_was_logged_is_as_the_document_says(model: str, http: httpx.Client) -> None:
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}]}
    answer = http.post("/v1/chat/completions", json=body, headers={"x-hydra-tags": "a,b"})
    for path, given in {
        "/v1/decisions/{id}": {"path_parameters": {"id": answer.headers["x-hydra-decision-id"]}},
        "/v1/decisions": {"query": {"tag": "a"}},
        "/v1/costs": {"query": {"group_by": "model,key,tag,mode,pool,day,hour"}},
        "/v1/models/{id}": {"path_parameters": {"id": model}},
    }.items():
        case = API[path]["GET"].Case(**given)
        found = case.call_and_validate(base_url=str(http.base_url), checks=CHECKS, timeout=ANSWER_S)
        assert found.status_code == 200


@pytest.mark.parametrize("path", ["/v1/decisions", "/v1/costs"])
@pytest.mark.parametrize("end", ["since", "until"])
@pytest.mark.parametrize(
    "moment",
    ["0001-01-01", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "253402300799"],
)
def test_the_ends_of_time_are_answered(
    moment: str, end: str, path: str, http: httpx.Client
) -> None:
    case = API[path]["GET"].Case(query={end: moment})
    case.call_and_validate(base_url=str(http.base_url), checks=CHECKS, timeout=ANSWER_S)


@pytest.mark.parametrize("cursor", ["0-0", "99999999999999999999-0"])
def test_a_cursor_beyond_the_log_is_no_outage(cursor: str, http: httpx.Client) -> None:
    assert http.get("/v1/decisions", params={"cursor": cursor}).status_code in (200, 400)


def test_embeddings_that_ask_for_a_stream_are_answered(http: httpx.Client) -> None:
    case = API["/v1/embeddings"]["POST"].Case(
        body={"model": "small", "input": "hi", "stream": True}, media_type="application/json"
    )
    case.call_and_validate(base_url=str(http.base_url), checks=CHECKS, timeout=ANSWER_S)
