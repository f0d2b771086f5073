"""Training: the hand-built graph equals transformers' ModernBERT, labels order, splits hold."""

import gzip
import json
import random
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")
pytest.importorskip("transformers", reason="the train extra is not installed")
pytest.importorskip("onnx", reason="the train extra is not installed")

import onnxruntime  # noqa: E402  # after the skips

from predictor.architecture import Student, batch_of, config  # noqa: E402
from predictor.calibration import Benchmark, bands, solve_curve  # noqa: E402
from predictor.corpus import (  # noqa: E402
    Prompt,
    capped,
    is_held_out,
    is_share_alike,
    read_prompts,
    task_key,
)
from predictor.examples import Example, conversations, draw_weights, from_seeds  # noqa: E402
from predictor.graph import Shape, build, quantize  # noqa: E402
from predictor.labels import DIMENSIONS, RANGES, item_difficulty, labelled_target  # noqa: E402
from predictor.render import render  # noqa: E402
from predictor.tracebacks import traceback  # noqa: E402


def prompt(**changed: object) -> Prompt:
    fields: dict[str, object] = {
        "id": "a:1",
        "source": "a",
        "dimension": "reasoning",
        "difficulty": None,
        "language": "en",
        "parallel_id": None,
        "text": "how many?",
        "license": "MIT",
        "category": "",
    }
    return Prompt(**(fields | changed))  # type: ignore[arg-type]  # fields of a table


@pytest.mark.parametrize("length", [2, 7, 64, 150, 300])
def test_the_hand_built_graph_equals_modernbert(length: int, tmp_path: Path) -> None:
    """150 and 300 tokens reach past the local window; INT8 follows within its noise."""
    torch.manual_seed(0)
    student = Student(config(500, hidden=64, layers=4, heads=2, inner=96), dimensions=3).eval()
    with torch.no_grad():
        for name, value in student.named_parameters():
            # norms start at one and heads near zero: neither would show a mistake
            value.add_(torch.randn_like(value) * (0.2 if "norm" in name else 0.05))
    shape = Shape(
        layers=4, heads=2, window=128, global_every=3, global_theta=160_000.0, local_theta=10_000.0
    )
    weights = {name: value.numpy() for name, value in student.encoder.state_dict().items()}
    heads = [p.detach().numpy() for p in (student.heads.weight, student.heads.bias)]
    build(weights, heads[0], heads[1], shape, tmp_path / "float.onnx")
    quantize(tmp_path / "float.onnx", tmp_path / "int8.onnx")
    ids = torch.randint(0, 500, (length,)).tolist()
    with torch.inference_mode():
        tokens, mask = batch_of([ids])
        state = student.state(tokens, mask).numpy()
        requirements = torch.sigmoid(student.logits(tokens, mask)).numpy()
    for file, tolerance in (("float.onnx", 1e-5), ("int8.onnx", 0.05)):
        session = onnxruntime.InferenceSession(str(tmp_path / file))
        found = session.run(["requirements", "state"], {"input_ids": np.array([ids])})
        np.testing.assert_allclose(found[0], requirements, atol=tolerance)
        np.testing.assert_allclose(found[1], state, atol=tolerance * 4)


def test_padding_does_not_change_a_vector() -> None:
    torch.manual_seed(0)
    student = Student(config(500, hidden=64, layers=4, heads=2, inner=96), dimensions=3).eval()
    short, long = [5, 6, 7], list(range(8, 40))
    with torch.inference_mode():
        alone = student.logits(*batch_of([short]))
        beside = student.logits(*batch_of([short, long]))[:1]  # (2, K) -> (1, K)
    torch.testing.assert_close(alone, beside, atol=1e-5, rtol=1e-4)


def test_queries_that_more_models_fail_are_harder() -> None:
    scores = np.array([[1, 1, 1], [1, 1, 0], [1, 0, 0], [0, 0, 0]], float)
    hard = item_difficulty(scores)
    assert list(np.argsort(hard)) == [0, 1, 2, 3]
    assert ((hard > 0) & (hard < 1)).all()


def test_a_query_seen_by_weak_models_only_is_not_called_hard_for_it() -> None:
    """The middle query was failed by the weak model alone; the strong one never tried."""
    weak, strong = [0, 0, 1, 0, 0, 1], [1, 1, 1, 1, 1, 1]
    scores = np.array([weak, strong], float).T
    scores[1, 1] = np.nan
    assert item_difficulty(scores)[1] < 0.5 + 0.5 * np.nanmean(1 - scores[:, 0])


def test_every_range_of_the_scale_is_ordered_and_inside_0_and_1() -> None:
    for low, high in RANGES.values():
        assert 0 < low <= high < 1
    easy = labelled_target("gsm8k", "reasoning", 0)
    hard = labelled_target("olympiadbench", "reasoning", 1)
    assert easy[DIMENSIONS.index("reasoning")] < hard[DIMENSIONS.index("reasoning")]


