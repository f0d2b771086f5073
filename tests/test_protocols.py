"""The protocols from outside, where no client package looks: unknown fields, gates, both lanes."""

import json
from typing import Any

import httpx
import pytest
from gateways import Gateway, StartGateway
from test_chat_completions import HELLO, decision_of
from upstream_stub import UpstreamStub

CHAT, RESPONSES, MESSAGES = "/v1/chat/completions", "/v1/responses", "/v1/messages"
OWN_SERVERS = [
    pytest.param(CHAT, "small", id="chat"),
    pytest.param(RESPONSES, "responder", id="responses"),
    pytest.param(MESSAGES, "claude", id="messages"),
]
SERVERS = [
    pytest.param(path, model, id=f"{path.rsplit('/', 1)[1]} over {model}")
    for path in (CHAT, RESPONSES, MESSAGES)
    for model in ("small", "responder", "claude", "messages-server")
]


def body(path: str, model: str, **fields: object) -> dict[str, Any]:
    if path == RESPONSES:
        return {"model": model, "input": "hello", **fields}
    limit = {"max_tokens": 100} if path == MESSAGES else {}
    return {"model": model, "messages": HELLO, **limit, **fields}


def events(answer: httpx.Response) -> list[dict[str, Any]]:
    lines = [line.removeprefix("data: ") for line in answer.text.splitlines()]
    return [json.loads(line) for line in lines if line.startswith("{")]


@pytest.mark.parametrize(("path", "model"), OWN_SERVERS)
def test_unknown_fields_pass_through_both_ways(
    http: httpx.Client, upstream: UpstreamStub, path: str, model: str
) -> None:
    tomorrow = {"a_field_of_tomorrow": {"deep": [1, None, "ü"]}}
    answer = http.post(path, json=body(path, model, **tomorrow))
    assert upstream.paths == [path]
    assert upstream.requests[0]["a_field_of_tomorrow"] == tomorrow["a_field_of_tomorrow"]
    assert answer.json()["a_field_of_tomorrow"] == {"kept": True}
    streamed = http.post(path, json=body(path, model, stream=True, **tomorrow))
    assert upstream.requests[1]["a_field_of_tomorrow"] == tomorrow["a_field_of_tomorrow"]
    assert "a_field_of_tomorrow" in streamed.text


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("path", "model"), SERVERS)
def test_every_protocol_is_served_by_every_kind_of_server(
    http: httpx.Client, path: str, model: str, stream: bool
) -> None:
    answer = http.post(path, json=body(path, model, stream=stream))
    assert answer.status_code == 200, answer.text
    if not stream:
        assert "Hello from ok" in answer.text
    record = decision_of(http, answer)
    assert (record["status"], record["endpoint"], record["stream"]) == ("ok", path, stream)
    assert record["cost_status"] == "exact"
    assert (record["usage"]["prompt"], record["usage"]["completion"]) == (100, 20)


def test_what_a_provider_cannot_take_is_dropped_and_named_or_is_its_own_error(
    http: httpx.Client, upstream: UpstreamStub
) -> None:
    fields = {"seed": 7, "frequency_penalty": 0.5, "temperature": 0.5}
    routed = http.post(CHAT, json=body(CHAT, "auto", **fields, hydra={"pool": "one-claude"}))
    assert routed.status_code == 200
    assert routed.headers["x-hydra-dropped-params"] == "frequency_penalty,seed"
    assert upstream.requests[0]["temperature"] == 0.5
    assert not {"seed", "frequency_penalty"} & set(upstream.requests[0])
    named = http.post(CHAT, json=body(CHAT, "claude", **fields))
    assert named.status_code == 400
    assert "Extra inputs are not permitted" in named.json()["error"]["message"]
    assert "x-hydra-dropped-params" not in named.headers


@pytest.mark.parametrize("fields", [{"n": 2}, {"logprobs": True}], ids=["n", "logprobs"])
def test_what_would_change_the_answer_is_a_gate_and_another_model_answers(
    http: httpx.Client, fields: dict[str, object]
) -> None:
    answer = http.post(CHAT, json=body(CHAT, "auto:aggressive", **fields))
    assert answer.headers["x-hydra-model"] == "large"
    assert "x-hydra-dropped-params" not in answer.headers


