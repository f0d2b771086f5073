"""The shipped predictor: range, order, determinism, checks of its folder, parity."""

import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from predictor import Predictor, PredictorError, load
from predictor.predictor import SHIPPED
from predictor.render import MARKERS, render

PARITY = json.loads((Path(__file__).parent / "data" / "predictor_parity.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return load()


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the shipped folder, to be broken."""
    return shutil.copytree(SHIPPED, tmp_path / "model")


def ask(predictor: Predictor, text: str) -> dict[str, float]:
    found = predictor.predict(render([{"role": "user", "content": text}]))
    return dict(zip(predictor.dimensions, found, strict=True))


def test_one_requirement_per_dimension_each_between_0_and_1(predictor: Predictor) -> None:
    for row in PARITY["texts"]:
        found = predictor.predict(row["text"])
        assert len(found) == len(predictor.dimensions)
        assert all(0 <= value <= 1 for value in found)


def test_dimensions_come_in_the_order_of_the_metadata(predictor: Predictor) -> None:
    meta = json.loads((SHIPPED / "meta.json").read_text("utf-8"))
    assert predictor.dimensions == tuple(meta["dimensions"])
    assert predictor.bands == tuple(tuple(meta["bands"][name]) for name in predictor.dimensions)


def test_bands_are_inside_0_and_1_and_not_empty(predictor: Predictor) -> None:
    assert all(0 <= low < high <= 1 for low, high in predictor.bands)


def test_more_shortfall_never_raises_the_chance_to_solve(predictor: Predictor) -> None:
    assert predictor.beta > 0


def test_the_shipped_graph_agrees_with_the_model_it_was_made_from(predictor: Predictor) -> None:
    """`predictor.export` wrote these vectors with the torch model, before quantisation."""
    found = np.array([predictor.predict(row["text"]) for row in PARITY["texts"]])
    gap = np.abs(found - [row["requirements"] for row in PARITY["texts"]])
    assert gap.max() <= PARITY["tolerance"]
    assert gap.mean() <= PARITY["tolerance"] / 6
    assert len({row["language"] for row in PARITY["texts"]}) >= 8


def test_the_same_text_gives_the_same_vector_alone_and_in_threads(predictor: Predictor) -> None:
    texts = [row["text"] for row in PARITY["texts"]][:24] * 4
    alone = [predictor.predict(text) for text in texts]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(predictor.predict, texts)) == alone
    assert [load().predict(text) for text in texts[:4]] == alone[:4]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("word " * 3000, id="far more than 512 tokens"),
        pytest.param("水" * 200_000, id="200,000 characters"),
        pytest.param("🦜🧿 𒀀 \x00 \u202e", id="emoji, cuneiform, control characters"),
        pytest.param("\ud800", id="lone surrogate"),
        pytest.param("".join(MARKERS), id="markers alone"),
    ],
)
def test_any_text_has_a_vector(predictor: Predictor, text: str) -> None:
    found = predictor.predict(text)
    assert len(found) == len(predictor.dimensions)
    assert all(0 <= value <= 1 for value in found)


def test_no_text_is_unknown_to_the_tokenizer() -> None:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(SHIPPED / "tokenizer.json"))
    text = "".join(map(chr, [*range(33, 0xD800, 7), *range(0xF900, 0x20000, 31)]))
    assert tokenizer.token_to_id("<unk>") not in tokenizer.encode(text).ids
    assert all(tokenizer.token_to_id(marker) is not None for marker in MARKERS)
    assert [tokenizer.id_to_token(i) for i in tokenizer.encode("<|code|>").ids[1:-1]] == [
        "<|code|>"
    ]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        pytest.param("Show that the square root of three is irrational.", "reasoning", id="proof"),
        pytest.param(
            "Implementiere eine Hashtabelle mit offener Adressierung in Go.",
            "code_generation",
            id="hash table in German",
        ),
        pytest.param(
            'Traceback (most recent call last):\n  File "job.py", line 9, in <module>\n'
            "    rows = int(argv[1])\nValueError: invalid literal for int()",
            "debugging",
            id="traceback",
        ),
        pytest.param("اطلب لي سيارة أجرة إلى المطار", "tool_use", id="taxi in Arabic"),
        pytest.param("明日の朝七時にアラームをセットして", "tool_use", id="alarm in Japanese"),
    ],
)
def test_the_kind_of_work_has_the_highest_head(predictor: Predictor, text: str, kind: str) -> None:
    found = ask(predictor, text)
    assert max(found, key=lambda name: found[name]) == kind


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("hi there!", id="English"),
        pytest.param("Guten Abend, wie geht es dir?", id="German"),
        pytest.param("ありがとうございます", id="Japanese"),
        pytest.param("Translate to French: the cat sleeps on the sofa.", id="translation"),
    ],
)
def test_small_talk_is_low_on_every_dimension(predictor: Predictor, text: str) -> None:
    assert max(ask(predictor, text).values()) < 0.3


def test_importing_the_package_loads_no_model_library() -> None:
    code = "import sys, predictor, predictor.render; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in run.stdout.split()}
    assert not loaded & {"onnxruntime", "tokenizers", "numpy", "torch", "transformers", "gateway"}


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(PredictorError, match=r"nowhere.meta\.json: cannot be read"):
        load(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json"])
def test_a_missing_file_is_named(copy: Path, name: str) -> None:
    (copy / name).unlink()
    with pytest.raises(PredictorError, match=f"{name}: cannot be read"):
        load(copy)


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json"])
def test_a_changed_file_is_refused(copy: Path, name: str) -> None:
    with (copy / name).open("ab") as file:
        file.write(b" ")
    with pytest.raises(PredictorError, match=f"{name}: sha256 is .* not of one version"):
        load(copy)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        pytest.param("schema", 99, "schema: expected 1, got 99", id="a schema of the future"),
        pytest.param("dimensions", [], "dimensions: expected a list of names", id="no dimensions"),
        pytest.param("dimensions", ["a", "a"], "names that differ", id="a dimension twice"),
        pytest.param("bands", {}, "bands: expected one", id="no bands"),
        pytest.param("alpha", "high", "alpha: expected a number", id="alpha is text"),
        pytest.param("beta", None, "beta: expected a number", id="beta is null"),
        pytest.param("max_tokens", 0, "max_tokens: expected a whole number", id="no tokens"),
        pytest.param("files", {}, "files.model.onnx: expected its sha256", id="no sums"),
    ],
)
def test_bad_metadata_is_refused(copy: Path, field: str, value: object, message: str) -> None:
    meta = json.loads((copy / "meta.json").read_text("utf-8"))
    (copy / "meta.json").write_text(json.dumps(meta | {field: value}), "utf-8")
    with pytest.raises(PredictorError, match=message):
        load(copy)


def test_an_empty_band_is_refused(copy: Path, predictor: Predictor) -> None:
    meta = json.loads((copy / "meta.json").read_text("utf-8"))
    meta["bands"][predictor.dimensions[0]] = [0.5, 0.5]
    (copy / "meta.json").write_text(json.dumps(meta), "utf-8")
    with pytest.raises(PredictorError, match=rf"bands.{predictor.dimensions[0]}: expected"):
        load(copy)


def test_dimensions_that_the_graph_does_not_have_are_refused(copy: Path) -> None:
    meta = json.loads((copy / "meta.json").read_text("utf-8"))
    meta["dimensions"].append("patience")
    meta["bands"]["patience"] = [0.1, 0.9]
    (copy / "meta.json").write_text(json.dumps(meta), "utf-8")
    with pytest.raises(PredictorError, match=r"one for each of .*patience"):
        load(copy)


def test_metadata_that_is_not_json_is_refused(copy: Path) -> None:
    (copy / "meta.json").write_text("{", "utf-8")
    with pytest.raises(PredictorError, match=r"meta\.json: not JSON"):
        load(copy)
