"""How the commands print: tables that fit a terminal, plain text for a pipe, light help."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from exports import log
from log_fixtures import a_record, new_id, redis_url
from test_serve import clean_environ, command

__all__ = ["redis_url"]  # a fixture of its own module


def on_terminal(cwd: Path, *arguments: str, columns: int, **environ: str) -> str:
    """What a terminal of that width gets."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway", *arguments],
        cwd=cwd,
        env=clean_environ(COLUMNS=str(columns), TERM="xterm-256color", **environ),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    seen = b""
    try:
        while chunk := os.read(ours, 65536):
            seen += chunk
    except OSError:  # the other end is closed
        pass
    os.close(ours)
    assert process.wait() == 0, seen
    return seen.decode().replace("\r\n", "\n")


def test_a_pipe_gets_a_whole_line_for_each_row_and_no_escape_codes(
    redis_url: str, tmp_path: Path
) -> None:
    model = "m" * 300
    log(redis_url, [a_record(id="one", served_by=model), a_record(id="two")])
    ran = command("decisions", cwd=tmp_path, HYDRA_REDIS_URL=redis_url, COLUMNS="40")
    head, *rows = ran.stdout.splitlines()
    assert "\x1b" not in ran.stdout
    assert [row.split()[-1] for row in rows] == ["two", "one"]
    assert model in rows[1]
    assert head == head.rstrip()


def test_a_terminal_gets_colours_unless_it_wants_none(redis_url: str, tmp_path: Path) -> None:
    log(redis_url, [a_record(status="error")])
    where = {"HYDRA_REDIS_URL": redis_url}
    assert "\x1b[31merror" in on_terminal(tmp_path, "decisions", columns=200, **where)
    plain = on_terminal(tmp_path, "decisions", columns=200, NO_COLOR="1", **where)
    assert "error" in plain
    assert "\x1b[3" not in plain


@pytest.mark.parametrize("columns", [60, 80, 120, 200])
def test_a_narrow_terminal_loses_columns_and_no_characters(
    columns: int, redis_url: str, tmp_path: Path
) -> None:
    decision_id = new_id()
    log(redis_url, [a_record(id=decision_id)])
    where = {"HYDRA_REDIS_URL": redis_url, "NO_COLOR": "1"}
    shown = re.sub(r"\x1b\[\d*m", "", on_terminal(tmp_path, "decisions", columns=columns, **where))
    assert "\u2026" not in shown
    assert max(len(line) for line in shown.splitlines()) <= columns
    assert ("0.000164" in shown, decision_id in shown) == (True, columns >= 120)


def test_what_callers_wrote_steers_neither_terminal_nor_markup(
    redis_url: str, tmp_path: Path
) -> None:
    """Escape codes in a model's name, and what rich would take for a style."""
    log(redis_url, [a_record(model_requested="[/red]\x1b]0;mine\x07")])
    ran = command("decisions", cwd=tmp_path, HYDRA_REDIS_URL=redis_url)
    assert ran.returncode == 0, ran.stderr
    assert "[/red]?]0;mine?" in ran.stdout


@pytest.mark.parametrize(
    ("limit", "reader", "read"),
    [(900, "head -n 1", "[\n"), (1, "true", "")],
    ids=["amid", "before"],
)
def test_a_reader_that_leaves_is_no_error(
    limit: int, reader: str, read: str, redis_url: str, tmp_path: Path
) -> None:
    log(redis_url, [a_record() for _ in range(limit)])
    piped = f"{sys.executable} -m gateway decisions --limit {limit} --json | {reader}"
    ran = subprocess.run(
        ["bash", "-c", piped],
        env=clean_environ(HYDRA_REDIS_URL=redis_url),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.stdout, ran.stderr) == (read, "")


def test_help_imports_nothing_that_takes_time() -> None:
    script = """
import sys
from gateway.cli import main
try:
    main(["decisions", "--help"])
finally:
    heavy = {"asyncio", "litellm", "numpy", "onnxruntime", "redis", "rich", "starlette", "yaml"}
    print(sorted(heavy & set(sys.modules)), file=sys.stderr)
"""
    ran = subprocess.run(
        [sys.executable, "-c", script], env=clean_environ(), capture_output=True, text=True
    )
    assert "example: hydra-gateway decisions --follow" in ran.stdout
    assert ran.stderr == "[]\n"
