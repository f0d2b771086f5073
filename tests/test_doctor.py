"""`hydra-gateway doctor`: each thing that can be wrong is named, with what mends it."""

import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import redis
from exports import log
from gateways import StartGateway
from log_fixtures import Server, a_record, redis_url
from servers import serve
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from test_serve import ROOT, clean_environ, command

from gateway import redis_keys, schema, spool_files
from gateway.doctor import installation, redis_checks
from gateway.doctor.examination import CHECKS, examine
from gateway.doctor.finding import Finding
from gateway.doctor.redis_facts import RedisFacts
from gateway.embedded_redis import running
from gateway.spool import Spool

__all__ = ["redis_url"]  # a fixture of its own module

AXES = ("reasoning", "code_generation", "debugging", "tool_use")
CAPABILITIES = f"capabilities: {{{', '.join(f'{axis}: 0.5' for axis in AXES)}}}\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def environ(here: Path, redis_url: str) -> dict[str, str]:
    """Nothing to complain of but what the machine lacks."""
    return {"HYDRA_REDIS_URL": redis_url, "HYDRA_PORT": "0", "OPENAI_API_KEY": "sk-1234"}


def found(environ: dict[str, str], check: str, *, online: bool = False) -> list[Finding]:
    """What the checks of that name find."""
    return [each for each in examine(environ, online=online) if each.check == check]


def words(findings: list[Finding]) -> list[tuple[str, str]]:
    return [(each.level, each.message) for each in findings]


def write_catalog(folder: Path, profiles: dict[str, str]) -> None:
    """A catalog of these profiles: name -> further lines of its file."""
    folder.mkdir()
    shutil.copy(ROOT / "profiles/dimensions.yaml", folder)
    for name, more in profiles.items():
        text = f"name: {name}\nlitellm_model: hosted_vllm/{name}\n{CAPABILITIES}{more}"
        (folder / f"{name}.yaml").write_text(text)
    names = ", ".join(profiles)
    pool = f"pools: {{default: {{profiles: [{names}], modes: {{iso: 0.2}}}}}}\n"
    (folder / "pools.yaml").write_text(pool)


def test_a_newcomers_folder_has_no_problem_and_is_left_as_it_was(tmp_path: Path) -> None:
    ran = command("doctor", cwd=tmp_path, HYDRA_PORT="0")
    assert (ran.returncode, ran.stderr) == (0, "")
    lines = ran.stdout.splitlines()
    assert any(line.startswith("ok       embedded redis     Valkey ") for line in lines)
    assert "OPENAI_API_KEY is not set\n" in ran.stdout
    assert "-> set OPENAI_API_KEY, or take them out of the pool\n" in ran.stdout
    assert lines[-1].startswith("no problems, ")
    assert list(tmp_path.iterdir()) == []


def test_a_problem_is_exit_code_3_and_json_has_all_findings(tmp_path: Path) -> None:
    ran = command("doctor", "--json", cwd=tmp_path, HYDRA_PORT="many")
    assert (ran.returncode, ran.stderr) == (3, "")
    told = json.loads(ran.stdout)
    assert told["ok"] is False
    (problem,) = [each for each in told["findings"] if each["level"] == "problem"]
    assert problem == {
        "check": "settings",
        "level": "problem",
        "message": "HYDRA_PORT: expected a whole number from 0 to 65535, got 'many'",
        "remedy": "correct it; docs/configuration.md lists the settings",
    }
    shown = command("doctor", cwd=tmp_path, HYDRA_PORT="many").stdout
    assert "1 problem, " in shown.splitlines()[-1]


def test_every_finding_but_a_good_one_has_a_remedy(here: Path) -> None:
    environ = {"HYDRA_REDIS_URL": "redis://127.0.0.1:9", "HYDRA_HOST": "0.0.0.0", "HYDRA_X": "1"}
    findings = examine(environ)
    assert {each.level for each in findings} == {"ok", "warning", "problem"}
    for each in findings:
        assert bool(each.remedy) == (each.level != "ok"), each
        assert "\n" not in each.message, each


