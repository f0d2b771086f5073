"""`python -m predictor.evaluate`: held-out metrics of a predictor's folder; last line JSON.

It measures the predictor alone: does each head find its kind of work, does it order difficulty,
does the language of a request change its vector, what does it take. Whether routing by
it pays is another question, and other data. Needs no torch. Share-alike sets, which never
train the weights, serve as foreign test sets. Intervals are 95% bootstrap over rows.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from predictor.corpus import Prompt, is_held_out, read_outcomes, read_prompts, task_key
from predictor.examples import Example, draw_weights, examples
from predictor.predictor import SHIPPED, Predictor, load
from predictor.render import render

ROWS = 3000
RESAMPLES = 500
LOW = 0.25  # a request whose heads all stay below this is called general
LATENCY_TOKENS = (64, 128, 512)
Vector = NDArray[np.float64]


def ranks(values: Vector) -> Vector:
    """Ranks from 0, ties shared; shape (n,)."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - (counts + 1) / 2
    return np.asarray(middle[place], dtype=np.float64)


def auc(scores: Vector, positive: NDArray[np.bool_]) -> float:
    """Chance that a positive outranks a negative; ties count one half.

    >>> auc(np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True]))
    0.75
    """
    n, m = int(positive.sum()), int((~positive).sum())
    if not n or not m:
        return float("nan")
    return float((ranks(scores)[positive].sum() - n * (n - 1) / 2) / (n * m))


def spearman(a: Vector, b: Vector) -> float:
    """Rank correlation of two samples (n,)."""
    if len(a) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(np.corrcoef(ranks(a), ranks(b))[0, 1])


def interval(measure: Callable[..., float], *samples: NDArray[Any]) -> list[float]:
    """[value, low, high] of a measure of samples whose rows belong together."""
    rng = np.random.default_rng(0)
    size = len(samples[0])
    drawn = (rng.integers(0, size, size) for _ in range(RESAMPLES))
    values = [measure(*(sample[rows] for sample in samples)) for rows in drawn]
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return [round(float(x), 3) for x in (measure(*samples), low, high)]


def mean(values: Vector) -> float:
    return float(values.mean())


def run(predictor: Predictor, texts: Sequence[str], what: str) -> Vector:
    """Requirements (n, K)."""
    return np.array([predictor.predict(t) for t in tqdm(texts, desc=what, mininterval=10)])


def head_metrics(
    predictor: Predictor, rows: list[Example], found: Vector
) -> dict[str, dict[str, list[float]]]:
    """Per head: AUC of its own kind against all others, rank correlation and error on its own."""
    out = {}
    targets = np.array([row.target for row in rows])
    own = np.array([row.dimension for row in rows])
    for k, name in enumerate(predictor.dimensions):
        score, target, mine = found[:, k], targets[:, k], own == name
        out[name] = {
            "auc": interval(auc, score, mine),
            "spearman_own": interval(spearman, score[mine], target[mine]),
            "mae": interval(mean, np.abs(score - target)),
        }
    return out


def kind_of(predictor: Predictor, found: Vector) -> list[str]:
    """The head that stands highest, or general where none passes LOW."""
    names = predictor.dimensions
    return [names[int(row.argmax())] if row.max() >= LOW else "general" for row in found]


def accuracy(predictor: Predictor, rows: list[Example], found: Vector) -> dict[str, list[float]]:
    """Share of rows whose kind is found, over all and by kind."""
    right = np.array(
        [kind == row.dimension for kind, row in zip(kind_of(predictor, found), rows, strict=True)]
    ).astype(float)
    out = {"all": interval(mean, right)}
    for name in (*predictor.dimensions, "general"):
        part = right[[row.dimension == name for row in rows]]
        if len(part):
            out[name] = interval(mean, part)
    return out


