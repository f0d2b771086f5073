"""Programs of bench/, run on small made-up files or for a short while."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from outcome_files import write
from test_serve import ROOT

TASKS = ("Say hello.", "Prove it for all primes.", "Write a lock-free queue.", "Fix the bug.")


def ran(name: str, *arguments: str) -> tuple[str, dict[str, Any]]:
    """What the program printed, and its last line."""
    command = [sys.executable, str(ROOT / "bench" / name), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout, json.loads(done.stdout.splitlines()[-1])


def loaded(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module of bench/."""
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    spec = importlib.util.spec_from_file_location(name, ROOT / "bench" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)  # where dataclasses look for it
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def dev_sets(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module, for its names of files and models."""
    return loaded("dev_sets", monkeypatch)


def made(models: list[str], rows: int, words: str, *, costs: bool = True) -> list[dict[str, Any]]:
    """Rows on which a later model of the list solves more, and costs more."""
    return [
        {
            "id": f"{words}-{index}",
            "prompt": f"{TASKS[index % 4]} ({words} {index})",
            "outcomes": {
                model: int((index * 7) % len(models) <= rank) for rank, model in enumerate(models)
            },
            "cost_usd": {model: 0.01 * 2**rank for rank, model in enumerate(models)}
            if costs
            else None,
        }
        for index in range(rows)
    ]


def test_dev_sets_measures_both_rules_on_every_set(tmp_path: Path, dev_sets: ModuleType) -> None:
    for folder in ("outcomes/dev", "prompts"):
        (tmp_path / folder).mkdir(parents=True)
    pools = {
        dev_sets.SWEBENCH: list(dict.fromkeys([*dev_sets.V1, *dev_sets.V2, *dev_sets.SHARED])),
        dev_sets.LINEAGE: list(dict.fromkeys([*dev_sets.LINEAGE_POOL, *dev_sets.SHARED.values()])),
        dev_sets.LIVECODEBENCH: list(dev_sets.UNIT_COSTS),
    }
    for name, models in pools.items():
        rows = made(models, 16, name, costs=name != dev_sets.LIVECODEBENCH)
        write(tmp_path / f"outcomes/dev/{name}.jsonl.gz", rows, packed=True)
    for source in dev_sets.ANSWER_TOKENS:
        prompts = [
            {
                "prompt": f"{source}, question {index}?",
                "dimension_hint": "code_generation" if index % 2 else "general",
            }
            for index in range(8)
        ]
        write(tmp_path / f"prompts/{source}.jsonl.gz", prompts, packed=True)
    printed, last = ran("dev_sets.py", str(tmp_path), "--cache", str(tmp_path / "readings"))
    assert list(last["sets"]) == list(dev_sets.SETS)
    assert "| easy | 32 |" in printed  # 4 of each source, half of chatterbot's 8 being about code
    for found in last["sets"].values():
        assert len(found["quoted_costs_usd"]) == 3
        for rule in ("threshold", "value"):
            value, low, high = found["hull_gain"][rule]["mean"]
            assert low <= value <= high
    # 40 tokens of answer, a token of prompt per four bytes, at 2 and 12 dollars a million
    (row,) = dev_sets.easy_rows(tmp_path, "chatterbot_corpus")[:1]
    tokens = len(row.text.encode()) / 4
    assert row.outcomes["gemini-3-pro-preview"] == 1
    assert row.cost_usd["gemini-3-pro-preview"] == pytest.approx((tokens * 2 + 40 * 12) / 1e6)


def test_held_out_benchmarks_chooses_five_tiers_by_rank(tmp_path: Path) -> None:
    files = {
        "reasoning_gym_hard": [f"model-{rank:02d}" for rank in range(11)],
        "swebench_pro": [f"other-{rank:02d}" for rank in range(5)],
        "debugbench": ["weak", "strong"],
    }
    paths = [
        write(tmp_path / f"{name}.jsonl.gz", made(models, 40, name, costs=False), packed=True)
        for name, models in files.items()
    ]
    arguments = ("--rows", "20", "--cache", str(tmp_path / "readings"))
    printed, last = ran("held_out_benchmarks.py", *arguments, *map(str, paths))
    pool = last["pools"]["reasoning_gym_hard"]
    assert list(pool.values()) == ["model-01", "model-04", "model-06", "model-08", "model-10"]
    assert list(last["pools"]["debugbench"].values()) == ["weak", "strong"]
    mixture = last["measured"]["half reasoning_gym_hard, half swebench_pro"]
    assert mixture["queries"] == 40
    assert list(mixture["singles"]) == [f"tier{rank}" for rank in range(1, 6)]
    assert "k-NN" in printed


def test_query_million_asks_every_question_of_a_small_log() -> None:
    printed, last = ran("query_million.py", "--decisions", "1500", "--rounds", "4")
    assert last["answers"]["page: tag, rare"]["rows"] == 1
    assert last["answers"]["page: mode, common"]["rows"] == 50
    assert last["bytes"]["index: user"] > 0
    assert "| page: no filter |" in printed


def test_reconciliation_finds_every_sum_the_same_in_a_small_mixed_load() -> None:
    """Each kind of request five times: by hand, in the log, in /v1/costs and in Redis."""
    printed, last = ran("reconciliation.py", "--count", "260")
    assert set(last["errors"].values()) == {"0"}
    assert {"fields of decisions and headers", "hour, Redis, day-hours"} <= last["errors"].keys()
    assert (last["sent"], last["decisions"], last["requests"]) == (260, 260, 260)
    assert "| aborted | estimated | 15 |" in printed
    assert "| ok | unknown | 20 |" in printed


def test_sums_differ_by_a_picodollar_and_by_unknown_money(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sums = loaded("sums", monkeypatch)
    groups = sums.groups("m", {"key": None}, ("a", "b"), "2026-11-24T10:00:00.000Z")
    row = sums.Row(groups, [1, 10, 2, 0, 5, 7, 2])
    once, twice = sums.table([row], "tag"), sums.table([row, row], "model,hour")
    assert list(once) == [("a",), ("b",)]
    assert twice == {("m", "2026-11-24T10:00:00Z"): [2, 20, 4, 0, 10, 14, 4]}
    assert sums.difference(once, sums.table([row], "tag")) == "0"
    for wrong in ([1, 10, 2, 0, 6, 7, 2], [1, 10, 2, 0, 5, 7, None]):
        assert sums.difference(once, {**once, ("b",): wrong}).startswith("1 groups, b: ")
    assert sums.difference(once, {("a",): once["a",]}).startswith("1 groups, b: ")
