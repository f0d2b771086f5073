"""POST /v1/feedback: one score for a decision, joined to it wherever it is read."""

import time

import httpx
import pytest
from gateways import Gateway, StartGateway
from test_chat_completions import ask, decision_of
from upstream_stub import UpstreamStub


def give(http: httpx.Client, decision_id: str, **fields: object) -> httpx.Response:
    return http.post("/v1/feedback", json={"decision_id": decision_id, **fields})


def test_feedback_is_in_the_decision_and_in_lists(http: httpx.Client) -> None:
    answer = ask(http, hydra={"tags": ["judged"]})
    decision_id = answer.headers["x-hydra-decision-id"]
    given = give(http, decision_id, score=0.25, comment="so so, ünd zwar")
    assert given.status_code == 200, given.text
    assert given.json()["score"] == 0.25
    record = decision_of(http, answer)
    assert record["feedback"]["score"] == 0.25
    assert record["feedback"]["comment"] == "so so, ünd zwar"
    deadline = time.monotonic() + 5
    while not (found := http.get("/v1/decisions", params={"tag": "judged"}).json()["data"]):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert found[0]["feedback"]["score"] == 0.25


def test_the_last_feedback_counts(http: httpx.Client) -> None:
    answer = ask(http)
    for score in (0, 1):
        give(http, answer.headers["x-hydra-decision-id"], score=score)
    assert decision_of(http, answer)["feedback"]["score"] == 1
    assert decision_of(http, answer)["feedback"]["comment"] is None


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        pytest.param({}, "score", id="no score"),
        pytest.param({"score": 1.01}, "score", id="too large"),
        pytest.param({"score": -1}, "score", id="negative"),
        pytest.param({"score": True}, "score", id="a boolean"),
        pytest.param({"score": "1"}, "score", id="text"),
        pytest.param({"score": 1, "comment": 5}, "comment", id="comment is a number"),
        pytest.param({"score": 1, "comment": "x" * 2001}, "comment", id="comment too long"),
        pytest.param({"score": 1, "stars": 5}, "stars", id="unknown field"),
        pytest.param({"score": 1, "decision_id": 7}, "decision_id", id="id is a number"),
    ],
)
def test_wrong_feedback_is_refused_with_its_field(
    http: httpx.Client, fields: dict[str, object], param: str
) -> None:
    answer = http.post("/v1/feedback", json={"decision_id": "x", **fields})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


def test_feedback_on_no_decision_is_not_found(http: httpx.Client) -> None:
    answer = give(http, "01a20dd6-f10b-7449-86af-3342698fe458", score=1)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "decision_not_found")


def test_a_key_judges_its_own_decisions_only(
    start_gateway: StartGateway, upstream: UpstreamStub
) -> None:
    gateway: Gateway = start_gateway(HYDRA_API_KEYS="a=key-a,b=key-b", HYDRA_ADMIN_KEY="admin")

    def client(key: str) -> httpx.Client:
        return gateway.http(headers={"authorization": f"Bearer {key}"})

    with client("key-a") as a, client("key-b") as b, client("admin") as admin:
        decision_id = ask(a).headers["x-hydra-decision-id"]
        assert give(b, decision_id, score=0).status_code == 404
        assert give(a, decision_id, score=1).json()["key_id"] == "a"
        assert give(admin, decision_id, score=0.5).status_code == 200
