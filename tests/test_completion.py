"""`hydra-gateway completion`: what bash and zsh offer at a press of Tab."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from test_serve import ROOT, clean_environ, command


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """`hydra-gateway` on a PATH of its own."""
    folder = tmp_path / "bin"
    folder.mkdir()
    script = folder / "hydra-gateway"
    text = f"#!{sys.executable}\nimport sys\nfrom gateway.cli import main\nsys.exit(main())\n"
    script.write_text(text)
    script.chmod(0o755)
    return script


def offered(program: Path, line: str, **environ: str) -> set[str]:
    """What bash offers at the end of a line."""
    script = f"""
eval "$(hydra-gateway completion bash)"
COMP_LINE='{line}' COMP_POINT={len(line)} COMP_TYPE=9
_python_argcomplete hydra-gateway
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    base = clean_environ(**environ)
    ran = subprocess.run(
        ["bash", "-c", script],
        cwd=program.parent.parent,
        env={**base, "PATH": f"{program.parent}:{base['PATH']}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    return {word.strip() for word in ran.stdout.splitlines()}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        pytest.param("hydra-gateway d", {"demo", "decisions", "doctor"}, id="commands"),
        pytest.param("hydra-gateway keys n", {"new"}, id="commands below one"),
        pytest.param("hydra-gateway decisions --f", {"--follow"}, id="options"),
        pytest.param("hydra-gateway route --mode p", {"peak"}, id="modes"),
        pytest.param(
            "hydra-gateway decisions --model gpt-5.4", {"gpt-5.4", "gpt-5.4-mini"}, id="profiles"
        ),
        pytest.param("hydra-gateway route --pool ", {"default", "demo", "local"}, id="pools"),
        pytest.param("hydra-gateway decisions --key a", {"alice", "admin"}, id="keys"),
    ],
)
def test_bash_completes(line: str, words: set[str], program: Path) -> None:
    keys = {"HYDRA_API_KEYS": "alice=s3cret,bob=hunter2", "HYDRA_ADMIN_KEY": "s3cr3t"}
    assert offered(program, line, **keys) == words


def test_names_come_from_the_catalog_that_serve_would_take(program: Path) -> None:
    folder = program.parent.parent / "profiles"
    shutil.copytree(ROOT / "profiles", folder)
    (folder / "mine.yaml").write_text("name: mine\n")
    (folder / "broken.yaml").write_text("[")
    line = "hydra-gateway export x.csv --model m"
    assert offered(program, line) == {""}  # and no traceback
    (folder / "broken.yaml").unlink()
    assert offered(program, line) == {"mine"}
    (folder.parent / ".env").write_text("HYDRA_PROFILES=/nowhere\n")
    assert offered(program, line) == {""}


@pytest.mark.skipif(shutil.which("zsh") is None, reason="the shell is not on this machine")
def test_zsh_completes(program: Path) -> None:  # pragma: no cover
    script = """
autoload -Uz compinit && compinit -u
eval "$(hydra-gateway completion zsh)"
print -r -- ${_comps[hydra-gateway]}
"""
    base = clean_environ()
    ran = subprocess.run(
        ["zsh", "-fc", script],
        env={**base, "PATH": f"{program.parent}:{base['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "_python_argcomplete" in ran.stdout, ran.stderr


def test_zsh_gets_a_script_too_and_other_shells_none(tmp_path: Path) -> None:
    assert "compdef" in command("completion", "zsh", cwd=tmp_path).stdout
    assert command("completion", "fish", cwd=tmp_path).returncode == 2
