"""Streams from outside, byte by byte: events, the end, breaks, leaving clients, silence."""

import json
import time
from collections.abc import Iterator

import httpx
import pytest
from gateways import Gateway
from test_chat_completions import HELLO, decision_of
from upstream_stub import UpstreamStub


def body(model: str = "auto:aggressive", **fields: object) -> dict:
    return {"model": model, "messages": HELLO, "stream": True, **fields}


def events(response: httpx.Response) -> list:
    """The data of each event, parsed; "[DONE]" stays text."""
    found = []
    for line in response.iter_lines():
        if line.startswith("data: "):
            data = line.removeprefix("data: ")
            found.append(data if data == "[DONE]" else json.loads(data))
    return found


def text_of(found: list) -> str:
    deltas = [choice["delta"] for event in found[:-1] for choice in event["choices"]]
    return "".join(delta.get("content") or "" for delta in deltas)


@pytest.fixture
def stream(http: httpx.Client) -> Iterator:
    def post(**fields: object) -> tuple[httpx.Response, list]:
        with http.stream("POST", "/v1/chat/completions", json=body(**fields)) as response:
            return response, events(response)

    return post


def test_a_stream_has_its_text_its_end_and_its_headers(stream: object, http: httpx.Client) -> None:
    response, found = stream()
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["x-hydra-model"] == "small"
    assert found[-1] == "[DONE]"
    assert text_of(found) == "Hello from ok"
    assert found[-2]["choices"][0]["finish_reason"] == "stop"
    record = decision_of(http, response)
    assert (record["status"], record["stream"], record["finish_reason"]) == ("ok", True, "stop")
    assert record["cost_usd"] == "0.000164"
    assert record["ttft_ms"] > 0


def test_the_usage_chunk_comes_only_if_the_client_asked(stream: object) -> None:
    _, without = stream()
    assert not any("usage" in event for event in without[:-1])
    _, asked = stream(stream_options={"include_usage": True})
    assert asked[-2]["choices"] == []
    assert asked[-2]["usage"]["prompt_tokens"] == 100
    assert asked[-2]["usage"]["prompt_tokens_details"]["cached_tokens"] == 40


def test_usage_is_always_asked_of_the_provider(stream: object, upstream: UpstreamStub) -> None:
    stream()
    assert upstream.requests[0]["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize(
    ("model", "status"), [("status-400", 400), ("status-429", 429), ("unreachable", 502)]
)
def test_a_refusal_before_the_first_event_keeps_its_status(
    http: httpx.Client, model: str, status: int
) -> None:
    answer = http.post("/v1/chat/completions", json=body(model))
    assert answer.status_code == status
    assert answer.json()["error"]["message"]


def test_a_candidate_that_fails_before_its_first_event_is_followed(
    stream: object, http: httpx.Client
) -> None:
    response, found = stream(hydra={"pool": "falls-503"})
    assert text_of(found) == "Hello from ok-large"
    assert response.headers["x-hydra-reason"] == "fallback"
    assert response.headers["x-hydra-model"] == "large"
    assert len(decision_of(http, response)["attempts"]) == 2


def test_a_break_in_the_middle_is_one_error_event_and_never_a_clean_end(
    stream: object, http: httpx.Client, upstream: UpstreamStub
) -> None:
    response, found = stream(hydra={"pool": "cuts"})
    assert response.status_code == 200
    assert "[DONE]" not in found
    assert [event for event in found if "error" in event] == [found[-1]]
    assert found[-1]["error"]["code"] == "upstream_disconnected"
    assert upstream.models == ["cut"]  # no second candidate after the first byte
    record = decision_of(http, response)
    assert (record["status"], record["cost_status"]) == ("error", "estimated")
    assert record["served_by"] == "cut"


def test_an_empty_stream_ends_cleanly(stream: object) -> None:
    _, found = stream(model="empty")
    assert found[-1] == "[DONE]"


def test_with_explain_the_last_chunk_carries_decision_and_cost(stream: object) -> None:
    _, found = stream(hydra={"explain": True})
    assert [("hydra" in event) for event in found[:-1]].count(True) == 1
    assert found[-2]["hydra"]["cost_usd"] == "0.000164"
    assert text_of(found) == "Hello from ok"


def test_a_client_that_leaves_ends_the_upstream_and_leaves_an_estimate(
    gateway: Gateway, http: httpx.Client, upstream: UpstreamStub
) -> None:
    with gateway.http() as leaving:
        request = body("hang-after-1")
        with leaving.stream("POST", "/v1/chat/completions", json=request) as response:
            next(response.iter_lines())
    assert upstream.released.wait(5)
    record = _finished(http, response)
    assert (record["status"], record["disconnected"]) == ("aborted", True)
    assert record["cost_status"] == "estimated"
    assert record["usage"]["completion"] == 2  # "Hello " is six bytes


def test_a_client_that_leaves_before_the_first_event_ends_the_upstream(
    gateway: Gateway, upstream: UpstreamStub
) -> None:
    with pytest.raises(httpx.ReadTimeout), gateway.http() as impatient:
        impatient.post("/v1/chat/completions", json=body("hang"), timeout=1)
    assert upstream.released.wait(5)


def test_ten_seconds_of_silence_send_headers_and_keep_alives_and_end_the_fallback(
    http: httpx.Client,
) -> None:
    """The chosen profile needs 11.5 s to its first event."""
    started = time.monotonic()
    request = body(hydra={"pool": "silent"})
    with http.stream("POST", "/v1/chat/completions", json=request) as response:
        assert 9 < time.monotonic() - started < 14
        assert response.headers["x-hydra-model"] == "slower"
        lines = list(response.iter_lines())
    assert lines[0].startswith("data: ") or ": keep-alive" in lines
    assert lines[-2] == "data: [DONE]"


def _finished(http: httpx.Client, response: httpx.Response) -> dict:
    """The record, once the gateway noticed that its client left."""
    for _ in range(100):
        found = http.get(f"/v1/decisions/{response.headers['x-hydra-decision-id']}")
        if found.status_code == 200 and found.json()["status"] != "started":
            return found.json()
        time.sleep(0.05)
    raise AssertionError("the record was not closed")
