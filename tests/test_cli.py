"""The commands that only look, run as processes in an empty folder."""

import argparse
import json
import shlex
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path

import pytest
import redis
from log_fixtures import Server
from test_serve import ROOT, command

from gateway.cli import parser

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
    assert "ok: 7 profiles" in ran.stdout
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


def priced(tmp_path: Path, old: str, new: str) -> Path:
    """The shipped profiles, with one line of gpt-5.4's price replaced."""
    folder = tmp_path / "profiles"
    folder.mkdir()
    for path in (ROOT / "profiles").glob("*.yaml"):
        (folder / path.name).write_text(path.read_text())
    path = folder / "gpt-5.4.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    return path


def test_prices_lists_rates_tiers_source_and_age(tmp_path: Path) -> None:
    read = (datetime.now(UTC) - timedelta(days=30)).date()
    priced(tmp_path, "date: 2026-11-23", f"date: {read}")
    table = command("prices", cwd=tmp_path).stdout
    (line,) = [line for line in table.splitlines() if line.startswith("gpt-5.4 ")]
    assert line.split()[:6] == ["gpt-5.4", "2.5", "15", "0.25", "-", "30"]
    assert "above 272,000 flex" in table
    rows = json.loads(command("prices", "--json", cwd=tmp_path).stdout)
    price = {row["name"]: row["price"] for row in rows}["gpt-5.4"]
    assert (price["input_usd_per_mtok"], price["cache_write_usd_per_mtok"]) == ("2.5", None)
    assert (price["age_days"], price["is_old"]) == (30, False)
    assert price["tiers"][0]["above_prompt_tokens"] == 272_000
    assert price["tiers"][0]["output_usd_per_mtok"] == "22.5"


def test_an_old_price_is_a_warning(tmp_path: Path) -> None:
    read = (datetime.now(UTC) - timedelta(days=181)).date()
    priced(tmp_path, "date: 2026-11-23", f"date: {read}")
    words = "warning: gpt-5.4: its price is 181 days old (litellm 1.106.2 bundled price table); "
    for name in ("check", "prices"):
        assert words in command(name, cwd=tmp_path).stdout


@pytest.mark.parametrize("when", ["", "date: last summer"], ids=["no date", "no such date"])
def test_a_price_of_unknown_age_is_shown_as_such_and_no_warning(tmp_path: Path, when: str) -> None:
    priced(tmp_path, "  date: 2026-11-23", f"  {when}")
    ran = command("prices", "--json", cwd=tmp_path)
    price = {row["name"]: row["price"] for row in json.loads(ran.stdout)}["gpt-5.4"]
    assert (price["age_days"], price["is_old"]) == (None, False)
    assert "gpt-5.4: its price is" not in command("check", cwd=tmp_path).stdout


def test_prices_diff_shows_where_a_profile_and_the_table_part(tmp_path: Path) -> None:
    path = priced(tmp_path, "cached_input_usd_per_mtok: 0.25", "cached_input_usd_per_mtok: 0.2")
    text = path.read_text()
    lines = [line for line in text.splitlines() if "priority" not in line]
    path.write_text("\n".join(lines) + "\n")
    found = json.loads(command("prices", "--diff", "--json", cwd=tmp_path).stdout)
    assert found["not_in_the_table"] == ["local-large", "local-small"]
    assert found["differences"][0] == {
        "name": "gpt-5.4",
        "above_prompt_tokens": 0,
        "service_tier": "",
        "field": "cached_input_usd_per_mtok",
        "own": "0.2",
        "bundled": "0.25",
    }
    # A tier that is left out is billed as the plain one.
    parted = {(each["service_tier"], each["field"]): each for each in found["differences"]}
    assert parted["priority", "output_usd_per_mtok"]["own"] == "15"
    assert parted["priority", "output_usd_per_mtok"]["bundled"] == "30"
    shown = command("prices", "--diff", cwd=tmp_path).stdout
    assert "cached_input_usd_per_mtok" in shown
    assert "not in the table: local-large, local-small" in shown


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
    assert ran.returncode == 2
    assert ran.stderr == "since: expected an ISO 8601 time or Unix seconds, got 'yesterday'\n"


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
    (line,) = [x for x in command("prices", cwd=tmp_path).stdout.splitlines() if "bare" in x]
    assert line.split() == ["bare", "?", "?", "?", "?", "?", "unknown"]
    shown = command("prices", "--diff", cwd=tmp_path).stdout
    assert shown == (
        "no profile's price differs from litellm's bundled table\n"
        "not in the table: bare, local-large, local-small\n"
    )


