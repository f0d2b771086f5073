"""POST /v1/chat/completions from outside: routing, headers, passing through, records."""

from decimal import Decimal

import httpx
import pytest
from gateways import PROVIDER_KEY, Gateway, StartGateway
from upstream_stub import UpstreamStub

HELLO = [{"role": "user", "content": "hello"}]


def ask(http: httpx.Client, model: str = "auto:aggressive", **fields: object) -> httpx.Response:
    return http.post("/v1/chat/completions", json={"model": model, "messages": HELLO, **fields})


def decision_of(http: httpx.Client, answer: httpx.Response) -> dict:
    found = http.get(f"/v1/decisions/{answer.headers['x-hydra-decision-id']}")
    assert found.status_code == 200, found.text
    return found.json()


def test_auto_answers_and_says_who_and_why(http: httpx.Client) -> None:
    answer = ask(http)
    assert answer.status_code == 200, answer.text
    assert answer.json()["choices"][0]["message"]["content"] == "Hello from ok"
    headers = answer.headers
    assert headers["x-hydra-model"] == "small"
    assert headers["x-hydra-reason"] == "cheapest_sufficient"
    assert headers["x-hydra-threshold"] == "5"
    assert 0 < float(headers["x-hydra-shortfall"]) < 5
    assert float(headers["x-hydra-router-ms"]) > 0
    requirements = dict(pair.split("=") for pair in headers["x-hydra-requirements"].split(","))
    assert list(requirements) == ["reasoning", "code_generation", "debugging", "tool_use"]
    assert all(0 <= float(value) <= 1 for value in requirements.values())


def test_the_mode_changes_who_answers(http: httpx.Client) -> None:
    assert ask(http, "auto:aggressive").headers["x-hydra-model"] == "small"
    assert ask(http, "auto:peak").headers["x-hydra-model"] == "large"


def test_cost_and_savings_are_exact(http: httpx.Client) -> None:
    """100 prompt tokens of which 40 cached, 20 completion tokens; 1/0.1/5 against 10/1/50 $/M."""
    headers = ask(http).headers
    assert Decimal(headers["x-hydra-cost-usd"]) == Decimal("0.000164")
    assert Decimal(headers["x-hydra-savings-usd"]) == Decimal("0.00164") - Decimal("0.000164")


def test_a_profiles_name_is_passed_through_logged_and_priced(
    http: httpx.Client, upstream: UpstreamStub
) -> None:
    answer = ask(http, "large")
    assert upstream.models == ["ok-large"]
    assert answer.headers["x-hydra-reason"] == "pinned"
    assert answer.headers["x-hydra-model"] == "large"
    record = decision_of(http, answer)
    assert record["model_requested"] == "large"
    assert record["requirements"] is None
    assert record["cost_usd"] == "0.00164"


def test_the_body_passes_through_but_for_model_and_hydra(
    http: httpx.Client, upstream: UpstreamStub
) -> None:
    fields = {
        "temperature": 0.25,
        "top_p": 0.5,
        "seed": 7,
        "stop": ["X"],
        "user": "u",
        "max_tokens": 50,
        "a_parameter_of_tomorrow": {"deep": [1, 2]},
        "metadata": {"k": "v"},
    }
    ask(http, **fields, hydra={"tags": ["x"]})
    sent = upstream.requests[0]
    assert sent["model"] == "ok"
    assert sent["messages"] == HELLO
    assert "hydra" not in sent
    assert {name: sent.get(name) for name in fields} == fields


@pytest.mark.parametrize(
    "name", ["api_base", "api_key", "base_url", "custom_llm_provider", "mock_response", "timeout"]
)
def test_a_caller_cannot_steer_where_our_key_goes(
    http: httpx.Client, upstream: UpstreamStub, name: str
) -> None:
    """These are litellm's own argument names: as body fields they must stay plain fields."""
    answer = ask(http, **{name: "http://127.0.0.1:9/stolen"})
    assert answer.status_code == 200
    assert answer.json()["choices"][0]["message"]["content"] == "Hello from ok"
    assert upstream.headers[0]["authorization"] == f"Bearer {PROVIDER_KEY}"


