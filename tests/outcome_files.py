"""Synthetic outcome files whose oracle, hull and gain can be worked out by hand."""

import gzip
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gateway.evaluation import outcomes
from gateway.evaluation.crossfit import Scale
from gateway.evaluation.fitting import Curve
from gateway.evaluation.outcomes import Floats, Row, Table
from gateway.evaluation.readings import Readings

SCALE = Scale(
    dimensions=("reasoning", "tool_use"),
    weights=(0.5, 0.5),
    bands=((0.0, 1.0), (0.0, 1.0)),
    curve=Curve(alpha=1.0, beta=5.0),
)


def row(text: str, solved: Mapping[str, float], cost: Mapping[str, float]) -> Row:
    return Row(text=text, benchmark="made", outcomes=solved, cost_usd=cost)


def table(rows: Sequence[Row]) -> Table:
    return outcomes.table(rows, None, {})


def readings(requirements: Floats) -> Readings:
    """Readings whose encoder state is the requirements themselves."""
    return Readings(requirements=requirements, states=requirements + 0.01)


def write(path: Path, rows: Sequence[Mapping[str, Any]], *, packed: bool = False) -> Path:
    content = "".join(json.dumps(each) + "\n" for each in rows).encode()
    path.write_bytes(gzip.compress(content) if packed else content)
    return path


# Four queries, three models at fixed prices of 1, 2 and 4 dollars.
#
#   query     small  middle  large     cheapest best: oracle's cost
#   easy        1      1       1       small   1
#   medium      0      1       1       middle  2
#   hard        0      0       1       large   4
#   hopeless    0      0       0       small   1
#
# resolved: small .25, middle .5, large .75, oracle .75; the oracle costs (1 + 2 + 4 + 1) / 4 = 2.
# The hull runs (1, .25), (2, .5), (4, .75): slopes .25 and .125, so all three are corners.
PRICES = {"small": 1.0, "middle": 2.0, "large": 4.0}
LADDER = [
    row("easy", {"small": 1, "middle": 1, "large": 1}, PRICES),
    row("medium", {"small": 0, "middle": 1, "large": 1}, PRICES),
    row("hard", {"small": 0, "middle": 0, "large": 1}, PRICES),
    row("hopeless", {"small": 0, "middle": 0, "large": 0}, PRICES),
]


class World:
    """Queries of a known requirement, and models that solve what they are capable of.

    `noise` 0: a model solves exactly the queries without shortfall; else by the curve.
    """

    def __init__(self, size: int, *, seed: int = 0, noisy: bool = False) -> None:
        rng = np.random.default_rng(seed)
        self.capabilities = {"a-cheap": (0.3, 0.3), "b-mid": (0.6, 0.5), "c-strong": (0.9, 0.9)}
        self.prices = {"a-cheap": 1.0, "b-mid": 3.0, "c-strong": 10.0}
        needed = rng.uniform(0, 1, (size, 2)) ** 1.2
        self._needed = {f"query {index}": needed[index] for index in range(size)}
        self.rows = []
        for text, requirement in self._needed.items():
            solved = {}
            for name, offered in self.capabilities.items():
                gap = float(np.mean(np.maximum(0, requirement - np.array(offered))))
                chance = 1 / (1 + np.exp(-(1.0 - 12.0 * gap))) if noisy else float(gap == 0)
                solved[name] = float(rng.random() < chance)
            self.rows.append(row(text, solved, self.prices))

    def requirements(self, found: Table) -> Floats:
        """What a perfect predictor says of the table's texts, (n, 2)."""
        return np.array([self._needed[text] for text in found.texts])

    def offered(self, found: Table) -> Floats:
        return np.array([self.capabilities[name] for name in found.models])
