"""The training commands on small data and small models, as a user runs them."""

import gzip
import json
import random
import subprocess
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")
transformers = pytest.importorskip("transformers", reason="the train extra is not installed")
pytest.importorskip("onnx", reason="the train extra is not installed")

from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers  # noqa: E402

import predictor  # noqa: E402  # after the skips
from predictor import loop  # noqa: E402
from predictor.architecture import batch_of  # noqa: E402
from predictor.bases import open_base, open_work  # noqa: E402
from predictor.batches import GENERAL, TOKENS, Batches  # noqa: E402
from predictor.corpus import read_outcomes, read_prompts  # noqa: E402
from predictor.examples import examples  # noqa: E402
from predictor.labels import DIMENSIONS  # noqa: E402
from predictor.likelihood import Likelihood  # noqa: E402
from predictor.perturb import perturbed, typos  # noqa: E402
from predictor.render import MARKERS, render  # noqa: E402
from predictor.tokens import TokenEncoder  # noqa: E402
from predictor.train import likelihood_for  # noqa: E402

KINDS = ("reasoning", "code_generation", "debugging", "tool_use", "general")
ASKS = {
    "reasoning": "How many ways are there to seat {n} guests around table {m}?",
    "code_generation": "Write a function that sorts {n} lists of {m} numbers.",
    "debugging": "Why does line {n} raise KeyError: {m}?",
    "tool_use": "Book a table for {n} at {m} o'clock.",
    "general": "Hello {n}, good morning {m}",
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder in the documented formats: prompts of five kinds, two languages, outcomes."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "prompts").mkdir()
    (folder / "outcomes").mkdir()
    for kind in KINDS:
        with gzip.open(folder / f"prompts/{kind}_set.jsonl.gz", "wt", encoding="utf-8") as file:
            for number in range(60):
                text = ASKS[kind].format(n=number, m=number % 7)
                for language, said in (("en", text), ("de", text.replace("the", "das"))):
                    row = {
                        "id": f"{kind}:{number}:{language}",
                        "source": f"{kind}_set",
                        "dimension_hint": kind,
                        "difficulty_hint": number / 60,
                        "language": language,
                        "parallel_id": f"{kind}:{number}",
                        "prompt": said,
                        "license": "MIT",
                    }
                    file.write(json.dumps(row) + "\n")
    with (folder / "outcomes/sums.jsonl").open("w", encoding="utf-8") as plain:
        for number in range(80):
            row = {
                "id": f"sums:{number}",
                "dimension_hint": "reasoning",
                "language": "en",
                "prompt": f"What is the sum of the first {number} primes?",
                "outcomes": {"weak": int(number < 20), "middle": int(number < 50), "strong": 1},
            }
            plain.write(json.dumps(row) + "\n")
    return folder


@pytest.fixture(scope="module")
def modernbert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A local folder with a ModernBERT of random weights and a tokenizer of its own."""
    folder = tmp_path_factory.mktemp("modernbert")
    tokenizer = Tokenizer(models.BPE(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"]
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(list(ASKS.values()) * 5, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, cls_token="[CLS]", sep_token="[SEP]", pad_token="[PAD]"
    ).save_pretrained(folder)
    settings = transformers.ModernBertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=48,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=72,
        pad_token_id=3,
        cls_token_id=1,
        sep_token_id=2,
        bos_token_id=1,
        eos_token_id=2,
    )
    torch.manual_seed(0)
    transformers.ModernBertModel(settings).save_pretrained(folder)
    return folder


def run(*arguments: str | Path) -> dict[str, object]:
    """One command; its last line of output is JSON."""
    done = subprocess.run(
        [sys.executable, "-m", *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_any_modernbert_becomes_a_predictor(data: Path, modernbert: Path, tmp_path: Path) -> None:
    """train --base FOLDER, train --resume, export; the folder that comes out is one to serve."""
    work, made = tmp_path / "work", tmp_path / "made"
    common = ("--prompts", data / "prompts", "--outcomes", data / "outcomes", "--work", work)
    first = run("predictor.train", *common, "--base", modernbert, "--minutes", "0.1")
    assert isinstance(first["steps"], int)
    assert first["steps"] >= 1
    assert (work / "likelihood.pt").exists()
    found = run("predictor.export", *common, "--target", made, "--version", "0.0.1")
    assert set(found["bands"]) == set(DIMENSIONS)  # type: ignore[call-overload]
    loaded = predictor.load(made)
    assert loaded.dimensions == DIMENSIONS
    assert loaded.version == "0.0.1"
    texts = [render([{"role": "user", "content": ASKS[kind].format(n=3, m=4)}]) for kind in KINDS]
    student = open_work(work, len(DIMENSIONS)).eval()
    encoder = TokenEncoder(work / "tokenizer.json", 512)
    for text in texts:
        with torch.inference_mode():
            logits = student.logits(*batch_of([encoder.encode(text)], student.pad))
        np.testing.assert_allclose(
            loaded.predict(text), torch.sigmoid(logits)[0].numpy(), atol=0.05
        )
    meta = json.loads((made / "meta.json").read_text(encoding="utf-8"))
    assert meta["reliability"]["reasoning"]["outcomes"] > 0


def test_the_markers_of_a_request_are_single_tokens_of_any_base(
    modernbert: Path, tmp_path: Path
) -> None:
    open_base(str(modernbert), tmp_path, len(DIMENSIONS))
    encoder = TokenEncoder(tmp_path / "tokenizer.json", 512)
    for marker in MARKERS:
        assert len(encoder.encode(marker)) == 3  # start, marker, end


def test_a_shipped_predictor_can_be_trained_on(tmp_path: Path) -> None:
    """Its weights come back from the INT8 graph, and answer as it does."""
    shipped = predictor.load()
    student = open_base(str(shipped.folder), tmp_path, len(DIMENSIONS)).eval()
    encoder = TokenEncoder(tmp_path / "tokenizer.json", 512)
    for ask in ASKS.values():
        text = render([{"role": "user", "content": ask}])
        with torch.inference_mode():
            logits = student.logits(*batch_of([encoder.encode(text)], student.pad))
        np.testing.assert_allclose(
            shipped.predict(text), torch.sigmoid(logits)[0].numpy(), atol=0.05
        )


def test_the_likelihood_finds_who_can_do_what() -> None:
    """Capabilities come out in the order of what the models solve, on the dimension asked for."""
    torch.manual_seed(0)
    likelihood = Likelihood(["weak", "strong"], {"sums": "reasoning"}, DIMENSIONS)
    needed = torch.rand(400, len(DIMENSIONS)) * torch.tensor([1.0, 0.1, 0.1, 0.1])
    able = torch.tensor([0.3, 0.8])
    score = (needed[:, :1] <= able).float()  # (400, 2)
    optimizer = torch.optim.Adam(likelihood.parameters(), 0.05)
    everyone = torch.zeros(400, dtype=torch.long)
    both = torch.tensor([[0, 1]]).expand(400, 2)
    losses = []
    for _ in range(150):
        loss = likelihood.loss(needed, everyone, both, score, torch.ones(400, 2)).mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    weak, strong = likelihood.capabilities()[:, 0].tolist()
    assert weak < 0.45 < strong
    assert losses[-1] < 0.6 * losses[0]


def test_outcomes_move_only_the_heads_of_their_kind() -> None:
    likelihood = Likelihood(["m"], {"contest": "code_generation"}, DIMENSIONS)
    needed = torch.full((1, len(DIMENSIONS)), 0.7, requires_grad=True)
    one = torch.zeros(1, dtype=torch.long)
    likelihood.loss(needed, one, one[None], torch.ones(1, 1), torch.ones(1, 1)).sum().backward()
    assert needed.grad is not None
    moved = {name for name, g in zip(DIMENSIONS, needed.grad[0].tolist(), strict=True) if g}
    assert moved == {"code_generation", "reasoning"}


@pytest.fixture(scope="module")
def batches(data: Path) -> tuple[Batches, Likelihood]:
    prompts, outcomes = read_prompts(data / "prompts"), read_outcomes(data / "outcomes")
    rows = examples(prompts, outcomes, seed=0)
    likelihood = likelihood_for(rows)
    made = Batches(
        rows,
        prompts,
        TokenEncoder(predictor.load().folder / "tokenizer.json", 512),
        {name: i for i, name in enumerate(likelihood.models)},
        {name: i for i, name in enumerate(likelihood.benchmarks)},
        pad=1,
    )
    return made, likelihood


def test_a_batch_keeps_to_its_tokens_and_pairs_share_a_target(
    batches: tuple[Batches, Likelihood],
) -> None:
    pairs = outcomes = 0
    for batch in islice(batches[0].forever(0), 20):
        assert batch.tokens.numel() <= TOKENS
        for first, second in batch.pairs.tolist():
            assert batch.targets[first].tolist() == batch.targets[second].tolist()
        pairs, outcomes = pairs + len(batch.pairs), outcomes + len(batch.outcomes)
        assert batch.kinds.max() <= GENERAL
    assert pairs > 50
    assert outcomes > 50


def test_the_same_seed_draws_the_same_batches(batches: tuple[Batches, Likelihood]) -> None:
    def tokens() -> list[list[list[int]]]:
        return [batch.tokens.tolist() for batch in islice(batches[0].forever(3), 3)]

    assert tokens() == tokens()


def test_models_begin_at_their_mean_score(batches: tuple[Batches, Likelihood]) -> None:
    likelihood = batches[1]
    strength = dict(zip(likelihood.models, likelihood.strength[:, 0].tolist(), strict=True))
    assert strength["weak"] < strength["middle"] < strength["strong"]


def test_a_run_that_was_stopped_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    model = torch.nn.Linear(1, 1)

    def train(minutes: float, *, resume: bool) -> dict[str, float]:
        return loop.run(
            [model],
            [loop.Group(parameters=list(model.parameters()), rate=0.01, clipped=True)],
            lambda seed: iter(lambda: torch.ones(4, 1), None),
            lambda batch: (model(batch) - 3).square().mean(),
            checkpoint=tmp_path / "checkpoint.pt",
            minutes=minutes,
            seed=0,
            warm_up=1,
            resume=resume,
            checkpoint_s=0.0,
        )

    first = train(0.005, resume=False)
    learned = model.weight.item()
    model.reset_parameters()
    train(0.0, resume=True)  # its time is spent: what comes back is the checkpoint
    assert model.weight.item() == learned
    second = train(0.01, resume=True)
    assert second["steps"] > first["steps"]
    assert second["seconds"] >= first["seconds"]


def test_typos_keep_numbers() -> None:
    rng = random.Random(0)
    for _ in range(50):
        assert "1234" in typos("add 1234 to the running total of everything", rng)


def test_perturbing_is_the_same_for_the_same_seed() -> None:
    def some() -> Iterator[str]:
        rng = random.Random(7)
        return (perturbed("Translate this sentence into French", rng, "en") for _ in range(30))

    assert list(some()) == list(some())
    assert len(set(some())) > 10
