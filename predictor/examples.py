"""Training rows: rendered texts with their targets, from prompts, outcomes and our own seeds.

Training only, no torch. Besides lone prompts it makes what public sets lack: conversations (an
earlier intent and an answer before the current message, follow-ups that inherit the intent),
easy work on long texts, and short coding requests (`seeds.json`).
"""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from predictor import frames
from predictor.corpus import Outcome, Prompt, capped, is_held_out, task_key
from predictor.labels import (
    DIMENSIONS,
    general_target,
    hint_ranges,
    item_difficulty,
    labelled_target,
    prompt_target,
    score_matrix,
    target_at,
)
from predictor.render import render
from predictor.tracebacks import traceback

SEEDS = Path(__file__).parent / "seeds.json"
PER_SOURCE = 2000  # rows of one source; sources differ in size by a factor of 400
CONVERSATIONS = 0.12  # conversations made, as a share of the lone prompts
LANGUAGES_PER_SEED = 3  # programming languages drawn for each text of a seed
SEED_PULL = 3.0  # there are only a few hundred of them, and nothing else like them
TRACES = 1200
PLAIN = ("tatoeba_v1", "multiq")  # of whose sentences long texts are made, where they are there
PASSAGES, PASSAGE_BYTES = " passages", 400  # key of a language's longer texts of easy work
LONG_TEXTS = 60  # bodies for each text task and language


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One rendered request. `group` is what is drawn evenly; targets (K,) are in [0, 1]."""

    text: str
    target: tuple[float, ...]
    group: str
    dimension: str
    language: str
    held_out: bool
    raw: str
    benchmark: str = ""  # where the row has outcomes: their file, and model -> score
    scores: Mapping[str, float] = field(default_factory=dict)


def _alone(
    raw: str, target: Sequence[float], group: str, dimension: str, language: str, held_out: bool
) -> Example:
    return Example(
        text=render([{"role": "user", "content": raw}]),
        target=tuple(target),
        group=group,
        dimension=dimension,
        language=language,
        held_out=held_out,
        raw=raw,
    )


def from_prompts(prompts: list[Prompt], *, seed: int) -> list[Example]:
    """One row for each labelled prompt, at most PER_SOURCE a source."""
    ranges = hint_ranges(prompts)
    rows = []
    for prompt in capped(prompts, per_source=PER_SOURCE, seed=seed):
        target = prompt_target(prompt, ranges.get((prompt.source, prompt.dimension), (0.0, 0.0)))
        if target:
            held = is_held_out(task_key(prompt))
            rows.append(_alone(prompt.text, target, prompt.source, prompt.dimension,
                               prompt.language, held))  # fmt: skip
    return rows


def from_outcomes(outcomes: list[Outcome]) -> list[Example]:
    """One row for each query, placed in its benchmark's range by how many models failed."""
    files: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        files[outcome.benchmark].append(outcome)
    rows = []
    for name, queries in files.items():
        hard = item_difficulty(score_matrix(queries)[0])
        low, high = np.quantile(hard, [0.02, 0.98])
        for query, value in zip(queries, hard, strict=True):
            share = float(np.clip((value - low) / (high - low), 0, 1))
            if query.dimension in DIMENSIONS:
                target = labelled_target(name, query.dimension, share)
            else:
                target = general_target(0.7 * share)
            row = _alone(query.text, target, name, query.dimension, query.language,
                         is_held_out(query.id))  # fmt: skip
            rows.append(replace(row, benchmark=name, scores=query.scores))
    return rows


def from_seeds(bodies: dict[str, list[str]], rng: random.Random) -> tuple[list[Example], Follow]:
    """Our own requests, and the follow-ups to be put into conversations.

    Args: bodies, language -> plain sentences, of which the long easy texts are made.
    """
    content = json.loads(SEEDS.read_text(encoding="utf-8"))
    rows: list[Example] = []
    follow: Follow = []
    for number, seed in enumerate(content["seeds"]):
        kind, level = seed["kind"], seed["level"]
        for language, text in seed["texts"].items():
            if kind in ("follow_up", "thanks"):
                follow.append((kind, language, text, level))
                continue
            if kind == "text_task":
                target = general_target(level)
                made = [_long(text, bodies, language, rng) for _ in range(LONG_TEXTS)]
            else:
                target = general_target(level) if kind == "general" else target_at(kind, level)
                drawn = rng.sample(content["programming_languages"], LANGUAGES_PER_SEED)
                made = sorted({text.replace("{x}", x) for x in drawn})
            dimension = "general" if kind == "text_task" else kind
            group = f"seeds_{kind}"
            # one seed in eight is held out in all its languages
            rows += [_alone(t, target, group, dimension, language, number % 8 == 5) for t in made]
    for kind, level, language, text, held_out in frames.made(content, rng):
        target = general_target(level) if kind == "general" else target_at(kind, level)
        rows.append(_alone(text, target, f"seeds_{kind}", kind, language, held_out))
    return rows + _code_topics(content, rng) + _traces(rng), follow