def language_agreement(predictor: Predictor, prompts: list[Prompt]) -> dict[str, object]:
    """Held-out tasks in many languages: distance to the English vector, and the same kind."""
    groups: dict[str, dict[str, str]] = defaultdict(dict)
    for prompt in prompts:
        aligned = prompt.source != "home_assistant_intents"
        if prompt.parallel_id and aligned and is_held_out(task_key(prompt)):
            groups[prompt.parallel_id][prompt.language] = prompt.text
    rng = np.random.default_rng(0)
    pairs = []
    for group in groups.values():
        others = sorted(set(group) - {"en"})
        if "en" in group and others:
            for language in rng.choice(others, min(4, len(others)), replace=False):
                pairs.append((language, group["en"], group[language]))
    pairs = [pairs[i] for i in rng.permutation(len(pairs))[:ROWS]]
    text = [[render([{"role": "user", "content": side}]) for side in pair[1:]] for pair in pairs]
    english = run(predictor, [a for a, _ in text], "English")
    other = run(predictor, [b for _, b in text], "translations")
    gap = np.abs(english - other).mean(1)  # (n, K) -> (n,)
    pairs_of_kinds = zip(kind_of(predictor, english), kind_of(predictor, other), strict=True)
    same = np.array([a == b for a, b in pairs_of_kinds]).astype(float)
    by_language: dict[str, list[float]] = defaultdict(list)
    for (language, _, _), value in zip(pairs, gap, strict=True):
        by_language[str(language)].append(float(value))
    means = {name: round(float(np.mean(v)), 3) for name, v in by_language.items() if len(v) >= 20}
    return {
        "pairs": len(pairs),
        "mean_gap": interval(mean, gap),
        "same_kind": interval(mean, same),
        "worst_languages": dict(sorted(means.items(), key=lambda item: -item[1])[:5]),
    }


def foreign(predictor: Predictor, prompts: list[Prompt]) -> dict[str, object]:
    """Share-alike sets, never trained on: kinds found, and how low long easy texts stay."""
    out: dict[str, object] = {}
    rng = np.random.default_rng(0)
    for source in sorted({p.source for p in prompts}):
        rows = [p for p in prompts if p.source == source and p.dimension != "mixed"]
        rows = [rows[i] for i in rng.permutation(len(rows))[:400]]
        texts = [render([{"role": "user", "content": p.text}]) for p in rows]
        found = run(predictor, texts, source)
        pairs = zip(kind_of(predictor, found), rows, strict=True)
        right = np.array([kind == p.dimension for kind, p in pairs]).astype(float)
        highest = found.max(1)  # (n, K) -> (n,)
        out[source] = {
            "rows": len(rows),
            "right_kind": interval(mean, right),
            "mean_highest": interval(mean, highest),
        }
    return out


def latency_ms(predictor: Predictor) -> dict[str, float]:
    """Median milliseconds of predict() on one thread, tokenizer included, by tokens."""
    out = {}
    for tokens in LATENCY_TOKENS:
        text = "river " * (tokens - 2)  # one token a word, and start and end
        times = []
        for _ in range(40):
            start = time.perf_counter()
            predictor.predict(text)
            times.append((time.perf_counter() - start) * 1e3)
        out[str(tokens)] = round(float(np.median(times)), 2)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m predictor.evaluate", description=__doc__)
    parser.add_argument("--prompts", type=Path, required=True, help="folder of prompt files")
    parser.add_argument("--outcomes", type=Path, required=True, help="those of predictor.train")
    parser.add_argument("--model", type=Path, default=SHIPPED, help="folder of the predictor")
    parser.add_argument("--seed", type=int, default=0, help="the seed of predictor.train")
    arguments = parser.parse_args()
    predictor = load(arguments.model)
    prompts = read_prompts(arguments.prompts)
    rows = examples(prompts, read_outcomes(arguments.outcomes), seed=arguments.seed)
    rows = [row for row in rows if row.held_out]
    chosen = np.random.default_rng(1).choice(len(rows), min(ROWS, len(rows)), p=draw_weights(rows))
    rows = [rows[i] for i in sorted(set(chosen.tolist()))]
    found = run(predictor, [row.text for row in rows], "held out")
    # a conversation's follow-up belongs to its intent's kind, a thank-you to none
    alone = [i for i, row in enumerate(rows) if not row.group.startswith("conversation")]
    lone_rows, lone_found = [rows[i] for i in alone], found[alone]
    report = {
        "version": predictor.version,
        "rows": len(rows),
        "heads": head_metrics(predictor, lone_rows, lone_found),
        "right_kind": accuracy(predictor, lone_rows, lone_found),
        "language": language_agreement(predictor, prompts),
        "share_alike": foreign(predictor, read_prompts(arguments.prompts, share_alike=True)),
        "latency_ms": latency_ms(predictor),
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
