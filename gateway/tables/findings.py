"""What the doctor found: a line each, the remedy below."""

from collections.abc import Sequence

from rich.text import Text

from gateway.doctor.finding import Finding
from gateway.tables.terminal import Column, Grid, plain

_STYLES = {"ok": "green", "warning": "yellow", "problem": "bold red"}


def findings(found: Sequence[Finding]) -> Grid:
    """In their order."""
    grid = Grid([Column(name=""), Column(name=""), Column(name="", wraps=True)])
    for each in found:
        words = plain(each.message)
        if each.remedy:
            words = Text("\n").join([words, plain(f"-> {each.remedy}")])
        grid.add(Text(each.level, style=_STYLES[each.level]), each.check, words)
    return grid