@pytest.mark.parametrize(
    ("path", "fields", "pool"),
    [
        pytest.param(
            RESPONSES, {"previous_response_id": "resp_1"}, "one-responder", id="kept state"
        ),
        pytest.param(
            RESPONSES, {"tools": [{"type": "web_search"}]}, "one-responder", id="hosted tool"
        ),
        pytest.param(
            MESSAGES,
            {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
            "one-claude",
            id="server tool",
        ),
    ],
)
def test_what_only_its_own_server_can_serve_is_a_gate_and_a_clear_error(
    http: httpx.Client, upstream: UpstreamStub, path: str, fields: dict[str, object], pool: str
) -> None:
    served = http.post(path, json=body(path, "auto", **fields, hydra={"pool": pool}))
    assert served.status_code == 200, served.text
    assert upstream.paths == [path]
    for model in ("auto", "small"):  # neither of the default pool, nor by name
        refused = http.post(path, json=body(path, model, **fields))
        assert refused.status_code == 400
        assert "only a server of the" in refused.json()["error"]["message"]
    assert len(upstream.requests) == 1


def test_a_kept_conversation_may_go_on_without_input(http: httpx.Client) -> None:
    asked = {"model": "responder", "previous_response_id": "resp_1"}
    assert http.post(RESPONSES, json=asked).json()["previous_response_id"] == "resp_1"


@pytest.mark.parametrize("stream", [False, True])
def test_a_fallback_goes_from_one_wire_to_another(http: httpx.Client, stream: bool) -> None:
    for path in (CHAT, MESSAGES, RESPONSES):
        asked = body(path, "auto:aggressive", stream=stream, hydra={"pool": "claude-falls"})
        answer = http.post(path, json=asked)
        assert answer.headers["x-hydra-model"] == "large", answer.text
        assert answer.headers["x-hydra-reason"] == "fallback"
        assert "ok-large" in answer.text


def test_the_profiles_params_are_written_in_the_servers_words(
    start_gateway: StartGateway, gateway: Gateway, upstream: UpstreamStub, tmp_path: object
) -> None:
    """`reasoning_effort` of a profile, on the two wires that have other words for it."""
    import shutil
    from pathlib import Path

    folder = Path(str(tmp_path)) / "catalog"
    shutil.copytree(gateway.catalog_folder, folder)
    for name in ("claude", "responder"):
        path = folder / f"{name}.yaml"
        path.write_text(path.read_text() + "params: {reasoning_effort: low}\n")
    with start_gateway(HYDRA_PROFILES=str(folder)).http() as http:
        http.post(RESPONSES, json=body(RESPONSES, "responder"))
        http.post(MESSAGES, json={**body(MESSAGES, "claude"), "max_tokens": 4000})
        http.post(MESSAGES, json=body(MESSAGES, "claude"))
    responses, thinking, too_short = upstream.requests
    assert responses["reasoning"] == {"effort": "low"}
    assert thinking["thinking"]["budget_tokens"] < 4000
    assert "thinking" not in too_short  # a budget as large as the limit would be refused
    assert "reasoning_effort" not in str(upstream.requests)


def test_embeddings_and_completions_serve_explicit_models(http: httpx.Client) -> None:
    found = http.post("/v1/embeddings", json={"model": "small", "input": ["a", "b"]})
    assert [item["embedding"] for item in found.json()["data"]] == [[0.25, -0.5]] * 2
    assert found.headers["x-hydra-cost-usd"] == "0.000008"
    found = http.post("/v1/completions", json={"model": "small", "prompt": "Once"})
    assert found.json()["choices"][0]["text"] == "Once upon"
    streamed = http.post(
        "/v1/completions", json={"model": "small", "prompt": "Once", "stream": True}
    )
    assert "".join(event["choices"][0]["text"] for event in events(streamed)) == "Once upon"
    assert streamed.text.endswith("data: [DONE]\n\n")
    record = decision_of(http, streamed)
    assert (record["usage"]["prompt"], record["usage"]["completion"]) == (10, 4)


@pytest.mark.parametrize(
    ("path", "fields"), [("/v1/embeddings", {"input": "a"}), ("/v1/completions", {"prompt": "a"})]
)
def test_embeddings_and_completions_are_not_routed(
    http: httpx.Client, path: str, fields: dict[str, str]
) -> None:
    answer = http.post(path, json={"model": "auto", **fields})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "model")


def test_tokens_are_counted_by_the_provider_or_estimated(
    http: httpx.Client, upstream: UpstreamStub
) -> None:
    asked = {"messages": HELLO}
    counted = http.post("/v1/messages/count_tokens", json={"model": "claude", **asked})
    assert counted.json() == {"input_tokens": 4321}
    estimated = http.post("/v1/messages/count_tokens", json={"model": "auto", **asked})
    assert 1 <= estimated.json()["input_tokens"] <= 20
    assert upstream.paths == ["/v1/messages/count_tokens"]


def test_models_tell_their_limits_features_and_prices(http: httpx.Client) -> None:
    facts = http.get("/v1/models/large").json()["hydra"]
    assert (facts["context_tokens"], facts["output_tokens"]) == (100_000, 8000)
    assert {"tools", "vision", "n"} <= set(facts["features"])
    assert facts["price"]["input_usd_per_mtok"] == "10"
    assert http.get("/v1/models/unpriced").json()["hydra"]["price"] is None