def test_bands_are_the_10th_and_90th_percentile() -> None:
    sample = np.linspace(0, 1, 101)[:, None].repeat(2, axis=1)  # (101,) -> (101, 2)
    assert bands(sample) == [(0.1, 0.9), (0.1, 0.9)]


def test_the_solve_curve_is_found_again() -> None:
    rng = np.random.default_rng(0)
    files = []
    for name in ("a", "b"):
        requirements = rng.uniform(0, 1, (150, 4)) * [0.8, 0.2, 0.2, 0.2]
        strength = rng.uniform(0.2, 0.9, 20)
        short = np.maximum(0, requirements[:, None] / 0.8 - strength[None, :, None]).mean(2)
        chance = 1 / (1 + np.exp(-(1.5 - 20 * short)))
        scores = (rng.uniform(size=chance.shape) < chance).astype(float)
        files.append(Benchmark(name=name, requirements=requirements, scores=scores))
    alpha, beta, gain = solve_curve(files, [(0, 0.8)] * 4)
    assert alpha == pytest.approx(1.5, abs=0.3)
    assert beta == pytest.approx(20, rel=0.2)
    assert gain > 0.03


def test_translations_and_shared_tasks_stay_on_one_side() -> None:
    assert task_key(prompt(parallel_id="x:1", language="de")) == "x:1"
    python = prompt(source="humanevalpack_synthesize", id="humanevalpack_synthesize:Python/7")
    german = prompt(source="mhumaneval", id="m", parallel_id="mhumaneval:python/HumanEval/7")
    assert task_key(python) == task_key(german)
    share = np.mean([is_held_out(str(i)) for i in range(4000)])
    assert 0.06 < share < 0.10


def test_share_alike_rows_are_kept_from_training(tmp_path: Path) -> None:
    assert is_share_alike("CC-BY-SA-4.0 (text)")
    assert not is_share_alike("CC-BY-4.0")
    row = {"id": "a", "source": "s", "dimension_hint": "general", "language": "en", "prompt": "x"}
    with gzip.open(tmp_path / "s.jsonl.gz", "wt") as file:
        for license_name in ("MIT", "CC-BY-SA-4.0"):
            file.write(json.dumps(row | {"license": license_name}) + "\n")
    assert [p.license for p in read_prompts(tmp_path)] == ["MIT"]
    assert [p.license for p in read_prompts(tmp_path, share_alike=True)] == ["CC-BY-SA-4.0"]


def test_a_cap_keeps_all_languages_of_a_source() -> None:
    many = [prompt(id=f"a:{i}") for i in range(900)]
    few = [prompt(id=f"a:de{i}", language="de") for i in range(5)]
    kept = capped(many + few, per_source=50, seed=0)
    assert len(kept) == 50
    assert sum(p.language == "de" for p in kept) == 5


def test_seeds_cover_every_language_and_stay_on_one_side_of_the_split() -> None:
    rows, follow = from_seeds({"en": ["The cat sleeps."]}, random.Random(0))
    languages = {row.language for row in rows}
    assert len(languages) >= 10
    assert {language for _, language, _, _ in follow} == languages
    assert any(row.held_out for row in rows)


def test_a_follow_up_inherits_most_of_its_intent_and_thanks_nothing() -> None:
    own, follow = from_seeds({"en": ["The cat sleeps."]}, random.Random(0))
    rows = [row for row in own if row.group == "seeds_code_generation"]
    made = conversations(rows * 20, follow, seed=0)
    code = DIMENSIONS.index("code_generation")
    again = [row.target[code] for row in made if row.group == "conversation_follow_up"]
    thanks = [row.target[code] for row in made if row.group == "conversation_thanks"]
    assert min(again) > 0.2 > 0.1 > max(thanks)


def test_made_up_traces_carry_the_error_signal() -> None:
    rng = random.Random(0)
    for _ in range(50):
        assert "<|error|>" in render([{"role": "user", "content": traceback(rng)}])


def test_large_groups_and_languages_do_not_drown_small_ones() -> None:
    def row(dimension: str, group: str, language: str) -> Example:
        return Example(
            text="x",
            target=(0.0,),
            group=group,
            dimension=dimension,
            language=language,
            held_out=False,
            raw="x",
        )

    rows = [row("reasoning", "big", "en")] * 900 + [row("reasoning", "big", "de")] * 100
    rows += [row("debugging", "small", "en")] * 10
    weights = draw_weights(rows)
    assert weights.sum() == pytest.approx(1)
    assert weights[:1000].sum() == pytest.approx(0.5)
    assert weights[900:1000].sum() == pytest.approx(0.125)  # root of 100 over roots of 900 and 100