def test_what_is_wrong_in_one_place_hides_nothing_elsewhere(here: Path) -> None:
    environ = {
        "HYDRA_PORT": "many",
        "HYDRA_WORKERS": "0",
        "HYDRA_REDIS_URL": "http://x",
        "HYDRA_PREDICTOR": "/nowhere",
        "HYDRA_DATA_DIR": "/proc/hydra",
        "HYDRA_API_KEYS": "alice=one,alice=two",
    }
    findings = examine(environ)
    problems = [each.message for each in findings if each.level == "problem"]
    for begin in (
        *("HYDRA_PORT: ", "HYDRA_WORKERS: ", "HYDRA_API_KEYS: two keys", "/nowhere/meta.json: "),
        *("the Redis URL must start with", "/proc cannot be written: "),
    ):
        assert any(message.startswith(begin) for message in problems), begin
    assert {"python", "open files", "spool"} <= {each.check for each in findings}


def test_a_misspelt_setting_is_told_from_an_unknown_one(environ: dict[str, str]) -> None:
    findings = found({**environ, "HYDRA_PROT": "1", "HYDRA_QQ": "1"}, "settings")
    assert [each.remedy.partition(";")[0] for each in findings] == [
        "did you mean HYDRA_PORT?",
        "remove it",
    ]
    assert words(found(environ, "settings")) == [("ok", "HYDRA_PORT, HYDRA_REDIS_URL")]


def test_a_host_for_others_without_keys_is_a_problem(environ: dict[str, str]) -> None:
    (finding,) = found({**environ, "HYDRA_HOST": "0.0.0.0"}, "settings")
    assert finding.level == "problem"
    assert finding.message.startswith("HYDRA_HOST: 0.0.0.0 is not a loopback address")
    keys = "alice=0123456789abcdef0123"
    opened = {**environ, "HYDRA_HOST": "0.0.0.0", "HYDRA_API_KEYS": keys}
    assert words(found(opened, "callers' keys")) == [("ok", "alice")]


@pytest.mark.parametrize(
    ("keys", "level", "message"),
    [
        pytest.param("alice=12345", "warning", "alice: 5 characters can be guessed", id="short"),
        pytest.param(
            *('alice="0123456789abcdef0123"', "problem"),
            "alice: the quotes around it are taken as part of it",
            id="quoted",
        ),
    ],
)
def test_a_callers_key_that_protects_little(
    keys: str, level: str, message: str, environ: dict[str, str]
) -> None:
    findings = found({**environ, "HYDRA_API_KEYS": keys}, "callers' keys")
    assert words(findings) == [(level, message)]


@pytest.mark.parametrize(
    ("value", "level", "message"),
    [
        pytest.param("", "warning", "is set, but empty", id="empty"),
        pytest.param('"sk-1234"', "problem", "has quotes around it, which are", id="quoted"),
        pytest.param(" sk-1234\n", "problem", "has white space around it", id="a line"),
        pytest.param("sk 1234", "problem", "has characters that no key has", id="a space"),
        pytest.param("sk-\u2026", "problem", "has characters that no key has", id="not ASCII"),
    ],
)
def test_a_providers_key_that_no_provider_takes(
    value: str, level: str, message: str, environ: dict[str, str]
) -> None:
    (finding,) = found({**environ, "OPENAI_API_KEY": value}, "provider keys")
    assert finding.level == level
    assert finding.message.startswith(f"OPENAI_API_KEY {message}")
    if value:
        assert value not in finding.message + finding.remedy


def test_dotenv_is_read_as_serve_reads_it(here: Path, environ: dict[str, str]) -> None:
    path = here / ".env"
    assert found(environ, ".env") == []
    path.write_text("OPENAI_API_KEY=sk\n")
    path.chmod(0o600)
    assert words(found(environ, ".env")) == [("ok", "read")]
    path.write_text("OPENAI_API_KEY=sk\nwhat is this\n")
    path.chmod(0o644)
    assert words(found({**environ, "OPENAI_API_KEY": ""}, ".env")) == [
        ("problem", "line 2 cannot be read"),
        (
            "warning",
            "OPENAI_API_KEY is set there, but empty in the environment, which is stronger",
        ),
        ("warning", "others on this machine can read it, and the keys in it"),
    ]


def test_who_can_be_chosen_and_what_the_others_lack(environ: dict[str, str]) -> None:
    assert words(found(environ, "profiles")) == [
        ("ok", "pool default: gpt-5.4-mini, gpt-5.3-codex, gpt-5.4"),
        (
            "warning",
            "left out: claude-haiku-4-5, claude-sonnet-4-6: ANTHROPIC_API_KEY is not set",
        ),
    ]
    del environ["OPENAI_API_KEY"]
    first = found(environ, "profiles")[0]
    assert (first.level, first.message.partition(": ")[2]) == (
        *("warning", "the demo upstream would answer"),
    )
    first = found({**environ, "HYDRA_PROFILES": str(ROOT / "profiles")}, "profiles")[0]
    assert (first.level, first.message.partition(": ")[2]) == (
        *("problem", "every request would be refused"),
    )


