"""Decisions: one with all its candidates, a list of them, and one at a time as they come."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.text import Text

from gateway.tables.terminal import GAP, PIPED_WIDTH, Cell, Column, Grid, fitting, plain

_REASONS: Final = {
    "cheapest_sufficient": "the cheapest whose shortfall is within the threshold",
    "least_shortfall": "nobody is within the threshold: the least shortfall",
    "only_eligible": "the only one that passes the gates",
    "predictor_unavailable": "the predictor did not answer: the pool's fallback",
    "pinned": "named by the caller",
    "fallback": "an earlier choice failed upstream",
    "sticky": "the conversation stays with its model",
    "escalated": "the conversation became harder",
}
_COLUMNS: Final = (
    Column(name="time"),
    Column(name="asked for", rank=5),
    Column(name="served by"),
    Column(name="reason", rank=6),
    Column(name="status"),
    Column(name="in", is_number=True, rank=3),
    Column(name="out", is_number=True, rank=3),
    Column(name="cost $", is_number=True),
    Column(name="saved $", is_number=True, rank=2),
    Column(name="ms", is_number=True, rank=1),
    Column(name="id", rank=4),
)
# Of lines that come one at a time, so that most rows of a tail stand under each other.
_USUAL_WIDTHS: Final = (14, 9, 18, 19, 7, 6, 5, 10, 10, 6, 36)


def decision(entry: Mapping[str, Any]) -> Group:
    """One decision: requirements, every candidate, the choice and why."""
    requirements = entry["requirements"]
    names = list(requirements or ())
    rank = len(names)
    grid = Grid(
        [
            Column(name=""),
            *(Column(name=name, is_number=True, rank=rank - n) for n, name in enumerate(names)),
            *(Column(name=n, is_number=True) for n in ("shortfall", "P(solved)", "expected $")),
            Column(name="gate", wraps=True),
        ]
    )
    if requirements:
        values = (f"{value:.2f}" for value in requirements.values())
        grid.add("requirements", *values, *("",) * 4, style="bold")
    for candidate in sorted(entry["candidates"], key=_order):
        is_chosen = candidate["model"] == entry["chosen"]
        gap, chance = candidate["shortfall"], candidate["p_solve"]
        grid.add(
            ("> " if is_chosen else "  ") + candidate["model"],
            *(f"{candidate['capabilities'][name]:.2f}" for name in names),
            "-" if gap is None else f"{gap:.3f}",
            "-" if chance is None else f"{chance:.3f}",
            usd(candidate["expected_cost_usd"]),
            candidate["excluded_by"] or "",
            style="bold green" if is_chosen else "" if candidate["eligible"] else "dim",
        )
    parts: list[RenderableType] = [grid, plain(f"\n{entry['chosen']}: {_why(entry)}")]
    return Group(*parts)


def decisions(entries: Sequence[Mapping[str, Any]]) -> Grid:
    """A list of decisions, in their order."""
    grid = Grid(_COLUMNS)
    for entry in entries:
        grid.add(*_cells(entry))
    return grid


class Lines:
    """Decisions one at a time: a line each, under a head."""

    def __init__(self) -> None:
        self._console = Console()
        if not self._console.is_terminal:
            self._console = Console(width=PIPED_WIDTH)
        names = [cell_len(column.name) for column in _COLUMNS]
        self._widths = [max(pair) for pair in zip(names, _USUAL_WIDTHS, strict=True)]
        self._has_head = False

    def show(self, entry: Mapping[str, Any]) -> None:
        """Print one; the first brings the head."""
        cells = [plain(cell) for cell in _cells(entry)]
        for place, cell in enumerate(cells):
            self._widths[place] = max(self._widths[place], cell.cell_len)
        if not self._has_head:
            self._has_head = True
            self._print([Text(column.name, style="bold") for column in _COLUMNS])
        self._print(cells)

    def _print(self, cells: Sequence[Text]) -> None:
        places = fitting(_COLUMNS, self._widths, self._console.width)
        for place in places:
            pad = self._widths[place] - cells[place].cell_len
            if _COLUMNS[place].is_number:
                cells[place].pad_left(pad)
            else:
                cells[place].pad_right(pad)
        line = Text(" " * GAP).join(cells[place] for place in places)
        line.rstrip()
        self._console.print(line, soft_wrap=True)
        self._console.file.flush()


def usd(text: object) -> str:
    """Dollars as they came, exact; an unknown amount is a question mark."""
    return "?" if text is None else str(text)


def _cells(entry: Mapping[str, Any]) -> list[Cell]:
    usage = entry.get("usage") or {}
    status = str(entry.get("status") or "?")
    return [
        str(entry["ts"])[5:19].replace("T", " "),
        str(entry["model_requested"]),
        str(entry.get("served_by") or "-"),
        str(entry["reason"]),
        Text(status, style="" if status == "ok" else "red"),
        str(usage.get("prompt", "-")),
        str(usage.get("completion", "-")),
        usd(entry.get("cost_usd")),
        usd(entry.get("savings_usd")),
        f"{entry.get('latency_ms') or 0:.0f}",
        str(entry["id"]),
    ]


def _why(entry: Mapping[str, Any]) -> str:
    where = f"pool {entry['pool']}, mode {entry['mode'] or 'custom'}"
    reason = _REASONS[entry["reason"]]
    if entry["value_usd"] is not None:
        where += f", {entry['value_usd']:g} dollars for a solved request"
        if entry["reason"] == "cheapest_sufficient":
            reason = "the most chance to solve it for the money"
    elif entry["threshold"] is not None:
        where += f", threshold {entry['threshold']:g}"
    return f"{reason} ({where})"


def _order(candidate: Mapping[str, Any]) -> tuple[bool, float]:
    cost = candidate["expected_cost_usd"]
    return (not candidate["eligible"], float("inf") if cost is None else float(cost))
