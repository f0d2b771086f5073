"""How things are printed: a table that fits its terminal, and text that a pipe gets as it is.

Values come from callers (tags, model names, users), so nothing in them may steer the terminal or be
read as rich's markup.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

PIPED_WIDTH: Final = 100_000  # columns: a file or a pipe is never wrapped
GAP: Final = 2  # columns between two cells

Cell = str | Text


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a grid. Where the terminal is too narrow, those with the largest `rank` are left
    out first, and those of rank 0 never."""

    name: str
    is_number: bool = False
    wraps: bool = False
    rank: int = 0


@dataclass(slots=True)
class Grid:
    """Rows under columns, without lines."""

    columns: Sequence[Column]
    rows: list[tuple[Sequence[Cell], str]] = field(default_factory=list)

    def add(self, *cells: Cell, style: str = "") -> None:
        """One row, a cell for each column."""
        self.rows.append((cells, style))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        texts = [[plain(cell) for cell in cells] for cells, _ in self.rows]
        widths = [
            max(cell_len(column.name), *(_width(row[place]) for row in texts), 0)
            for place, column in enumerate(self.columns)
        ]
        places = fitting(self.columns, widths, options.max_width)
        has_head = any(column.name for column in self.columns)
        table = Table(box=None, padding=(0, GAP, 0, 0), pad_edge=False, show_header=has_head)
        for place in places:
            column = self.columns[place]
            table.add_column(
                column.name,
                justify="right" if column.is_number else "left",
                no_wrap=not column.wraps,
            )
        for row, (_, style) in zip(texts, self.rows, strict=True):
            table.add_row(*(row[place] for place in places), style=style)
        yield table


def show(*parts: RenderableType) -> None:
    """Print to stdout, in colour where it is a terminal (NO_COLOR is honoured)."""
    console = Console()
    if console.is_terminal:
        console.print(Group(*parts))
        return
    console = Console(width=PIPED_WIDTH)
    with console.capture() as captured:
        console.print(Group(*parts))
    for line in captured.get().splitlines():
        print(line.rstrip())


def fitting(columns: Sequence[Column], widths: Sequence[int], width: int) -> list[int]:
    """The places of the columns that fit beside each other; one that wraps needs little.

    >>> both = (Column(name="a"), Column(name="b", rank=1))
    >>> fitting(both, (5, 5), 12), fitting(both, (5, 5), 11)
    ([0, 1], [0])
    """
    needed = [
        min(found, 20) if column.wraps else found
        for column, found in zip(columns, widths, strict=True)
    ]
    places = list(range(len(columns)))
    for place in sorted(places, key=lambda place: -columns[place].rank):
        if sum(needed[at] + GAP for at in places) - GAP <= width or not columns[place].rank:
            break
        places.remove(place)
    return places


def plain(cell: Cell) -> Text:
    """A cell's text as it is, whatever a caller put into it.

    >>> plain("[red]\\x1b[2J").plain
    '[red]?[2J'
    """
    if isinstance(cell, Text):
        return cell
    return Text("".join(each if each.isprintable() or each == "\n" else "?" for each in cell))


def _width(text: Text) -> int:
    return max((cell_len(line) for line in text.plain.split("\n")), default=0)
