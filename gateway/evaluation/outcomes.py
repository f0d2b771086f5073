"""Outcome files: what many models did on the same query, read into one table.

JSON lines, gzip or not; per line `prompt`, `outcomes` {model: 0..1} and, optionally, `cost_usd`
{model: usd}, `benchmark`. Rows stand in the order of a digest of their text and models in the order
of their names, so that the order of a file changes no figure, not even in the last digit.
"""

import gzip
import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class OutcomeError(Exception):
    """An outcome file or the choice made of it can't be used; the message says where."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One query: its text, and per model the score in [0, 1] and the dollars it took."""

    text: str
    benchmark: str
    outcomes: Mapping[str, float]
    cost_usd: Mapping[str, float]

    @property
    def digest(self) -> str:
        return digest(self.text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """n queries by m models. `solved` (n, m) in [0, 1]; `cost_usd` (n, m) >= 0, no gaps in either.

    `dropped` rows lacked an outcome of one of the models; `filled` costs were not recorded and
    count as their model's mean over the other rows.
    """

    models: tuple[str, ...]
    texts: tuple[str, ...]
    benchmarks: tuple[str, ...]
    solved: Floats
    cost_usd: Floats
    dropped: int = 0
    filled: int = 0

    def __len__(self) -> int:
        return len(self.texts)

    def rows(self, chosen: NDArray[np.bool_]) -> "Table":
        """The rows where `chosen` (n,) is true."""
        kept = np.flatnonzero(chosen)
        return Table(
            models=self.models,
            texts=tuple(self.texts[row] for row in kept),
            benchmarks=tuple(self.benchmarks[row] for row in kept),
            solved=self.solved[kept],
            cost_usd=self.cost_usd[kept],
        )


def digest(text: str) -> str:
    """Names a text; the same on every machine."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def read(path: Path) -> list[Row]:
    """Every row of one file. Raises OutcomeError with file and line."""
    rows = []
    for number, line in _lines(path):
        if line.strip():
            rows.append(_row(line, f"{path}:{number}", path.name.partition(".")[0]))
    if not rows:
        raise OutcomeError(f"{path}: has no rows")
    return rows


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        opener = gzip.open if packed else open
        with opener(path, "rt", encoding="utf-8") as text:
            yield from enumerate(text, start=1)
    except OSError as exc:
        raise OutcomeError(f"{path}: cannot be read: {exc.strerror or exc}") from exc
    except (EOFError, UnicodeDecodeError) as exc:
        raise OutcomeError(f"{path}: neither UTF-8 text nor whole gzip: {exc}") from exc


def _row(line: str, where: str, benchmark: str) -> Row:
    try:
        fields = json.loads(line)
    except ValueError as exc:
        raise OutcomeError(f"{where}: not JSON: {exc}") from exc
    if not isinstance(fields, dict):
        raise OutcomeError(f"{where}: expected an object, got {type(fields).__name__}")
    text = fields.get("prompt")
    if not isinstance(text, str) or not text:
        raise OutcomeError(f"{where}: prompt: expected text, got {text!r}")
    return Row(
        text=text,
        benchmark=str(fields.get("benchmark") or benchmark),
        outcomes=_numbers(fields.get("outcomes"), f"{where}: outcomes", high=1.0, required=True),
        cost_usd=_numbers(fields.get("cost_usd"), f"{where}: cost_usd", high=math.inf),
    )


def _numbers(value: Any, where: str, *, high: float, required: bool = False) -> dict[str, float]:
    """{model: number in [0, high]}; a null counts as left out."""
    if value is None and not required:
        return {}
    if not isinstance(value, dict) or (required and not value):
        raise OutcomeError(f"{where}: expected {{model: number}}, got {value!r}")
    found = {}
    for model, number in value.items():
        if number is None:
            continue
        if isinstance(number, bool):
            number = int(number)
        if not isinstance(number, int | float) or not 0 <= number <= high:
            limit = "0 or more" if math.isinf(high) else f"from 0 to {high:g}"
            raise OutcomeError(f"{where}.{model}: expected a number {limit}, got {number!r}")
        found[model] = float(number)
    return found


def renamed(rows: Sequence[Row], names: Mapping[str, str]) -> list[Row]:
    """The rows with models renamed, for files that call one model by two names."""
    return [
        Row(
            text=row.text,
            benchmark=row.benchmark,
            outcomes={names.get(model, model): value for model, value in row.outcomes.items()},
            cost_usd={names.get(model, model): value for model, value in row.cost_usd.items()},
        )
        for row in rows
    ]


def mixed(files: Sequence[Sequence[Row]], shares: Sequence[float], seed: int) -> list[Row]:
    """As many rows as the shares allow, drawn from each file without putting any back.

    Args: shares > 0, one per file; only their ratio matters. Drawn by digest and seed, so that the
    order of a file does not matter.
    """
    if any(not share > 0 or math.isinf(share) for share in shares):
        raise OutcomeError("the shares of a mixture must be numbers above 0")
    parts = [share / sum(shares) for share in shares]
    total = min(len(rows) / part for rows, part in zip(files, parts, strict=True))
    drawn: list[Row] = []
    for rows, part in zip(files, parts, strict=True):
        ordered = sorted(rows, key=lambda row: _order(row, seed))
        drawn += ordered[: max(1, round(total * part))]
    return drawn


def table(
    rows: Sequence[Row], models: Sequence[str] | None, unit_cost: Mapping[str, float]
) -> Table:
    """The rows that have every model; without `models`, the models that every row has.

    Args: unit_cost, dollars per query for models without costs of their own. Raises OutcomeError
    when a model, its costs or all rows are missing.
    """
    if models is None:
        names = sorted(set.intersection(*(set(row.outcomes) for row in rows)))
        if len(names) < 2:
            raise OutcomeError(
                f"only {len(names)} models have an outcome in every row; name a pool with --models"
            )
    else:
        names = sorted(set(models))
        known = set().union(*(row.outcomes for row in rows))
        missing = [name for name in names if name not in known]
        if missing:
            raise OutcomeError(
                f"no outcome of {', '.join(missing)}; the files have {', '.join(sorted(known))}"
            )
        if len(names) < 2:
            raise OutcomeError("a router needs at least two models")
    whole = [row for row in rows if all(name in row.outcomes for name in names)]
    if not whole:
        raise OutcomeError(f"no row has an outcome of all of {', '.join(names)}")
    whole.sort(key=_order)
    cost_usd, filled = _costs(whole, names, unit_cost)
    return Table(
        models=tuple(names),
        texts=tuple(row.text for row in whole),
        benchmarks=tuple(row.benchmark for row in whole),
        solved=np.array([[row.outcomes[name] for name in names] for row in whole]),
        cost_usd=cost_usd,
        dropped=len(rows) - len(whole),
        filled=filled,
    )


def _costs(
    rows: Sequence[Row], names: Sequence[str], unit_cost: Mapping[str, float]
) -> tuple[Floats, int]:
    """Dollars (n, m), and how many of them were not recorded."""
    recorded = np.array(
        [[unit_cost.get(name, row.cost_usd.get(name, math.nan)) for name in names] for row in rows]
    )
    is_missing = np.isnan(recorded)
    unpriced = [name for name, gone in zip(names, is_missing.all(axis=0), strict=True) if gone]
    if unpriced:
        raise OutcomeError(f"no cost_usd of {', '.join(unpriced)}; give --unit-cost MODEL=USD")
    return np.where(is_missing, np.nanmean(recorded, axis=0), recorded), int(is_missing.sum())


def _order(row: Row, seed: int = 0) -> tuple[str, str]:
    content = json.dumps([row.benchmark, row.outcomes, row.cost_usd], sort_keys=True)
    return digest(f"{seed}\0{row.text}"), content


def folds(texts: Sequence[str], count: int, seed: int) -> Ints:
    """A fold in 0..count-1 for every row, shape (n,): equal in size, one text in one fold only."""
    distinct = sorted({digest(f"{seed}\0{text}"): text for text in texts}.items())
    place = {text: rank % count for rank, (_, text) in enumerate(distinct)}
    return np.array([place[text] for text in texts], dtype=np.int64)
