"""What predictor_quality.py measures on: our own requests, and prompts that trained nobody.

Our own are tests/data/requests.json (its `about` has the format). Held-out prompts come from a
folder of prompt files (formats: predictor/README.md): the tasks that every training leaves out, and
the share-alike sets. Both are drawn evenly over sources inside each kind, with a fixed seed.
"""

import json
import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from predictor.corpus import Prompt, capped, is_aligned, is_held_out, read_prompts, task_key

OWN = Path(__file__).parent.parent / "tests" / "data" / "requests.json"
GENERAL = "general"  # the kind of a request that needs little of every dimension
SEED = 0
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One request; `task` is what rows share that are not independent of each other."""

    kind: str
    source: str
    language: str
    text: str
    task: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """One request in several wordings: `texts` maps a language, or a number, to its text."""

    kind: str
    source: str
    task: str
    texts: dict[str, str]


def own(path: Path = OWN) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def own_kinds(content: dict[str, Any]) -> list[Sample]:
    return [
        Sample(kind=kind, source="own", language="en", text=text, task=text)
        for kind, texts in content["kinds"].items()
        for text in texts
    ]


def own_parallel(content: dict[str, Any]) -> list[Group]:
    return [
        Group(kind=row["kind"], source="own", task=str(n), texts=_with_snippet(row, row["texts"]))
        for n, row in enumerate(content["parallel"])
    ]


def own_paraphrases(content: dict[str, Any]) -> list[Group]:
    return [
        Group(
            kind=row["kind"],
            source=row["language"],
            task=str(n),
            texts=_with_snippet(row, {str(i): text for i, text in enumerate(row["texts"])}),
        )
        for n, row in enumerate(content["paraphrases"])
    ]


def _with_snippet(row: dict[str, Any], texts: dict[str, str]) -> dict[str, str]:
    tail = f"\n\n{row['snippet']}" if "snippet" in row else ""
    return {name: text + tail for name, text in texts.items()}


def held_out_prompts(folder: Path) -> list[Prompt]:
    """Prompts of tasks that training leaves out, with a kind; share-alike sets not among them."""
    prompts = read_prompts(folder)
    return [p for p in prompts if p.dimension != "mixed" and is_held_out(task_key(p))]


def held_out(prompts: list[Prompt], per_kind: int) -> list[Sample]:
    """As many held-out prompts of each kind, evenly over its sources, languages, categories."""
    drawn = capped(prompts, per_source=per_kind, seed=SEED)
    return [_sample(p) for p in _even(drawn, per_kind, lambda p: p.dimension, lambda p: p.source)]


def share_alike(folder: Path, per_source: int) -> list[Sample]:
    """The sets that never train: stackeval, infibench, xquad and ntrex."""
    prompts = [p for p in read_prompts(folder, share_alike=True) if p.dimension != "mixed"]
    return [_sample(p) for p in capped(prompts, per_source=per_source, seed=SEED)]


def held_out_parallel(
    prompts: list[Prompt], languages: Iterable[str], per_kind: int
) -> list[Group]:
    """Held-out requests with their translations into those of `languages` that there are."""
    wanted = {*languages, "en"}
    found: dict[str, dict[str, Prompt]] = defaultdict(dict)
    for p in prompts:
        if p.parallel_id and is_aligned(p) and p.language in wanted:
            found[p.parallel_id][p.language] = p
    groups = [
        Group(
            kind=group["en"].dimension,
            source=group["en"].source,
            task=task_key(group["en"]),
            texts={language: p.text for language, p in group.items()},
        )
        for group in found.values()
        if "en" in group and len(group) > 1
    ]
    random.Random(SEED).shuffle(groups)
    return _even(groups, per_kind, lambda g: g.kind, lambda g: g.source)


def _sample(prompt: Prompt) -> Sample:
    return Sample(
        kind=prompt.dimension,
        source=prompt.source,
        language=prompt.language,
        text=prompt.text,
        task=task_key(prompt),
    )


def _even(
    rows: Sequence[T], per_kind: int, kind: Callable[[T], str], source: Callable[[T], str]
) -> list[T]:
    """At most `per_kind` rows of each kind, one source after the other until none is left."""
    by_kind: dict[str, dict[str, list[T]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        by_kind[kind(row)][source(row)].append(row)
    return [
        row
        for name in sorted(by_kind)
        for _, row in zip(range(per_kind), _in_turn(list(by_kind[name].values())), strict=False)
    ]


def _in_turn(lists: list[list[T]]) -> Iterator[T]:
    for place in range(max(map(len, lists))):
        yield from (rows[place] for rows in lists if place < len(rows))
