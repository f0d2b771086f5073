"""The running catalog: a good change is taken, a bad one is told and not taken."""

import shutil
from pathlib import Path

import pytest
from catalog_files import POOLS, SMALL, write_catalog

from gateway.errors import CatalogError
from gateway.live_catalog import LiveCatalog


def test_a_catalog_that_is_wrong_from_the_start_is_an_error(tmp_path: Path) -> None:
    files = write_catalog(tmp_path, {"small.yaml": ""})
    with pytest.raises(CatalogError):
        LiveCatalog(files.folder, files.facts, {})


def test_a_folder_that_did_not_change_is_not_read_again(tmp_path: Path) -> None:
    files = write_catalog(tmp_path)
    live = LiveCatalog(files.folder, files.facts, {})
    before = live.current
    live.refresh()
    assert live.current is before


def test_a_good_change_is_taken(tmp_path: Path) -> None:
    files = write_catalog(tmp_path)
    live = LiveCatalog(files.folder, files.facts, {})
    files.write("third.yaml", SMALL.replace("small", "third"))
    live.refresh()
    assert set(live.current.profiles) == {"small", "large", "third"}
    files.write("pools.yaml", POOLS.replace("[small, large]", "[large]"))
    (files.folder / "small.yaml").unlink()
    live.refresh()
    assert set(live.current.profiles) == {"large", "third"}
    assert live.problems == ()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param(SMALL + "prize: 1\n", "prize: unknown field", id="a wrong field"),
        pytest.param("name: [", "not valid YAML", id="half a file, still being written"),
        pytest.param(SMALL + "params: {a: !x y}\n", "can't be sent as JSON", id="a strange tag"),
        pytest.param("a: " + "[" * 500, "nested too deeply", id="a bottomless one"),
    ],
)
def test_a_bad_change_is_told_and_the_running_catalog_stays_until_it_is_mended(
    tmp_path: Path, text: str, problem: str
) -> None:
    files = write_catalog(tmp_path)
    live = LiveCatalog(files.folder, files.facts, {})
    before = live.current
    files.write("small.yaml", text)
    live.refresh()
    assert live.current is before
    assert problem in live.problems[0]
    live.refresh()
    assert problem in live.problems[0]  # it is still wrong, though nothing changed since
    files.write("small.yaml", SMALL + "expected_output_tokens: 7\n")
    live.refresh()
    assert live.problems == ()
    assert live.current.profiles["small"].expected_output_tokens == 7


def test_a_folder_that_goes_away_and_comes_back(tmp_path: Path) -> None:
    files = write_catalog(tmp_path)
    live = LiveCatalog(files.folder, files.facts, {})
    before = live.current
    shutil.move(files.folder, tmp_path / "elsewhere")
    live.refresh()
    assert live.current is before
    assert "no such file" in live.problems[0]
    shutil.move(tmp_path / "elsewhere", files.folder)
    live.refresh()
    assert live.problems == ()