def test_tool_calls_come_back(http: httpx.Client) -> None:
    tool = {"type": "function", "function": {"name": "look_up", "parameters": {}}}
    choice = ask(http, "tools", tools=[tool]).json()["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["tool_calls"][0]["function"]["name"] == "look_up"
    assert choice["message"]["content"] is None


def test_the_record_tells_the_whole_story(http: httpx.Client) -> None:
    answer = ask(http, hydra={"session": "s-1", "tags": ["a", "b"]})
    record = decision_of(http, answer)
    assert record["schema"] == 1
    assert record["status"] == "ok"
    assert record["chosen"] == record["served_by"] == "small"
    assert record["runner_up"] == "large"
    assert record["mode"] == "aggressive"
    assert record["pool"] == "default"
    assert record["session"] == "s-1"
    assert record["tags"] == ["a", "b"]
    assert record["usage"] == {
        "prompt": 100,
        "cached": 40,
        "cache_write": 0,
        "completion": 20,
        "reasoning": 5,
        "audio": 0,
    }
    assert record["cost_status"] == "exact"
    assert record["baseline"] == "large"
    assert [attempt["status"] for attempt in record["attempts"]] == [200]
    assert {candidate["model"] for candidate in record["candidates"]} == {"small", "large"}
    assert record["finish_reason"] == "stop"
    assert record["prompt_chars"] == 5
    assert len(record["prompt_sha256"]) == 64
    assert "hello" not in str(record)


@pytest.mark.parametrize("stream", [False, True])
def test_what_the_provider_says_that_it_bills_is_the_cost(http: httpx.Client, stream: bool) -> None:
    record = decision_of(http, ask(http, stream=stream, bill={"cost": 0.00095}))
    assert (record["cost_usd"], record["cost_status"]) == ("0.00095", "exact")
    assert record["cost_source"] == "provider"
    assert "cost_source" not in decision_of(http, ask(http, stream=stream))


@pytest.mark.parametrize("stream", [False, True])
def test_the_service_that_answered_is_in_the_record(http: httpx.Client, stream: bool) -> None:
    record = decision_of(http, ask(http, stream=stream, service_tier="flex"))
    assert record["usage"]["service_tier"] == "flex"
    assert record["cost_status"] == "estimated"  # small has no rates for it


def test_with_explain_the_answer_carries_its_decision(http: httpx.Client) -> None:
    body = ask(http, hydra={"explain": True}).json()
    assert body["hydra"]["chosen"] == "small"
    assert body["hydra"]["cost_usd"] == "0.000164"
    assert "hydra" not in ask(http).json()


def test_an_answer_without_usage_has_an_unknown_cost(http: httpx.Client) -> None:
    answer = ask(http, "no-usage")
    assert "x-hydra-cost-usd" not in answer.headers
    record = decision_of(http, answer)
    assert (record["cost_usd"], record["cost_status"]) == (None, "unknown")


def test_an_unknown_price_is_unknown_and_never_zero(http: httpx.Client) -> None:
    record = decision_of(http, ask(http, "unpriced"))
    assert (record["cost_usd"], record["cost_status"], record["savings_usd"]) == (
        None,
        "unknown",
        None,
    )
    assert record["baseline_cost_usd"] == "0.00164"


@pytest.mark.parametrize(
    ("pool", "status"),
    [(f"falls-{status}", status) for status in (401, 403, 408, 429, 500, 503, 529)]
    + [("falls-html", 502)],
)
def test_a_failing_candidate_is_followed_by_the_next(
    http: httpx.Client, pool: str, status: int
) -> None:
    answer = ask(http, hydra={"pool": pool})
    assert answer.status_code == 200
    assert answer.headers["x-hydra-model"] == "large"
    assert answer.headers["x-hydra-reason"] == "fallback"
    record = decision_of(http, answer)
    assert record["reason"] == "fallback"
    assert record["chosen"] != record["served_by"] == "large"
    assert [attempt["model"] for attempt in record["attempts"]] == [record["chosen"], "large"]
    assert record["attempts"][0]["status"] == status


def test_an_unreachable_candidate_is_followed_by_the_next(http: httpx.Client) -> None:
    record = decision_of(http, ask(http, hydra={"pool": "falls-unreachable"}))
    assert record["served_by"] == "small"
    assert record["attempts"][0]["status"] is None


@pytest.mark.parametrize(("status", "code"), [(400, "bad_foo"), (404, "model_not_found")])
def test_a_callers_mistake_is_not_tried_again(
    http: httpx.Client, upstream: UpstreamStub, status: int, code: str
) -> None:
    pool = "falls-400" if status == 400 else "falls-404"
    answer = ask(http, hydra={"pool": pool})
    assert answer.status_code == status
    assert answer.json()["error"]["code"] == code
    assert len(upstream.requests) == 1
    assert decision_of(http, answer)["status"] == "error"


def test_when_all_candidates_fail_the_last_error_comes_back(
    http: httpx.Client, upstream: UpstreamStub
) -> None:
    answer = ask(http, hydra={"pool": "all-fail"})
    assert sorted(upstream.models) == ["status-429", "status-503"]
    assert answer.status_code in (429, 503)
    record = decision_of(http, answer)
    assert (record["status"], record["served_by"]) == ("error", None)
    assert record["cost_usd"] == "0"


@pytest.mark.parametrize(
    ("model", "status", "kind"),
    [
        ("status-400", 400, "invalid_request_error"),
        ("status-401", 502, "upstream_error"),
        ("status-403", 502, "upstream_error"),
        ("status-404", 404, "invalid_request_error"),
        ("status-408", 504, "timeout_error"),
        ("status-422", 422, "invalid_request_error"),
        ("status-429", 429, "rate_limit_error"),
        ("status-500", 502, "upstream_error"),
        ("status-503", 503, "upstream_error"),
        ("unreachable", 502, "upstream_error"),
        ("html", 502, "upstream_error"),
    ],
)
def test_an_explicit_model_gets_the_providers_error_and_no_fallback(
    http: httpx.Client, upstream: UpstreamStub, model: str, status: int, kind: str
) -> None:
    answer = ask(http, model)
    assert (answer.status_code, answer.json()["error"]["type"]) == (status, kind)
    assert len(upstream.requests) <= 1
    assert PROVIDER_KEY not in answer.text
    assert "127.0.0.1" not in answer.text
    assert answer.headers["x-hydra-decision-id"]


def test_a_rate_limit_keeps_its_retry_after(http: httpx.Client) -> None:
    assert ask(http, "status-429").headers["retry-after"] == "7"


def test_headers_are_stronger_than_the_body_and_the_body_than_the_suffix(
    http: httpx.Client,
) -> None:
    body = {"model": "auto:peak", "messages": HELLO, "hydra": {"mode": "aggressive"}}
    answer = http.post("/v1/chat/completions", json=body)
    assert answer.headers["x-hydra-model"] == "small"
    answer = http.post("/v1/chat/completions", json=body, headers={"x-hydra-threshold": "0"})
    assert answer.headers["x-hydra-model"] == "large"
    assert decision_of(http, answer)["mode"] is None


def test_log_content_stores_prompt_and_answer_only_when_asked(
    start_gateway: StartGateway, upstream: UpstreamStub
) -> None:
    with start_gateway(HYDRA_LOG_CONTENT="true").http() as http:
        content = decision_of(http, ask(http))["content"]
    assert content["messages"] == HELLO
    assert content["answer"][0]["message"]["content"] == "Hello from ok"


def test_a_client_that_leaves_frees_the_provider(
    gateway: Gateway, http: httpx.Client, upstream: UpstreamStub
) -> None:
    with pytest.raises(httpx.ReadTimeout), gateway.http() as impatient:
        impatient.post(
            "/v1/chat/completions",
            json={"model": "hang", "messages": HELLO, "hydra": {"tags": ["left"]}},
            timeout=1,
        )
    assert upstream.released.wait(5)
    record = _eventually_one(http, tag="left")
    assert (record["status"], record["disconnected"]) == ("aborted", True)
    assert record["cost_status"] == "unknown"


def _eventually_one(http: httpx.Client, **filters: str) -> dict:
    """The listing follows within two seconds."""
    import time

    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        found = http.get("/v1/decisions", params=filters).json()["data"]
        if found:
            return found[0]
        time.sleep(0.05)
    raise AssertionError(f"no decision with {filters}")


def test_a_predictor_that_is_late_leaves_the_choice_to_the_pool(
    start_gateway: StartGateway, upstream: UpstreamStub
) -> None:
    """512 tokens take tens of milliseconds; one is allowed."""
    text = "Explain, step by step, why the following argument holds or fails. " * 100
    messages = [{"role": "user", "content": text}]
    with start_gateway(HYDRA_PREDICTOR_TIMEOUT_MS="1").http() as http:
        body = {"model": "auto:aggressive", "messages": messages}
        answer = http.post("/v1/chat/completions", json=body)
        assert answer.status_code == 200
        assert answer.headers["x-hydra-reason"] == "predictor_unavailable"
        assert answer.headers["x-hydra-model"] == "large"  # the pool's fallback_profile
        assert "x-hydra-requirements" not in answer.headers
        assert http.get("/readyz").json()["checks"]["predictor"] == {"ok": False}
        assert decision_of(http, answer)["requirements"] is None
