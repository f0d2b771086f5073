"""`hydra-gateway evaluate` and `calibrate`: from the command line's options to what is printed."""

import argparse
from collections.abc import Mapping
from pathlib import Path

from rich.console import RenderableType
from rich.text import Text

from gateway.errors import GatewayError
from gateway.evaluation import arguments, catalog_change, inputs, plot, readings, report
from gateway.evaluation.calibration import MIN_ROWS, Calibration, calibrate
from gateway.evaluation.evaluation import Options, evaluate
from gateway.evaluation.from_log import AskLog, calibrate_from_log
from gateway.evaluation.inputs import World
from gateway.evaluation.log_report import Shown
from gateway.evaluation.outcomes import OutcomeError
from gateway.intake import DEFAULT_POOL
from gateway.profile import Pool


def run_evaluate(options: argparse.Namespace, environ: Mapping[str, str]) -> Shown:
    """Evaluate; returns what to show and its JSON. Raises GatewayError, ConfigError."""
    try:
        return _evaluate(options, inputs.world(environ))
    except OutcomeError as exc:
        raise GatewayError(str(exc)) from exc


def run_calibrate(options: argparse.Namespace, environ: Mapping[str, str], ask: AskLog) -> Shown:
    """Calibrate; writes only with `yes`. Raises GatewayError, ConfigError, UsageError.

    Args: ask, which reads the log.
    """
    arguments.check_calibrate(options)
    try:
        world = inputs.world(environ)
        if options.from_log:
            return calibrate_from_log(options, world, ask)
        return _calibrate(options, world)
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
        "predictor_sha": world.predictor_sha,
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
    if len(table) < MIN_ROWS:
        raise OutcomeError(
            f"{len(table)} queries are too few to fit modes to; give {MIN_ROWS} or more"
        )
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
    change = catalog_change.change(world, pool, found)
    if options.yes:
        change.write(world)
    parts: list[RenderableType] = [
        Text(_summary(pool, found), style="bold"),
        Text(""),
        report.modes_table(found, quality="resolved %"),
        Text(""),
        *report.diff_shown(change.diff, is_written=options.yes),
    ]
    return parts, {
        "pool": name,
        "fitted_for": world.predictor_sha,
        **report.calibration_json(found),
        "diff": change.diff,
        "written": bool(options.yes),
    }


def _cache(options: argparse.Namespace, world: World) -> Path:
    chosen: Path | None = options.cache
    return chosen or world.settings.data_dir / "readings"


def _summary(pool: Pool, found: Calibration) -> str:
    return (
        f"pool {pool.name}, rule {found.rule}: fitted on {found.fitted_rows} queries,"
        f" reported on {found.reported_rows} others"
    )
