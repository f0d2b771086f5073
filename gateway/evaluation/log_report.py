"""What was learned from the log, as tables for a person and as JSON for a program."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.console import RenderableType
from rich.table import Table as Grid
from rich.text import Text

from gateway.evaluation import report, rules
from gateway.evaluation.calibration import Calibration
from gateway.evaluation.curves import ALPHA_SD, LOG_BETA_SD, Curves
from gateway.evaluation.expectation import Expectation
from gateway.evaluation.fitting import Curve
from gateway.evaluation.outcomes import Floats
from gateway.evaluation.resampling import Figure
from gateway.evaluation.traffic import WHY, Logged, Traffic
from gateway.profile import Pool

Shown = tuple[list[RenderableType], dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """A calibration from the log with all that it came from; `gaps` (n,) of the scored answers."""

    pool: Pool
    shipped: Curve
    fitted_for: str
    traffic: Traffic
    gaps: Floats
    curves: Curves
    expected: Expectation
    modes: Calibration
    diff: str
    is_written: bool

    @property
    def beyond(self) -> float:
        """The share of candidates that fall further short than any answer that was scored."""
        return float((self.expected.known.shortfalls > self.gaps.max()).mean())

    @property
    def decisions_left_out(self) -> dict[str, int]:
        return {**self.traffic.decisions_left_out, **self.expected.left_out}


def scores_of(scored: Sequence[Logged]) -> Floats:
    """The scores (n,)."""
    return np.array([each.score for each in scored], dtype=np.float64)


def reasons(left_out: Mapping[str, int]) -> list[str]:
    """How many were left out, and why, one line for each reason."""
    return [f"{count} {WHY[why]}" for why, count in sorted(left_out.items())]


def tables(found: Learned) -> list[RenderableType]:
    modes, table = found.modes, found.expected.table
    parts: list[RenderableType] = [
        Text(
            f"pool {found.pool.name}, rule {modes.rule}: curve fitted to"
            f" {len(found.traffic.scored)} scores, modes to {modes.fitted_rows} decisions and"
            f" reported on {modes.reported_rows} others",
            style="bold",
        ),
        Text(""),
        _curve(found),
        Text(""),
        _by_model(found),
        Text(""),
        *map(Text, _notes(found)),
        Text(""),
        report.modes_table(modes, quality="expected %"),
        Text(""),
    ]
    if found.pool.baseline not in table.models:
        parts.append(Text(f"CS is against {modes.baseline}: the baseline is no candidate\n"))
    parts += report.diff_shown(found.diff, is_written=found.is_written)
    return parts


def as_json(found: Learned) -> dict[str, Any]:
    """As a calibration from files, with the curve and what was left out; figures as everywhere."""
    alpha, beta = found.curves.figures()
    return {
        "pool": found.pool.name,
        "fitted_for": found.fitted_for,
        **report.calibration_json(found.modes),
        "p_solve": {
            "alpha": alpha.to_list(),
            "beta": beta.to_list(),
            "beta_fitted": found.curves.is_beta_fitted,
            "shipped": {"alpha": found.shipped.alpha, "beta": found.shipped.beta},
            "prior_sd": {"alpha": ALPHA_SD, "log_beta": LOG_BETA_SD},
        },
        "scores": {
            "used": len(found.traffic.scored),
            "left_out": dict(found.traffic.scores_left_out),
            "without_shortfall": int((found.gaps == 0).sum()),
            "largest_shortfall": round(float(found.gaps.max()), 6),
            "by_model": {
                model: {"scores": count, "mean_score": round(mean, 4), "p_solve": round(chance, 4)}
                for model, count, mean, chance in _judged(found)
            },
        },
        "decisions": {
            "used": len(found.expected.table),
            "left_out": found.decisions_left_out,
            "absent": list(found.expected.absent),
            "beyond_scored_shortfalls": round(found.beyond, 4),
        },
        "diff": found.diff,
        "written": found.is_written,
    }


def _notes(found: Learned) -> list[str]:
    count, largest = len(found.gaps), found.gaps.max()
    without = int((found.gaps == 0).sum())
    notes = [
        f"Shortfall of the scored answers: none in {without} of {count}, {largest:.3g} at most;"
        f" {found.beyond:.0%} of the candidates fall further short, where the curve is a guess."
    ]
    if not found.curves.is_beta_fitted:
        notes.append(
            "All scored answers have the same shortfall, so they say nothing of beta: it stays the"
            " predictor's."
        )
    notes += [f"Scores left out: {line}" for line in reasons(found.traffic.scores_left_out)]
    notes += [f"Decisions left out: {line}" for line in reasons(found.decisions_left_out)]
    if found.expected.absent:
        names = ", ".join(found.expected.absent)
        notes.append(f"No candidates in the newest decision, so not part of this: {names}")
    return notes


def _curve(found: Learned) -> Grid:
    grid = Grid(box=None, padding=(0, 2), pad_edge=False)
    grid.add_column("curve", no_wrap=True)
    for name in ("predictor's", "fitted"):
        grid.add_column(name, justify="right", no_wrap=True)
    alpha, beta = found.curves.figures()
    grid.add_row("alpha", f"{found.shipped.alpha:g}", _number(alpha))
    grid.add_row("beta", f"{found.shipped.beta:g}", _number(beta))
    return grid


def _number(figure: Figure) -> str:
    if np.isnan(figure.low):
        return f"{figure.value:g} (kept)"
    return f"{figure.value:.2f} [{figure.low:.2f}, {figure.high:.2f}]"


def _by_model(found: Learned) -> Grid:
    grid = Grid(box=None, padding=(0, 2), pad_edge=False)
    grid.add_column("served by", no_wrap=True)
    for name in ("scores", "mean score %", "P %"):
        grid.add_column(name, justify="right", no_wrap=True)
    for model, count, mean, chance in _judged(found):
        grid.add_row(model, str(count), f"{100 * mean:.1f}", f"{100 * chance:.1f}")
    return grid


def _judged(found: Learned) -> list[tuple[str, int, float, float]]:
    """By model that served: its scores, their mean, and the mean chance that the curve gave it."""
    served = np.array([each.served_by for each in found.traffic.scored])
    scores = scores_of(found.traffic.scored)
    curve = found.curves.fitted
    chance = rules.chances(found.gaps, curve.alpha, curve.beta)
    return [
        (str(model), int(rows.sum()), float(scores[rows].mean()), float(chance[rows].mean()))
        for model in np.unique(served)
        for rows in [served == model]
    ]
