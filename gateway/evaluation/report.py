"""An evaluation or a calibration as tables for a person and as JSON for a program.

Shares are shown in percent.
"""

from collections.abc import Mapping
from typing import Any, Final

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from gateway.evaluation.calibration import Calibration
from gateway.evaluation.evaluation import OURS, Evaluation
from gateway.evaluation.resampling import Figure
from gateway.evaluation.ruler import QUOTED, Point, Reliability

SCHEMA: Final = 1
_POINT: Final = (
    "resolved",
    "cost_usd",
    "quality_retention",
    "cost_savings",
    "misroute",
    "hull_gain",
)


def tables(found: Evaluation) -> list[RenderableType]:
    """Every way to choose, measured; what the routers gain; whether P_m can be believed."""
    return [
        Text(_headline(found), style="bold"),
        Text(""),
        _points(found),
        Text(""),
        Text("Hull gain in points: resolved above the best random mixture of single models,"),
        Text("at three costs fixed beforehand. 0 or less: not worth running."),
        Text(""),
        _gains(found),
        Text(""),
        *(_reliability(name, each) for name, each in found.reliability.items()),
    ]


def as_json(found: Evaluation, about: Mapping[str, Any]) -> dict[str, Any]:
    """Everything, JSON-ready: figures are [value, low, high], shares of 1, dollars per query."""
    return {
        "schema": SCHEMA,
        **about,
        "rows": len(found.table),
        "rows_dropped": found.table.dropped,
        "costs_filled": found.table.filled,
        "benchmarks": sorted(set(found.table.benchmarks)),
        "dimensions": list(found.dimensions),
        "singles": {point.name: point_json(point) for point in found.singles},
        "cheapest": found.cheapest.name,
        "strongest": found.strongest.name,
        "baseline": found.baseline.name,
        "oracle": point_json(found.oracle),
        "modes": {point.name: point_json(point) for point in found.modes},
        "hull": [{"cost_usd": cost, "resolved": resolved} for cost, resolved in found.hull],
        "quoted_costs_usd": list(found.quoted_costs),
        "routers": {
            name: {
                "hull_gain": {
                    f"{share:g}": gain.to_list()
                    for share, gain in zip(QUOTED, frontier.gains, strict=True)
                },
                "mean_hull_gain": frontier.mean_gain.to_list(),
                "points": [point_json(point) for point in frontier.points],
            }
            for name, frontier in found.frontiers.items()
        },
        "reliability": {
            name: {
                "expected_calibration_error": each.error.to_list(),
                "said": list(each.said),
                "found": list(each.found),
                "share": list(each.share),
            }
            for name, each in found.reliability.items()
        },
        "capabilities": {name: list(row) for name, row in found.capabilities.items()},
        "alpha": found.curve.alpha,
        "beta": found.curve.beta,
    }


def calibration_json(found: Calibration) -> dict[str, Any]:
    """What a calibration found, JSON-ready."""
    return {
        "rule": found.rule,
        "fitted_rows": found.fitted_rows,
        "reported_rows": found.reported_rows,
        "baseline": found.baseline,
        "strongest": point_json(found.strongest),
        "modes": {
            mode: {**point_json(each.point), "margin_reached": each.is_reached}
            for mode, each in found.modes.items()
        },
        "capabilities": {model: list(row) for model, row in found.capabilities.items()},
    }


def modes_table(found: Calibration, *, quality: str) -> Table:
    """The modes and the strongest model; `quality` heads the column of what they resolve."""
    grid = Table(box=None, padding=(0, 2), pad_edge=False)
    grid.add_column("mode", no_wrap=True)
    for name in ("knob", quality, "cost $", "CS %", "hull gain"):
        grid.add_column(name, justify="right", no_wrap=True)
    grid.add_column("")
    rows = [(mode, each.point, each.is_reached) for mode, each in found.modes.items()]
    for name, point, is_reached in (*rows, (found.strongest.name, found.strongest, True)):
        grid.add_row(
            name,
            "-" if point.knob is None else f"{point.knob:g}",
            percent(point.resolved),
            f"{point.cost_usd.value:.4g}",
            percent(point.cost_savings),
            percent(point.hull_gain, sign="+"),
            "" if is_reached else "no setting is near enough to the strongest model",
        )
    return grid


