"""A provider's errors, as a client of each protocol meets them, through either lane."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from gateways import PROVIDER_KEY
from replay import Json, Replay, Reply, record_of, replaying, whole

WORDS = "these are the provider's own words"
HELLO = [{"role": "user", "content": "hello"}]
PATHS = {"chat": "chat/completions", "responses": "responses", "messages": "messages"}

# Status of the provider -> status, type and code for the caller; Anthropic's type for the same.
EXPECTED = {
    400: (400, "invalid_request_error", "odd", "invalid_request_error"),
    401: (502, "upstream_error", "upstream_authentication_failed", "api_error"),
    402: (502, "upstream_error", "upstream_payment_required", "api_error"),
    403: (502, "upstream_error", "upstream_permission_denied", "api_error"),
    404: (404, "invalid_request_error", "odd", "not_found_error"),
    408: (504, "timeout_error", "upstream_timeout", "timeout_error"),
    409: (409, "invalid_request_error", "odd", "invalid_request_error"),
    413: (413, "invalid_request_error", "odd", "request_too_large"),
    422: (422, "invalid_request_error", "odd", "invalid_request_error"),
    429: (429, "rate_limit_error", "odd", "rate_limit_error"),
    500: (502, "upstream_error", None, "api_error"),
    502: (502, "upstream_error", None, "api_error"),
    503: (503, "upstream_error", "upstream_unavailable", "overloaded_error"),
    504: (504, "timeout_error", "upstream_timeout", "timeout_error"),
    529: (503, "upstream_error", "upstream_overloaded", "overloaded_error"),
}
# litellm makes a plain 400 of these, and of a 404, 409 or 413 it keeps nothing but the words.
SLOW_LANES_400 = {"claude": (409, 413, 422), "chat": (422,), "openai": (422,)}
BASE = "@REPLAY@/v1"
PROFILES = {
    "chat": {"litellm_model": "hosted_vllm/m", "api_base": BASE},
    "openai": {"litellm_model": "openai/m", "api_base": BASE},
    "claude": {"litellm_model": "anthropic/m", "api_base": BASE},
    "responder": {"litellm_model": "openai/m", "api_base": BASE, "wire": "responses"},
}
# Protocol of the client, profile, and whether litellm carries everything.
ROUTES = {
    "chat to chat": ("chat", "chat", False),
    "chat to chat, slow lane": ("chat", "chat", True),
    "chat to OpenAI, slow lane": ("chat", "openai", True),
    "chat to messages": ("chat", "claude", False),
    "responses to responses": ("responses", "responder", False),
    "responses to chat": ("responses", "chat", False),
    "responses to messages": ("responses", "claude", False),
    "messages to messages": ("messages", "claude", False),
    "messages to messages, slow lane": ("messages", "claude", True),
    "messages to chat": ("messages", "chat", False),
}
ANTHROPICS = {
    **{400: "invalid_request_error", 401: "authentication_error", 403: "permission_error"},
    **{404: "not_found_error", 413: "request_too_large", 429: "rate_limit_error"},
    **{504: "timeout_error", 529: "overloaded_error"},
}


@pytest.fixture(scope="module")
def served(
    redis_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Replay, list[httpx.Client]]]:
    """The provider; a gateway, and one whose every request goes through litellm."""
    with replaying(
        redis_server, tmp_path_factory, PROFILES, {}, {"HYDRA_UPSTREAM": "litellm"}
    ) as served:
        yield served


@pytest.fixture
def replay(served: tuple[Replay, list[httpx.Client]]) -> Replay:
    return served[0]


@pytest.fixture
def gateways(served: tuple[Replay, list[httpx.Client]]) -> list[httpx.Client]:
    return served[1]


def ask(http: httpx.Client, protocol: str, model: str, **fields: Any) -> httpx.Response:
    prompt: Json = {"input": "hello"} if protocol == "responses" else {"messages": HELLO}
    if protocol == "messages":
        prompt["max_tokens"] = 50
    return http.post(f"/v1/{PATHS[protocol]}", json={"model": model, **prompt, **fields})


def refusal(model: str, status: int, base: str) -> Reply:
    """The provider's error in its own shape; it shows what nobody may see."""
    message = f"{WORDS}; key {PROVIDER_KEY}, at {base}/v1"
    error: Json = {"type": "odd_error", "message": message, "param": "temperature", "code": "odd"}
    body: Json = {"error": error}
    if model == "claude":
        kind = ANTHROPICS.get(status, "api_error")
        body = {"type": "error", "error": {"type": kind, "message": message}, "request_id": "r"}
    return whole(body, status, retry_after="7")


