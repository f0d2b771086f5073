"""Reads prompt and outcome files, and decides which rows train and which are held out.

Training only: the standard library, no torch. It knows file formats, not labels (those are in
`labels.py`). Rows are split by *task*, so that translations of one text, or one programming
exercise behind several data sets, never stand on both sides.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import random
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

# HumanEval stands behind these data sets, SVAMP behind msvamp: the number in the id is the task.
_SHARED_TASKS = {
    "humaneval_xl": "humaneval",
    "mhumaneval": "humaneval",
    "humanevalpack_synthesize": "humaneval",
    "humanevalfix_parallel": "humaneval",
    "svamp": "svamp",
    "msvamp": "svamp",
}
# One parallel_id of this source is one intent, not one sentence in many languages.
_NOT_SENTENCE_ALIGNED = frozenset({"home_assistant_intents"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """One line of a prompt file. `difficulty` is the source's own hint in [0, 1], a weak prior."""

    id: str
    source: str
    dimension: str
    difficulty: float | None
    language: str
    parallel_id: str | None
    text: str
    license: str
    category: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One query of an outcome file; `scores` maps model names to [0, 1]."""

    id: str
    benchmark: str
    dimension: str
    language: str
    text: str
    scores: Mapping[str, float]


def data_files(folder: Path) -> list[Path]:
    """The files of a folder that are read; raises SystemExit where there are none."""
    files = sorted(folder.glob("*.jsonl.gz")) + sorted(folder.glob("*.jsonl"))
    if not files:
        raise SystemExit(f"{folder}: no *.jsonl.gz or *.jsonl files")
    return files


def _rows(folder: Path) -> Iterator[tuple[str, dict[str, object]]]:
    for file in data_files(folder):
        opener = gzip.open if file.suffix == ".gz" else open
        with opener(file, "rt", encoding="utf-8") as lines:
            for line in lines:
                yield file.name.split(".")[0], json.loads(line)


def is_share_alike(license_name: str) -> bool:
    """Weights are not trained on share-alike data: it serves for evaluation only."""
    return "-SA" in license_name.upper()


def read_prompts(folder: Path, *, share_alike: bool = False) -> list[Prompt]:
    """The prompts of `folder` for training, or only the share-alike ones; in file order."""
    return [
        Prompt(
            id=str(row["id"]),
            source=str(row["source"]),
            dimension=str(row["dimension_hint"]),
            difficulty=_number(row.get("difficulty_hint")),
            language=str(row["language"]).split("-")[0],
            parallel_id=str(row["parallel_id"]) if row.get("parallel_id") else None,
            text=str(row["prompt"]),
            license=str(row["license"]),
            category=str(row.get("category") or ""),
        )
        for _, row in _rows(folder)
        if is_share_alike(str(row["license"])) == share_alike
    ]


def read_outcomes(folder: Path) -> list[Outcome]:
    """Every query of the outcome files in `folder`; the file's name is the benchmark's."""
    found = []
    for name, row in _rows(folder):
        scores = row["outcomes"]
        assert isinstance(scores, dict)
        found.append(
            Outcome(
                id=str(row["id"]),
                benchmark=name,
                dimension=str(row["dimension_hint"]),
                language=str(row["language"]),
                text=str(row["prompt"]),
                scores={str(m): float(s) for m, s in scores.items() if s is not None},
            )
        )
    return found


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def task_key(prompt: Prompt) -> str:
    """What must stay on one side of the split: the task, else the translation group, else the id.

    >>> make = lambda source, id: Prompt(id=id, source=source, dimension="", difficulty=None,
    ...     language="en", parallel_id=None, text="", license="", category="")
    >>> task_key(make("humanevalpack_synthesize", "humanevalpack_synthesize:Python/12"))
    'humaneval/12'
    """
    family = _SHARED_TASKS.get(prompt.source)
    numbers = re.findall(r"\d+", prompt.parallel_id or prompt.id)
    if family and numbers:
        # svamp counts from 1, msvamp from 0
        return f"{family}/{int(numbers[-1]) - (prompt.source == 'svamp')}"
    return prompt.parallel_id or prompt.id


def is_held_out(key: str, *, share: float = 0.08) -> bool:
    """Whether a task belongs to the held-out part: a hash, so that it never depends on order."""
    digest = hashlib.blake2b(key.encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") < share * 2**32


def is_aligned(prompt: Prompt) -> bool:
    """Whether rows of its source with one parallel_id are translations of each other."""
    return prompt.source not in _NOT_SENTENCE_ALIGNED


def english_of(prompts: Iterable[Prompt]) -> dict[str, str]:
    """parallel_id -> the English text of that group, for sentence-aligned sources."""
    return {
        p.parallel_id: p.text
        for p in prompts
        if p.parallel_id and p.language == "en" and is_aligned(p)
    }


def capped(prompts: Iterable[Prompt], *, per_source: int, seed: int) -> list[Prompt]:
    """At most `per_source` prompts a source, drawn evenly over its languages and categories.

    Sets differ in size by a factor of 400; without a cap the largest would set the scale.
    """
    groups: dict[str, dict[tuple[str, str], list[Prompt]]] = defaultdict(lambda: defaultdict(list))
    for prompt in prompts:
        category = prompt.category.split(";")[0]
        groups[prompt.source][(prompt.language, category)].append(prompt)
    rng = random.Random(seed)
    kept: list[Prompt] = []
    for source in sorted(groups):
        strata = [groups[source][name] for name in sorted(groups[source])]
        for stratum in strata:
            rng.shuffle(stratum)
        taken: list[Prompt] = []
        while len(taken) < per_source and any(strata):
            rng.shuffle(strata)
            taken += [stratum.pop() for stratum in strata if stratum]
        kept += taken[:per_source]
    rng.shuffle(kept)
    return kept
