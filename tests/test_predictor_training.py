"""Training: the hand-built graph equals transformers' ModernBERT, labels order, splits hold."""

import gzip
import json
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")
pytest.importorskip("transformers", reason="the train extra is not installed")
pytest.importorskip("onnx", reason="the train extra is not installed")

import onnx  # noqa: E402  # after the skips
import onnxruntime  # noqa: E402
from transformers import ModernBertConfig, ModernBertModel  # noqa: E402

from predictor.architecture import Student, batch_of, config  # noqa: E402
from predictor.calibration import (  # noqa: E402
    Benchmark,
    bands,
    reliability,
    shortfalls,
    solve_curve,
)
from predictor.corpus import (  # noqa: E402
    Prompt,
    capped,
    is_held_out,
    is_share_alike,
    read_prompts,
    task_key,
)
from predictor.examples import Example, conversations, draw_weights, from_seeds  # noqa: E402
from predictor.graph import Shape, build, quantize, shape_of  # noqa: E402
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


SPECIAL = [f"{kind}_token_id" for kind in ("pad", "bos", "eos", "cls", "sep")]
LAYOUTS = {
    "ours": config(500, hidden=64, heads=2, inner=96),
    "local layers only": config(500, hidden=64, is_global=(False, False), heads=2, inner=96),
    "global layers only": config(500, hidden=64, is_global=(True, True), heads=2, inner=96),
    # all that is not said is as in ModernBERT-base: every third layer global, window, thetas, eps
    "ModernBERT-base, smaller": ModernBertConfig(
        vocab_size=500,
        hidden_size=96,
        num_hidden_layers=5,
        num_attention_heads=12,
        intermediate_size=144,
        **dict.fromkeys(SPECIAL, 0),
        attn_implementation="sdpa",
    ),
}


@pytest.fixture(scope="module", params=LAYOUTS)
def built(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Student, Path]:
    """A random student, and the folder of its float.onnx and int8.onnx."""
    torch.manual_seed(0)
    student = Student(LAYOUTS[request.param], dimensions=3).eval()
    with torch.no_grad():
        for name, value in student.named_parameters():
            # norms start at one and heads near zero: neither would show a mistake
            value.add_(torch.randn_like(value) * (0.2 if "norm" in name else 0.05))
    folder = tmp_path_factory.mktemp("graph")
    weights = {name: value.numpy() for name, value in student.encoder.state_dict().items()}
    heads = [p.detach().numpy() for p in (student.heads.weight, student.heads.bias)]
    shape = shape_of(student.encoder.config, max_tokens=512)
    build(weights, heads[0], heads[1], shape, folder / "float.onnx")
    quantize(folder / "float.onnx", folder / "int8.onnx")
    return student, folder


@pytest.mark.parametrize("length", [1, 2, 7, 63, 64, 65, 128, 129, 150, 192, 193, 257, 300, 512])
def test_the_hand_built_graph_equals_modernbert(length: int, built: tuple[Student, Path]) -> None:
    """From 66 tokens the window hides some, from 193 local layers attend in blocks; INT8 follows
    within its noise."""
    student, folder = built
    ids = torch.randint(0, 500, (length,), generator=torch.manual_seed(length)).tolist()
    with torch.inference_mode():
        tokens, mask = batch_of([ids])
        state = student.state(tokens, mask).numpy()
        requirements = torch.sigmoid(student.logits(tokens, mask)).numpy()
    for file, tolerance in (("float.onnx", 2e-6), ("int8.onnx", 0.05)):
        session = onnxruntime.InferenceSession(str(folder / file))
        found = session.run(["requirements", "state"], {"input_ids": np.array([ids])})
        np.testing.assert_allclose(found[0], requirements, atol=tolerance)
        np.testing.assert_allclose(found[1], state, atol=tolerance * 4)


def test_a_layout_is_read_as_modernbert_base_has_it() -> None:
    shape = shape_of(ModernBertConfig(), max_tokens=512)
    assert shape == Shape(heads=12, is_global=tuple(layer % 3 == 0 for layer in range(22)))


