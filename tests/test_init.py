"""`hydra-gateway init`: a catalog to start from, and never over what somebody wrote."""

import json
from pathlib import Path

from test_serve import ROOT, command

NAMES = sorted([*(path.name for path in ROOT.glob("profiles/*.yaml")), "README.md"])


def test_it_writes_the_shipped_catalog_which_serve_then_takes(tmp_path: Path) -> None:
    ran = command("init", cwd=tmp_path)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.splitlines()[0] == f"profiles: {len(NAMES)} files written"
    assert sorted(path.name for path in (tmp_path / "profiles").iterdir()) == NAMES
    for name in NAMES:
        written = (tmp_path / "profiles" / name).read_bytes()
        assert written == (ROOT / "profiles" / name).read_bytes()
    one = (tmp_path / "profiles" / "local-large.yaml").read_text()
    (tmp_path / "profiles" / "mine.yaml").write_text(one.replace("name: local-large", "name: mine"))
    assert "ok: 8 profiles" in command("check", cwd=tmp_path).stdout


def test_it_says_what_next_and_whose_key_is_missing(tmp_path: Path) -> None:
    lines = command("init", cwd=tmp_path).stdout.splitlines()
    assert "    left out: gpt-5.4 (OPENAI_API_KEY is not set)" in lines
    assert not any(line.startswith("    usable") for line in lines)
    assert lines[lines.index("next") + 2].startswith("  put the keys of your providers into .env")
    assert lines[-1] == "  hydra-gateway serve"


def test_keys_that_are_there_make_profiles_usable(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("ANTHROPIC_API_KEY=sk-x\n")
    ran = command("init", cwd=tmp_path)
    assert "    usable: claude-haiku-4-5, claude-sonnet-4-6\n" in ran.stdout
    assert "put the keys" not in ran.stdout
    found = json.loads(command("init", "--json", cwd=tmp_path).stdout)
    assert found["written"] == []
    assert "claude-haiku-4-5" in found["usable"]
    assert found["unusable"]["gpt-5.4"] == "OPENAI_API_KEY is not set"


def test_a_folder_of_another_name_is_named_to_serve(tmp_path: Path) -> None:
    ran = command("init", "etc/models", cwd=tmp_path)
    assert ran.stdout.splitlines()[-1] == "  HYDRA_PROFILES=etc/models hydra-gateway serve"
    assert (tmp_path / "etc/models/pools.yaml").is_file()


def test_nothing_of_somebodys_is_overwritten_unless_forced(tmp_path: Path) -> None:
    folder = tmp_path / "profiles"
    folder.mkdir()
    (folder / "gpt-5.4.yaml").write_text("name: mine\n")
    (folder / "pools.yaml").write_text("pools: {}\n")
    ran = command("init", cwd=tmp_path)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr == (
        "nothing was written, these files differ:"
        " profiles/gpt-5.4.yaml, profiles/pools.yaml; --force overwrites\n"
    )
    assert sorted(path.name for path in folder.iterdir()) == ["gpt-5.4.yaml", "pools.yaml"]
    assert (folder / "pools.yaml").read_text() == "pools: {}\n"
    assert command("init", "--force", cwd=tmp_path).returncode == 0
    assert (folder / "pools.yaml").read_bytes() == (ROOT / "profiles/pools.yaml").read_bytes()


def test_a_second_time_writes_nothing_and_a_lost_file_alone(tmp_path: Path) -> None:
    command("init", cwd=tmp_path)
    again = command("init", cwd=tmp_path).stdout.splitlines()[0]
    assert again == "profiles: all of it is there already"
    (tmp_path / "profiles" / "gpt-5.4.yaml").unlink()
    assert command("init", cwd=tmp_path).stdout.splitlines()[0] == "profiles: 1 file written"


def test_a_folder_that_cannot_be_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "profiles").write_text("a file")
    ran = command("init", cwd=tmp_path)
    assert (ran.returncode, ran.stderr) == (1, "profiles: cannot be written: File exists\n")
