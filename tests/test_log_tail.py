"""GET /v1/decisions/stream over a socket: what comes, in which order, and when it ends."""

import contextlib
import json
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from gateways import Gateway, StartGateway
from log_fixtures import Server
from redis import Redis
from test_chat_completions import ask
from test_serve import start
from upstream_stub import UpstreamStub

PATH = "/v1/decisions/stream"


class Tail:
    """The lines of an open stream, one event or comment at a time."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._lines = response.iter_lines()

    def block(self) -> dict[str, str]:
        """The fields of the next event; a comment's name is empty."""
        fields: dict[str, str] = {}
        for line in self._lines:
            if not line:
                return fields
            name, _, value = line.partition(":")
            fields[name] = value.strip()
        raise EOFError

    def event(self) -> tuple[str, dict]:
        """The next event's id and record."""
        while "data" not in (fields := self.block()):
            pass
        assert list(fields) == ["id", "event", "data"]
        assert fields["event"] == "decision"
        return fields["id"], json.loads(fields["data"])


@contextlib.contextmanager
def tail(
    gateway: Gateway, headers: dict[str, str] | None = None, **parameters: str
) -> Iterator[Tail]:
    with (
        gateway.http(headers=headers) as http,
        http.stream("GET", PATH, params=parameters) as response,
    ):
        assert response.status_code == 200, response.read()
        assert response.headers["content-type"].startswith("text/event-stream")
        opened = Tail(response)
        assert opened.block() == {"": "keep-alive"}
        time.sleep(0.3)  # until it knows what "now" is
        yield opened


def asked(gateway: Gateway, model: str = "auto:peak", key: str = "", **fields: object) -> str:
    """A request served; the id of its decision."""
    with gateway.http(headers={"x-api-key": key}) as http:
        return ask(http, model, **fields).headers["x-hydra-decision-id"]


def test_the_tail_sends_what_is_logged_from_now_on(
    start_gateway: StartGateway, new_server: Callable[..., Server], upstream: UpstreamStub
) -> None:
    gateway = start_gateway(HYDRA_REDIS_URL=new_server().url)
    asked(gateway)
    time.sleep(1)
    with tail(gateway) as opened:
        ids = [asked(gateway, user="mary") for _ in range(3)]
        began = time.monotonic()
        events = [opened.event() for _ in ids]
        assert time.monotonic() - began < 2
    assert [record["id"] for _, record in events] == ids
    with gateway.http() as http:
        listed = http.get("/v1/decisions", params={"limit": "3"}).json()["data"]
    assert [record for _, record in events] == listed[::-1]
    assert [record["user"] for record in listed] == ["mary"] * 3


def test_the_tail_goes_on_after_the_last_event_a_client_saw(
    start_gateway: StartGateway, new_server: Callable[..., Server], upstream: UpstreamStub
) -> None:
    gateway = start_gateway(HYDRA_REDIS_URL=new_server().url)
    with tail(gateway) as opened:
        ids = [asked(gateway) for _ in range(3)]
        places = [opened.event()[0] for _ in ids]
    for headers, parameters in (
        ({"last-event-id": places[0]}, {}),
        ({}, {"cursor": places[0]}),
        ({"last-event-id": places[0]}, {"cursor": places[1]}),
        ({"last-event-id": places[0]}, {"mode": "peak"}),
    ):
        with tail(gateway, headers, **parameters) as opened:
            assert [opened.event()[1]["id"] for _ in ids[1:]] == ids[1:]


def test_the_tail_takes_the_lists_filters(
    start_gateway: StartGateway, new_server: Callable[..., Server], upstream: UpstreamStub
) -> None:
    gateway = start_gateway(HYDRA_REDIS_URL=new_server().url)
    with (
        tail(gateway, mode="aggressive", tag="t") as opened,
        tail(gateway, model="nobody", cursor="1-0") as silent,
    ):
        asked(gateway, "auto:aggressive")
        asked(gateway, "auto:peak", hydra={"tags": ["t"]})
        wanted = [asked(gateway, "auto:aggressive", hydra={"tags": ["t"]}) for _ in range(2)]
        assert [opened.event()[1]["id"] for _ in wanted] == wanted
        assert silent.block() == {"": "keep-alive"}  # after ten seconds


