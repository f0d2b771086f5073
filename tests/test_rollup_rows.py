"""A rollup's fields read back as rows, whichever version wrote them and whatever is in a name."""

import json

import pytest

from gateway import rollup_rows
from gateway.redis_keys import By
from gateway.rollups import Measures, Row

SUMS: Measures = [1, 100, 20, None, 164000000, None, -7]
ODD = ("a", 'b","c', "\\", ",", '"', "[]", "] requests", "\n", "\N{SNOWMAN}", "")


def test_a_row_is_read_as_it_was_written_whatever_its_values() -> None:
    rows: list[Row] = [(one, "k", other, "") for one in ODD for other in ODD]
    stored = {rollup_rows.field_of(row): rollup_rows.amounts_of(SUMS) for row in rows}
    read = rollup_rows.read(stored)
    assert [(rollup_rows.values_of(field), sums) for field, sums in read] == [
        (row, SUMS) for row in rows
    ]


def test_the_last_value_is_found_without_the_others() -> None:
    for one in ODD:
        for last in ODD:
            field = rollup_rows.field_of((one, "k", last))
            assert rollup_rows.last_of(field) == (last,), field


@pytest.mark.parametrize("by", ["tag", "user", "session"])
def test_rows_of_three_versions_are_read_from_one_hash(by: By) -> None:
    stored = {
        '["a","bob","iso","x"] requests': "3",
        '["a","bob","iso","x"] cost_picodollars': "9007199254740993",
        '["a","bob","iso","default","y"] requests': "2",
        '["a","bob","iso","default","y"] prompt_tokens': "5",
        rollup_rows.field_of(("a", "bob", "iso", "default", "y")): rollup_rows.amounts_of(SUMS),
    }
    read = [(rollup_rows.values_of(row), sums) for row, sums in rollup_rows.read(stored, by)]
    assert sorted(read, key=str) == sorted(
        [
            (("a", "bob", "iso", "", "x"), [3, None, None, None, 9007199254740993, None, None]),
            (("a", "bob", "iso", "default", "y"), [2, 5, None, None, None, None, None]),
            (("a", "bob", "iso", "default", "y"), SUMS),
        ],
        key=str,
    )


def test_the_rows_of_one_key_are_not_those_that_name_it_elsewhere() -> None:
    rows = [("bob", "alice", "iso", "default"), ("a", "bob", "iso", "bob"), ("a", "bo", "b", "")]
    stored = {rollup_rows.field_of(row): rollup_rows.amounts_of(SUMS) for row in rows}
    stored |= {'["bob","alice","iso","p"] requests': "1", '["x","bob","iso","p"] requests': "1"}
    read = rollup_rows.read(stored, key="bob")
    assert [rollup_rows.values_of(field) for field, _ in read] == [
        ("a", "bob", "iso", "bob"),
        ("x", "bob", "iso", "p"),
    ]


def test_amounts_are_compact_as_the_script_expects_them() -> None:
    assert json.loads(rollup_rows.amounts_of(SUMS)) == SUMS
    assert rollup_rows.amounts_of(SUMS) == "[1,100,20,null,164000000,null,-7]"
