"""`hydra-gateway evaluate` and `calibrate`: from the command line's options to what is printed."""

import argparse
import difflib
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from rich.console import RenderableType
from rich.table import Table as Grid
from rich.text import Text

from gateway import catalog
from gateway.catalog import POOLS_FILE
from gateway.errors import GatewayError
from gateway.evaluation import catalog_text, inputs, plot, readings, report
from gateway.evaluation.calibration import Calibration, calibrate
from gateway.evaluation.evaluation import Options, evaluate
from gateway.evaluation.inputs import World
from gateway.evaluation.outcomes import OutcomeError
from gateway.intake import DEFAULT_POOL
from gateway.predictor_facts import facts
from gateway.profile import Pool

Shown = tuple[list[RenderableType], dict[str, Any]]


def run_evaluate(options: argparse.Namespace, environ: Mapping[str, str]) -> Shown:
    """Evaluate; returns what to show and its JSON. Raises GatewayError, ConfigError."""
    try:
        return _evaluate(options, inputs.world(environ))
    except OutcomeError as exc:
        raise GatewayError(str(exc)) from exc


def run_calibrate(options: argparse.Namespace, environ: Mapping[str, str]) -> Shown:
    """Calibrate; writes only with `yes`. Raises GatewayError, ConfigError."""
    if options.from_log:
        # Feedback is not recorded yet, so there is nothing to fit to.
        raise GatewayError("the log has no feedback to calibrate from; give outcome files")
    try:
        return _calibrate(options, inputs.world(environ))
    except OutcomeError as exc:
        raise GatewayError(str(exc)) from exc


def _evaluate(options: argparse.Namespace, world: World) -> Shown:
    if options.plot and options.plot.suffix not in plot.FORMATS:
        raise OutcomeError(f"--plot {options.plot}: expected a name ending in .png or .svg")
    pool = world.pool(options.pool) if options.pool else None
    table = inputs.table(
        inputs.rows(options.files, options.mix, dict(options.rename), options.seed),
        options.models.split(",") if options.models else None,
        dict(options.unit_cost),
        pool,
    )
    capabilities = None
    if options.scores:
        capabilities = inputs.scored_capabilities(options.scores, table.models, world)
    elif pool and not options.fit:
        capabilities = inputs.pool_capabilities(pool, table.models)
    read = readings.read(world.predictor, table.texts, _cache(options, world))
    found = evaluate(
        table,
        read,
        world.scale(pool),
        Options(
            capabilities=capabilities,
            fit_curve=capabilities is None,
            baseline=pool.baseline if pool and pool.baseline in table.models else None,
            rule=pool.rule if pool else "threshold",
            modes=dict(pool.modes) if pool and capabilities is not None else {},
            folds=options.folds,
            resamples=options.resamples,
            seed=options.seed,
        ),
    )
    if options.plot:
        rows = f"{len(table)} queries of {', '.join(sorted(set(table.benchmarks)))}"
        plot.save(found, options.plot, title=options.title or rows)
    about = {
        "predictor_sha": world.predictor.sha256[:16],
        "capabilities_from": "fitted" if capabilities is None else "scores",
        "folds": options.folds,
        "resamples": options.resamples,
        "seed": options.seed,
    }
    how = "fitted on other folds" if capabilities is None else "from scores"
    parts = report.tables(found)
    parts.append(Text(f"\npredictor {about['predictor_sha']}, capabilities {how}"))
    return parts, report.as_json(found, about)


