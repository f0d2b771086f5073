"""Fitting modes: on one half, by the three rules, reported on the other."""

from dataclasses import replace

import numpy as np
import pytest
from outcome_files import SCALE, World, table

from gateway.evaluation.calibration import Calibration, calibrate, pick
from gateway.evaluation.fitting import Curve


def fitted(world: World, rule: str, unscored: tuple[str, ...] = ()) -> Calibration:
    found = table(world.rows)
    return calibrate(
        found,
        world.requirements(found),
        replace(SCALE, curve=Curve(alpha=3.0, beta=40.0)),
        rule=rule,
        capabilities=world.offered(found),
        unscored=unscored,
        baseline=None,
        resamples=100,
        seed=0,
    )


def test_the_modes_are_picked_by_their_definitions() -> None:
    resolved = np.array([0.50, 0.668, 0.6975, 0.72, 0.72, 0.60])
    cost = np.array([1.0, 2.0, 3.0, 5.0, 4.0, 9.0])
    picked = pick(resolved, cost, strongest=0.70)
    assert picked == {"peak": (4, True), "iso": (2, True), "aggressive": (1, True)}
    hopeless = pick(resolved, cost, strongest=0.80)
    assert hopeless == {"peak": (4, True), "iso": (4, False), "aggressive": (4, False)}


@pytest.mark.parametrize("rule", ["threshold", "value"])
def test_fitted_modes_hold_on_the_other_half(rule: str) -> None:
    found = fitted(World(400), rule)
    peak, iso, aggressive = (found.modes[mode] for mode in ("peak", "iso", "aggressive"))
    assert all(mode.is_reached for mode in found.modes.values())
    assert found.fitted_rows + found.reported_rows == 400
    assert peak.point.resolved.value >= found.strongest.resolved.value - 0.02
    assert aggressive.point.cost_usd.value <= iso.point.cost_usd.value
    assert iso.point.cost_savings.low > 0.1
    direction = 1 if rule == "threshold" else -1
    assert direction * (aggressive.knob - peak.knob) >= 0


def test_capabilities_without_scores_are_fitted_the_others_kept() -> None:
    world = World(400)
    world.capabilities["b-mid"] = (0.0, 0.0)  # the catalog's guess is wrong
    found = fitted(world, "threshold", unscored=("b-mid",))
    assert list(found.capabilities) == ["b-mid"]
    # the curve says one half at a shortfall of 3 / 40, a gap of .15 on one axis; the world is sharp
    assert found.capabilities["b-mid"] == pytest.approx((0.6 - 0.15, 0.5 - 0.15), abs=0.1)
