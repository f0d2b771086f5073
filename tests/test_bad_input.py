"""Bad input from outside: OpenAI's error shape, a 4xx, and words that say what to do."""

import json

import httpx
import pytest
from gateways import StartGateway
from test_chat_completions import HELLO

IMAGE = [
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "what is this?"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
        ],
    }
]


def error_of(answer: httpx.Response) -> dict:
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return error


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/route"])
@pytest.mark.parametrize(
    ("body", "status", "param", "words"),
    [
        pytest.param(b"", 400, None, "the body is empty", id="nothing"),
        pytest.param(b"{oops", 400, None, "not valid JSON", id="no JSON"),
        pytest.param(b'"text"', 400, None, "must be a JSON object", id="not an object"),
        pytest.param(b"\xff\xfe\x00", 400, None, "not valid JSON", id="not even text"),
        pytest.param({"messages": HELLO}, 400, "model", "'model' must be", id="no model"),
        pytest.param({"model": "auto"}, 400, "messages", "'messages' must be", id="no messages"),
        pytest.param(
            {"model": "auto", "messages": []}, 400, "messages", "non-empty", id="no message"
        ),
        pytest.param(
            {"model": "auto", "messages": ["hi"]}, 400, "messages[0]", "object", id="bad message"
        ),
        pytest.param(
            {"model": "auto", "messages": HELLO, "stream": "yes"},
            400,
            "stream",
            "true or false",
            id="wrong type",
        ),
        pytest.param(
            {"model": "gpt-9", "messages": HELLO}, 404, "model", "available are", id="no such model"
        ),
        pytest.param(
            {"model": "keyless", "messages": HELLO},
            404,
            "model",
            "NO_SUCH_KEY is not set",
            id="a model without its key",
        ),
        pytest.param(
            {"model": "auto:turbo", "messages": HELLO}, 404, "model", "auto:iso", id="no such mode"
        ),
        pytest.param(
            {"model": "auto", "messages": HELLO, "hydra": {"pool": "x"}},
            404,
            "pool",
            "there are",
            id="no such pool",
        ),
        pytest.param(
            {"model": "auto", "messages": HELLO, "hydra": {"poool": "x"}},
            400,
            "hydra.poool",
            "known are",
            id="a typo in hydra",
        ),
        pytest.param(
            {"model": "auto", "messages": IMAGE, "hydra": {"pool": "text-only"}},
            400,
            "model",
            "small: vision; unpriced: vision",
            id="an image to a text-only pool",
        ),
        pytest.param(
            {"model": "auto", "messages": HELLO, "hydra": {"pool": "unusable"}},
            400,
            "model",
            "keyless: NO_SUCH_KEY is not set",
            id="a pool without a key",
        ),
    ],
)
def test_bad_bodies(
    http: httpx.Client, path: str, body: object, status: int, param: str | None, words: str
) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = http.post(path, content=content, headers={"content-type": "application/json"})
    error = error_of(answer)
    assert (answer.status_code, error["type"], error["param"]) == (
        status,
        "invalid_request_error",
        param,
    )
    assert words in error["message"]


def test_an_image_finds_the_model_that_sees(http: httpx.Client) -> None:
    answer = http.post("/v1/route", json={"model": "auto:aggressive", "messages": IMAGE}).json()
    assert (answer["chosen"], answer["reason"]) == ("large", "only_eligible")
    gates = {item["model"]: item["excluded_by"] for item in answer["candidates"]}
    assert gates == {"small": "vision", "large": None}


def test_a_body_of_fifty_mebibytes_is_refused_with_its_limit(http: httpx.Client) -> None:
    huge = {"model": "auto", "messages": [{"role": "user", "content": "x" * (50 * 2**20)}]}
    answer = http.post("/v1/chat/completions", json=huge)
    assert answer.status_code == 413
    assert "32 MiB" in error_of(answer)["message"]


def test_a_prompt_beyond_every_context_names_the_limits(http: httpx.Client) -> None:
    long = [{"role": "user", "content": "word " * 200_000}]
    answer = http.post("/v1/chat/completions", json={"model": "auto", "messages": long})
    assert answer.status_code == 400
    assert "offers 100000" in error_of(answer)["message"]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/nonsense", 404, "unknown_url"),
        ("GET", "/", 404, "unknown_url"),
        ("GET", "/v1/chat/completions", 405, "method_not_allowed"),
        ("DELETE", "/v1/models", 405, "method_not_allowed"),
        ("GET", "/v1/models/nope", 404, "model_not_found"),
        ("GET", "/v1/decisions/nope", 404, "decision_not_found"),
        ("GET", "/v1/decisions?limit=0", 400, None),
        ("GET", "/v1/decisions?modle=x", 400, None),
        ("GET", "/v1/decisions?since=yesterday", 400, None),
        ("GET", "/v1/decisions?cursor=nonsense", 400, None),
        ("GET", "/v1/costs?group_by=weather", 400, None),
        ("GET", "/v1/costs?format=xml", 400, None),
    ],
)
def test_every_path_answers_errors_in_one_shape(
    http: httpx.Client, method: str, path: str, status: int, code: str | None
) -> None:
    answer = http.request(method, path)
    assert (answer.status_code, error_of(answer)["code"]) == (status, code)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"authorization": "Bearer wrong"}, 401),
        ({"authorization": "Basic right"}, 401),
        ({"x-api-key": "wrong"}, 401),
        ({"authorization": "Bearer right"}, 200),
        ({"authorization": "bearer right"}, 200),
        ({"x-api-key": "right"}, 200),
        ({"x-api-key": "the-admin"}, 200),
    ],
)
def test_keys(keyed: httpx.Client, headers: dict, status: int) -> None:
    for path in ("/v1/models", "/v1/decisions", "/v1/costs"):
        assert keyed.get(path, headers=headers).status_code == status
    body = {"model": "auto", "messages": HELLO}
    assert keyed.post("/v1/route", json=body, headers=headers).status_code == status


def test_health_needs_no_key(keyed: httpx.Client) -> None:
    assert keyed.get("/healthz").json() == {"status": "ok"}
    assert keyed.get("/readyz").status_code == 200


def test_a_key_sees_its_own_decisions_and_the_admin_all(keyed: httpx.Client) -> None:
    body = {"model": "auto:peak", "messages": HELLO}
    made = {}
    for secret in ("right", "other"):
        answer = keyed.post("/v1/chat/completions", json=body, headers={"x-api-key": secret})
        made[secret] = answer.headers["x-hydra-decision-id"]
    mine = {"x-api-key": "right"}
    assert keyed.get(f"/v1/decisions/{made['right']}", headers=mine).status_code == 200
    assert keyed.get(f"/v1/decisions/{made['other']}", headers=mine).status_code == 404
    admin = {"x-api-key": "the-admin"}
    assert keyed.get(f"/v1/decisions/{made['other']}", headers=admin).status_code == 200


@pytest.fixture
def keyed(start_gateway: StartGateway, upstream: object) -> httpx.Client:
    gateway = start_gateway(HYDRA_API_KEYS="alice=right,bob=other", HYDRA_ADMIN_KEY="the-admin")
    with gateway.http() as client:
        yield client
