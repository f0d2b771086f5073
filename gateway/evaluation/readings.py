"""What the predictor says of texts: read once, then remembered in a file.

A query becomes what serving would make of it: one user message, rendered. Readings are kept per
predictor (sha256 of its weights) and rendered text; another predictor has another file.
"""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from gateway.evaluation.outcomes import Floats, digest
from predictor import Predictor
from predictor.render import render

_DIGITS: Final = 4  # as serving rounds them, so that choices are the same
_BATCH: Final = 500  # texts after which readings are written: what a broken run loses at most


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """Of n texts: requirements (n, K) in [0, 1] and the encoder's states (n, h)."""

    requirements: Floats
    states: Floats


def read(model: Predictor, texts: Sequence[str], folder: Path) -> Readings:
    """The predictor's readings of `texts`, in their order; new ones are added to `folder`."""
    path = folder / f"readings-{model.sha256[:16]}.npz"
    known = _load(path)
    rendered = [render([{"role": "user", "content": text}]) for text in texts]
    names = [digest(text) for text in rendered]
    by_digest = dict(zip(names, rendered, strict=True))
    new = [name for name in by_digest if name not in known]
    if new:
        folder.mkdir(parents=True, exist_ok=True)
        with _progress(len(new)) as progress:
            for start in range(0, len(new), _BATCH):
                batch = new[start : start + _BATCH]
                with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as threads:
                    found = threads.map(lambda name: _one(model, by_digest[name]), batch)
                    for name, reading in zip(batch, found, strict=True):
                        known[name] = reading
                        progress.advance(progress.task_ids[0])
                _save(path, known)
    rows = [known[name] for name in names]
    return Readings(
        requirements=np.array([requirements for requirements, _ in rows]),
        states=np.array([state for _, state in rows], dtype=np.float64),
    )


def _one(model: Predictor, rendered: str) -> tuple[Floats, Floats]:
    requirements = np.round(np.array(model.predict(rendered)), _DIGITS)
    return requirements, np.array(model.state(rendered))


@contextmanager
def _progress(total: int) -> Iterator[Progress]:
    """A bar on stderr where that is a terminal."""
    with Progress(
        TextColumn("reading"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as progress:
        progress.add_task("reading", total=total)
        yield progress


def _load(path: Path) -> dict[str, tuple[Floats, Floats]]:
    if not path.exists():
        return {}
    with np.load(path) as stored:
        names, requirements, states = (stored[key] for key in ("digests", "requirements", "states"))
    return {
        str(name): (row, state)
        for name, row, state in zip(names, requirements, states, strict=True)
    }


def _save(path: Path, known: dict[str, tuple[Floats, Floats]]) -> None:
    """Replace the file in one step: a run that is stopped leaves the old one whole."""
    partial = path.with_suffix(f".{os.getpid()}.partial")
    with partial.open("wb") as file:
        np.savez(
            file,
            digests=np.array(list(known)),
            requirements=np.array([row for row, _ in known.values()]),
            states=np.array([state for _, state in known.values()], dtype=np.float32),
        )
    partial.replace(path)
