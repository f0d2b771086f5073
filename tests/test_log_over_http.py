"""The log from outside: what is listed and summed up, and what an outage of Redis changes."""

import signal
import time
from collections import Counter
from collections.abc import Callable
from decimal import Decimal

import httpx
from gateways import StartGateway
from log_fixtures import Server
from test_chat_completions import ask
from upstream_stub import UpstreamStub


def all_decisions(http: httpx.Client) -> list[dict]:
    """Every page of the listing."""
    found: list[dict] = []
    cursor = None
    while True:
        parameters = {"limit": "50"} | ({"cursor": cursor} if cursor else {})
        page = http.get("/v1/decisions", params=parameters).json()
        found += page["data"]
        cursor = page["next_cursor"]
        if not page["has_more"]:
            return found


def wait_for(http: httpx.Client, count: int) -> list[dict]:
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        answer = http.get("/v1/decisions", params={"limit": "1"})
        if answer.status_code == 200 and len(found := all_decisions(http)) >= count:
            return found
        time.sleep(0.1)
    raise AssertionError("the decisions did not arrive in 15 s")


def test_redis_killed_and_started_again_loses_nothing_and_doubles_nothing(
    start_gateway: StartGateway, new_server: Callable[..., Server], upstream: UpstreamStub
) -> None:
    redis = new_server()
    ids = []
    with start_gateway(HYDRA_REDIS_URL=redis.url).http() as http:
        for number in range(60):
            if number == 20:
                redis.kill()
            if number == 40:
                redis.start()
            answer = ask(http, "auto:peak" if number % 3 else "auto:aggressive")
            assert answer.status_code == 200
            ids.append(answer.headers["x-hydra-decision-id"])
        found = wait_for(http, 60)
        assert Counter(record["id"] for record in found) == Counter(ids)
        rows = http.get("/v1/costs").json()["data"]
        assert sum(row["requests"] for row in rows) == 60
        total = sum(Decimal(row["cost_usd"]) for row in rows)
        assert total == sum(Decimal(record["cost_usd"]) for record in found)


def test_a_redis_that_hangs_slows_nobody_down(
    start_gateway: StartGateway, new_server: Callable[..., Server], upstream: UpstreamStub
) -> None:
    """Stopped with SIGSTOP, Redis accepts and never answers: the worst kind of outage."""
    redis = new_server()
    with start_gateway(HYDRA_REDIS_URL=redis.url).http() as http:
        ask(http)
        redis.signal(signal.SIGSTOP)
        try:
            answers = [ask(http) for _ in range(10)]
            assert {answer.status_code for answer in answers} == {200}
            assert all(answer.elapsed.total_seconds() < 1 for answer in answers)
            last = answers[-1].headers["x-hydra-decision-id"]
            assert http.get(f"/v1/decisions/{last}").json()["id"] == last
            refused = http.get("/v1/costs")
            assert (refused.status_code, refused.json()["error"]["code"]) == (
                503,
                "log_unavailable",
            )
        finally:
            redis.signal(signal.SIGCONT)
        assert len(wait_for(http, 11)) == 11


def test_readiness_tells_the_truth_about_redis(
    start_gateway: StartGateway, new_server: Callable[..., Server], upstream: UpstreamStub
) -> None:
    redis = new_server()
    with start_gateway(HYDRA_REDIS_URL=redis.url).http() as http:
        ask(http)
        wait_for(http, 1)
        ready = http.get("/readyz")
        assert (ready.status_code, ready.json()["status"]) == (200, "ready")
        redis.kill()
        deadline = time.monotonic() + 10
        while http.get("/readyz").json()["checks"]["redis"]["ok"]:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert ask(http).status_code == 200
        ready = http.get("/readyz")
        assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
        redis.start()


def test_costs_add_up_to_the_decisions_to_the_last_digit(
    start_gateway: StartGateway, new_server: Callable[..., Server], upstream: UpstreamStub
) -> None:
    redis = new_server()
    with start_gateway(HYDRA_REDIS_URL=redis.url, HYDRA_API_KEYS="alice=a,bob=b").http() as http:
        for number in range(30):
            model = ("auto:aggressive", "auto:peak", "small", "status-503", "no-usage")[number % 5]
            http.headers["x-api-key"] = "ab"[number % 2]
            controls = {"tags": ["t1", "t2"][: number % 3], "session": f"s{number % 4}"}
            user = {"user": "mary"} if number % 2 else {}
            ask(http, model, hydra=controls, **user)
        found = wait_for(http, 30)
        known = [record for record in found if record["cost_usd"] is not None]
        spent = sum(Decimal(record["cost_usd"]) for record in known)
        saved = sum(Decimal(record["savings_usd"]) for record in known)
        for group_by in (
            *("model", "key", "mode", "pool", "day", "hour", "user", "session", "model,key,mode"),
            *("pool,hour", "day,user", "model,session", "model,key,mode,pool,day,user"),
        ):
            rows = http.get("/v1/costs", params={"group_by": group_by}).json()["data"]
            assert sum(row["requests"] for row in rows) == 30, group_by
            assert sum(row["unknown_cost_requests"] for row in rows) == 30 - len(known)
            money = [row for row in rows if row["cost_usd"] is not None]
            assert sum(Decimal(row["cost_usd"]) for row in money) == spent, group_by
            assert sum(Decimal(row["savings_usd"]) for row in money) == saved, group_by
        tags = {
            row["tag"]: row["requests"] for row in http.get("/v1/costs?group_by=tag").json()["data"]
        }
        assert tags == {"": 10, "t1": 20, "t2": 10}
        users = http.get("/v1/costs?group_by=user").json()["data"]
        assert {row["user"]: row["requests"] for row in users} == {"": 15, "mary": 15}
        for wrong in ("tag,user", "user,session", "session,hour"):
            refused = http.get("/v1/costs", params={"group_by": wrong})
            assert (refused.status_code, refused.json()["error"]["param"]) == (400, "group_by")
        table = http.get("/v1/costs?group_by=model&format=csv")
        assert table.headers["content-type"].startswith("text/csv")
        assert table.text.splitlines()[0].startswith("model,requests,prompt_tokens")


def test_filters_and_pages(
    start_gateway: StartGateway, new_server: Callable[..., Server], upstream: UpstreamStub
) -> None:
    redis = new_server()
    with start_gateway(HYDRA_REDIS_URL=redis.url).http() as http:
        for number in range(12):
            ask(http, "auto:peak" if number % 2 else "auto:aggressive")
        found = wait_for(http, 12)
        assert [record["ts"] for record in found] == sorted(
            (record["ts"] for record in found), reverse=True
        )
        small = http.get("/v1/decisions", params={"model": "small"}).json()
        assert {record["served_by"] for record in small["data"]} == {"small"}
        assert (len(small["data"]), small["has_more"], small["next_cursor"]) == (6, False, None)
        first = http.get("/v1/decisions", params={"mode": "peak", "limit": "4"}).json()
        assert first["has_more"]
        rest = http.get(
            "/v1/decisions", params={"mode": "peak", "cursor": first["next_cursor"]}
        ).json()
        ids = [record["id"] for record in first["data"] + rest["data"]]
        assert len(set(ids)) == len(ids) == 6