def test_keys_lists_ids_and_never_secrets(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("bob=hunter2\n0123456789\n")
    where = {
        "HYDRA_API_KEYS": "alice=s3cret",
        "HYDRA_API_KEYS_FILE": "keys",
        "HYDRA_ADMIN_KEY": "s3cr3t",
    }
    ran = command("keys", cwd=tmp_path, **where)
    assert ran.stdout == "alice\nbob\nkey-84d89877\nadmin (admin)\n"
    listed = json.loads(command("keys", "--json", cwd=tmp_path, **where).stdout)
    assert listed[-2:] == [{"id": "key-84d89877", "admin": False}, {"id": "admin", "admin": True}]
    assert command("keys", cwd=tmp_path).stdout.startswith("no keys are set: open to everyone")


def test_a_new_key_opens_the_gateway_once_its_line_is_set(tmp_path: Path) -> None:
    made = [
        json.loads(command("keys", "new", *name, "--json", cwd=tmp_path).stdout)
        for name in (("carol",), ())
    ]
    assert made[0]["line"] == f"carol={made[0]['secret']}"
    assert made[1]["line"] == made[1]["secret"]
    assert len({key["secret"] for key in made}) == 2
    assert all(len(key["secret"]) > 40 for key in made)
    (tmp_path / "keys").write_text("".join(f"{key['line']}\n" for key in made))
    listed = command("keys", "--json", cwd=tmp_path, HYDRA_API_KEYS_FILE="keys").stdout
    assert [key["id"] for key in json.loads(listed)] == [key["id"] for key in made]


def test_a_new_key_says_where_it_goes(tmp_path: Path) -> None:
    lines = command("keys", "new", "carol", cwd=tmp_path).stdout.splitlines()
    assert f"  HYDRA_API_KEYS=carol={lines[0]}" in lines
    assert f"  carol={lines[0]}" in lines
    again = command("keys", "new", "carol", cwd=tmp_path, HYDRA_API_KEYS="alice=s3cret")
    assert "append to HYDRA_API_KEYS:  ,carol=hydra-" in again.stdout
    assert "s3cret" not in again.stdout


@pytest.mark.parametrize("name", ["alice", "a,b", "a=b", "caf\u00e9", ""], ids=repr)
def test_a_name_that_a_key_cannot_have_is_wrong_usage(name: str, tmp_path: Path) -> None:
    ran = command("keys", "new", name, cwd=tmp_path, HYDRA_API_KEYS="alice=s3cret")
    if name:
        assert (ran.returncode, ran.stdout) == (2, "")
        assert ran.stderr.startswith("NAME: ")
    else:
        assert ran.returncode == 0


def commands(within: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for action in within._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, each in action.choices.items():
                yield name, each
                yield from commands(each)


ALL = list(commands(parser()))


@pytest.mark.parametrize("each", [each for _, each in ALL], ids=[name for name, _ in ALL])
def test_each_command_is_carried_out_has_an_example_and_says_what_it_takes(
    each: argparse.ArgumentParser,
) -> None:
    module, _, function = each.get_default("run").partition(".")
    assert callable(getattr(import_module(f"gateway.commands.{module}"), function))
    assert each.description
    assert each.description.endswith(".")
    assert each.epilog
    assert each.prog in each.epilog
    for action in each._actions:
        assert action.help or isinstance(action, argparse._SubParsersAction), action.dest


def test_the_examples_can_be_parsed() -> None:
    for _, each in ALL:
        arguments = shlex.split(str(each.epilog).removeprefix("example: "))
        assert parser().parse_args(arguments[1:]).run == each.get_default("run")


def test_json_is_an_option_of_every_command_that_tells_something() -> None:
    for name, each in ALL:
        has_json = "--json" in each.format_help()
        assert has_json is (name not in ("serve", "demo", "completion")), name


@pytest.mark.parametrize("limit", ["0", "-1", "1001", "many"])
def test_a_limit_that_no_list_has_is_wrong_usage(limit: str, tmp_path: Path) -> None:
    ran = command("decisions", f"--limit={limit}", cwd=tmp_path)
    assert ran.returncode == 2
    assert f"expected 1 to 1000, got '{limit}'" in ran.stderr
