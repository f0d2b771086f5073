"""`hydra-gateway decisions --follow`: the log as it grows, in a process of its own."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from exports import log
from followers import following
from log_fixtures import Server, a_record, redis_url
from test_serve import clean_environ, command, start

__all__ = ["redis_url"]  # a fixture of its own module


def named(*ids: str, **changes: object) -> list[dict[str, object]]:
    return [a_record(id=each, **changes) for each in ids]


def test_it_prints_what_is_logged_from_now_on_an_object_a_line(
    redis_url: str, tmp_path: Path
) -> None:
    log(redis_url, named("old"))
    with following(tmp_path, "--json", HYDRA_REDIS_URL=redis_url) as follower:
        follower.warm_up(redis_url)
        log(redis_url, named("one", "two", tags=["caf\u00e9"]))
        records = [json.loads(follower.line()) for _ in range(2)]
    assert [record["id"] for record in records] == ["one", "two"]
    assert records[0]["tags"] == ["caf\u00e9"]
    assert records[0]["cost_usd"] == "0.000164"


def test_a_limit_begins_with_the_newest_that_are_there(redis_url: str, tmp_path: Path) -> None:
    log(redis_url, named("one", "two", "three"))
    with following(tmp_path, "--json", "--limit", "2", HYDRA_REDIS_URL=redis_url) as follower:
        assert [json.loads(follower.line())["id"] for _ in range(2)] == ["two", "three"]
        log(redis_url, named("four"))
        assert json.loads(follower.line())["id"] == "four"


def test_since_begins_with_all_that_came_after(redis_url: str, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    old = (now - timedelta(days=1)).isoformat()
    log(redis_url, [*named("old", ts=old), *named("one", "two")])
    since = (now - timedelta(hours=1)).isoformat()
    with following(tmp_path, "--json", "--since", since, HYDRA_REDIS_URL=redis_url) as follower:
        assert [json.loads(follower.line())["id"] for _ in range(2)] == ["one", "two"]


def test_it_takes_the_filters_of_the_list(redis_url: str, tmp_path: Path) -> None:
    arguments = ("--json", "--status", "error", "--tag", "t", "--limit", "9")
    log(redis_url, named("before", status="error", tags=["t"]))
    with following(tmp_path, *arguments, HYDRA_REDIS_URL=redis_url) as follower:
        assert json.loads(follower.line())["id"] == "before"
        log(redis_url, named("fine", tags=["t"]))
        log(redis_url, named("untagged", status="error"))
        log(redis_url, named("wanted", status="error", tags=["t", "u"]))
        assert json.loads(follower.line())["id"] == "wanted"


def test_ctrl_c_ends_it_without_a_word(redis_url: str, tmp_path: Path) -> None:
    with following(tmp_path, HYDRA_REDIS_URL=redis_url) as follower:
        follower.warm_up(redis_url)
        assert follower.interrupt() == (130, [])


def test_lines_stand_under_a_head_and_a_pipe_gets_them_whole_and_plain(
    redis_url: str, tmp_path: Path
) -> None:
    """What callers wrote does not steer the terminal, nor rich."""
    log(redis_url, named("one", model_requested="auto[red]\x1b[2J"))
    log(redis_url, named("two", status="error", served_by=None))
    with following(tmp_path, "--limit", "2", HYDRA_REDIS_URL=redis_url) as follower:
        head, one, two = (follower.line() for _ in range(3))
    assert head.split()[:4] == ["time", "asked", "for", "served"]
    assert "auto[red]?[2J" in one
    assert "\x1b" not in head + one + two
    assert (one.split()[-1], two.split()[-1]) == ("one", "two")
    assert head.index("status") == one.index("ok") == two.index("error")


def test_it_outlives_a_restart_of_redis_with_one_line(
    new_server: Callable[..., Server], tmp_path: Path
) -> None:
    server = new_server()
    with following(tmp_path, "--json", HYDRA_REDIS_URL=server.url) as follower:
        follower.warm_up(server.url)
        server.kill()
        words = "the decision log cannot be read: Redis cannot be reached; it is asked again"
        assert follower.complaint() == words
        time.sleep(1.5)  # three more tries
        server.start()
        log(server.url, named("after"))
        assert json.loads(follower.line())["id"] == "after"
        assert follower.interrupt() == (130, [])


def test_it_works_beside_a_gateway_on_the_embedded_redis_and_outlives_it(tmp_path: Path) -> None:
    served = start(tmp_path, "demo")
    try:
        with following(tmp_path, "--json", "--limit", "1") as follower:
            body = {"model": "auto", "messages": [{"role": "user", "content": "x"}]}
            answer = httpx.post(f"{served.url}/v1/chat/completions", json=body, timeout=30)
            wanted = answer.headers["x-hydra-decision-id"]
            assert json.loads(follower.line())["id"] == wanted
            assert served.stop() == 0
            time.sleep(1)
            assert follower.interrupt()[0] == 130
    finally:
        served.process.kill()


def test_a_reader_that_leaves_ends_it(redis_url: str, tmp_path: Path) -> None:
    log(redis_url, named("one", "two"))
    piped = f"{sys.executable} -m gateway decisions --follow --json --limit 2 | head -n 1"
    process = subprocess.Popen(
        ["bash", "-c", f"set -o pipefail; {piped}"],
        env=clean_environ(HYDRA_REDIS_URL=redis_url),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while process.poll() is None:  # what it writes after head has gone ends it
        log(redis_url, named("more"))
        time.sleep(0.2)
    stdout, stderr = process.communicate()
    assert (process.returncode, stderr) == (1, "")
    assert len(stdout.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "environ", "code", "words"),
    [
        pytest.param(("--until", "2026-01-01"), {}, 2, "--until: not with --follow", id="until"),
        pytest.param((), {"HYDRA_REDIS_URL": ""}, 1, "no log in .hydra", id="no log"),
        pytest.param(
            *((), {"HYDRA_REDIS_URL": "redis://127.0.0.1:9"}, 1),
            "the decision log cannot be read: Redis cannot be reached",
            id="away at the start",
        ),
        pytest.param(("--since", "noon"), {}, 2, "since: expected an ISO", id="no time"),
    ],
)
def test_what_cannot_be_followed_is_said_in_one_line(
    arguments: tuple[str, ...],
    environ: dict[str, str],
    code: int,
    words: str,
    redis_url: str,
    tmp_path: Path,
) -> None:
    where = {"HYDRA_REDIS_URL": redis_url, **environ}
    ran = command("decisions", "--follow", *arguments, cwd=tmp_path, **where)
    assert (ran.returncode, ran.stdout, len(ran.stderr.splitlines())) == (code, "", 1)
    assert ran.stderr.startswith(words)