def test_int8_products_cannot_saturate(built: tuple[Student, Path]) -> None:
    """Without VNNI two products of 255 and a weight are added in 16 bits: 64 is the most."""
    graph = onnx.load(built[1] / "int8.onnx").graph
    stored = {t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer}
    weights = [stored[n.input[1]] for n in graph.node if n.op_type == "MatMulInteger"]
    assert weights
    assert max(int(abs(weight.astype(int)).max()) for weight in weights) <= 64


def test_an_encoder_with_biases_is_refused(tmp_path: Path) -> None:
    settings = ModernBertConfig(vocab_size=9, hidden_size=24, num_hidden_layers=1, norm_bias=True,
                                **dict.fromkeys(SPECIAL, 0))  # fmt: skip
    weights = {n: v.numpy() for n, v in ModernBertModel(settings).state_dict().items()}
    head = np.zeros((3, 24), np.float32), np.zeros(3, np.float32)
    with pytest.raises(ValueError, match="without biases"):
        build(weights, *head, shape_of(settings, max_tokens=512), tmp_path / "x.onnx")


def test_padding_does_not_change_a_vector() -> None:
    torch.manual_seed(0)
    student = Student(config(500, hidden=64, heads=2, inner=96), dimensions=3).eval()
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


def made_up(chance_of: Callable[[np.ndarray], np.ndarray]) -> list[Benchmark]:
    """Two files of 400 queries and 20 models that solve what their shortfall allows."""
    rng = np.random.default_rng(0)
    files = []
    for name in ("a", "b"):
        requirements = rng.uniform(0, 1, (400, 4)) * [0.8, 0.2, 0.2, 0.2]
        capabilities = rng.uniform(0.2, 0.8, (20, 1)).repeat(4, axis=1)  # (20, 1) -> (20, 4)
        chance = chance_of(shortfalls(requirements, capabilities, RANGES_OF_TEST))
        files.append(
            Benchmark(
                name=name,
                dimension="reasoning",
                ids=[f"{name}:{row}" for row in range(400)],
                requirements=requirements,
                scores=(rng.uniform(size=chance.shape) < chance).astype(float),
                capabilities=capabilities,
            )
        )
    return files


RANGES_OF_TEST = [(0.0, 0.8)] * 4


def test_the_solve_curve_is_found_again() -> None:
    files = made_up(lambda short: 1 / (1 + np.exp(-(1.5 - 20 * short))))
    alpha, beta, gain = solve_curve(files, RANGES_OF_TEST)
    assert alpha == pytest.approx(1.5, abs=0.15)
    assert beta == pytest.approx(20, rel=0.1)
    assert gain > 0.03


def test_calibration_error_is_small_for_the_right_curve_and_large_for_a_wrong_one() -> None:
    """Outcomes that ignore the shortfall except for a cliff are not on any such curve."""
    right = made_up(lambda short: 1 / (1 + np.exp(-(1.5 - 20 * short))))
    cliff = made_up(lambda short: np.where((short > 0.05) & (short < 0.1), 0.0, 0.9))
    assert reliability(right, RANGES_OF_TEST)["reasoning"]["ece"] < 0.03
    assert reliability(cliff, RANGES_OF_TEST)["reasoning"]["ece"] > 0.05


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
    assert {language for _, language, _, _ in follow} <= languages
    assert any(row.held_out for row in rows)


def test_a_follow_up_inherits_most_of_its_intent_and_thanks_nothing() -> None:
    own, follow = from_seeds({"en": ["The cat sleeps."]}, random.Random(0))
    rows = [row for row in own if row.group == "seeds_code_generation"]
    made = conversations(rows * 20, follow, seed=0)
    code = DIMENSIONS.index("code_generation")
    again = [row.target[code] for row in made if row.group == "conversation_follow_up"]
    thanks = [row.target[code] for row in made if row.group == "conversation_thanks"]
    assert min(again) > 0.15 > 0.1 > max(thanks)


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
