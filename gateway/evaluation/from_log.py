"""`hydra-gateway calibrate --from-log`: a pool's curve and modes from its own decisions and scores.

What is read and left out is traffic.py's, the curve curves.py's, the modes calibration.py's.
"""

import argparse
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from gateway.evaluation import catalog_change, log_report, traffic
from gateway.evaluation.calibration import MIN_ROWS, fit_modes
from gateway.evaluation.curves import fit_curves
from gateway.evaluation.expectation import expect, scored_gaps
from gateway.evaluation.inputs import World
from gateway.evaluation.log_report import Learned, Shown
from gateway.evaluation.outcomes import OutcomeError, folds
from gateway.evaluation.traffic import Traffic
from gateway.feedback import Feedback
from gateway.intake import DEFAULT_POOL
from gateway.ledger import Ledger

MIN_SCORES: Final = 50  # with fewer the prior says more than they do

AskLog = Callable[[Callable[[Ledger, Feedback], Awaitable[Traffic]]], Traffic]


def calibrate_from_log(options: argparse.Namespace, world: World, ask: AskLog) -> Shown:
    """Calibrate; writes only with `yes`. Raises OutcomeError where the log does not suffice."""
    pool = world.pool(options.pool or world.settings.pool or DEFAULT_POOL)
    filters = {name: getattr(options, name) for name in ("since", "until", "key", "tag")}
    found = ask(
        partial(
            traffic.read,
            pool=pool,
            predictor_sha=world.predictor_sha,
            filters={name: value for name, value in filters.items() if value},
        )
    )
    if len(found.scored) < MIN_SCORES:
        raise OutcomeError(
            f"pool {pool.name}: {len(found.scored)} scores that can be used are too few to fit a"
            f" curve to; {MIN_SCORES} are needed"
            + "".join(f"\nleft out: {line}" for line in log_report.reasons(found.scores_left_out))
        )
    scale = world.scale(pool)
    gaps = scored_gaps(found.scored, pool, scale)
    scores = log_report.scores_of(found.scored)
    # The prior is the predictor's curve, not the pool's present one, which may be of these scores.
    curves = fit_curves(
        gaps, scores, world.shipped_curve, resamples=options.resamples, seed=options.seed
    )
    expected = expect(found.decisions, pool, scale, curves.fitted, dict(options.unit_cost))
    table = expected.table
    if len(table) < MIN_ROWS:
        left_out = {**found.decisions_left_out, **expected.left_out}
        raise OutcomeError(
            f"pool {pool.name}: {len(table)} decisions that can be used are too few to fit modes"
            f" to; {MIN_ROWS} are needed"
            + "".join(f"\nleft out: {line}" for line in log_report.reasons(left_out))
        )
    modes = fit_modes(
        table,
        expected.known,
        folds(table.texts, 2, options.seed) == 0,
        rule=pool.rule,
        baseline=pool.baseline if pool.baseline in table.models else None,
        resamples=options.resamples,
        seed=options.seed,
        curves=curves,
    )
    change = catalog_change.change(world, pool, modes, curves.fitted)
    if options.yes:
        change.write(world)
    learned = Learned(
        pool=pool,
        shipped=world.shipped_curve,
        fitted_for=world.predictor_sha,
        traffic=found,
        gaps=gaps,
        curves=curves,
        expected=expected,
        modes=modes,
        diff=change.diff,
        is_written=options.yes,
    )
    return log_report.tables(learned), log_report.as_json(learned)