@pytest.mark.parametrize("status", EXPECTED)
@pytest.mark.parametrize("streams", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("route", ROUTES)
def test_a_refusal_has_its_status_and_the_protocols_shape(
    replay: Replay, gateways: list[httpx.Client], route: str, streams: bool, status: int
) -> None:
    protocol, model, is_slow = ROUTES[route]
    replay.say(refusal(model, status, replay.url))
    answer = ask(gateways[is_slow], protocol, model, stream=streams)
    goes_slow = is_slow or (protocol != "messages" and model == "claude")
    if goes_slow and status in SLOW_LANES_400[model]:
        status = 400
    told, kind, code, claudes_kind = EXPECTED[status]
    assert answer.status_code == told, answer.text
    for secret in (PROVIDER_KEY, replay.url, "127.0.0.1", "Traceback", "litellm", 'File "'):
        assert secret not in answer.text
    error = answer.json()["error"]
    is_ours = status in (401, 402, 403)
    assert ("the gateway's own credentials" if is_ours else WORDS) in error["message"]
    assert error["message"].startswith(f"{model}: ")
    assert answer.headers["x-hydra-decision-id"]
    if status == 429:
        assert answer.headers["retry-after"] == "7"
    if protocol == "messages":
        request_id = answer.headers["request-id"]
        assert answer.json() == {"type": "error", "error": error, "request_id": request_id}
        assert error == {"type": claudes_kind, "message": error["message"]}
        return
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == kind
    if model == "claude" or (goes_slow and status in (404, 409, 413)):
        return  # Anthropic names neither
    assert error["code"] == code
    assert error["param"] == ("temperature" if kind == "invalid_request_error" else None)


@pytest.mark.parametrize("streams", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(
    ("reply", "status", "words"),
    [
        pytest.param(
            whole({"error": {"message": WORDS, "code": 429}}), 429, WORDS, id="an error as 200"
        ),
        pytest.param(whole({"error": {"message": WORDS}}), 502, WORDS, id="without a code"),
        pytest.param(
            Reply(b"<html><h1>Sign in</h1></html>", media_type="text/html"),
            502,
            "gave no reason",
            id="a page of HTML",
        ),
        pytest.param(
            Reply(b"<html>nginx</html>", status=502, media_type="text/html"),
            502,
            "gave no reason",
            id="an error page",
        ),
        pytest.param(Reply(b"upstream busy", 503, {}, "text/plain"), 503, "busy", id="plain text"),
        pytest.param(Reply(b"", status=500), 502, "gave no reason", id="nothing"),
        pytest.param(whole(["no"]), 502, "", id="no object"),
        pytest.param(whole({"detail": WORDS}, 422), 422, WORDS, id="FastAPI's detail"),
        pytest.param(whole([{"error": {"message": WORDS}}], 400), 400, WORDS, id="Google's list"),
    ],
)
@pytest.mark.parametrize("route", ["chat to chat", "responses to chat", "messages to messages"])
def test_an_answer_that_is_none(
    replay: Replay,
    gateways: list[httpx.Client],
    route: str,
    reply: Reply,
    status: int,
    words: str,
    streams: bool,
) -> None:
    protocol, model, is_slow = ROUTES[route]
    replay.say(reply)
    answer = ask(gateways[is_slow], protocol, model, stream=streams)
    assert answer.status_code == status, answer.text
    assert words in answer.json()["error"]["message"]
    assert "<" not in answer.text
    record = record_of(gateways[is_slow], answer)
    assert (record["status"], record["served_by"]) == ("error", None)


@pytest.mark.parametrize("route", ["chat to chat", "responses to chat", "messages to messages"])
def test_a_stream_answered_as_json_is_no_stream(
    replay: Replay, gateways: list[httpx.Client], route: str
) -> None:
    protocol, model, is_slow = ROUTES[route]
    replay.say(whole({"choices": [], "content": [], "id": "x"}))
    answer = ask(gateways[is_slow], protocol, model, stream=True)
    assert answer.status_code == 502
    error = answer.json()["error"]
    assert error["type"] in ("upstream_error", "api_error")
    if protocol != "messages":
        assert error["code"] == "upstream_invalid_answer"


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "xyz"), ("GET", ""), ("DELETE", "batches/1"), ("GET", "count_tokens")],
)
def test_a_path_that_there_is_not_has_anthropics_shape(
    gateways: list[httpx.Client], method: str, path: str
) -> None:
    answer = gateways[False].request(method, f"/v1/messages/{path}".rstrip("/"))
    body = answer.json()
    is_missing = answer.status_code == 404
    assert is_missing or (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert body["type"] == "error"
    assert body["error"]["type"] == ("not_found_error" if is_missing else "invalid_request_error")
    assert body["request_id"] == answer.headers["request-id"] == answer.headers["x-request-id"]


def test_a_path_beside_it_has_openais_shape(gateways: list[httpx.Client]) -> None:
    for path in ("/v1/xyz", "/v1/responses/resp_1"):
        error = gateways[False].get(path).json()["error"]
        assert set(error) == {"message", "type", "param", "code"}, path
