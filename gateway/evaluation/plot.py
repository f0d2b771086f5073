"""The picture of an evaluation: cost against resolved, with what a router must beat."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from gateway.evaluation.evaluation import OURS, Evaluation
from gateway.evaluation.outcomes import OutcomeError
from gateway.evaluation.ruler import Point

FORMATS: Final = (".png", ".svg")
_COLOURS: Final = {"threshold": "#1f6fb4", "value": "#c8501e"}
_LABELS: Final = {"threshold": "rule: threshold", "value": "rule: value"}
_MODEL, _MODE = "#222222", "#8a2be2"
# Sideways and up from a point, in printer's points, and the label's edge that is there.
_SIDES: Final = (
    (8, -12, "left"),
    (-8, 6, "right"),
    (8, 6, "left"),
    (-8, -12, "right"),
    (0, -24, "center"),
    (0, 18, "center"),
)
_NEAR: Final = 8  # pixels about a point that belong to it
_KNN: Final = "#5a8a3a"
_NAMED: Final = 12  # with more models only those at the hull's corners are named


def save(found: Evaluation, path: Path, *, title: str) -> None:
    """Write the picture; the path's suffix is the format. OutcomeError without matplotlib."""
    if path.suffix not in FORMATS:
        raise OutcomeError(f"--plot {path}: expected a name ending in {' or '.join(FORMATS)}")
    try:
        import matplotlib
    except ImportError as exc:
        raise OutcomeError(
            "--plot needs matplotlib: pip install 'hydra-gateway[evaluate]'"
        ) from exc
    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "hydra"  # the same picture gives the same file
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(9, 5.6), layout="constrained")
    _models(found, axes)
    _hull(found, axes)
    _routers(found, axes)
    axes.set_xlabel("cost per query, US dollars")
    axes.set_ylabel("resolved, %")
    axes.set_title(title, loc="left", fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.legend(
        loc="upper left",
        bbox_to_anchor=(0, -0.1),
        ncols=4,
        frameon=False,
        fontsize=9,
        borderaxespad=0,
        columnspacing=1.6,
        title="with mean hull gain in points and its 95% interval; shaded: the gain at each cost",
        title_fontsize=8.5,
        alignment="left",
    )
    figure.savefig(path, dpi=150, metadata={"Date": None} if path.suffix == ".svg" else None)
    pyplot.close(figure)


def _hull(found: Evaluation, axes: Any) -> None:
    costs, resolved = zip(*found.hull, strict=True)
    dearest = max(point.cost_usd.value for point in found.singles)
    costs, resolved = (*costs, dearest), (*resolved, resolved[-1])
    percents = [100 * share for share in resolved]
    axes.plot(costs, percents, color="#444444", linewidth=1.6, linestyle="--", label="static hull")
    axes.fill_between(
        costs, percents, min(percents) - 100, color="#444444", alpha=0.06, linewidth=0
    )


def _routers(found: Evaluation, axes: Any) -> None:
    for name in OURS:
        if name not in _COLOURS:
            continue
        points = found.frontiers[name].points
        costs = [point.cost_usd.value for point in points]
        axes.plot(
            costs,
            [100 * point.resolved.value for point in points],
            color=_COLOURS[name],
            linewidth=2.2,
            label=f"{_LABELS[name]} {_gain(found, name)}",
        )
        # the interval of the gain, about the hull: where it leaves the dashed line, it is real
        hull = [point.resolved.value - point.hull_gain.value for point in points]
        axes.fill_between(
            costs,
            [100 * (on + point.hull_gain.low) for on, point in zip(hull, points, strict=True)],
            [100 * (on + point.hull_gain.high) for on, point in zip(hull, points, strict=True)],
            color=_COLOURS[name],
            alpha=0.13,
            linewidth=0,
        )
    nearest = found.frontiers["k-NN"]
    axes.plot(
        [point.cost_usd.value for point in nearest.points],
        [100 * point.resolved.value for point in nearest.points],
        color=_KNN,
        linewidth=1.2,
        linestyle=":",
        label=f"k-NN {_gain(found, 'k-NN')}",
    )


def _gain(found: Evaluation, router: str) -> str:
    gain = found.frontiers[router].mean_gain
    return f"{100 * gain.value:+.1f} [{100 * gain.low:.1f}, {100 * gain.high:.1f}]"


def _models(found: Evaluation, axes: Any) -> None:
    shares = [100 * point.resolved.value for point in (*found.singles, found.oracle)]
    room = 0.1 * (max(shares) - min(shares)) + 1
    dearest = max(point.cost_usd.value for point in found.singles)
    axes.set_ylim(min(shares) - room, max(shares) + room)
    axes.set_xlim(0, dearest * 1.08 or 1)  # all may be free
    corners = {cost for cost, _ in found.hull}
    labels = [
        _mark(axes, found.oracle, "oracle (nobody can know it)", "*", "#d4a017", 14),
        *(_mark(axes, mode, mode.name.partition(" ")[0], "s", _MODE, 6) for mode in found.modes),
    ]
    for point in found.singles:
        is_named = len(found.singles) <= _NAMED or point.cost_usd.value in corners
        labels.append(_mark(axes, point, point.name if is_named else "", "o", _MODEL, 6))
    _spread(axes, labels)


def _mark(axes: Any, point: Point, label: str, marker: str, colour: str, size: int) -> Any:
    import matplotlib.patheffects as effects

    at = (point.cost_usd.value, 100 * point.resolved.value)
    axes.plot(*at, marker=marker, color=colour, markersize=size, linestyle="none", zorder=5)
    return axes.annotate(
        label,
        at,
        xytext=(0, 0),
        textcoords="offset points",
        fontsize=8.5,
        color=colour if colour == _MODE else _MODEL,
        path_effects=[effects.withStroke(linewidth=3, foreground="white")],
        zorder=6,
    )


def _spread(axes: Any, labels: Sequence[Any]) -> None:
    """Put each label to the first side of its point where it covers no other label, no other point,
    and stays inside."""
    from matplotlib.transforms import Bbox

    figure = axes.get_figure()
    figure.draw_without_rendering()  # fixes the layout that the boxes are measured in
    inside = axes.get_window_extent()
    taken = [
        Bbox([[x - _NEAR, y - _NEAR], [x + _NEAR, y + _NEAR]])
        for x, y in (axes.transData.transform(label.xy) for label in labels)
    ]
    for label in labels:
        for sideways, up, align in _SIDES:
            label.set(position=(sideways, up), horizontalalignment=align)
            box = label.get_window_extent()
            is_inside = inside.x0 <= box.x0 and box.x1 <= inside.x1 and inside.y0 <= box.y0
            if is_inside and not any(box.overlaps(other) for other in taken):
                break
        taken.append(box)
