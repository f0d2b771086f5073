"""One id for a request: the caller's or ours, in the answer, in errors and in the record."""

import re
from typing import Any

import httpx
import pytest
from test_chat_completions import HELLO, decision_of

OURS = re.compile(r"req_[0-9a-f]{32}")
CALLS: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": HELLO},
    "/v1/responses": {"input": "hello"},
    "/v1/messages": {"messages": HELLO, "max_tokens": 9},
}
FINE = ["abc", "0", "a b/c:d+e=", "x" * 256, "'quoted' \"text\", {json}"]
BAD = {
    "too long": b"x" * 257,
    "empty": b"",
    "no ASCII": "réq".encode(),
    "latin": "é".encode("latin-1"),
    "a tab": b"a\tb",
}


@pytest.mark.parametrize("streams", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("path", CALLS)
def test_the_callers_id_comes_back_and_is_in_the_record(
    http: httpx.Client, path: str, streams: bool
) -> None:
    body = {"model": "auto", "stream": streams, **CALLS[path]}
    answer = http.post(path, json=body, headers={"x-request-id": "mine-1"})
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-request-id"] == "mine-1"
    assert answer.headers.get("request-id") == ("mine-1" if path == "/v1/messages" else None)
    assert decision_of(http, answer)["request_id"] == "mine-1"


@pytest.mark.parametrize("path", CALLS)
def test_one_is_made_where_none_was_given(http: httpx.Client, path: str) -> None:
    answers = [http.post(path, json={"model": "auto", **CALLS[path]}) for _ in range(2)]
    ids = [answer.headers["x-request-id"] for answer in answers]
    assert all(OURS.fullmatch(each) for each in ids)
    assert ids[0] != ids[1]
    assert decision_of(http, answers[0])["request_id"] == ids[0]


@pytest.mark.parametrize("given", FINE)
def test_a_good_id_is_kept_as_it_is(http: httpx.Client, given: str) -> None:
    body = {"model": "auto", "messages": HELLO}
    answer = http.post("/v1/chat/completions", json=body, headers={"x-request-id": given})
    assert answer.headers["x-request-id"] == given
    assert decision_of(http, answer)["request_id"] == given


@pytest.mark.parametrize("given", BAD.values(), ids=BAD)
def test_a_bad_id_is_replaced(http: httpx.Client, given: bytes) -> None:
    body = {"model": "auto", "messages": HELLO}
    headers = [(b"x-request-id", given)]
    answer = http.post("/v1/chat/completions", json=body, headers=headers)
    made = answer.headers["x-request-id"]
    assert OURS.fullmatch(made)
    assert decision_of(http, answer)["request_id"] == made


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/healthz", 200),
        ("GET", "/v1/models", 200),
        ("GET", "/nowhere", 404),
        ("GET", "/v1/decisions/none", 404),
        ("GET", "/v1/messages", 405),
        ("POST", "/v1/messages/xyz", 404),
        ("POST", "/v1/chat/completions", 400),
        ("POST", "/v1/messages", 400),
        ("POST", "/v1/messages/count_tokens", 400),
    ],
)
def test_every_answer_has_one(http: httpx.Client, method: str, path: str, status: int) -> None:
    answer = http.request(method, path, headers={"x-request-id": "mine-2"})
    assert (answer.status_code, answer.headers["x-request-id"]) == (status, "mine-2")
    assert answer.headers.get_list("x-request-id") == ["mine-2"]
    is_anthropics = path.startswith("/v1/messages")
    assert answer.headers.get("request-id") == ("mine-2" if is_anthropics else None)
    if is_anthropics:
        assert answer.json()["request_id"] == "mine-2"


@pytest.mark.parametrize("model", ["status-400", "status-429", "unreachable", "no-such-model"])
def test_a_failed_request_has_one_too(http: httpx.Client, model: str) -> None:
    body = {"model": model, "messages": HELLO, "max_tokens": 9}
    for path in ("/v1/chat/completions", "/v1/messages"):
        answer = http.post(path, json=body, headers={"x-request-id": "mine-3"})
        assert answer.status_code >= 400
        assert answer.headers["x-request-id"] == "mine-3"
        if "x-hydra-decision-id" in answer.headers:
            assert decision_of(http, answer)["request_id"] == "mine-3"


def test_a_break_in_a_messages_stream_names_the_request(http: httpx.Client) -> None:
    body = {"model": "claude-cut", "stream": True, **CALLS["/v1/messages"]}
    answer = http.post("/v1/messages", json=body, headers={"x-request-id": "mine-4"})
    assert answer.status_code == 200
    assert '"request_id":"mine-4"' in answer.text


def test_the_dry_run_has_no_request_in_the_log(http: httpx.Client) -> None:
    body = {"model": "auto", "messages": HELLO}
    answer = http.post("/v1/route", json=body, headers={"x-request-id": "mine-5"})
    assert answer.headers["x-request-id"] == "mine-5"
    assert "mine-5" not in answer.text


def test_the_provider_is_not_told_the_callers_id(http: httpx.Client, upstream: Any) -> None:
    body = {"model": "auto", "messages": HELLO}
    http.post("/v1/chat/completions", json=body, headers={"x-request-id": "mine-6"})
    assert "mine-6" not in str(upstream.headers)