def _calibrate(options: argparse.Namespace, world: World) -> Shown:
    name = options.pool or world.settings.pool or DEFAULT_POOL
    pool = world.pool(name)
    table = inputs.table(
        inputs.rows(options.files, options.mix, dict(options.rename), options.seed),
        None,
        dict(options.unit_cost),
        pool,
    )
    if len(table) < 20:
        raise OutcomeError(f"{len(table)} queries are too few to fit modes to; give 20 or more")
    unscored = [item.name for item in pool.profiles if not item.benchmarks]
    read = readings.read(world.predictor, table.texts, _cache(options, world))
    found = calibrate(
        table,
        read.requirements,
        world.scale(pool),
        rule=pool.rule,
        capabilities=inputs.pool_capabilities(pool, table.models),
        unscored=tuple(unscored) if options.fit_capabilities else (),
        baseline=pool.baseline if pool.baseline in table.models else None,
        resamples=options.resamples,
        seed=options.seed,
    )
    changed = _changed(world, pool, found)
    diff = "".join(_diff(path, old, new) for path, (old, new) in changed.items())
    if options.yes:
        _check(world, {path.name: new for path, (_, new) in changed.items()})
        for path, (_, new) in changed.items():
            path.write_text(new, encoding="utf-8")
    words = "written" if options.yes else "not written: add --yes"
    parts: list[RenderableType] = [
        Text(_summary(pool, found), style="bold"),
        Text(""),
        _modes(found),
        Text(""),
        Text(diff.rstrip() or "no change"),
        Text(f"\n{words}" if diff else ""),
    ]
    return parts, {
        "pool": name,
        "rule": found.rule,
        "fitted_for": world.predictor.sha256[:16],
        "fitted_rows": found.fitted_rows,
        "reported_rows": found.reported_rows,
        "strongest": report.point_json(found.strongest),
        "modes": {
            mode: {**report.point_json(each.point), "margin_reached": each.is_reached}
            for mode, each in found.modes.items()
        },
        "capabilities": {model: list(row) for model, row in found.capabilities.items()},
        "diff": diff,
        "written": bool(options.yes),
    }


def _cache(options: argparse.Namespace, world: World) -> Path:
    chosen: Path | None = options.cache
    return chosen or world.settings.data_dir / "readings"


def _changed(world: World, pool: Pool, found: Calibration) -> dict[Path, tuple[str, str]]:
    """Path -> the file's text before and after."""
    folder = world.settings.catalog_folder
    path = folder / POOLS_FILE
    old = path.read_text(encoding="utf-8")
    modes = {mode: each.knob for mode, each in found.modes.items()}
    changed = {path: (old, catalog_text.with_modes(old, pool.name, modes, _sha(world)))}
    for name, capabilities in found.capabilities.items():
        path = _profile_path(folder, name)
        old = path.read_text(encoding="utf-8")
        new = catalog_text.with_capabilities(old, world.predictor.dimensions, capabilities)
        changed[path] = (old, new)
    return changed


def _profile_path(folder: Path, name: str) -> Path:
    for path in catalog.files(folder):
        fields = yaml.safe_load(path.read_text(encoding="utf-8"))
        if isinstance(fields, dict) and str(fields.get("name")) == name:
            return path
    raise OutcomeError(f"{folder}: no file describes the profile '{name}'")


def _sha(world: World) -> str:
    return world.predictor.sha256[:16]


def _check(world: World, files: Mapping[str, str]) -> None:
    """Load the catalog as it would be. Raises CatalogError before anything is overwritten."""
    with tempfile.TemporaryDirectory() as folder:
        for path in catalog.files(world.settings.catalog_folder):
            shutil.copy(path, folder)
        for name, text in files.items():
            (Path(folder) / name).write_text(text, encoding="utf-8")
        catalog.load(Path(folder), facts(world.predictor), {}, usable_without_keys=True)


def _diff(path: Path, old: str, new: str) -> str:
    lines = difflib.unified_diff(
        old.splitlines(keepends=True), new.splitlines(keepends=True), str(path), str(path), n=1
    )
    return "".join(lines)


def _summary(pool: Pool, found: Calibration) -> str:
    return (
        f"pool {pool.name}, rule {found.rule}: fitted on {found.fitted_rows} queries,"
        f" reported on {found.reported_rows} others"
    )


def _modes(found: Calibration) -> Grid:
    grid = Grid(box=None, padding=(0, 2), pad_edge=False)
    grid.add_column("mode", no_wrap=True)
    for name in ("knob", "resolved %", "cost $", "CS %", "hull gain"):
        grid.add_column(name, justify="right", no_wrap=True)
    grid.add_column("")
    rows = [(mode, each.point, each.is_reached) for mode, each in found.modes.items()]
    for name, point, is_reached in (*rows, (found.strongest.name, found.strongest, True)):
        grid.add_row(
            name,
            "-" if point.knob is None else f"{point.knob:g}",
            report.percent(point.resolved),
            f"{point.cost_usd.value:.4g}",
            report.percent(point.cost_savings),
            report.percent(point.hull_gain, sign="+"),
            "" if is_reached else "no setting is near enough to the strongest model",
        )
    return grid
