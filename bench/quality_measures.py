"""What predictor_quality.py counts: shares, gaps and flips of one predictor, with intervals.

Measures take a subject (quality_subject.py) and samples (quality_samples.py) and return plain
dicts. A share or a mean is `[value, low, high]`, a 95% bootstrap interval over tasks.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bench.perturbations import PERTURBATIONS, enveloped, long_text, stuffed
from bench.quality_samples import GENERAL, SEED, Group, Sample
from bench.quality_subject import Subject, Vector

LOW = 0.25  # easy chat: every head stays below this
RESAMPLES = 1000
LONG_BYTES = (2_000, 6_000, 20_000)
FEWEST = 8  # rows that a language needs for a number of its own


def interval(
    values: Sequence[float], tasks: Sequence[str] | None = None, *, share: bool = True
) -> list[float]:
    """[mean, low, high]: 95% bootstrap over tasks, or over rows where there are none.

    Where a share is 0 or 1 resampling says nothing, and the rule of three (3/n) stands in.

    >>> interval([0.0] * 60)
    [0.0, 0.0, 0.05]
    """
    if not len(values):
        return [float("nan")] * 3
    sums: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for task, value in zip(tasks or map(str, range(len(values))), values, strict=True):
        sums[task][0] += value
        sums[task][1] += 1
    totals = np.array(list(sums.values()))  # (n_tasks, 2): sum and count
    mean = float(totals[:, 0].sum() / totals[:, 1].sum())
    if share and mean in (0.0, 1.0):
        margin = min(1.0, 3 / len(totals))
        return [mean, max(0.0, round(mean - margin, 4)), min(1.0, round(mean + margin, 4))]
    drawn = np.random.default_rng(SEED).integers(0, len(totals), (RESAMPLES, len(totals)))
    resampled = totals[drawn].sum(1)  # (RESAMPLES, n_tasks, 2) -> (RESAMPLES, 2)
    low, high = np.percentile(resampled[:, 0] / resampled[:, 1], [2.5, 97.5])
    return [round(mean, 4), round(float(low), 4), round(float(high), 4)]


def correlation(a: Vector, b: Vector) -> float:
    """Pearson's; 0 when either is flat, so that a head that says nothing does not pass."""
    if len(a) < 3 or a.std() < 1e-6 or b.std() < 1e-6:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


# --- dimension sense


def seen_as(subject: Subject, vector: Vector) -> str:
    """The highest head, or general where all stay below LOW."""
    if vector.max() < LOW:
        return GENERAL
    return subject.dimensions[int(vector.argmax())]


def is_right(subject: Subject, sample: Sample) -> bool:
    """The kind's head is the highest, however low; for general, every head stays below LOW."""
    vector = subject.vector(sample.text)
    if sample.kind == GENERAL:
        return bool(vector.max() < LOW)
    return subject.dimensions[int(vector.argmax())] == sample.kind


def sense(subject: Subject, samples: Sequence[Sample]) -> dict[str, dict[str, Any]]:
    """By kind: share that is right, what is seen instead, and the sources that do worst."""
    out: dict[str, dict[str, Any]] = {}
    for kind in (*subject.dimensions, GENERAL):
        rows = [sample for sample in samples if sample.kind == kind]
        if not rows:
            continue
        right = [float(is_right(subject, row)) for row in rows]
        by_source: dict[str, list[float]] = defaultdict(list)
        for row, value in zip(rows, right, strict=True):
            by_source[row.source].append(value)
        shares = sorted((round(float(np.mean(v)), 2), s, len(v)) for s, v in by_source.items())
        wrong = [r for r, value in zip(rows, right, strict=True) if not value]
        out[kind] = {
            "n": len(rows),
            "right": interval(right, [row.task for row in rows]),
            "instead": dict(
                Counter(seen_as(subject, subject.vector(r.text)) for r in wrong).most_common()
            ),
            "worst_sources": [[s, share, n] for share, s, n in shares[:5]],
        }
    return out


# --- languages


def languages(subject: Subject, groups: Sequence[Group]) -> dict[str, Any]:
    """Translations against the English text: gaps, models, correlations and spread."""
    rows = [
        (group, language, subject.vector(text), subject.vector(group.texts["en"]))
        for group in groups
        for language, text in group.texts.items()
        if language != "en"
    ]
    tasks = [group.task for group, *_ in rows]
    gaps = np.array([abs(r - english) / subject.widths for *_, r, english in rows])  # (n, K)
    same = {
        mode: [
            float(
                subject.chosen(r, group.texts["en"], mode)
                == subject.chosen(english, group.texts["en"], mode)
            )
            for group, _, r, english in rows
        ]
        for mode in subject.modes
    }
    by_language: dict[str, list[int]] = defaultdict(list)
    for place, (_, language, *_) in enumerate(rows):
        by_language[language].append(place)
    large = {name: places for name, places in by_language.items() if len(places) >= FEWEST}
    default = np.array(same[subject.modes[0]])
    return {
        "rows": len(rows),
        "groups": len(groups),
        "languages": len(by_language),
        "gap": interval(gaps.mean(1).tolist(), tasks, share=False),
        "gap_by_head": {
            name: interval(gaps[:, k].tolist(), tasks, share=False)
            for k, name in enumerate(subject.dimensions)
        },
        "gap_by_kind": _by_kind([g.kind for g, *_ in rows], gaps.mean(1), tasks),
        "same_model": {mode: interval(values, tasks) for mode, values in same.items()},
        "same_model_by_kind": _by_kind([g.kind for g, *_ in rows], default, tasks),
        "worst_same_model": _lowest({name: default[p].mean() for name, p in large.items()}),
        "correlation": {
            name: _in_languages(subject, [rows[i] for i in places])
            for name, places in sorted(large.items())
        },
    }


