"""HYDRA_* variables: defaults, values, and every problem in one line each."""

from dataclasses import FrozenInstanceError, fields
from pathlib import Path

import pytest

from gateway.errors import SettingsError
from gateway.settings import SETTINGS, Settings


def problems(environ: dict[str, str]) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        Settings.from_env(environ)
    return list(caught.value.problems)


def test_nothing_needs_to_be_set() -> None:
    settings = Settings.from_env({})
    assert (settings.host, settings.port, settings.workers) == ("127.0.0.1", 4000, 1)
    assert (settings.keys, settings.redis_url, settings.pool) == ((), None, None)
    assert settings.data_dir == Path(".hydra")
    assert settings.log_content is False
    assert settings.warnings == ()


def test_the_table_and_the_settings_name_the_same_things() -> None:
    merged = {"api_keys_file"}  # its keys join api_keys
    named = {setting.name for setting in SETTINGS} - merged
    assert {field.name for field in fields(Settings)} == named | {"warnings"}


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_every_default_can_be_read_and_every_row_has_a_sentence(setting) -> None:  # type: ignore[no-untyped-def]
    setting.parse(setting.default)
    assert setting.variable == f"HYDRA_{setting.name.upper()}"
    assert setting.help.endswith(".")


def test_what_is_set_is_taken() -> None:
    settings = Settings.from_env(
        {
            "HYDRA_HOST": "::1",
            "HYDRA_PORT": " 8080 ",
            "HYDRA_PROFILES": "/etc/hydra",
            "HYDRA_API_KEYS": "alice=s3cret",
            "HYDRA_ADMIN_KEY": "root",
            "HYDRA_LOG_CONTENT": "Yes",
            "HYDRA_REDIS_URL": "redis://r",
        }
    )
    assert (settings.host, settings.port) == ("::1", 8080)
    assert settings.catalog_folder == Path("/etc/hydra")
    assert [key.id for key in settings.keys] == ["alice", "admin"]
    assert settings.log_content is True
    assert settings.redis_url == "redis://r"


def test_an_empty_variable_is_the_same_as_none() -> None:
    empty = {setting.variable: " " for setting in SETTINGS}
    assert Settings.from_env(empty) == Settings.from_env({})


def test_a_tilde_is_the_home_folder() -> None:
    settings = Settings.from_env({"HYDRA_DATA_DIR": "~/hydra", "HYDRA_PROFILES": "~/models"})
    assert settings.data_dir == Path.home() / "hydra"
    assert settings.profiles == Path.home() / "models"


def test_settings_are_frozen_and_show_no_secret() -> None:
    settings = Settings.from_env({"HYDRA_API_KEYS": "alice=s3cret", "HYDRA_ADMIN_KEY": "r00t"})
    with pytest.raises(FrozenInstanceError):
        settings.port = 1  # type: ignore[misc]
    assert "s3cret" not in repr(settings)
    assert "r00t" not in repr(settings)


def test_keys_of_the_file_join_those_of_the_variable(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("bob=hunter2\n", encoding="utf-8")
    settings = Settings.from_env(
        {"HYDRA_API_KEYS": "alice=s3cret", "HYDRA_API_KEYS_FILE": str(file)}
    )
    assert [key.id for key in settings.keys] == ["alice", "bob"]


@pytest.mark.parametrize(
    ("environ", "problem"),
    [
        pytest.param(
            {"HYDRA_PORT": "http"},
            "HYDRA_PORT: expected a whole number from 0 to 65535, got 'http'",
            id="a port in words",
        ),
        pytest.param(
            {"HYDRA_PORT": "65536"},
            "HYDRA_PORT: expected a whole number from 0 to 65535, got '65536'",
            id="a port too many",
        ),
        pytest.param(
            {"HYDRA_WORKERS": "-1"},
            "HYDRA_WORKERS: expected a whole number from 1 to 256, got '-1'",
            id="fewer than no workers",
        ),
        pytest.param(
            {"HYDRA_WORKERS": "1.5"},
            "HYDRA_WORKERS: expected a whole number from 1 to 256, got '1.5'",
            id="half a worker",
        ),
        pytest.param(
            {"HYDRA_WORKERS": "²"},
            "HYDRA_WORKERS: expected a whole number from 1 to 256, got '²'",
            id="a digit that is no number",
        ),
        pytest.param(
            {"HYDRA_LOG_CONTENT": "maybe"},
            "HYDRA_LOG_CONTENT: expected true or false, got 'maybe'",
            id="neither true nor false",
        ),
        pytest.param(
            {"HYDRA_API_KEYS": "a=1,a=2"},
            "HYDRA_API_KEYS: two keys share a name",
            id="one name twice",
        ),
        pytest.param(
            {"HYDRA_API_KEYS": "admin=1", "HYDRA_ADMIN_KEY": "2"},
            "HYDRA_API_KEYS: two keys share a name, here, in HYDRA_API_KEYS_FILE"
            " or with HYDRA_ADMIN_KEY, which is 'admin'",
            id="a caller who would be taken for the admin in the log",
        ),
        pytest.param(
            {"HYDRA_ADMIN_KEY": "cl\u00e9"},
            "HYDRA_ADMIN_KEY: must be ASCII: a header carries nothing else",
            id="a key that no client can send",
        ),
        pytest.param(
            {"HYDRA_API_KEYS_FILE": "/nowhere/keys"},
            "HYDRA_API_KEYS_FILE: [Errno 2] No such file or directory: '/nowhere/keys'",
            id="a file that is not there",
        ),
        pytest.param(
            {"HYDRA_DATA_DIR": "~no-such-user/hydra"},
            "HYDRA_DATA_DIR: Could not determine home directory.",
            id="the home of nobody",
        ),
    ],
)
def test_a_wrong_value_is_told(environ: dict[str, str], problem: str) -> None:
    assert problems(environ) == [problem]


def test_all_problems_are_told_at_once() -> None:
    found = problems({"HYDRA_PORT": "x", "HYDRA_WORKERS": "0", "HYDRA_LOG_CONTENT": "?"})
    assert [problem.partition(":")[0] for problem in found] == [
        "HYDRA_PORT",
        "HYDRA_WORKERS",
        "HYDRA_LOG_CONTENT",
    ]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.2", "gateway.example", "[::1]"])
def test_without_keys_only_loopback_is_served(host: str) -> None:
    (problem,) = problems({"HYDRA_HOST": host})
    assert problem.startswith(f"HYDRA_HOST: {host} is not a loopback address and no keys are set")
    Settings.from_env({"HYDRA_HOST": host, "HYDRA_API_KEYS": "s3cret"})
    Settings.from_env({"HYDRA_HOST": host, "HYDRA_ADMIN_KEY": "s3cret"})


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.8.8", "::1"])
def test_loopback_needs_no_keys(host: str) -> None:
    assert Settings.from_env({"HYDRA_HOST": host}).host == host


def test_a_misspelt_variable_is_told_and_ignored() -> None:
    settings = Settings.from_env({"HYDRA_PROT": "1", "OPENAI_API_KEY": "x", "PATH": "/bin"})
    assert settings.warnings == (
        "HYDRA_PROT: no such setting, ignored; docs/configuration.md lists them",
    )


def test_the_catalog_that_came_along_is_the_default() -> None:
    assert (Settings.from_env({}).catalog_folder / "pools.yaml").is_file()
