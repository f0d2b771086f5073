"""The commands that only look, run as processes in an empty folder."""

import json
from pathlib import Path

import redis
from log_fixtures import Server
from test_serve import ROOT, command

PROFILES = str(ROOT / "profiles")


def test_route_shows_requirements_candidates_and_the_reason(tmp_path: Path) -> None:
    ran = command("route", "prove that there are infinitely many primes", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    lines = ran.stdout.splitlines()
    assert lines[0].split()[:4] == ["reasoning", "code_generation", "debugging", "tool_use"]
    assert lines[1].startswith("requirements")
    for name in ("gpt-5.4-mini", "claude-haiku-4-5", "gpt-5.3-codex", "claude-sonnet-4-6"):
        assert name in ran.stdout
    assert "mode iso, " in lines[-1]


def test_route_as_json_is_the_record(tmp_path: Path) -> None:
    ran = command("route", "hello", "--json", "--threshold", "0.7", cwd=tmp_path)
    entry = json.loads(ran.stdout)
    assert entry["threshold"] == 0.7
    assert entry["mode"] is None
    assert len(entry["candidates"]) == 5


def test_route_reads_a_prompt_from_a_pool_without_keys(tmp_path: Path) -> None:
    entry = json.loads(command("route", "hi", "--pool", "local", "--json", cwd=tmp_path).stdout)
    assert {item["model"] for item in entry["candidates"]} == {"local-small", "local-large"}


def test_route_with_an_unknown_pool_says_which_there_are(tmp_path: Path) -> None:
    ran = command("route", "hi", "--pool", "nope", cwd=tmp_path)
    assert (ran.returncode, ran.stderr) == (
        1,
        "no pool is named 'nope': there are default, demo, local\n",
    )


def test_check_counts_and_lists_what_is_left_out(tmp_path: Path) -> None:
    ran = command("check", cwd=tmp_path, OPENAI_API_KEY="sk-x")
    assert ran.returncode == 0
    assert ran.stdout.startswith("ok: ")
    assert "left out: claude-haiku-4-5: ANTHROPIC_API_KEY is not set" in ran.stdout
    found = json.loads(command("check", "--json", cwd=tmp_path).stdout)
    assert (found["ok"], found["demo"], found["pool"]) == (True, True, "demo")


def test_check_warns_of_a_misspelt_variable(tmp_path: Path) -> None:
    ran = command("check", cwd=tmp_path, HYDRA_PROT="4000")
    assert ran.returncode == 0
    assert "warning: HYDRA_PROT: no such setting" in ran.stdout


def test_check_reads_dotenv_and_the_environment_is_stronger(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("OPENAI_API_KEY=sk-from-file\nHYDRA_PORT=no\n")
    ran = command("check", "--json", cwd=tmp_path, HYDRA_PORT="4001")
    found = json.loads(ran.stdout)
    assert found["demo"] is False
    assert "gpt-5.4" in found["profiles"]


def test_check_names_every_problem_of_a_catalog_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "profiles"
    folder.mkdir()
    for path in (ROOT / "profiles").glob("*.yaml"):
        (folder / path.name).write_text(path.read_text())
    mini = folder / "gpt-5.4-mini.yaml"
    mini.write_text(mini.read_text() + "colour: blue\n")
    pools = folder / "pools.yaml"
    pools.write_text(pools.read_text().replace("    rule: value", "    rule: vibes", 1))
    ran = command("check", cwd=tmp_path)
    assert ran.returncode == 3
    assert "gpt-5.4-mini.yaml:" in ran.stderr
    assert "colour: unknown field" in ran.stderr
    assert "rule: expected one of threshold, value, got 'vibes'" in ran.stderr


def test_models_lists_capabilities_prices_and_what_is_missing(tmp_path: Path) -> None:
    table = command("models", cwd=tmp_path, OPENAI_API_KEY="sk-x").stdout
    assert "ANTHROPIC_API_KEY is not set" in table
    listed = json.loads(command("models", "--json", cwd=tmp_path).stdout)
    assert {item["name"] for item in listed} >= {"gpt-5.4", "local-small"}


def test_decisions_and_costs_of_an_empty_log_say_so(tmp_path: Path, shared_server: Server) -> None:
    where = {"HYDRA_REDIS_URL": shared_server.url}
    with redis.Redis.from_url(shared_server.url) as client:
        client.flushall()
    assert command("decisions", cwd=tmp_path, **where).stdout == "no decisions yet\n"
    ran = command("decisions", "--tag", "x", cwd=tmp_path, **where)
    assert ran.stdout == "no decision matches\n"
    assert command("costs", cwd=tmp_path, **where).stdout == "no decisions yet\n"
    assert json.loads(command("costs", "--json", cwd=tmp_path, **where).stdout) == []


def test_looking_at_a_log_that_is_not_there_makes_none(tmp_path: Path) -> None:
    ran = command("decisions", cwd=tmp_path)
    assert ran.returncode == 1
    assert ran.stderr.startswith("no log in .hydra: run this where the gateway runs")
    assert list(tmp_path.iterdir()) == []


def test_a_redis_that_is_away_is_said_in_one_line(tmp_path: Path) -> None:
    ran = command("decisions", cwd=tmp_path, HYDRA_REDIS_URL="redis://127.0.0.1:9")
    assert ran.returncode == 1
    assert ran.stderr == "the decision log cannot be read: Redis cannot be reached\n"


def test_wrong_usage_exits_with_2(tmp_path: Path) -> None:
    assert command("nonsense", cwd=tmp_path).returncode == 2


def test_a_time_that_is_none_is_refused(tmp_path: Path, shared_server: Server) -> None:
    url = shared_server.url
    ran = command("decisions", "--since", "yesterday", cwd=tmp_path, HYDRA_REDIS_URL=url)
    assert (ran.returncode, "since: expected an ISO 8601 time" in ran.stderr) == (3, True)


def test_check_warns_of_profiles_that_can_hardly_be_chosen(tmp_path: Path) -> None:
    folder = tmp_path / "profiles"
    folder.mkdir()
    for path in (ROOT / "profiles").glob("*.yaml"):
        (folder / path.name).write_text(path.read_text())
    axes = ("reasoning", "code_generation", "debugging", "tool_use")
    capabilities = ", ".join(f"{axis}: 0.5" for axis in axes)
    (folder / "bare.yaml").write_text(
        f"name: bare\nlitellm_model: hosted_vllm/bare\ncapabilities: {{{capabilities}}}\n"
    )
    pools = folder / "pools.yaml"
    pools.write_text(pools.read_text().replace("[local-small,", "[bare, local-small,", 1))
    ran = command("check", cwd=tmp_path)
    assert "warning: bare: its price is unknown, so it ranks last" in ran.stdout
    assert "warning: bare: it lists no features" in ran.stdout