def _code_topics(content: dict[str, Any], rng: random.Random) -> list[Example]:
    """Short coding requests: each topic, by its English name, in the frames of ten languages."""
    rows = []
    for number, (topic, level) in enumerate(content["code_topics"]):
        for language, templates in content["code_templates"].items():
            for frame in templates:
                x = rng.choice(content["programming_languages"])
                rows.append(
                    _alone(
                        frame.replace("{topic}", topic).replace("{x}", x),
                        target_at("code_generation", level),
                        "seeds_code_topics",
                        "code_generation",
                        language,
                        number % 8 == 5,
                    )
                )
    return rows


def _traces(rng: random.Random) -> list[Example]:
    """Stack traces alone; every eighth is held out."""
    return [
        _alone(
            traceback(rng),
            target_at("debugging", rng.choice((0.42, 0.48, 0.54))),
            "seeds_traces",
            "debugging",
            "en",
            number % 8 == 5,
        )
        for number in range(TRACES)
    ]


Follow = list[tuple[str, str, str, float]]  # kind, language, text, share of the intent's target


def _long(task: str, bodies: dict[str, list[str]], language: str, rng: random.Random) -> str:
    """An easy task over 1 to 800 sentences or passages, the task before or after them."""
    sentences = bodies.get(language) or bodies.get("en") or [task]
    passages = bodies.get(language + PASSAGES)
    if passages and rng.random() < 0.35:
        sentences = passages
    count = rng.choice((1, 1, 3, 8, 20, 40, 40, 100, 300, 800))
    body = " ".join(rng.choice(sentences) for _ in range(count))
    return f"{task}\n\n{body}" if rng.random() < 0.6 else f"{body}\n\n{task}"


def conversations(rows: list[Example], follow: Follow, *, seed: int) -> list[Example]:
    """Later turns: a request keeps its own target, a follow-up takes the intent's."""
    rng = random.Random(seed)
    by_dimension: dict[tuple[str, bool], list[Example]] = defaultdict(list)
    for row in rows:
        by_dimension[row.dimension, row.held_out].append(row)
    made = []
    for _ in range(int(len(rows) * CONVERSATIONS)):
        current = rng.choice(rows)
        same = rng.random() < 0.6
        pool = by_dimension[current.dimension, current.held_out] if same else rows
        first = rng.choice(pool)
        if first.held_out != current.held_out:
            continue
        content, target, group = current.raw, current.target, "conversation_" + current.dimension
        language = current.language
        if rng.random() < 0.25:
            kind, language, content, share = rng.choice(follow)
            low = general_target(0.0)
            target = tuple(share * x for x in first.target) if kind == "follow_up" else low
            group = "conversation_" + kind
        middle = [rng.choice(rows).raw for _ in range(rng.choice((0, 0, 0, 1, 3, 9)))]
        messages = [{"role": "user", "content": text} for text in [first.raw, *middle]]
        if rng.random() < 0.8:
            messages.append({"role": "assistant", "content": rng.choice(pool).raw})
        messages.append({"role": "user", "content": content})
        made.append(
            Example(
                text=render(messages),
                target=target,
                group=group,
                dimension=current.dimension,
                language=language,
                held_out=current.held_out,
                raw=content,
            )
        )
    return made


def examples(prompts: list[Prompt], outcomes: list[Outcome], *, seed: int) -> list[Example]:
    """All training and held-out rows, in an order that depends on `seed` alone."""
    rng = random.Random(seed)
    plain = [p for p in prompts if p.source in PLAIN] or prompts
    bodies: dict[str, list[str]] = defaultdict(list)
    for prompt in plain:
        if prompt.dimension == "general" and not is_held_out(task_key(prompt)):
            bodies[prompt.language].append(prompt.text)
    for prompt in prompts:
        long = prompt.dimension == "general" and len(prompt.text.encode()) > PASSAGE_BYTES
        if long and not is_held_out(task_key(prompt)):
            bodies[prompt.language + PASSAGES].append(prompt.text)
    own, follow = from_seeds(bodies, rng)
    rows = from_prompts(prompts, seed=seed) + from_outcomes(outcomes) + own
    rows += conversations(rows, follow, seed=seed)
    rng.shuffle(rows)
    return rows


def draw_weights(rows: Sequence[Example]) -> NDArray[np.float64]:
    """How often each row is drawn, shape (n,), sum 1.

    Dimensions alike; inside them groups by the root of their size, our few seeds thrice that;
    inside a group languages by the root of theirs. So no source and no language sets the tone.
    """
    sizes: dict[tuple[str, ...], int] = defaultdict(int)
    for row in rows:
        sizes[row.dimension, row.group, row.language] += 1
        sizes[row.dimension, row.group] += 1
    pull = {
        key: size**0.5 * (SEED_PULL if len(key) == 2 and key[1].startswith("seeds_") else 1)
        for key, size in sizes.items()
    }
    total: dict[tuple[str, ...], float] = defaultdict(float)
    for key, value in pull.items():
        total[key[:-1]] += value
    weights = np.array(
        [
            pull[group] / total[group[:-1]] * pull[cell] / total[group] / sizes[cell]
            for group, cell in (
                ((r.dimension, r.group), (r.dimension, r.group, r.language)) for r in rows
            )
        ]
    )
    found: NDArray[np.float64] = weights / weights.sum()
    return found
