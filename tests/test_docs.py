"""The docs hold: what they name exists, and their examples run."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from gateways import StartGateway
from test_serve import ROOT
from upstream_stub import UpstreamStub

from gateway import redis_keys
from gateway.decision import Reason
from gateway.settings import SETTINGS

DOCS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("profiles/*.md")])
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONFIGURATION = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
TESTS = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").glob("test_*.py"))


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.variable)
def test_every_setting_is_documented(setting: object) -> None:
    assert f"`{setting.variable}`" in CONFIGURATION  # type: ignore[attr-defined]


def test_every_redis_key_is_documented() -> None:
    for key, *_ in redis_keys.KEYS:
        assert f"`{key}`" in CONFIGURATION


def test_every_reason_a_decision_can_have_now_is_documented() -> None:
    later = {"sticky", "escalated"}
    for reason in set(Reason.__args__) - later:  # type: ignore[attr-defined]
        assert f"`{reason}`" in CONFIGURATION


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if "://" in target:
            continue
        file, _, anchor = target.partition("#")
        linked = (path.parent / file) if file else path
        assert linked.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", linked.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", name).lower().replace(" ", "-") for name in headings}
            assert anchor in slugs, target


@pytest.mark.parametrize("page", ["behaviour", "clients"])
def test_each_promise_names_a_test_that_exists(page: str) -> None:
    promised = re.findall(r"`(test_\w+)`", (ROOT / f"docs/{page}.md").read_text("utf-8"))
    assert len(promised) > 20
    for name in promised:
        assert f"def {name}(" in TESTS, name


def test_the_clients_blocks_can_be_read() -> None:
    text = (ROOT / "docs/clients.md").read_text("utf-8")
    languages = {"python": compile_python, "yaml": yaml.safe_load, "json": json.loads}
    for language, read in {**languages, "toml": tomllib.loads}.items():
        found = blocks(text, language)
        assert found
        for block in found:
            read(block)


def compile_python(block: str) -> None:
    compile(block, "docs/clients.md", "exec")


def test_the_readmes_python_runs(start_gateway: StartGateway, upstream: UpstreamStub) -> None:
    url = start_gateway().url
    (snippet,) = blocks(README, "python")
    ran = subprocess.run(
        [sys.executable, "-c", snippet.replace("http://127.0.0.1:4000", url)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert "Hello from ok" in ran.stdout


def test_the_readmes_curl_runs(start_gateway: StartGateway, upstream: UpstreamStub) -> None:
    url = start_gateway().url
    (curl,) = [block for block in blocks(README, "bash") if block.startswith("curl")]
    ran = subprocess.run(
        ["bash", "-c", curl.replace("http://127.0.0.1:4000", url)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "200 OK" in ran.stdout, ran.stderr
    assert "x-hydra-model: " in ran.stdout


def test_the_readmes_profile_is_a_whole_profile(tmp_path: Path) -> None:
    (example,) = blocks(README, "yaml")
    for path in (ROOT / "profiles").glob("*.yaml"):
        (tmp_path / path.name).write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "my-model.yaml").write_text(example)
    pools = yaml.safe_load((tmp_path / "pools.yaml").read_text(encoding="utf-8"))
    pools["pools"]["default"]["profiles"].append("my-model")
    (tmp_path / "pools.yaml").write_text(yaml.safe_dump(pools))
    ran = subprocess.run(
        [sys.executable, "-m", "gateway", "check"],
        env={**os.environ, "HYDRA_PROFILES": str(tmp_path), "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "ok: 8 profiles" in ran.stdout, ran.stderr


def test_makefile_lists_its_targets() -> None:
    ran = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=False)
    for target in (
        "run",
        "test",
        "check",
        "lint",
        "types",
        "bench",
        "train",
        "demo",
        "image",
        "clean",
    ):
        assert re.search(rf"^  make {target}\b", ran.stdout, re.MULTILINE), target


def test_the_generated_parts_of_the_docs_are_as_they_would_be_now() -> None:
    pages = [str(path) for path in DOCS if "[[[cog" in path.read_text(encoding="utf-8")]
    assert len(pages) > 1
    command = [sys.executable, "-m", "cogapp", "--check", "--verbosity=0", *pages]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, f"make docs writes them anew: {ran.stdout}{ran.stderr}"
