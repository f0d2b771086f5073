"""Reading outcome files: what is taken, what is refused with file and line."""

from pathlib import Path

import numpy as np
import pytest
from outcome_files import LADDER, PRICES, row, write

from gateway.evaluation import outcomes
from gateway.evaluation.outcomes import OutcomeError

LINE = {"prompt": "hello", "outcomes": {"a": 1, "b": 0.5}, "cost_usd": {"a": 1, "b": 2}}


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_a_file_is_read_gzip_or_not(tmp_path: Path, packed: bool) -> None:
    path = write(tmp_path / "made.jsonl.gz", [LINE, {**LINE, "benchmark": "other"}], packed=packed)
    first, second = outcomes.read(path)
    assert (first.text, first.benchmark, second.benchmark) == ("hello", "made", "other")
    assert first.outcomes == {"a": 1.0, "b": 0.5}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        pytest.param("{", "not JSON", id="broken"),
        pytest.param("[1]", "expected an object, got list", id="list"),
        pytest.param('{"outcomes": {"a": 1}}', "prompt: expected text, got None", id="no prompt"),
        pytest.param('{"prompt": "x"}', "outcomes: expected {model: number}", id="no outcomes"),
        pytest.param(
            '{"prompt": "x", "outcomes": {"a": 1.5}}',
            "outcomes.a: expected a number from 0 to 1, got 1.5",
            id="score above 1",
        ),
        pytest.param(
            '{"prompt": "x", "outcomes": {"a": NaN}}', "outcomes.a: expected", id="not a number"
        ),
        pytest.param(
            '{"prompt": "x", "outcomes": {"a": 1}, "cost_usd": {"a": -1}}',
            "cost_usd.a: expected a number 0 or more, got -1",
            id="negative cost",
        ),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: str, words: str) -> None:
    path = tmp_path / "made.jsonl"
    path.write_text('{"prompt": "x", "outcomes": {"a": 1}}\n\n' + line + "\n")
    with pytest.raises(OutcomeError) as caught:
        outcomes.read(path)
    assert str(caught.value).startswith(f"{path}:3: ")
    assert words in str(caught.value)


def test_missing_empty_and_cut_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(OutcomeError, match=r"no\.jsonl: cannot be read: No such file"):
        outcomes.read(tmp_path / "no.jsonl")
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(OutcomeError, match="has no rows"):
        outcomes.read(tmp_path / "empty.jsonl")
    whole = write(tmp_path / "cut.jsonl.gz", [LINE] * 50, packed=True).read_bytes()
    (tmp_path / "cut.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(OutcomeError, match="neither UTF-8 text nor whole gzip"):
        outcomes.read(tmp_path / "cut.jsonl.gz")


def test_without_names_the_models_are_those_of_every_row() -> None:
    rows = [*LADDER, row("more", {"small": 1, "large": 0, "extra": 1}, {**PRICES, "extra": 1})]
    found = outcomes.table(rows, None, {})
    assert found.models == ("large", "small")
    assert (len(found), found.dropped) == (5, 0)


def test_rows_without_a_named_model_are_left_out_and_counted() -> None:
    rows = [*LADDER, row("more", {"small": 1, "large": 0}, PRICES)]
    found = outcomes.table(rows, ["small", "middle"], {})
    assert (found.models, len(found), found.dropped) == (("middle", "small"), 4, 1)


def test_an_unknown_model_a_lone_one_and_missing_costs_are_refused() -> None:
    with pytest.raises(OutcomeError, match="no outcome of huge; the files have large, middle"):
        outcomes.table(LADDER, ["small", "huge"], {})
    with pytest.raises(OutcomeError, match="at least two models"):
        outcomes.table(LADDER, ["small"], {})
    free = [row("x", {"a": 1, "b": 0}, {"a": 1})]
    with pytest.raises(OutcomeError, match=r"no cost_usd of b; give --unit-cost"):
        outcomes.table(free, None, {})
    assert outcomes.table(free, None, {"b": 2.5}).cost_usd.tolist() == [[1.0, 2.5]]


def test_a_cost_that_was_not_recorded_counts_as_the_models_mean() -> None:
    prices = [{"a": 1.0, "b": 2.0}, {"a": 3.0, "b": 4.0}, {"a": 5.0}]
    found = outcomes.table(
        [row(f"{at}", {"a": 1, "b": 0}, price) for at, price in enumerate(prices)], None, {}
    )
    assert found.cost_usd[found.texts.index("2")].tolist() == [5.0, 3.0]
    assert found.filled == 1


def test_the_order_of_rows_changes_nothing() -> None:
    forward, backward = outcomes.table(LADDER, None, {}), outcomes.table(LADDER[::-1], None, {})
    assert forward.texts == backward.texts
    assert (forward.solved == backward.solved).all()


def test_a_mixture_has_its_shares_and_its_seed() -> None:
    one = [row(f"one {index}", {"a": 1}, {}) for index in range(100)]
    two = [row(f"two {index}", {"a": 1}, {}) for index in range(30)]
    drawn = outcomes.mixed([one, two], [0.5, 0.5], seed=0)
    assert [sum(each.text.startswith(name) for each in drawn) for name in ("one", "two")] == [
        30
    ] * 2
    texts = {each.text for each in drawn}
    assert texts == {each.text for each in outcomes.mixed([one[::-1], two], [1, 1], seed=0)}
    assert texts != {each.text for each in outcomes.mixed([one, two], [1, 1], seed=1)}
    with pytest.raises(OutcomeError, match="above 0"):
        outcomes.mixed([one, two], [0, 1], seed=0)


def test_folds_are_even_and_keep_one_text_together() -> None:
    texts = [f"query {index % 40}" for index in range(80)]
    part = outcomes.folds(texts, 4, seed=0)
    assert np.bincount(part).tolist() == [20] * 4
    assert all(len(set(part[[index, index + 40]])) == 1 for index in range(40))


def test_models_can_be_called_by_another_name() -> None:
    (found,) = outcomes.renamed([row("x", {"v1/a": 1}, {"v1/a": 2})], {"v1/a": "a"})
    assert (found.outcomes, found.cost_usd) == ({"a": 1}, {"a": 2})