def test_a_key_sees_only_its_own_in_the_tail(
    start_gateway: StartGateway, new_server: Callable[..., Server], upstream: UpstreamStub
) -> None:
    gateway = start_gateway(
        HYDRA_REDIS_URL=new_server().url, HYDRA_API_KEYS="alice=a,bob=b", HYDRA_ADMIN_KEY="admin"
    )
    with (
        tail(gateway, {"x-api-key": "b"}, key="alice") as own,
        tail(gateway, {"x-api-key": "admin"}) as everyones,
    ):
        ids = {key: asked(gateway, key=key) for key in ("a", "b")}
        assert own.event()[1]["id"] == ids["b"]
        assert [everyones.event()[1]["id"] for _ in ids] == list(ids.values())
    with gateway.http() as http:
        assert http.get(PATH).status_code == 401


@pytest.mark.parametrize(
    ("query", "headers", "param"),
    [
        ("colour=red", {}, "colour"),
        ("limit=5", {}, "limit"),
        ("since=yesterday", {}, "since"),
        ("cursor=abc", {}, "cursor"),
        ("", {"last-event-id": "abc"}, "last-event-id"),
    ],
)
def test_a_wrong_question_to_the_tail_is_a_400(
    query: str, headers: dict[str, str], param: str, http: httpx.Client
) -> None:
    answer = http.get(f"{PATH}?{query}", headers=headers)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


def test_the_tail_outlives_an_outage_of_redis(
    start_gateway: StartGateway, new_server: Callable[..., Server], upstream: UpstreamStub
) -> None:
    redis = new_server()
    gateway = start_gateway(HYDRA_REDIS_URL=redis.url)
    with tail(gateway) as opened:
        ids = [asked(gateway)]
        assert opened.event()[1]["id"] == ids[0]
        redis.kill()
        assert "cannot be read now" in opened.block()[""]
        ids.append(asked(gateway))
        redis.start()
        ids.append(asked(gateway))
        assert [opened.event()[1]["id"] for _ in ids[1:]] == ids[1:]


def test_a_tail_begun_while_redis_is_away_sends_what_came_since(
    start_gateway: StartGateway, new_server: Callable[..., Server], upstream: UpstreamStub
) -> None:
    redis = new_server()
    gateway = start_gateway(HYDRA_REDIS_URL=redis.url)
    redis.kill()
    with tail(gateway) as opened:
        assert "cannot be read now" in opened.block()[""]
        wanted = asked(gateway)
        redis.start()
        assert opened.event()[1]["id"] == wanted


def test_a_client_that_leaves_ends_its_tail(
    start_gateway: StartGateway, new_server: Callable[..., Server], upstream: UpstreamStub
) -> None:
    redis = new_server()
    gateway = start_gateway(HYDRA_REDIS_URL=redis.url)
    with tail(gateway):
        time.sleep(0.2)
    time.sleep(1)
    with Redis.from_url(redis.url) as watching:
        before = watching.info("commandstats").get("cmdstat_xrange", {"calls": 0})["calls"]
        time.sleep(1.5)
        after = watching.info("commandstats").get("cmdstat_xrange", {"calls": 0})["calls"]
    assert after == before


def test_a_tail_does_not_hold_up_a_stop(tmp_path: Path) -> None:
    served = start(tmp_path, "demo")
    try:
        with httpx.stream("GET", served.url + PATH) as response:
            opened = Tail(response)
            opened.block()
            served.process.send_signal(signal.SIGTERM)
            began = time.monotonic()
            with pytest.raises(EOFError):
                opened.block()
        assert served.process.wait(timeout=30) == 0
        assert time.monotonic() - began < 10
    finally:
        served.process.kill()
