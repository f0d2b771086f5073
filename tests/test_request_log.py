"""The lines on stderr: one a request, text or JSON, without what callers and providers say."""

import json
import logging
from pathlib import Path
from typing import Any

import httpx
import pytest
from gateways import Gateway
from log_fixtures import Server, a_record
from test_serve import start

from gateway import request_log
from gateway.request_log import FIELDS, JsonFormatter, RequestLine, TextFormatter

CHAT = "/v1/chat/completions"
PROMPT = "a secret that nobody must see"


def line_of(record: dict[str, Any]) -> dict[str, Any]:
    made = logging.LogRecord("gateway.x", logging.INFO, "", 0, RequestLine(record), None, None)
    found: dict[str, Any] = json.loads(JsonFormatter().format(made))
    return found


def test_a_served_request_is_one_line_of_json(tmp_path: Path, shared_server: Server) -> None:
    environ = {"HYDRA_REDIS_URL": shared_server.url, "HYDRA_API_KEYS": "alice=right-key"}
    served = start(tmp_path, "demo", HYDRA_LOG_FORMAT="json", HYDRA_LOG_CONTENT="true", **environ)
    headers = {"authorization": "Bearer right-key", "x-request-id": "mine"}
    body = {"model": "auto", "messages": [{"role": "user", "content": PROMPT}]}
    answer = httpx.post(f"{served.url}{CHAT}", json=body, headers=headers, timeout=30)
    assert served.stop() == 0
    written = (tmp_path / "output.txt").read_text()
    lines = [json.loads(line) for line in written.splitlines() if line.startswith("{")]
    (line,) = [line for line in lines if "decision_id" in line]
    assert list(line) == [name for name in FIELDS if name != "exception"]
    assert line["decision_id"] == answer.headers["x-hydra-decision-id"]
    assert line["cost_usd"] == answer.headers["x-hydra-cost-usd"]
    assert line["profile"] == answer.headers["x-hydra-model"]
    assert line["reason"] == answer.headers["x-hydra-reason"]
    usage = answer.json()["usage"]
    counted = (line["prompt_tokens"], line["completion_tokens"])
    assert counted == (usage["prompt_tokens"], usage["completion_tokens"])
    assert (line["request_id"], line["endpoint"], line["status"]) == ("mine", CHAT, "ok")
    assert line["error"] is None
    for word in (PROMPT, "[simulated", "right-key"):
        assert word not in written
    assert " INFO " not in written


def test_the_text_of_a_line_is_a_glance_at_the_record(
    http: httpx.Client, gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "gateway.request_log")
    answer = http.post(
        CHAT, json={"model": "small", "messages": [{"role": "user", "content": "x"}]}
    )
    (line,) = [item for item in caplog.records if item.name == "gateway.request_log"]
    wanted = answer.headers["x-hydra-decision-id"]
    cost = answer.headers["x-hydra-cost-usd"]
    assert line.getMessage().startswith(f"{wanted} ok by small (pinned), cost {cost}, ")


def test_a_failed_request_says_what_kind_of_failure_and_not_the_providers_words(
    http: httpx.Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    http.post(CHAT, json={"model": "status-400", "messages": [{"role": "user", "content": "x"}]})
    (line,) = [item for item in caplog.records if item.name == "gateway.request_log"]
    written = json.loads(JsonFormatter().format(line))
    assert (written["status"], written["error"], written["profile"]) == ("error", "rejected", None)
    assert (written["prompt_tokens"], written["attempts"]) == (None, 1)
    assert "the stub refuses" not in "".join(item.getMessage() for item in caplog.records)


def test_a_record_becomes_the_fields_that_the_docs_list() -> None:
    line = line_of(a_record(cost_usd=None, usage=None, served_by=None, status="aborted"))
    assert set(line) == set(FIELDS) - {"exception"}
    assert (line["cost_usd"], line["completion_tokens"]) == (None, None)
    assert line["message"].endswith("aborted by model-a (cheapest_sufficient), cost None, 813 ms")
    assert line["error"] == "stopped"


def test_other_lines_have_their_words_and_their_traceback() -> None:
    try:
        raise ValueError("no\nnewline")
    except ValueError as exc:
        info = (type(exc), exc, exc.__traceback__)
    made = logging.LogRecord("x", logging.ERROR, "", 0, "%s of %s", (1, "two\n"), info)
    text = JsonFormatter().format(made)
    assert "\n" not in text
    line = json.loads(text)
    assert (line["level"], line["logger"], line["message"]) == ("ERROR", "x", "1 of two\n")
    assert "ValueError: no" in line["exception"]
    assert line["ts"].endswith("Z")


def test_text_lines_are_those_of_logging_itself() -> None:
    plain = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    ours = TextFormatter()
    for created in (1.0, 1_700_000_000.0625, 1_700_000_000.75, 1_700_000_001.0):
        made = logging.LogRecord("x", logging.WARNING, "", 0, "%s of %s", (1, 2), None)
        made.created, made.msecs = created, created % 1 * 1000
        assert ours.format(made) == plain.format(made)


def test_who_configured_logging_before_keeps_it() -> None:
    before = list(logging.getLogger().handlers)
    assert before  # pytest's
    request_log.configure("json")
    assert logging.getLogger().handlers == before