def test_every_problem_of_the_catalog_is_named(here: Path, environ: dict[str, str]) -> None:
    write_catalog(here / "profiles", {"a": "colour: blue\n", "b": "price: free\n"})
    findings = found(environ, "catalog")
    assert [each.level for each in findings] == ["problem", "problem"]
    assert findings[0].message.startswith("profiles/a.yaml:")
    assert found({**environ, "HYDRA_POOL": "nope"}, "profiles") == []


def test_a_pool_that_is_not_there_is_a_problem(environ: dict[str, str]) -> None:
    assert words(found({**environ, "HYDRA_POOL": "nope"}, "catalog")) == [
        ("problem", "no pool is named 'nope'")
    ]


def test_old_prices_and_modes_of_another_predictor_are_warnings(
    here: Path, environ: dict[str, str]
) -> None:
    read = (datetime.now(UTC) - timedelta(days=200)).date()
    price = f"price: {{input_usd_per_mtok: 1, output_usd_per_mtok: 2, date: {read}}}\n"
    write_catalog(here / "profiles", {"a": price})
    (finding,) = found(environ, "prices")
    assert finding.level == "warning"
    assert finding.message == "a: its price is 200 days old (no source)"
    (finding,) = found(environ, "modes")
    assert "are provisional" in finding.message
    pools = here / "profiles" / "pools.yaml"
    pools.write_text(pools.read_text().replace("modes:", "fitted_for: abcdef, modes:"))
    (finding,) = found(environ, "modes")
    assert finding.message.startswith("pool default: its modes were fitted for predictor abcdef")
    assert finding.remedy == "run hydra-gateway calibrate"


def test_the_predictor_answers_in_its_time(environ: dict[str, str]) -> None:
    (finding,) = found(environ, "predictor")
    assert finding.level == "ok"
    assert "4 requirements in " in finding.message


def test_a_redis_that_keeps_its_data_is_well(
    new_server: Callable[..., Server], environ: dict[str, str]
) -> None:
    findings = examine({**environ, "HYDRA_REDIS_URL": new_server().url})
    about = {each.check: each for each in findings if each.check.startswith("redis")}
    assert set(about) == {"redis", "redis persistence", "redis memory"}
    assert {each.level for each in about.values()} == {"ok"}


def test_a_redis_that_forgets_is_a_problem(environ: dict[str, str]) -> None:
    url = environ["HYDRA_REDIS_URL"]
    (finding,) = found(environ, "redis persistence")
    assert words([finding]) == [
        ("problem", "off: a restart of Redis loses the log and all sums"),
    ]
    with redis.Redis.from_url(url) as client:
        client.config_set("save", "3600 1")
        client.config_set("maxmemory", "100mb")
        client.config_set("maxmemory-policy", "volatile-lru")
        try:
            assert found(environ, "redis persistence")[0].level == "warning"
            (finding,) = found(environ, "redis memory")
        finally:
            client.config_set("save", "")
            client.config_set("maxmemory", "0")
            client.config_set("maxmemory-policy", "noeviction")
    assert words([finding]) == [
        (
            "problem",
            "maxmemory-policy volatile-lru: once 100 MiB are full it evicts decisions before"
            " their time",
        ),
    ]
    assert found(environ, "redis memory")[0].level == "ok"


def test_a_replica_and_a_newer_gateways_redis_are_problems(
    new_server: Callable[..., Server], environ: dict[str, str]
) -> None:
    server = new_server()
    environ["HYDRA_REDIS_URL"] = server.url
    with redis.Redis.from_url(server.url) as client:
        client.set(redis_keys.SCHEMA, schema.VERSION + 1)
        client.execute_command("REPLICAOF", "127.0.0.1", "9")
    assert found(environ, "redis role")[0].level == "problem"
    assert found(environ, "redis schema")[0].level == "problem"


