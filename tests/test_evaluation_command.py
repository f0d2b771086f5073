"""`hydra-gateway evaluate` and `calibrate` as a person runs them, with the shipped predictor."""

import json
import shutil
from pathlib import Path

import pytest
from outcome_files import write
from test_serve import ROOT, command

import predictor
from gateway.evaluation import catalog_text
from gateway.evaluation.outcomes import OutcomeError

PRICES = {"gpt-5.4-mini": 0.01, "claude-haiku-4-5": 0.02, "gpt-5.3-codex": 0.03}
PRICES |= {"claude-sonnet-4-6": 0.05, "gpt-5.4": 0.04}
TASKS = (
    "Say hello to my neighbour.",
    "Prove that there are infinitely many primes congruent to 3 modulo 4.",
    "Write a lock-free queue in C++ with many producers and one consumer.",
    "Fix this: TypeError: 'NoneType' object is not subscriptable in line 12.",
)


@pytest.fixture
def outcomes(tmp_path: Path) -> Path:
    """40 queries; a model solves the first tasks only, the dearer the more of them."""
    rows = []
    for index in range(40):
        task = index % 4
        solved = {
            name: int(task <= rank or index % 13 == 0) for rank, name in enumerate(sorted(PRICES))
        }
        rows.append({"prompt": f"{TASKS[task]} ({index})", "outcomes": solved, "cost_usd": PRICES})
    return write(tmp_path / "made.jsonl.gz", rows, packed=True)


@pytest.fixture
def profiles(tmp_path: Path) -> Path:
    """A copy of the shipped catalog, to be written to."""
    return Path(shutil.copytree(ROOT / "profiles", tmp_path / "profiles"))


