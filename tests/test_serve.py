"""`hydra-gateway serve` as a newcomer starts it: an empty folder, no keys, no Redis."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from log_fixtures import Server

ROOT = Path(__file__).parent.parent


def clean_environ(**more: str) -> dict[str, str]:
    """The environment without anybody's settings or keys."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {**kept, "PYTHONPATH": str(ROOT), **more}


def command(*arguments: str, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gateway", *arguments],
        cwd=cwd,
        env=clean_environ(**environ),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@dataclass
class Served:
    process: subprocess.Popen[str]
    banner: str
    url: str
    folder: Path

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=30)


def start(folder: Path, *arguments: str, **environ: str) -> Served:
    """A gateway process, once it answers."""
    output = folder / "output.txt"
    with output.open("w") as sink:
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway", *arguments],
            cwd=folder,
            env=clean_environ(HYDRA_PORT="0", **environ),
            stdout=sink,
            stderr=subprocess.STDOUT,
            text=True,
        )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert process.poll() is None, output.read_text()
        found = re.search(r"on (http://\S+)/v1\n", output.read_text())
        if found and _answers(found[1]):
            return Served(process, output.read_text(), found[1], folder)
        time.sleep(0.1)
    process.kill()
    raise AssertionError(output.read_text())


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz").status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    served = start(tmp_path_factory.mktemp("newcomer"))
    yield served
    assert served.stop() == 0


def test_the_banner_says_that_answers_are_simulated(demo: Served) -> None:
    assert "SIMULATED" in demo.banner
    assert "pool     demo: gpt-5.4-mini, claude-haiku-4-5, gpt-5.3-codex" in demo.banner
    assert "embedded, data in .hydra/redis" in demo.banner