@pytest.mark.parametrize("stream", [False, True])
def test_the_slow_lane_gives_the_same_answer_usage_and_cost(
    start_gateway: StartGateway, http: httpx.Client, upstream: UpstreamStub, stream: bool
) -> None:
    with start_gateway(HYDRA_UPSTREAM="litellm").http() as slow:
        for path in (CHAT, MESSAGES, RESPONSES):
            asked = body(path, "small", stream=stream)
            answers = [client.post(path, json=asked) for client in (http, slow)]
            records = [
                decision_of(client, answer)
                for client, answer in zip((http, slow), answers, strict=True)
            ]
            for name in ("usage", "cost_usd", "cost_status", "finish_reason", "status"):
                assert records[0][name] == records[1][name], (path, name)
    agents = [headers["user-agent"] for headers in upstream.headers]
    assert [agent.startswith("hydra-gateway/") for agent in agents] == [True, False] * 3


NAMESPACE = {
    "type": "namespace",
    "name": "agents",
    "description": "d",
    "tools": [{"type": "function", "name": "look_up", "parameters": {"type": "object"}}],
}


@pytest.mark.parametrize("stream", [False, True])
def test_a_namespace_of_the_clients_own_tools_needs_no_server_of_the_protocol(
    http: httpx.Client, upstream: UpstreamStub, stream: bool
) -> None:
    """Codex offers some of its tools in one."""
    asked = body(RESPONSES, "tools", tools=[NAMESPACE], stream=stream)
    answer = http.post(RESPONSES, json=asked)
    assert upstream.requests[0]["tools"][0]["function"]["name"] == "agents__look_up"
    output = events(answer)[-1]["response"]["output"] if stream else answer.json()["output"]
    assert [(call["namespace"], call["name"]) for call in output] == [("agents", "look_up")] * 2
    results = [
        {"type": "function_call_output", "call_id": call["call_id"], "output": "found"}
        for call in output
    ]
    question = {"role": "user", "content": "hello"}
    again = body(RESPONSES, "tools", tools=[NAMESPACE])
    again["input"] = [question, *output, *results]
    assert http.post(RESPONSES, json=again).status_code == 200
    calls = upstream.requests[1]["messages"][1]["tool_calls"]
    assert {call["function"]["name"] for call in calls} == {"agents__look_up"}


def test_claude_is_told_what_the_json_mode_of_others_asks_for(
    http: httpx.Client, upstream: UpstreamStub
) -> None:
    asked = body(CHAT, "claude", response_format={"type": "json_object"})
    assert http.post(CHAT, json=asked).status_code == 200
    assert "one JSON object" in str(upstream.requests[0]["system"])


def test_claude_gets_the_profiles_limit_where_the_client_names_none(
    http: httpx.Client, upstream: UpstreamStub
) -> None:
    http.post(CHAT, json=body(CHAT, "claude"))
    http.post(CHAT, json=body(CHAT, "claude", max_tokens=7))
    assert [sent["max_tokens"] for sent in upstream.requests] == [8000, 7]


def test_a_tool_that_a_provider_has_no_words_for_is_refused_by_name(
    http: httpx.Client, upstream: UpstreamStub
) -> None:
    tools = [{"type": "custom", "custom": {"name": "shell"}}]
    for model in ("claude", "responder"):
        refused = http.post(CHAT, json=body(CHAT, model, tools=tools))
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "tools[0]")
    assert upstream.requests == []
    assert http.post(CHAT, json=body(CHAT, "small", tools=tools)).status_code == 200
    assert upstream.requests[0]["tools"] == tools


def test_a_users_id_too_long_for_chat_servers_is_shortened(
    http: httpx.Client, upstream: UpstreamStub
) -> None:
    for user in ("short", "user_" + "x" * 150):
        http.post(MESSAGES, json=body(MESSAGES, "small", metadata={"user_id": user}))
    short, long = (sent["user"] for sent in upstream.requests)
    assert (short, len(long)) == ("short", 64)


def test_one_profiles_wire_is_not_anothers(http: httpx.Client, upstream: UpstreamStub) -> None:
    """Two profiles of one model name, on servers that speak different protocols."""
    for model in ("responder-tools", "strict-tools", "responder", "tools"):
        http.post(CHAT, json=body(CHAT, model))
    assert upstream.paths == [RESPONSES, CHAT, RESPONSES, CHAT]


@pytest.mark.parametrize("effort", ["low", "high"])
def test_effort_reaches_a_responses_server(
    http: httpx.Client, upstream: UpstreamStub, effort: str
) -> None:
    http.post(CHAT, json=body(CHAT, "responder", reasoning_effort=effort))
    assert upstream.requests[0]["reasoning"]["effort"] == effort