def diff_shown(diff: str, *, is_written: bool) -> list[RenderableType]:
    """The change of the catalog, and whether it was made."""
    words = "written" if is_written else "not written: add --yes"
    return [Text(diff.rstrip() or "no change"), Text(f"\n{words}" if diff else "")]


def _headline(found: Evaluation) -> str:
    benchmarks = ", ".join(sorted(set(found.table.benchmarks)))
    dropped = f", {found.table.dropped} rows without all models" if found.table.dropped else ""
    filled = f", {found.table.filled} costs not recorded" if found.table.filled else ""
    return (
        f"{len(found.table)} queries of {benchmarks}, {len(found.singles)} models{dropped}{filled}"
    )


def _points(found: Evaluation) -> Table:
    table = Table(box=None, padding=(0, 2), pad_edge=False)
    table.add_column("", no_wrap=True)
    for name in ("resolved %", "cost $", "QR %", "CS %", "misroute %", "hull gain"):
        table.add_column(name, justify="right", no_wrap=True)
    for point in found.singles:
        notes = [
            word
            for word, other in (
                ("cheapest", found.cheapest),
                ("strongest", found.strongest),
                ("baseline", found.baseline),
            )
            if other is point
        ]
        label = point.name + (f" ({', '.join(notes)})" if notes else "")
        _add(table, label, point)
    _add(table, "oracle", found.oracle, style="dim")
    for point in found.modes:
        _add(table, point.name, point, style="bold")
    for name in OURS:
        if name not in found.frontiers:
            continue
        for share, cost in zip(QUOTED, found.quoted_costs, strict=True):
            point = found.frontiers[name].nearest(cost)
            _add(table, f"{name} {_knob(point)}, near {share:.0%}", point, style="bold")
    return table


def _knob(point: Point) -> str:
    return "" if point.knob is None else f"{point.knob:.3g}"


def _add(table: Table, label: str, point: Point, style: str = "") -> None:
    table.add_row(
        label,
        percent(point.resolved),
        f"{point.cost_usd.value:.4g}",
        percent(point.quality_retention),
        percent(point.cost_savings),
        percent(point.misroute),
        percent(point.hull_gain, sign="+"),
        style=style,
    )


def _gains(found: Evaluation) -> Table:
    table = Table(box=None, padding=(0, 2), pad_edge=False)
    table.add_column("router", no_wrap=True)
    costs = zip(QUOTED, found.quoted_costs, strict=True)
    for name in (*(f"{share:.0%} (${cost:.4g})" for share, cost in costs), "mean"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, frontier in found.frontiers.items():
        table.add_row(
            name,
            *(percent(gain, sign="+") for gain in (*frontier.gains, frontier.mean_gain)),
            style="bold" if name in OURS else "",
        )
    return table


def _reliability(name: str, found: Reliability) -> Text:
    curve = "  ".join(
        f"{said:.2f}>{seen:.2f}" for said, seen in zip(found.said, found.found, strict=True)
    )
    return Text(f"P_m ({name}): ECE {percent(found.error)} %; said > found: {curve}")


def percent(figure: Figure, sign: str = "") -> str:
    """`54.1 [50.2, 58.0]`; a dash where it is not defined.

    >>> percent(Figure(0.541, 0.5, 0.58))
    '54.1 [50.0, 58.0]'
    """
    if figure.value != figure.value:
        return "-"
    value, low, high = (
        round(100 * number, 1) + 0.0  # no "-0.0"
        for number in (figure.value, figure.low, figure.high)
    )
    return f"{value:{sign}.1f} [{low:.1f}, {high:.1f}]"


def point_json(point: Point) -> dict[str, Any]:
    measured = {name: getattr(point, name).to_list() for name in _POINT}
    return measured if point.knob is None else {"knob": point.knob, **measured}
