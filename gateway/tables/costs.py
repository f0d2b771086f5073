"""Spend by group."""

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.tables.decisions import usd
from gateway.tables.terminal import Column, Grid


def costs(rows: Sequence[Mapping[str, Any]], group_by: Sequence[str]) -> Grid:
    """Requests, tokens and dollars of each group."""
    grid = Grid(
        [
            *(Column(name=name) for name in group_by),
            Column(name="requests", is_number=True),
            *(Column(name=name, is_number=True, rank=2) for name in ("in", "out")),
            Column(name="cost $", is_number=True),
            Column(name="baseline $", is_number=True, rank=1),
            Column(name="saved $", is_number=True),
            Column(name="unknown", is_number=True, rank=3),
        ]
    )
    for row in rows:
        grid.add(
            *(str(row[name]) for name in group_by),
            str(row["requests"]),
            str(row["prompt_tokens"]),
            str(row["completion_tokens"]),
            usd(row["cost_usd"]),
            usd(row["baseline_cost_usd"]),
            usd(row["savings_usd"]),
            str(row["unknown_cost_requests"]),
        )
    return grid
