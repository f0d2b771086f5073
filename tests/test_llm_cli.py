"""The `llm` command line tool, told of the gateway in extra-openai-models.yaml."""

import base64
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from gateways import Gateway, StartGateway
from test_serve import clean_environ
from upstream_stub import UpstreamStub

ABILITIES = {"supports_tools": True, "supports_schema": True, "vision": True}
LOOK_UP = 'def look_up(q: str) -> str:\n    "look something up"\n    return f"found {q}"\n'


class Llm:
    """The tool as installed, with a folder of its own that knows the gateway's models."""

    def __init__(self, gateway: Gateway, folder: Path, **more: str) -> None:
        self.folder = folder
        models = ("auto:aggressive", "tools", "schema", "strict", "status-400", "hang-after-1")
        entries = [
            {"model_id": f"hydra-{name}", "model_name": name, "api_base": f"{gateway.url}/v1"}
            for name in models
        ]
        text = yaml.safe_dump([{**entry, **ABILITIES, **more} for entry in entries])
        (folder / "extra-openai-models.yaml").write_text(text)

    @contextmanager
    def started(self, model: str, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
        with subprocess.Popen(
            [sys.executable, "-u", "-m", "llm", "-m", f"hydra-{model}", "hello", *arguments],
            env=clean_environ(LLM_USER_PATH=str(self.folder)),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            yield process

    def ask(self, model: str, *arguments: str) -> tuple[int, str, str]:
        """Exit code, output and complaints."""
        with self.started(model, *arguments) as process:
            out, complaints = process.communicate(timeout=60)
        return process.returncode, out.strip(), complaints


@pytest.fixture
def llm(gateway: Gateway, tmp_path: Path) -> Llm:
    return Llm(gateway, tmp_path)


def test_llm_plain(llm: Llm, upstream: UpstreamStub) -> None:
    assert llm.ask("auto:aggressive", "--no-stream") == (0, "Hello from ok", "")
    assert upstream.requests[0]["stream"] is False


def test_llm_stream(llm: Llm, upstream: UpstreamStub) -> None:
    assert llm.ask("auto:aggressive") == (0, "Hello from ok", "")
    assert upstream.requests[0]["stream"] is True


@pytest.mark.parametrize("how", [(), ("--no-stream",)], ids=["stream", "whole"])
def test_llm_tool_loop(llm: Llm, upstream: UpstreamStub, how: tuple[str, ...]) -> None:
    """Both calls of the answer are made, and their results go back."""
    code, said, complaints = llm.ask("tools", "--functions", LOOK_UP, *how)
    assert (code, said) == (0, "Hello from tools"), complaints
    results = [m for m in upstream.requests[1]["messages"] if m["role"] == "tool"]
    assert [m["content"] for m in results] == ["found x", "found y"]


def test_llm_vision(llm: Llm, upstream: UpstreamStub) -> None:
    picture = llm.folder / "cat.png"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n")
    assert llm.ask("strict", "-a", str(picture))[:2] == (0, "Hello from strict")
    parts = upstream.requests[0]["messages"][0]["content"]
    (url,) = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
    assert base64.b64decode(url.removeprefix("data:image/png;base64,")) == picture.read_bytes()


def test_llm_schema(llm: Llm, upstream: UpstreamStub) -> None:
    code, said, complaints = llm.ask("schema", "--schema", "city, degrees int")
    assert (code, json.loads(said)) == (0, {"city": "Oslo", "degrees": 7}), complaints
    asked = upstream.requests[0]["response_format"]["json_schema"]["schema"]
    assert set(asked["properties"]) == {"city", "degrees"}


@pytest.mark.parametrize("how", [(), ("--no-stream",)], ids=["stream", "whole"])
def test_llm_error(llm: Llm, how: tuple[str, ...]) -> None:
    code, said, complaints = llm.ask("status-400", *how)
    assert (code, said) == (1, "")
    assert "the stub refuses parameter foo" in complaints


def test_llm_cancel(llm: Llm, upstream: UpstreamStub) -> None:
    """Ctrl-C after the first word."""
    with llm.started("hang-after-1") as process:
        assert process.stdout is not None
        assert process.stdout.read(5) == "Hello"
        process.send_signal(signal.SIGINT)
        assert upstream.released.wait(5)
        process.communicate(timeout=60)
    assert process.returncode != 0


def test_llm_key(start_gateway: StartGateway, upstream: UpstreamStub, tmp_path: Path) -> None:
    llm = Llm(start_gateway(HYDRA_API_KEYS="alice=right"), tmp_path, api_key_name="hydra")
    code, _, complaints = llm.ask("auto:aggressive", "--key", "wrong")
    assert code == 1
    assert "401" in complaints
    (tmp_path / "keys.json").write_text('{"hydra": "right"}')  # as `llm keys set hydra` does
    assert llm.ask("auto:aggressive") == (0, "Hello from ok", "")
