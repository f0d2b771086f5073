"""Capabilities and curve out of outcomes that were drawn from known ones."""

import numpy as np
import pytest

from gateway.evaluation import rules
from gateway.evaluation.fitting import Curve, fit
from gateway.evaluation.outcomes import Floats

WEIGHTS = (0.4, 0.6)
BANDS = ((0.1, 0.9), (0.2, 0.8))
TRUE = Curve(alpha=1.5, beta=6.0)


def drawn(size: int, models: int, seed: int = 0) -> tuple[Floats, Floats, Floats]:
    """Requirements (n, 2), capabilities (m, 2) and outcomes (n, m) that follow them."""
    rng = np.random.default_rng(seed)
    requirements = rng.uniform(0, 1, (size, 2))
    offered = np.clip(rng.uniform(0.3, 0.8, (models, 1)) + rng.normal(0, 0.05, (models, 2)), 0, 1)
    gaps = rules.shortfalls(requirements, offered, WEIGHTS, BANDS)
    chance = rules.chances(gaps, TRUE.alpha, TRUE.beta)
    return requirements, offered, (rng.random((size, models)) < chance).astype(float)


def test_capabilities_and_curve_are_recovered() -> None:
    requirements, offered, solved = drawn(3000, 6)
    found = fit(requirements, solved, WEIGHTS, BANDS, Curve(alpha=0.5, beta=4.0))
    assert (found.curve.alpha, found.curve.beta) == (
        pytest.approx(1.5, abs=0.25),
        pytest.approx(6, abs=0.8),
    )
    assert np.abs(found.capabilities - offered).max() < 0.08


def test_given_capabilities_leave_only_the_curve_to_fit() -> None:
    requirements, offered, solved = drawn(3000, 4)
    found = fit(
        requirements, solved, WEIGHTS, BANDS, Curve(alpha=0.0, beta=3.0), capabilities=offered
    )
    assert found.capabilities is offered
    assert (found.curve.alpha, found.curve.beta) == (
        pytest.approx(1.5, abs=0.2),
        pytest.approx(6, abs=0.6),
    )


def test_a_given_curve_leaves_only_capabilities_to_fit() -> None:
    requirements, offered, solved = drawn(2000, 4)
    found = fit(requirements, solved, WEIGHTS, BANDS, TRUE, fit_curve=False)
    assert found.curve.beta == pytest.approx(TRUE.beta)
    assert np.abs(found.capabilities - offered).max() < 0.08


def test_a_dimension_that_no_row_exercises_follows_the_others() -> None:
    """All requirements on the second axis are 0: nothing is known of it, so nothing is claimed."""
    requirements, _, _ = drawn(1500, 2)
    requirements[:, 1] = 0.0
    weak_and_strong = np.array([[0.3, 0.5], [0.8, 0.5]])
    gaps = rules.shortfalls(requirements, weak_and_strong, WEIGHTS, BANDS)
    rng = np.random.default_rng(1)
    solved = (rng.random(gaps.shape) < rules.chances(gaps, 1.5, 8.0)).astype(float)
    found = fit(requirements, solved, WEIGHTS, BANDS, TRUE).capabilities
    assert found[0, 1] < found[1, 1]
    assert np.ptp(found[:, 1]) < np.ptp(found[:, 0])


@pytest.mark.parametrize("solved", [0.0, 1.0], ids=["nobody solves", "everybody solves"])
def test_one_sided_outcomes_have_a_finite_answer(solved: float) -> None:
    requirements, _, _ = drawn(50, 2)
    found = fit(requirements, np.full((50, 3), solved), WEIGHTS, BANDS, TRUE)
    assert np.isfinite(found.capabilities).all()
    assert ((found.capabilities >= 0) & (found.capabilities <= 1)).all()
    gaps = rules.shortfalls(requirements, found.capabilities, WEIGHTS, BANDS)
    chance = rules.chances(gaps, found.curve.alpha, found.curve.beta)
    assert abs(chance.mean() - solved) < 0.25


def test_a_predictor_that_says_the_same_of_all_gives_the_models_their_rates() -> None:
    requirements = np.full((400, 2), 0.5)
    rates = np.array([0.2, 0.5, 0.8])
    solved = (np.arange(400)[:, None] % 10 < 10 * rates).astype(float)
    found = fit(requirements, solved, WEIGHTS, BANDS, TRUE)
    gaps = rules.shortfalls(requirements, found.capabilities, WEIGHTS, BANDS)
    chance = rules.chances(gaps, found.curve.alpha, found.curve.beta)
    assert chance[0].tolist() == pytest.approx(rates.tolist(), abs=0.04)


def test_queries_that_look_easy_and_are_not_still_get_the_models_their_rates() -> None:
    """Capabilities end at 0, so shortfall is small all over: the curve has to be steep instead."""
    rng = np.random.default_rng(0)
    requirements = np.stack([rng.uniform(0.1, 0.25, 400), np.full(400, 0.05)], axis=1)
    rates = np.array([0.3, 0.5, 0.8, 0.95])
    solved = (rng.random((400, 4)) < rates).astype(float)
    found = fit(requirements, solved, WEIGHTS, BANDS, TRUE)
    assert found.capabilities.min() >= 0
    gaps = rules.shortfalls(requirements, found.capabilities, WEIGHTS, BANDS)
    chance = rules.chances(gaps, found.curve.alpha, found.curve.beta)
    assert chance.mean(axis=0).tolist() == pytest.approx(rates.tolist(), abs=0.06)
