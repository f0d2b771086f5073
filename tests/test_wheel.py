"""What `pip install` gives: the wheel, built and installed outside the checkout, serves.

Its dependencies are this environment's, which a line in the new one's site-packages lends; that the
wheel lists all of them is a test of its own.
"""

import ast
import contextlib
import os
import re
import signal
import subprocess
import sys
import sysconfig
import time
import venv
from collections.abc import Iterator
from email.parser import Parser
from importlib.metadata import packages_distributions
from pathlib import Path
from zipfile import ZipFile

import httpx
import pytest
from test_serve import ROOT
from upstream_stub import UpstreamStub

PROFILE = """\
name: mine
litellm_model: hosted_vllm/ok
api_base: {base}
capabilities: {{reasoning: 0.9, code_generation: 0.9, debugging: 0.9, tool_use: 0.9}}
price: {{input_usd_per_mtok: 1, output_usd_per_mtok: 2}}
"""
POOLS = "pools: {default: {profiles: [mine], modes: {iso: 0.2}}}\n"
# Imported only where an extra's packages are, or a command asks for them.
OF_EXTRAS = {"matplotlib", "opentelemetry", "pyarrow"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from the files that git has or would have."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder)]
    ran = subprocess.run([*build, str(ROOT)], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr + ran.stdout
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def program(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`hydra-gateway` of an environment that has the wheel and no checkout."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, symlinks=True)
    pip = [sys.executable, "-m", "pip", "--python", str(folder), "install", "--no-deps"]
    ran = subprocess.run(
        [*pip, "--no-index", "--quiet", str(wheel)], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    (site_packages,) = folder.glob("lib/python*/site-packages")
    (site_packages / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin" / "hydra-gateway"


def clean(**more: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {**kept, **more}


def run(program: Path, *arguments: str, cwd: Path) -> str:
    ran = subprocess.run(
        [str(program), *arguments],
        cwd=cwd,
        env=clean(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, ""), ran
    return ran.stdout


@contextlib.contextmanager
def serving(program: Path, cwd: Path) -> Iterator[str]:
    """The URL of `hydra-gateway serve` there, once it answers."""
    output = cwd / "output.txt"
    with output.open("w") as sink:
        process = subprocess.Popen(
            [str(program), "serve"],
            cwd=cwd,
            env=clean(HYDRA_PORT="0"),
            stdout=sink,
            stderr=subprocess.STDOUT,
        )
    try:
        yield _url(process, output)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0, output.read_text()
    finally:
        process.kill()


def _url(process: "subprocess.Popen[bytes]", output: Path) -> str:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert process.poll() is None, output.read_text()
        found = re.search(r"on (http://\S+)/v1\n", output.read_text())
        with contextlib.suppress(httpx.TransportError):
            if found and httpx.get(f"{found[1]}/readyz").status_code == 200:
                return found[1]
        time.sleep(0.1)
    raise AssertionError(output.read_text())


def ask(url: str) -> httpx.Response:
    body = {"model": "auto", "messages": [{"role": "user", "content": "hello"}]}
    answer = httpx.post(f"{url}/v1/chat/completions", json=body, timeout=30)
    assert answer.status_code == 200, answer.text
    return answer


def listed(program: Path, cwd: Path, decision_id: str) -> str:
    """The list of decisions, once that one is in it."""
    deadline = time.monotonic() + 10
    while decision_id not in (table := run(program, "decisions", cwd=cwd)):
        assert time.monotonic() < deadline, table
    return table


def test_without_a_key_it_serves_a_demo_of_the_catalog_that_came_with_it(
    program: Path, tmp_path: Path
) -> None:
    assert "10 files written" in run(program, "init", cwd=tmp_path)
    with serving(program, tmp_path) as url:
        answer = ask(url)
        text = answer.json()["choices"][0]["message"]["content"]
        assert text.startswith("[simulated by the demo upstream")
        assert "cheapest_sufficient" in listed(
            program, tmp_path, answer.headers["x-hydra-decision-id"]
        )
        page = httpx.get(f"{url}/dashboard", follow_redirects=True)
        assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
        for path in re.findall(r'(?:href|src)="(/dashboard/static/[^"]+)"', page.text):
            assert httpx.get(f"{url}{path}").status_code == 200, path


def test_with_a_catalog_of_ones_own_the_provider_answers(
    program: Path, tmp_path: Path, upstream: UpstreamStub
) -> None:
    run(program, "init", cwd=tmp_path)
    folder = tmp_path / "profiles"
    (folder / "mine.yaml").write_text(PROFILE.format(base=upstream.base_url))
    (folder / "pools.yaml").write_text(POOLS)
    with serving(program, tmp_path) as url:
        answer = ask(url)
        assert answer.json()["choices"][0]["message"]["content"] == "Hello from ok"
        assert answer.headers["x-hydra-model"] == "mine"
        table = listed(program, tmp_path, answer.headers["x-hydra-decision-id"])
        assert answer.headers["x-hydra-cost-usd"] in table
    assert upstream.models == ["ok"]


def test_it_runs_nothing_of_the_checkout(program: Path, tmp_path: Path) -> None:
    python = program.parent / "python"
    script = "import gateway, predictor; print(gateway.__file__, predictor.__file__)"
    found = subprocess.run(
        [str(python), "-c", script], cwd=tmp_path, env=clean(), capture_output=True, text=True
    )
    for path in found.stdout.split():
        assert Path(path).is_relative_to(program.parent.parent), path


def test_the_wheel_lists_every_distribution_that_it_imports(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        (metadata,) = [name for name in archive.namelist() if name.endswith("/METADATA")]
        headers = Parser().parsestr(archive.read(metadata).decode())
        sources = [archive.read(n).decode() for n in archive.namelist() if _is_of_serving(n)]
    required = headers.get_all("Requires-Dist") or []
    plain = {_name(line) for line in required if "extra ==" not in line}
    imported = {root for source in sources for root in _roots(source)}
    foreign = imported - set(sys.stdlib_module_names) - OF_EXTRAS - {"gateway", "predictor"}
    providers = packages_distributions()
    assert foreign
    for root in sorted(foreign):
        assert {_name(each) for each in providers.get(root, [root])} & plain, root


def _is_of_serving(name: str) -> bool:
    """Training is the business of a checkout, with an extra of its own."""
    used = {"predictor", "render", "tokens", "__init__", "tracebacks", "frames"}
    path = Path(name)
    if path.suffix != ".py":
        return False
    return path.parts[0] == "gateway" or (path.parts[0] == "predictor" and path.stem in used)


def _name(text: str) -> str:
    found = re.match(r"[\w.-]+", text)
    assert found
    return re.sub(r"[-_.]+", "-", found[0]).lower()


def _roots(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]
