"""Where in a stream servers put their counts, through either lane: the bill is exact all the same.

Complaints about other gateways, as cases: counts beside choices that were lost and guessed anew,
cached tokens billed as fresh ones, large answers read again when their client left.
"""

import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from replay import Json, Replay, Reply, record_of, replaying, stream
from test_protocol_errors import HELLO, PROFILES

CACHED = {"cached_tokens": 800, "cache_write_tokens": 100}
COUNTS = {
    **{"prompt_tokens": 1000, "completion_tokens": 20, "total_tokens": 1020},
    **{"prompt_tokens_details": CACHED, "completion_tokens_details": {"reasoning_tokens": 5}},
}
# 100 plain tokens at 1 dollar a million, 800 at 0.1, 100 at 1.25, 20 at 5.
USD = "0.000405"
DONE = b"data: [DONE]\n\n"


def chunk(*choices: Json, **fields: Any) -> Json:
    head = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return {**head, "choices": list(choices), **fields}


def choice(text: str | None = None, reason: str | None = None) -> Json:
    return {"index": 0, "delta": {"content": text} if text else {}, "finish_reason": reason}


HELLO_CHUNK = chunk(choice("Hello"), usage=None)
STREAMS = {
    "in a chunk of its own": [chunk(choice(reason="stop")), chunk(usage=COUNTS), DONE],
    "beside an empty choice": [chunk(choice(reason="stop")), chunk(choice(), usage=COUNTS), DONE],
    "beside the finished choice once more": [
        *(chunk(choice(reason="stop")), chunk(choice(reason="stop"), usage=COUNTS)),
        DONE,
    ],
    "in the chunk that finishes": [chunk(choice(reason="stop"), usage=COUNTS), DONE],
    "in the chunk of the last word": [chunk(choice(" you", "stop"), usage=COUNTS), DONE],
    "in every chunk": [
        chunk(choice(" you"), usage={**COUNTS, "completion_tokens": 2, "total_tokens": 1002}),
        *(chunk(choice(reason="stop"), usage=COUNTS), chunk(usage=COUNTS), DONE),
    ],
    "without the last word": [chunk(choice(reason="stop")), chunk(usage=COUNTS)],
}


@pytest.fixture(scope="module")
def served(
    redis_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Replay, list[httpx.Client]]]:
    """The provider; a gateway, and one whose every request goes through litellm."""
    lanes = ({}, {"HYDRA_UPSTREAM": "litellm"})
    with replaying(redis_server, tmp_path_factory, PROFILES, *lanes) as served:
        yield served


@pytest.fixture
def replay(served: tuple[Replay, list[httpx.Client]]) -> Replay:
    return served[0]


@pytest.fixture(params=[0, 1], ids=["fast lane", "slow lane"])
def http(served: tuple[Replay, list[httpx.Client]], request: pytest.FixtureRequest) -> httpx.Client:
    return served[1][request.param]


def streamed(http: httpx.Client, model: str, path: str = "chat/completions") -> httpx.Response:
    limit = {"max_tokens": 50} if path == "messages" else {}
    body = {"model": model, "stream": True, "messages": HELLO, **limit}
    answer = http.post(f"/v1/{path}", json=body)
    assert answer.status_code == 200, answer.text
    return answer


@pytest.mark.parametrize("place", STREAMS)
@pytest.mark.parametrize("model", ["chat", "openai"])
@pytest.mark.parametrize("path", ["chat/completions", "messages"])
def test_counts_are_found_wherever_they_are(
    replay: Replay, http: httpx.Client, model: str, path: str, place: str
) -> None:
    replay.say(stream(HELLO_CHUNK, *STREAMS[place]))
    record = record_of(http, streamed(http, model, path))
    assert (record["status"], record["cost_usd"], record["cost_status"]) == ("ok", USD, "exact")
    usage = record["usage"]
    found = [usage[name] for name in ("prompt", "cached", "cache_write", "completion", "reasoning")]
    assert found == [1000, 800, 100, 20, 5]


def test_counts_that_came_before_a_break_are_billed_and_nothing_is_guessed(
    replay: Replay, served: tuple[Replay, list[httpx.Client]]
) -> None:
    """A choice that never finishes: the stream broke, but the provider has counted. In the fast
    lane: litellm keeps counts for an end that does not come."""
    replay.say(stream(HELLO_CHUNK, chunk(choice(" you"), usage=COUNTS)))
    http = served[1][0]
    record = record_of(http, streamed(http, "chat"))
    assert (record["status"], record["cost_usd"], record["cost_status"]) == ("error", USD, "exact")


def test_a_claude_stream_that_breaks_keeps_what_its_start_said_of_the_cache(
    replay: Replay, served: tuple[Replay, list[httpx.Client]]
) -> None:
    """Not a prompt of our own guess at the full price."""
    counts = {"input_tokens": 100, "cache_read_input_tokens": 800, "output_tokens": 1}
    message = {"id": "m", "type": "message", "role": "assistant", "model": "m", "content": []}
    delta = {"type": "text_delta", "text": "Hello you"}
    replay.say(
        stream(
            {"type": "message_start", "message": {**message, "usage": counts}},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text"}},
            {"type": "content_block_delta", "index": 0, "delta": delta},
        )
    )
    http = served[1][0]
    record = record_of(http, streamed(http, "claude", "messages"))
    assert (record["status"], record["cost_status"]) == ("error", "estimated")
    assert record["cost_usd"] == "0.000195"  # 100 at 1, 800 at 0.1, 9 bytes of text: 3 at 5


def test_a_client_that_leaves_a_large_answer_holds_nobody_up(
    replay: Replay, http: httpx.Client
) -> None:
    """Its text was counted as it passed, and is not read again."""
    pieces = [f"{number} {'größer ' * 1000}" for number in range(2000)]  # 18 MB of text

    def endless() -> Iterator[bytes]:
        for piece in pieces:
            yield from stream(chunk(choice(piece))).body
        time.sleep(5)

    replay.say(Reply(endless(), media_type="text/event-stream"))
    body = {"model": "chat", "stream": True, "messages": HELLO}
    text = b""
    with http.stream("POST", "/v1/chat/completions", json=body) as answer:
        for line in answer.iter_lines():
            text += line.encode()
            if len(text) > 8 * 2**20:
                break
    slowest = 0.0
    for _ in range(20):
        started = time.monotonic()
        assert http.get("/readyz").status_code == 200
        slowest = max(slowest, time.monotonic() - started)
    assert slowest < 2
    deadline = time.monotonic() + 10
    while (record := record_of(http, answer))["status"] == "started":
        assert time.monotonic() < deadline, record
        time.sleep(0.05)
    assert (record["status"], record["cost_status"]) == ("aborted", "estimated")
    assert record["usage"]["completion"] > 8 * 2**20 / 4 / 2