def test_the_banners_python_snippet_prints_an_answer(demo: Served) -> None:
    lines = demo.banner.splitlines()
    first = lines.index("  from openai import OpenAI")
    snippet = "\n".join(line.strip() for line in lines[first : first + 5])
    ran = subprocess.run(
        [sys.executable, "-c", snippet], capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.stdout.startswith("[simulated by the demo upstream, not by "), ran.stderr


def test_the_banners_curl_answers(demo: Served) -> None:
    found = re.search(r"curl -i .*?\}'\n", demo.banner, re.DOTALL)
    assert found
    ran = subprocess.run(
        ["bash", "-c", found[0]], capture_output=True, text=True, timeout=60, check=False
    )
    assert "200 OK" in ran.stdout
    assert "x-hydra-model: " in ran.stdout


def test_with_keys_the_banners_lines_read_the_callers_from_the_environment(
    tmp_path: Path, shared_server: Server
) -> None:
    served = start(tmp_path, HYDRA_API_KEYS="alice=right", HYDRA_REDIS_URL=shared_server.url)
    try:
        assert "keys     alice" in served.banner
        assert "right" not in served.banner
        found = re.search(r"curl -i .*?\}'\n", served.banner, re.DOTALL)
        assert found
        environ = {**os.environ, "GATEWAY_KEY": "right"}
        ran = subprocess.run(
            ["bash", "-c", found[0]], env=environ, capture_output=True, text=True, check=False
        )
        assert "200 OK" in ran.stdout
        lines = served.banner.splitlines()
        first = lines.index("  import os")
        snippet = "\n".join(line.strip() for line in lines[first : first + 6])
        ran = subprocess.run(
            [sys.executable, "-c", snippet],
            env=environ,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.stdout.startswith("[simulated by the demo upstream"), ran.stderr
    finally:
        assert served.stop() == 0


def test_the_demo_command_spends_nothing_whatever_keys_are_set(
    tmp_path: Path, shared_server: Server
) -> None:
    keys = {"OPENAI_API_KEY": "sk-x", "HYDRA_REDIS_URL": shared_server.url}
    served = start(tmp_path, "demo", **keys)
    try:
        for model in ("auto", "gpt-5.4"):
            body = {"model": model, "messages": [{"role": "user", "content": "x"}]}
            answer = httpx.post(f"{served.url}/v1/chat/completions", json=body, timeout=30)
            text = answer.json()["choices"][0]["message"]["content"]
            assert text.startswith("[simulated by the demo upstream")
    finally:
        assert served.stop() == 0


def test_a_demo_stream_is_labelled_and_priced(demo: Served) -> None:
    body = {
        "model": "auto",
        "messages": [{"role": "user", "content": "hi"}],
        "stream": True,
        "hydra": {"explain": True},
    }
    answer = httpx.post(f"{demo.url}/v1/chat/completions", json=body, timeout=30)
    events = [line for line in answer.text.splitlines() if line.startswith("data: {")]
    assert "[simulated" in events[0]
    assert json.loads(events[-1].removeprefix("data: "))["hydra"]["cost_status"] == "exact"


def test_the_command_line_reads_the_same_log(demo: Served) -> None:
    body = {"model": "auto", "messages": [{"role": "user", "content": "log me"}]}
    answer = httpx.post(f"{demo.url}/v1/chat/completions", json=body, timeout=30)
    wanted = answer.headers["x-hydra-decision-id"]
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        listed = command("decisions", "--json", cwd=demo.folder)
        if wanted in listed.stdout:
            break
    assert json.loads(listed.stdout)[0]["id"] == wanted
    table = command("decisions", "--limit", "1", cwd=demo.folder).stdout
    assert wanted in table
    assert answer.headers["x-hydra-cost-usd"] in table
    costs = json.loads(command("costs", "--json", cwd=demo.folder).stdout)
    assert sum(row["requests"] for row in costs) >= 1
    assert "baseline $" in command("costs", "--group-by", "model,day", cwd=demo.folder).stdout


def test_decisions_outlive_the_gateway_and_need_none_to_be_read(tmp_path: Path) -> None:
    """SIGKILL, the hardest stop: what was answered is in the log afterwards."""
    served = start(tmp_path)
    body = {"model": "auto", "messages": [{"role": "user", "content": "x"}]}
    answer = httpx.post(f"{served.url}/v1/chat/completions", json=body, timeout=30)
    wanted = answer.headers["x-hydra-decision-id"]
    served.process.kill()
    served.process.wait()
    again = start(tmp_path)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        found = httpx.get(f"{again.url}/v1/decisions").json()["data"]
        if found:
            break
    assert [record["id"] for record in found] == [wanted]
    assert again.stop() == 0
    assert wanted in command("decisions", cwd=tmp_path).stdout


def test_several_workers_share_the_port_and_the_log(tmp_path: Path, shared_server: Server) -> None:
    served = start(tmp_path, HYDRA_WORKERS="2", HYDRA_REDIS_URL=shared_server.url)
    try:
        body = {"model": "auto", "messages": [{"role": "user", "content": "x"}]}
        ids = set()
        for _ in range(6):  # a connection each, so that both workers get some
            answer = httpx.post(f"{served.url}/v1/chat/completions", json=body, timeout=30)
            wanted = answer.headers["x-hydra-decision-id"]
            ids.add(wanted)
            found = httpx.get(f"{served.url}/v1/decisions/{wanted}")
            assert found.json()["id"] == wanted
        time.sleep(2)
        listed = httpx.get(f"{served.url}/v1/decisions").json()["data"]
        assert ids <= {record["id"] for record in listed}
    finally:
        assert served.stop() == 0


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"HYDRA_PORT": "many"}, "HYDRA_PORT: expected a whole number"),
        ({"HYDRA_HOST": "0.0.0.0"}, "HYDRA_HOST: 0.0.0.0 is not a loopback address"),
        ({"HYDRA_POOL": "nope"}, "HYDRA_POOL: no pool is named 'nope'"),
        ({"HYDRA_PROFILES": "/nowhere"}, "/nowhere/pools.yaml:1: pools: no such file"),
        ({"HYDRA_PREDICTOR": "/nowhere"}, "predictor: "),
        ({"HYDRA_REDIS_URL": "http://x"}, "HYDRA_REDIS_URL: "),
        ({"HYDRA_API_KEYS": "=secret"}, "HYDRA_API_KEYS: entry 1 must be"),
    ],
)
def test_a_wrong_setting_stops_the_start_with_its_name_and_exit_code_3(
    tmp_path: Path, environ: dict[str, str], words: str
) -> None:
    for arguments in ((), ("check",)):
        ran = command(*arguments, cwd=tmp_path, **environ)
        assert (ran.returncode, ran.stdout) == (3, "")
        assert ran.stderr.startswith(words)
        assert "Traceback" not in ran.stderr


def test_a_port_in_use_is_said_in_one_line(demo: Served, tmp_path: Path) -> None:
    port = demo.url.rpartition(":")[2]
    ran = command("serve", cwd=tmp_path, HYDRA_PORT=port)
    assert ran.returncode == 3
    assert ran.stderr == f"HYDRA_PORT: can't listen on 127.0.0.1:{port}: Address already in use\n"