@pytest.mark.parametrize(
    ("facts", "check", "level", "message"),
    [
        pytest.param(
            *(RedisFacts(is_embedded=False, info={"redis_version": "6.0.16"}), "redis"),
            *("problem", "Redis 6.0.16 is too old"),
            id="too old",
        ),
        pytest.param(
            RedisFacts(is_embedded=False, info={"redis_version": "7.0.0"}, clock_ahead_s=-60.0),
            *("redis clock", "warning", "60 s behind this machine's"),
            id="a clock that is behind",
        ),
        pytest.param(
            RedisFacts(is_embedded=False, info={"redis_version": "7.0.0"}, clock_ahead_s=900.0),
            *("redis clock", "problem"),
            "900 s ahead of this machine's: filters by time miss decisions",
            id="a clock that is far ahead",
        ),
        pytest.param(
            RedisFacts(is_embedded=False, info={"aof_last_write_status": "err"}),
            *("redis persistence", "problem"),
            "its last write of the append-only file failed; decisions wait in the spool until it"
            " takes them",
            id="a full disk",
        ),
        pytest.param(
            RedisFacts(is_embedded=False, info={"maxmemory": 2**30, "used_memory": 2**30}),
            *("redis memory", "warning"),
            "1,024 MiB of 1,024 MiB are used; full, it refuses writes; decisions wait in the spool"
            " until it takes them",
            id="nearly full",
        ),
        pytest.param(
            RedisFacts(is_embedded=False, info={"aof_enabled": 0}, save=None),
            *("redis persistence", "ok"),
            "no append-only file; whether it writes snapshots it does not say",
            id="a hosted one that says little",
        ),
    ],
)
def test_what_a_redis_says_of_itself(
    facts: RedisFacts, check: str, level: str, message: str, environ: dict[str, str]
) -> None:
    """Of servers and states that cannot be had here."""
    examined = replace(installation.read(environ, online=False), redis=facts)
    checks = [each for each in CHECKS if each.__module__ == redis_checks.__name__]
    findings = [finding for each in checks for finding in each(examined) if finding.check == check]
    assert words(findings) == [(level, message)]


def test_a_redis_that_is_away_is_a_problem(environ: dict[str, str]) -> None:
    environ["HYDRA_REDIS_URL"] = "redis://alice:s3cret@127.0.0.1:9"
    findings = [each for each in examine(environ) if each.check.startswith("redis")]
    assert words(findings) == [("problem", "Redis cannot be reached")]


def test_an_embedded_redis_that_cannot_start_is_a_problem(
    here: Path, environ: dict[str, str]
) -> None:
    del environ["HYDRA_REDIS_URL"]
    with running(here / ".hydra"):
        pass
    assert found(environ, "embedded redis")[0].level == "ok"
    (manifest,) = here.glob(".hydra/redis/appendonlydir/*.manifest")
    manifest.write_text("nonsense")
    (finding,) = found(environ, "embedded redis")
    assert finding.level == "problem"
    assert finding.message.startswith("the embedded Redis ended at once: ")


def test_decisions_that_redis_does_not_have_are_counted(
    here: Path, environ: dict[str, str]
) -> None:
    assert words(found(environ, "spool")) == [("ok", "nothing waits")]
    spool = Spool(here / ".hydra" / "spool")
    for seq in range(1, 4):
        text = spool_files.to_json(a_record())
        spool.append(seq, "begin" if seq == 1 else "end", "one" if seq < 3 else "two", text)
    assert words(found(environ, "spool")) == [("warning", "2 decisions wait for Redis")]
    with redis.Redis.from_url(environ["HYDRA_REDIS_URL"]) as client:
        client.hset(redis_keys.POSITIONS, spool.writer_id, 2)
    assert words(found(environ, "spool")) == [("warning", "1 decision waits for Redis")]
    away = {**environ, "HYDRA_REDIS_URL": "redis://127.0.0.1:9"}
    assert words(found(away, "spool")) == [("warning", "at most 2 decisions wait for Redis")]
    spool.close()


def test_a_port_is_free_a_gateways_or_taken(
    environ: dict[str, str], start_gateway: StartGateway
) -> None:
    def on(port: str) -> Finding:
        return found({**environ, "HYDRA_PORT": port}, "port")[0]

    assert words([on("0")]) == [("ok", "a free one is taken")]
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = str(silent.getsockname()[1])
        assert words([on(port)]) == [
            ("problem", f"can't listen on 127.0.0.1:{port}: Address already in use")
        ]
    assert words([on(port)]) == [("ok", f"127.0.0.1:{port} is free")]
    with serve(Starlette()) as url:
        assert on(url.rpartition(":")[2]).remedy.startswith("another program serves there")
    port = start_gateway().url.rpartition(":")[2]
    assert words([on(port)]) == [("ok", f"a gateway runs on 127.0.0.1:{port}")]


