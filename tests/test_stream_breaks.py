"""Streams that go wrong at the provider, as a client of each protocol reads them to their end."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from replay import Json, Replay, Reply, bodies_of, record_of, replaying, stream, whole
from test_protocol_errors import HELLO, PATHS, PROFILES, WORDS

ROUTES = {
    "chat to chat": ("chat", "chat"),
    "chat to messages": ("chat", "claude"),  # through litellm
    "responses to responses": ("responses", "responder"),
    "responses to chat": ("responses", "chat"),
    "responses to messages": ("responses", "claude"),  # through litellm
    "messages to messages": ("messages", "claude"),
    "messages to chat": ("messages", "chat"),
}
TO_CHAT = [name for name, route in ROUTES.items() if route[1] == "chat"]
CLEAN_ENDS = ("[DONE]", "message_stop", "response.completed", "response.incomplete")


def chunk(delta: Json, reason: str | None = None) -> Json:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return {"id": "c1", "object": "chat.completion.chunk", "model": "m", "choices": [choice]}


def delta(text: str) -> Json:
    words = {"type": "text_delta", "text": text}
    return {"type": "content_block_delta", "index": 0, "delta": words}


def said(text: str) -> Json:
    place = {"output_index": 0, "content_index": 0, "item_id": "msg_1"}
    return {"type": "response.output_text.delta", **place, "delta": text}


STARTED = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": []}
RESPONSE: Json = {"id": "resp_1", "object": "response", "status": "in_progress", "output": []}
COUNTS = {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}
BEGINNINGS: dict[str, list[Json]] = {
    "chat": [chunk({"role": "assistant", "content": "Hel"}), chunk({"content": "lo"})],
    "claude": [
        {
            "type": "message_start",
            "message": {**STARTED, "usage": {"input_tokens": 9, "output_tokens": 1}},
        },
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        delta("Hel"),
        delta("lo"),
    ],
    "responder": [{"type": "response.created", "response": RESPONSE}, said("Hel"), said("lo")],
}
ERRORS: dict[str, Json] = {
    "chat": {"error": {"message": WORDS, "code": 529}},
    "claude": {"type": "error", "error": {"type": "overloaded_error", "message": WORDS}},
    "responder": {"type": "error", "code": "server_error", "message": WORDS, "param": None},
}
FAILED = {
    "type": "response.failed",
    "response": {**RESPONSE, "status": "failed", "error": {"code": "x", "message": WORDS}},
}
END: list[Any] = [chunk({}, "stop"), {"choices": [], "usage": COUNTS}, b"data: [DONE]\n\n"]


@pytest.fixture(scope="module")
def served(
    redis_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Replay, list[httpx.Client]]]:
    profiles = {**PROFILES, "second": PROFILES["chat"]}
    pool = ("chat", "second")
    with replaying(redis_server, tmp_path_factory, profiles, {}, pool=pool) as served:
        yield served


@pytest.fixture
def replay(served: tuple[Replay, list[httpx.Client]]) -> Replay:
    return served[0]


@pytest.fixture
def http(served: tuple[Replay, list[httpx.Client]]) -> httpx.Client:
    return served[1][0]


def ask(http: httpx.Client, protocol: str, model: str) -> httpx.Response:
    prompt: Json = {"input": "hello"} if protocol == "responses" else {"messages": HELLO}
    limit = {"max_tokens": 50} if protocol == "messages" else {}
    body = {"model": model, "stream": True, **prompt, **limit}
    return http.post(f"/v1/{PATHS[protocol]}", json=body)


def is_error(event: Json | str) -> bool:
    return isinstance(event, dict) and (bool(event.get("error")) or event.get("type") == "error")


def text_of(events: list[Any]) -> str:
    """What was said, in whatever protocol."""
    text = ""
    for event in events:
        for choice in event.get("choices", ()):
            text += choice["delta"].get("content") or ""
        piece = event.get("delta")
        text += piece.get("text", "") if isinstance(piece, dict) else piece or ""
    return text


def check_broken(protocol: str, answer: httpx.Response, words: str) -> None:
    """One error event, the last, in the protocol's shape; no clean end."""
    assert answer.status_code == 200
    events = list(bodies_of(answer.text))
    for end in CLEAN_ENDS:
        assert end not in answer.text
    assert [is_error(event) for event in events] == [*[False] * (len(events) - 1), True]
    error: Any = events[-1]
    assert text_of(events) == "Hello"
    if protocol == "responses":
        assert set(error) == {"type", "sequence_number", "code", "message", "param"}
        assert "event: error\n" in answer.text
    elif protocol == "messages":
        assert (error["type"], set(error["error"])) == ("error", {"type", "message"})
        assert error["request_id"] == answer.headers["request-id"]
        assert "event: error\n" in answer.text
    else:
        assert set(error["error"]) == {"message", "type", "param", "code"}
        assert "event:" not in answer.text
    message = error["message"] if protocol == "responses" else error["error"]["message"]
    assert words in message
    for secret in ("litellm", "Traceback", "127.0.0.1"):
        assert secret not in answer.text