def test_evaluate_prints_hull_gains_and_draws_the_picture(tmp_path: Path, outcomes: Path) -> None:
    arguments = ("evaluate", str(outcomes), "--resamples", "50", "--plot")
    ran = command(*arguments, "out.png", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    for words in ("40 queries of made, 5 models", "Hull gain", "k-NN", "prompt length", "ECE"):
        assert words in ran.stdout
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")
    # the readings of the first run are used again, and a vector picture is as easy
    found = command(*arguments, "out.svg", "--json", cwd=tmp_path, HYDRA_DATA_DIR=".hydra")
    assert "<svg" in (tmp_path / "out.svg").read_text()
    measured = json.loads(found.stdout)
    assert measured["capabilities_from"] == "fitted"
    assert set(measured["routers"]) >= {"threshold", "value", "k-NN", "keywords", "random"}
    for router in measured["routers"].values():
        assert set(router["hull_gain"]) == {"0.25", "0.5", "0.75"}
        value, low, high = router["mean_hull_gain"]
        assert low <= value <= high
    cached = list((tmp_path / ".hydra/readings").glob("*.npz"))
    assert [path.stem for path in cached] == [f"readings-{predictor.load().sha256[:16]}"]


def test_evaluate_a_pool_shows_its_modes(tmp_path: Path, outcomes: Path, profiles: Path) -> None:
    arguments = ("evaluate", str(outcomes), "--pool", "default", "--resamples", "50", "--json")
    measured = json.loads(command(*arguments, cwd=tmp_path, HYDRA_PROFILES="profiles").stdout)
    assert measured["baseline"] == "claude-sonnet-4-6"
    assert measured["capabilities_from"] == "scores"
    assert len(measured["modes"]) == 3
    assert measured["singles"]["gpt-5.4-mini"]["cost_usd"][0] == pytest.approx(0.01)


def test_evaluate_mixes_files_renames_models_and_reads_scores(tmp_path: Path) -> None:
    first = [{"prompt": f"a {index}", "outcomes": {"x": 1, "v1/y": 0}} for index in range(12)]
    second = [{"prompt": f"b {index}", "outcomes": {"x": 0, "y": 1}} for index in range(30)]
    write(tmp_path / "first.jsonl", first)
    write(tmp_path / "second.jsonl", second)
    scores = {"gpqa_diamond": 80, "terminal_bench_hard": 40}
    (tmp_path / "scores.yaml").write_text(json.dumps({"x": scores, "y": scores}))
    arguments = ["evaluate", "--mix", "first.jsonl=.5", "--mix", "second.jsonl=.5"]
    arguments += ["--rename", "v1/y=y", "--unit-cost", "x=1", "--unit-cost", "y=2", "--json"]
    arguments += ["--resamples", "20", "--scores", "scores.yaml"]
    ran = command(*arguments, cwd=tmp_path)
    measured = json.loads(ran.stdout)
    assert measured["rows"] == 24
    assert measured["singles"]["x"]["resolved"][0] == pytest.approx(0.5)
    assert measured["capabilities"]["x"] == measured["capabilities"]["y"]
    assert measured["capabilities_from"] == "scores"


def test_a_wrong_file_is_one_line_and_exit_1(tmp_path: Path) -> None:
    (tmp_path / "bad.jsonl").write_text("{}\n")
    ran = command("evaluate", "bad.jsonl", cwd=tmp_path)
    assert (ran.returncode, ran.stderr) == (1, "bad.jsonl:1: prompt: expected text, got None\n")
    ran = command("evaluate", "bad.jsonl", "--unit-cost", "x=lots", cwd=tmp_path)
    assert ran.returncode == 2
    assert "expected NAME=NUMBER, 0 or more, got 'x=lots'" in ran.stderr


def test_calibrate_shows_writes_and_is_remembered(
    tmp_path: Path, outcomes: Path, profiles: Path
) -> None:
    """Without --yes a diff, with it the file; `check` then knows which predictor it is for."""
    before = (profiles / "pools.yaml").read_text()
    arguments = ("calibrate", str(outcomes), "--pool", "default", "--resamples", "50")
    shown = command(*arguments, cwd=tmp_path, HYDRA_PROFILES="profiles")
    assert shown.returncode == 0, shown.stderr
    assert "fitted on 20 queries, reported on 20 others" in shown.stdout
    assert "not written: add --yes" in shown.stdout
    assert (profiles / "pools.yaml").read_text() == before
    done = command(*arguments, "--yes", "--json", cwd=tmp_path, HYDRA_PROFILES="profiles")
    found = json.loads(done.stdout)
    after = (profiles / "pools.yaml").read_text()
    assert found["written"]
    assert f"fitted_for: {found['fitted_for']}\n" in after
    assert before.count("#") - 1 == after.count("#")  # "provisional" is gone, the rest is there
    check = command("check", cwd=tmp_path, HYDRA_PROFILES="profiles")
    assert check.returncode == 0, check.stderr
    assert "fitted for" not in check.stdout
    (profiles / "pools.yaml").write_text(after.replace(found["fitted_for"], "0123456789abcdef"))
    check = command("check", cwd=tmp_path, HYDRA_PROFILES="profiles")
    assert "warning: pool default: its modes were fitted for predictor 0123456789abcdef" in (
        check.stdout
    )


def test_calibrate_fits_profiles_without_scores(tmp_path: Path) -> None:
    profiles = tmp_path / "mine"
    profiles.mkdir()
    shutil.copy(ROOT / "profiles/dimensions.yaml", profiles)
    given = "capabilities: {reasoning: 0.5, code_generation: 0.5, debugging: 0.5, tool_use: 0.5}"
    for name in ("weak", "firm"):
        (profiles / f"{name}.yaml").write_text(
            f"name: {name}\nlitellm_model: openai/{name}\n{given}  # a guess\n"
            "price: {input_usd_per_mtok: 1, output_usd_per_mtok: 2}\n"
        )
    (profiles / "pools.yaml").write_text(
        "pools:\n  default: {profiles: [weak, firm], modes: {iso: 0.2, peak: 0.1}}\n"
    )
    rows = [
        {"prompt": f"{TASKS[index % 4]} ({index})", "outcomes": {"weak": 0, "firm": 1}}
        for index in range(24)
    ]
    write(tmp_path / "made.jsonl", rows)
    arguments = ("calibrate", "made.jsonl", "--fit-capabilities", "--json", "--resamples", "20")
    found = json.loads(command(*arguments, "--yes", cwd=tmp_path, HYDRA_PROFILES="mine").stdout)
    assert all(
        firm > weak
        for firm, weak in zip(
            *(found["capabilities"][name] for name in ("firm", "weak")), strict=True
        )
    )
    written = (profiles / "weak.yaml").read_text()
    assert "0.5" not in written
    assert written.count("# a guess") == 1
    assert "fitted_for" in (profiles / "pools.yaml").read_text()


def test_an_edit_touches_its_numbers_only() -> None:
    text = (
        "pools:\n  a:  # first\n    modes:\n      peak: 1  # keep\n      iso: 2\n"
        "    fitted_for: old  # sha\n  b: {modes: {iso: 3}}  # provisional, as they say\n"
    )
    assert catalog_text.with_modes(text, "a", {"peak": 0.25, "iso": 0.5}, "new") == (
        "pools:\n  a:  # first\n    modes:\n      peak: 0.25  # keep\n      iso: 0.5\n"
        "    fitted_for: new  # sha\n  b: {modes: {iso: 3}}  # provisional, as they say\n"
    )
    assert catalog_text.with_modes(text, "b", {"peak": 1, "iso": 0.5}, "new").endswith(
        "  b: {fitted_for: new, modes: {iso: 0.5}}\n"
    )
    with pytest.raises(OutcomeError, match="no mapping 'c'"):
        catalog_text.with_modes(text, "c", {}, "new")