def _in_languages(subject: Subject, rows: Sequence[tuple[Group, str, Vector, Vector]]) -> Any:
    """One language: correlation with English by head, over all heads, on own kinds; spread."""
    found, english = np.array([r for *_, r, _ in rows]), np.array([e for *_, e in rows])
    heads = range(len(subject.dimensions))
    own = [
        correlation(found[mine, k], english[mine, k])
        for k, name in enumerate(subject.dimensions)
        if (mine := [i for i, (group, *_) in enumerate(rows) if group.kind == name])
        and len(mine) >= FEWEST
    ]
    return {
        "n": len(rows),
        "heads": [round(correlation(found[:, k], english[:, k]), 3) for k in heads],
        "all": round(correlation(found.ravel(), english.ravel()), 3),
        "own_kind": round(float(np.mean(own)), 3) if own else None,
        "spread": [
            round(float(found[:, k].std() / max(english[:, k].std(), 1e-6)), 2) for k in heads
        ],
    }


def _by_kind(kinds: Sequence[str], values: Vector, tasks: Sequence[str]) -> dict[str, list[float]]:
    return {
        kind: interval(
            [v for k, v in zip(kinds, values.tolist(), strict=True) if k == kind],
            [t for k, t in zip(kinds, tasks, strict=True) if k == kind],
        )
        for kind in dict.fromkeys(kinds)
    }


def _lowest(shares: Mapping[str, float], count: int = 5) -> dict[str, float]:
    return {k: round(float(v), 3) for k, v in sorted(shares.items(), key=lambda x: x[1])[:count]}


# --- robustness

Pair = tuple[str, str, str]  # a request, the same said differently, and their task


def flips(subject: Subject, pairs: Sequence[Pair]) -> dict[str, Any]:
    """How often the second text of a pair gets another model than the first."""
    tasks = [task for *_, task in pairs]
    vectors = [(subject.vector(text), subject.vector(other)) for text, other, _ in pairs]
    gaps = [float((abs(a - b) / subject.widths).mean()) for a, b in vectors]
    flipped: dict[str, list[float]] = {}
    dearer: list[float] = []
    for mode in subject.modes:
        models = [
            (subject.chosen(a, text, mode), subject.chosen(b, text, mode), text)
            for (a, b), (text, *_) in zip(vectors, pairs, strict=True)
        ]
        flipped[mode] = [float(first != second) for first, second, _ in models]
        if mode == subject.modes[0]:
            dearer = [float(a == subject.cheapest(text) != b) for a, b, text in models]
    return {
        "n": len(pairs),
        "flips": {mode: interval(values, tasks) for mode, values in flipped.items()},
        "leaves_cheapest": interval(dearer, tasks),
        "gap": interval(gaps, tasks, share=False),
        "changed_vectors": sum(bool((a != b).any()) for a, b in vectors),
    }


def perturbed(samples: Sequence[Sample], name: str) -> list[Pair]:
    """The samples that the perturbation changes, each with its perturbed self."""
    rng = random.Random(f"{SEED} {name}")
    pairs = [(s.text, PERTURBATIONS[name](s.text, rng, s.language), s.task) for s in samples]
    return [pair for pair in pairs if pair[0] != pair[1]]


def in_envelopes(samples: Sequence[Sample], envelopes: Sequence[dict[str, str]]) -> list[Pair]:
    """Each sample in one envelope, each envelope equally often."""
    return [
        (s.text, enveloped(s.text, envelopes[place % len(envelopes)]), s.task)
        for place, s in enumerate(samples)
    ]


def leaking(subject: Subject, envelopes: Sequence[dict[str, str]]) -> list[str]:
    """Names of the envelopes that change the vector of a greeting."""
    hello = subject.vector("hello")
    return [e["name"] for e in envelopes if (subject.vector(enveloped("hello", e)) != hello).any()]


def paraphrased(groups: Sequence[Group]) -> list[Pair]:
    """The first wording against each of the others."""
    return [
        (next(iter(group.texts.values())), other, group.task)
        for group in groups
        for other in list(group.texts.values())[1:]
    ]


def keyword_stuffed(samples: Sequence[Sample], keywords: Sequence[str]) -> list[Pair]:
    rng = random.Random(SEED)
    return [(s.text, stuffed(s.text, words, rng), s.text) for s in samples for words in keywords]


def easy_over_long(
    subject: Subject,
    instructions: Sequence[str],
    passages: Sequence[str],
    size: int,
    *,
    texts_each: int = 3,
) -> dict[str, Any]:
    """Easy instructions over long text: how many stay low, and at the cheapest profile."""
    rng = random.Random(SEED)
    tasks = [instruction for instruction in instructions for _ in range(texts_each)]
    texts = [long_text(instruction, list(passages), size, rng) for instruction in tasks]
    return {"n": len(texts), **_ease(subject, texts, tasks)}


def hard_and_short(subject: Subject, texts: Sequence[str]) -> dict[str, Any]:
    """Short hard requests: how many have a head in the upper half of its band."""
    upper = [float((subject.vector(text) >= subject.middles).any()) for text in texts]
    return {"n": len(texts), "upper_half": interval(upper), **_ease(subject, texts, None)}


def _ease(subject: Subject, texts: Sequence[str], tasks: Sequence[str] | None) -> dict[str, Any]:
    low = [float(subject.vector(text).max() < LOW) for text in texts]
    cheapest = {
        mode: [
            float(subject.chosen(subject.vector(text), text, mode) == subject.cheapest(text))
            for text in texts
        ]
        for mode in subject.modes
    }
    return {
        "low": interval(low, tasks),
        "cheapest": {mode: interval(values, tasks) for mode, values in cheapest.items()},
    }