@pytest.mark.parametrize("route", ROUTES)
def test_an_error_in_the_middle(replay: Replay, http: httpx.Client, route: str) -> None:
    protocol, model = ROUTES[route]
    replay.say(stream(*BEGINNINGS[model], ERRORS[model]))
    answer = ask(http, protocol, model)
    check_broken(protocol, answer, WORDS)
    record = record_of(http, answer)
    assert (record["status"], record["served_by"]) == ("error", model)
    assert record["cost_status"] == "estimated"


def test_a_response_that_failed_in_the_middle(replay: Replay, http: httpx.Client) -> None:
    replay.say(stream(*BEGINNINGS["responder"], FAILED))
    check_broken("responses", ask(http, "responses", "responder"), WORDS)


@pytest.mark.parametrize(
    "route", [name for name in ROUTES if name not in ("chat to messages", "responses to messages")]
)
@pytest.mark.parametrize(
    "tail", [b"", b'data: {"choices": [{"delta": {"con'], ids=["clean", "half"]
)
def test_a_stream_without_its_end(
    replay: Replay, http: httpx.Client, route: str, tail: bytes
) -> None:
    """Half an event at the end is not handed on: clients can't parse it."""
    protocol, model = ROUTES[route]
    replay.say(stream(*BEGINNINGS[model], tail=tail))
    check_broken(protocol, ask(http, protocol, model), "broke off")


@pytest.mark.parametrize("route", ["chat to messages", "responses to messages"])
def test_a_stream_without_its_end_that_litellm_reads(
    replay: Replay, http: httpx.Client, route: str
) -> None:
    protocol, model = ROUTES[route]
    replay.say(stream(*BEGINNINGS[model]))
    check_broken(protocol, ask(http, protocol, model), "broke off")


@pytest.mark.parametrize("protocol", PATHS)
@pytest.mark.parametrize(
    "first",
    [
        pytest.param(stream(ERRORS["chat"]), id="an error event"),
        pytest.param(
            stream(b": OPENROUTER PROCESSING\n\n" * 3, ERRORS["chat"]), id="after comments"
        ),
        pytest.param(stream(b""), id="no event"),
        pytest.param(stream(b": OPENROUTER PROCESSING\n\n"), id="only a comment"),
        pytest.param(whole({"error": {"message": WORDS, "code": 503}}), id="an error as JSON"),
        pytest.param(Reply(b"<html>", media_type="text/html"), id="a page"),
    ],
)
def test_what_fails_before_the_first_event_falls_back(
    replay: Replay, http: httpx.Client, protocol: str, first: Reply
) -> None:
    replay.say(first, stream(*BEGINNINGS["chat"], *END))
    answer = ask(http, protocol, "auto")
    assert answer.status_code == 200, answer.text
    assert WORDS not in answer.text
    assert text_of([e for e in bodies_of(answer.text) if isinstance(e, dict)]) == "Hello"
    assert answer.headers["x-hydra-reason"] == "fallback"
    record = record_of(http, answer)
    assert [attempt["status"] == 200 for attempt in record["attempts"]] == [False, True]


@pytest.mark.parametrize("route", TO_CHAT)
def test_comments_are_no_events(replay: Replay, http: httpx.Client, route: str) -> None:
    protocol, model = ROUTES[route]
    comment = b": OPENROUTER PROCESSING\n\n"
    first, second = BEGINNINGS["chat"]
    replay.say(stream(comment, comment, first, comment, second, *END, comment))
    answer = ask(http, protocol, model)
    assert "OPENROUTER" not in answer.text
    assert any(end in answer.text for end in CLEAN_ENDS)
    assert record_of(http, answer)["usage"]["prompt"] == 9


@pytest.mark.parametrize("route", TO_CHAT)
def test_events_that_are_no_json_break_nothing(
    replay: Replay, http: httpx.Client, route: str
) -> None:
    protocol, model = ROUTES[route]
    first, second = BEGINNINGS["chat"]
    odd = (b"data: keep going\n\n", b"event: note\ndata: [1, 2]\n\n", b"data: \n\n")
    replay.say(stream(first, *odd, second, *END))
    answer = ask(http, protocol, model)
    assert any(end in answer.text for end in CLEAN_ENDS)
    assert ("data: keep going" in answer.text) == (protocol == "chat")
    assert text_of([e for e in bodies_of(answer.text) if isinstance(e, dict)]) == "Hello"
    assert record_of(http, answer)["status"] == "ok"
