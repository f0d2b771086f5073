"""What the student learns from the teacher: pairs of a text and the vector it should get.

Training only. A translation gets the teacher's vector of the *English* text (multilingual
distillation, Reimers and Gurevych 2020, arXiv 2004.09813), so that a request means the same in
every language; a text without an English version gets the teacher's vector of itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from predictor.corpus import Prompt, capped, english_of, is_held_out, task_key
from predictor.teacher import embed, load_teacher

PER_SOURCE = 800  # texts of one source that have no English twin; bounds the teacher's hours


@dataclass(frozen=True, slots=True, kw_only=True)
class Lessons:
    """`texts[i]` of `languages[i]` should get row `rows[i]` of `vectors` (n, 384), centred."""

    texts: tuple[str, ...]
    languages: tuple[str, ...]
    rows: NDArray[np.int64]
    held_out: NDArray[np.bool_]
    vectors: NDArray[np.float32]


def prepare(prompts: list[Prompt], tokenizer: Tokenizer, cache: Path, *, seed: int) -> Lessons:
    """The pairs drawn from `prompts`; the teacher's vectors are read from `cache` when there."""
    english = english_of(prompts)
    twins = [p for p in prompts if p.parallel_id in english]
    others = [p for p in prompts if p.parallel_id not in english]
    students = twins + capped(others, per_source=PER_SOURCE, seed=seed)
    meant = [english.get(p.parallel_id or "", p.text) for p in students]
    distinct = sorted(set(meant))
    if cache.exists():
        vectors = np.load(cache)
        if len(vectors) != len(distinct):
            raise SystemExit(f"{cache}: made for other prompts; delete it to run the teacher again")
    else:
        vectors = embed(distinct, tokenizer, load_teacher())
        np.save(cache, vectors)
    row_of = {text: row for row, text in enumerate(distinct)}
    centred = vectors.astype(np.float32)
    centred -= centred.mean(0)  # e5's vectors share a large common part that says nothing
    centred /= np.linalg.norm(centred, axis=1, keepdims=True)
    return Lessons(
        texts=tuple(p.text for p in students),
        languages=tuple(p.language for p in students),
        rows=np.array([row_of[text] for text in meant]),
        held_out=np.array([is_held_out(task_key(p)) for p in students]),
        vectors=centred,
    )