def test_few_open_files_are_a_warning(tmp_path: Path, redis_url: str) -> None:
    script = f"ulimit -Sn 512; ulimit -Hn 1024; exec {sys.executable} -m gateway doctor --json"
    ran = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        env=clean_environ(HYDRA_REDIS_URL=redis_url, HYDRA_PORT="0"),
        capture_output=True,
        text=True,
        check=False,
    )
    (finding,) = [x for x in json.loads(ran.stdout)["findings"] if x["check"] == "open files"]
    assert finding["level"] == "warning"
    assert finding["message"] == "at most 1,024, and a running stream takes two"


def a_provider(asked: list[str]) -> Starlette:
    """`/<status>/v1/models` answers with that status, `/key/...` asks for the right key."""

    async def models(request: Request) -> Response:
        asked.append(request.url.path)
        case = request.path_params["case"]
        sent = request.headers.get("authorization") or request.headers.get("x-api-key")
        if case == "key" and sent not in ("Bearer right", "right"):
            return JSONResponse({}, status_code=401)
        if case == "moved":
            return RedirectResponse("/key/v1/models")
        status = int(case) if case.isdecimal() else 200
        return JSONResponse({"data": [{"id": "good"}, {"id": "claude"}]}, status_code=status)

    return Starlette(routes=[Route("/{case}/v1/models", models)])


def test_online_each_providers_answer_is_told_apart(here: Path, environ: dict[str, str]) -> None:
    asked: list[str] = []
    with serve(a_provider(asked)) as url:
        at = f"api_base: {url}/{{}}/v1\napi_key_env: {{}}\n"
        profiles = {
            "good": at.format("key", "RIGHT"),
            "typo": at.format("key", "RIGHT"),
            "refused": at.format("key", "WRONG"),
            "lost": at.format("404", "RIGHT"),
            "moved": at.format("moved", "RIGHT"),
            "busy": at.format("429", "RIGHT"),
            "broken": at.format("503", "RIGHT"),
            "down": "api_base: http://127.0.0.1:9/v1\n",
            "unset": at.format("key", "UNSET"),
            "elsewhere": "",
        }
        write_catalog(here / "profiles", profiles)
        path = here / "profiles" / "elsewhere.yaml"
        path.write_text(path.read_text().replace("hosted_vllm/", "bedrock/anthropic."))
        claude = at.format("key", "RIGHT").replace("/v1\n", "\n")
        text = f"name: claude\nlitellm_model: anthropic/claude\n{CAPABILITIES}{claude}"
        (here / "profiles" / "claude.yaml").write_text(text)
        environ |= {"RIGHT": "right", "WRONG": "wrong"}
        assert found(environ, "providers") == []
        assert asked == []
        findings = found(environ, "providers", online=True)
    told = {each.message.partition(":")[0]: each for each in findings}
    assert {name: each.level for name, each in told.items()} == {
        "good": "ok",
        "claude": "ok",
        "elsewhere": "ok",
        "typo": "warning",
        "busy": "warning",
        "broken": "warning",
        "refused": "problem",
        "lost": "problem",
        "moved": "problem",
        "down": "problem",
    }
    assert told["good"].message == "good: reached, the key is taken"
    assert told["typo"].message == f"typo: {url}/key/v1/models lists no 'typo'"
    assert told["refused"].remedy == "correct WRONG"
    assert told["lost"].remedy == "correct api_base: it usually ends in /v1"
    assert sorted(asked).count("/key/v1/models") == 3  # one for each key and each protocol
    for each in findings:
        assert "right" not in each.message


def test_no_check_is_left_out() -> None:
    """Every function of a module of checks that takes an installation is in the list."""
    modules = {sys.modules[check.__module__] for check in CHECKS}
    defined = {
        value
        for module in modules
        for name, value in vars(module).items()
        if not name.startswith("_")
        and getattr(value, "__annotations__", {}).get("found") is installation.Installation
    }
    assert defined == set(CHECKS)


def test_a_log_in_use_is_not_disturbed(environ: dict[str, str]) -> None:
    log(environ["HYDRA_REDIS_URL"], [a_record()])
    with redis.Redis.from_url(environ["HYDRA_REDIS_URL"]) as client:
        before = {key: client.dump(key) for key in client.scan_iter()}
        examine(environ)
        assert {key: client.dump(key) for key in client.scan_iter()} == before
