"""Endless training batches: lone requests, requests with outcomes, and pairs that mean the same.

Training only (numpy, torch for the tensors). A pair is a request with its translation, its
perturbed self or other words for it; both carry one target, and the loss holds their requirements
together. A batch is filled up to a number of tokens, with rows of like length, so that little of it
is padding.
"""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from predictor import frames
from predictor.architecture import batch_of
from predictor.corpus import Prompt, is_aligned, is_held_out, task_key
from predictor.examples import SEEDS, Example, draw_weights
from predictor.labels import DIMENSIONS, hint_ranges, prompt_target, target_at
from predictor.perturb import perturbed
from predictor.render import render
from predictor.tokens import TokenEncoder

TOKENS = 7168  # of a batch, padding counted
CHUNK = 2400  # units drawn at once and sorted by length
SHARES = {
    "lone": 0.36,
    "outcome": 0.26,
    "translation": 0.15,
    "perturbed": 0.13,
    "rephrased": 0.10,
}
# Of a request with outcomes, the likelihood places its own head; its soft target keeps the scale.
OWN_WEIGHT, SIDE_WEIGHT = 0.3, 0.6
_FULL_MODELS = 10  # a query that fewer models ran says less
GENERAL, UNKNOWN = len(DIMENSIONS), -1
# General questions of exams look like those that need reasoning: no bound pulls them down.
EXAMS = frozenset({"mmlu", "agieval", "gaokao_bench"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One row of a batch. `kind` is a dimension's index, GENERAL or UNKNOWN."""

    ids: list[int]
    target: Sequence[float]
    kind: int
    row: Example | None = None  # where it has outcomes


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """b rows, K dimensions; p pairs as two columns of row numbers; o rows with outcomes."""

    tokens: torch.Tensor  # (b, s)
    mask: torch.Tensor  # (b, s)
    targets: torch.Tensor  # (b, K)
    weights: torch.Tensor  # (b, K), of the soft targets
    kinds: torch.Tensor  # (b,)
    pairs: torch.Tensor  # (p, 2)
    outcomes: torch.Tensor  # (o,) row numbers
    benchmark: torch.Tensor  # (o,)
    model: torch.Tensor  # (o, m)
    score: torch.Tensor  # (o, m)
    seen: torch.Tensor  # (o, m)
    certainty: torch.Tensor  # (o,), how much the outcomes of a row count

    def __len__(self) -> int:
        return len(self.kinds)


def kind_of(dimension: str) -> int:
    return DIMENSIONS.index(dimension) if dimension in DIMENSIONS else GENERAL


def _kind(row: Example) -> int:
    """UNKNOWN for a later turn, which may be anything, and for general work that is no chat."""
    kind = kind_of(row.dimension)
    is_exam = kind == GENERAL and (row.benchmark or row.group in EXAMS)
    return UNKNOWN if is_exam or row.group.startswith("conversation") else kind


class Batches:
    """Draws from the training rows and from the prompts' translations."""

    def __init__(
        self,
        rows: Sequence[Example],
        prompts: Sequence[Prompt],
        encoder: TokenEncoder,
        models: Mapping[str, int],
        benchmarks: Mapping[str, int],
        *,
        pad: int,
        device: str = "cpu",
    ) -> None:
        """Args: models and benchmarks, the numbers of their names in the likelihood."""
        self._encoder, self._pad, self._device = encoder, pad, device
        self._models, self._benchmarks = models, benchmarks
        training = [row for row in rows if not row.held_out]
        self._lone = [row for row in training if not row.benchmark]
        self._lone_weight = draw_weights(self._lone)
        self._outcome = [row for row in training if row.benchmark in benchmarks]
        sizes: dict[str, int] = defaultdict(int)
        for row in self._outcome:
            sizes[row.benchmark] += 1
        weight = np.array([sizes[row.benchmark] ** -0.5 for row in self._outcome])
        self._outcome_weight = weight / weight.sum() if len(weight) else weight
        self._ids = {id(row): encoder.encode(row.text) for row in (*self._lone, *self._outcome)}
        self._translations = _translations(prompts)
        self._words = json.loads(SEEDS.read_text(encoding="utf-8"))

    def forever(self, seed: int) -> Iterator[Batch]:
        rng = np.random.default_rng(seed)
        words = random.Random(seed)
        while True:
            units = self._draw(rng, words)
            units.sort(key=lambda unit: max(len(item.ids) for item in unit))
            parts: list[list[list[Item]]] = [[]]
            rows = 0
            for unit in units:
                widest = max(len(item.ids) for item in unit)
                if parts[-1] and (rows + len(unit)) * widest > TOKENS:
                    parts.append([])
                    rows = 0
                parts[-1].append(unit)
                rows += len(unit)
            for place in rng.permutation(len(parts)):
                yield self._batch(parts[place])

    def _draw(self, rng: np.random.Generator, words: random.Random) -> list[list[Item]]:
        count = {name: int(CHUNK * share) for name, share in SHARES.items()}
        if not self._outcome:
            count["lone"] += count.pop("outcome")
        units = [[self._item(row)] for row in self._drawn(rng, count["lone"])]
        if self._outcome:
            drawn = rng.choice(len(self._outcome), count["outcome"], p=self._outcome_weight)
            units += [[self._item(self._outcome[i])] for i in drawn]
        if self._translations:
            units += [self._translated(words) for _ in range(count["translation"])]
        units += [self._rephrased(words) for _ in range(count["rephrased"])]
        for row in self._drawn(rng, count["perturbed"]):
            if not row.group.startswith("conversation"):
                item = self._item(row)
                text = perturbed(row.raw, words, row.language)
                units.append([item, self._said(text, item.target, item.kind)])
        return units

    def _drawn(self, rng: np.random.Generator, count: int) -> list[Example]:
        return [self._lone[i] for i in rng.choice(len(self._lone), count, p=self._lone_weight)]

    def _item(self, row: Example) -> Item:
        return Item(
            ids=self._ids[id(row)],
            target=row.target,
            kind=_kind(row),
            row=row if row.benchmark else None,
        )

    def _said(self, text: str, target: Sequence[float], kind: int) -> Item:
        ids = self._encoder.encode(render([{"role": "user", "content": text}]))
        return Item(ids=ids, target=target, kind=kind)

    def _translated(self, words: random.Random) -> list[Item]:
        """A request and its translation, English on one side twice out of three."""
        groups = words.choice(self._translations)
        group, target, kind = words.choice(groups)
        first, second = words.sample(sorted(group), 2)
        if "en" in group and words.random() < 0.67:
            first, second = "en", second if second != "en" else first
        return [self._said(group[language], target, kind) for language in (first, second)]

    def _rephrased(self, words: random.Random) -> list[Item]:
        kind, level, *texts = frames.rephrased(self._words, words)
        return [self._said(text, target_at(kind, level), kind_of(kind)) for text in texts]

    def _batch(self, units: Sequence[Sequence[Item]]) -> Batch:
        items = [item for unit in units for item in unit]
        starts = np.cumsum([0, *(len(unit) for unit in units)])[:-1]
        pairs = [(int(s), int(s) + 1) for s, u in zip(starts, units, strict=True) if len(u) == 2]
        tokens, mask = batch_of([item.ids for item in items], self._pad, self._device)
        weights = np.ones((len(items), len(DIMENSIONS)), np.float32)
        outcomes = [place for place, item in enumerate(items) if item.row is not None]
        rows = [row for item in items if (row := item.row) is not None]
        most = max([1, *(len(row.scores) for row in rows)])
        model = np.zeros((len(rows), most), np.int64)
        score, seen = np.zeros((2, len(rows), most), np.float32)
        for line, (place, row) in enumerate(zip(outcomes, rows, strict=True)):
            weights[place] = SIDE_WEIGHT
            if items[place].kind != UNKNOWN:
                weights[place, items[place].kind] = OWN_WEIGHT
            width = len(row.scores)
            model[line, :width] = [self._models[name] for name in row.scores]
            score[line, :width] = list(row.scores.values())
            seen[line, :width] = 1
        certainty = np.minimum(1.0, seen.sum(1) / _FULL_MODELS) ** 0.5
        on = self._device
        return Batch(
            tokens=tokens,
            mask=mask,
            targets=torch.tensor([item.target for item in items], dtype=torch.float32).to(on),
            weights=torch.from_numpy(weights).to(on),
            kinds=torch.tensor([item.kind for item in items]).to(on),
            pairs=torch.tensor(pairs, dtype=torch.long).reshape(-1, 2).to(on),
            outcomes=torch.tensor(outcomes, dtype=torch.long).to(on),
            benchmark=torch.tensor([self._benchmarks[row.benchmark] for row in rows]).long().to(on),
            model=torch.from_numpy(model).to(on),
            score=torch.from_numpy(score).to(on),
            seen=torch.from_numpy(seen).to(on),
            certainty=torch.from_numpy(certainty.astype(np.float32)).to(on),
        )


Group = tuple[dict[str, str], tuple[float, ...], int]  # language -> text, target, kind


def _translations(prompts: Sequence[Prompt]) -> list[list[Group]]:
    """The training groups of each sentence-aligned source, all of their languages."""
    ranges = hint_ranges(prompts)
    members: dict[tuple[str, str], list[Prompt]] = defaultdict(list)
    for prompt in prompts:
        if prompt.parallel_id and is_aligned(prompt) and not is_held_out(task_key(prompt)):
            members[prompt.source, prompt.parallel_id].append(prompt)
    found: dict[str, list[Group]] = defaultdict(list)
    for (source, _), group in members.items():
        texts = {prompt.language: prompt.text for prompt in group}
        first = next((p for p in group if p.language == "en"), group[0])
        target = prompt_target(first, ranges.get((source, first.dimension), (0.0, 0.0)))
        if len(texts) > 1 and target:
            found[source].append((texts, target, kind_of(first.dimension)))
    return [found[source] for source in sorted(found)]


def outcome_rows(rows: Sequence[Example]) -> tuple[dict[str, int], dict[str, str]]:
    """Numbers of the models that the rows name, and benchmark -> dimension hint."""
    models = sorted({model for row in rows for model in row.scores})
    hints = {row.benchmark: row.dimension for row in rows if row.benchmark}
    return {model: i for i, model in enumerate(models)}, dict(sorted(hints.items()))
