"""The ruler against figures worked out by hand, and what must not move it."""

import numpy as np
import pytest
from outcome_files import LADDER, row, table

from gateway.evaluation.hull import envelope, hull_at, ladder, path_at
from gateway.evaluation.resampling import Figure, figure, resample_weights
from gateway.evaluation.ruler import Ruler


def ruler(rows: list = LADDER, baseline: str | None = None) -> Ruler:  # type: ignore[type-arg]
    return Ruler(table(rows), baseline=baseline, resamples=200, seed=0)


def test_single_models_as_worked_out_by_hand() -> None:
    found = ruler()
    points = {point.name: point for point in map(found.single, range(3))}
    assert [points[name].resolved.value for name in ("small", "middle", "large")] == [
        0.25,
        0.5,
        0.75,
    ]
    assert points["middle"].cost_usd.value == pytest.approx(2)
    assert points["middle"].quality_retention.value == pytest.approx(0.5 / 0.75)
    assert points["middle"].cost_savings.value == pytest.approx(0.5)
    assert points["large"].misroute.value == pytest.approx(
        0.5
    )  # easy and medium have cheaper solvers
    assert points["middle"].misroute.value == pytest.approx(0.25)
    assert points["small"].misroute.value == 0
    assert all(point.hull_gain.value == pytest.approx(0, abs=1e-12) for point in points.values())
    names = found.table.models
    assert (names[found.cheapest], names[found.strongest]) == ("small", "large")


def test_the_oracle_takes_the_cheapest_of_the_best() -> None:
    found = ruler()
    (oracle,) = found.points("oracle", found.oracle, [None])
    assert (oracle.resolved.value, oracle.cost_usd.value) == (pytest.approx(0.75), pytest.approx(2))
    assert oracle.quality_retention.value == pytest.approx(1)
    assert oracle.hull_gain.value == pytest.approx(0.25)


def test_the_gain_of_a_perfect_router_as_worked_out_by_hand() -> None:
    """Its path: (1, .25), (2, .75), (4, .75); the hull: (1, .25), (2, .5), (4, .75)."""
    found = ruler()
    frontier = found.frontier("perfect", found.oracle, [None])
    assert found.quoted_costs[0].tolist() == pytest.approx([1.75, 2.5, 3.25])
    gains = [gain.value for gain in frontier.gains]
    assert gains == pytest.approx([0.625 - 0.4375, 0.75 - 0.5625, 0.75 - 0.65625])
    assert frontier.mean_gain.value == pytest.approx(0.15625)


def test_another_baseline_changes_savings_only() -> None:
    (point,) = ruler(baseline="middle").points("all large", np.full((4, 1), 0), [None])
    assert point.cost_savings.value == pytest.approx(-1)
    assert point.quality_retention.value == pytest.approx(1)


def test_partial_credit_counts_as_solved_from_one_half() -> None:
    prices = {"a": 1.0, "b": 2.0}
    half = ruler([row("x", {"a": 0.5, "b": 0.4}, prices), row("y", {"a": 0.4, "b": 0.3}, prices)])
    assert half.single(1).misroute.value == pytest.approx(0.5)


def test_an_unsolvable_file_has_no_quality_retention() -> None:
    prices = {"a": 1.0, "b": 2.0}
    found = ruler([row("x", {"a": 0, "b": 0}, prices), row("y", {"a": 0, "b": 0}, prices)])
    assert np.isnan(found.single(0).quality_retention.value)
    assert found.single(0).quality_retention.to_list() == [None] * 3
    assert found.frontier("any", found.oracle, [None]).mean_gain.value == 0


def test_the_hull_skips_what_a_mixture_beats() -> None:
    costs, resolved = np.array([1.0, 2.0, 2.0, 3.0, 5.0]), np.array([0.2, 0.3, 0.25, 0.8, 0.7])
    on_cost, on_resolved = envelope(costs, resolved)
    assert (on_cost.tolist(), on_resolved.tolist()) == ([1.0, 3.0], [0.2, 0.8])
    assert ladder(costs, resolved) == [0, 3]
    at = hull_at(costs[None], resolved[None], np.array([[0.5, 1.0, 2.0, 3.0, 9.0]]))
    assert at[0].tolist() == pytest.approx([0.2, 0.2, 0.5, 0.8, 0.8])


def test_a_path_is_read_between_settings_and_averaged_where_it_turns() -> None:
    costs, resolved = np.array([[1.0, 3.0, 2.0, 4.0]]), np.array([[0.1, 0.3, 0.6, 0.8]])
    at = path_at(costs, resolved, np.array([[1.5, 2.5, 3.5, 5.0]]))
    assert at[0, 0] == pytest.approx(0.15)
    assert at[0, 1] == pytest.approx((0.25 + 0.45 + 0.65) / 3)
    assert at[0, 2] == pytest.approx(0.75)
    assert np.isnan(at[0, 3])
    still = path_at(np.array([[1.0, 1.0]]), np.array([[0.2, 0.4]]), np.array([[1.0]]))
    assert still[0, 0] == pytest.approx(0.3)


def test_the_interval_of_a_share_is_that_of_the_binomial() -> None:
    solved = np.zeros(400)
    solved[:100] = 1
    found = figure(resample_weights(400, 2000, seed=0) @ solved)
    spread = 1.96 * (0.25 * 0.75 / 400) ** 0.5
    assert (found.value, found.low, found.high) == (
        pytest.approx(0.25),
        pytest.approx(0.25 - spread, abs=0.006),
        pytest.approx(0.25 + spread, abs=0.006),
    )
    assert found.contains(0.25)
    assert not found.contains(0.4)
    assert figure(np.array([np.nan, 1.0])).to_list() == [None] * 3


@pytest.mark.parametrize(
    ("chance", "error"),
    [
        pytest.param([[0.25], [0.25], [0.25], [0.25]], 0.0, id="the base rate is calibrated"),
        pytest.param([[1.0], [0.0], [0.0], [0.0]], 0.0, id="knowing it is calibrated"),
        pytest.param([[0.75], [0.75], [0.75], [0.75]], 0.5, id="boasting is not"),
    ],
)
def test_calibration_error_by_hand(chance: list[list[float]], error: float) -> None:
    rows = [
        row(f"{index}", {"a": float(index == 0), "b": float(index == 0)}, {"a": 1.0, "b": 1.0})
        for index in range(4)
    ]
    found = ruler(rows)
    order = [int(text) for text in found.table.texts]
    both = np.repeat(np.array(chance)[order], 2, axis=1)
    assert found.reliability(both).error.value == pytest.approx(error)


def test_reliability_bins_hold_equal_mass() -> None:
    rng = np.random.default_rng(0)
    rows = [
        row(f"{index}", {"a": float(rng.random() < 0.5), "b": 1.0}, {"a": 1.0, "b": 1.0})
        for index in range(500)
    ]
    chance = rng.random((500, 2))
    found = ruler(rows).reliability(chance)
    assert found.share == pytest.approx([0.1] * 10)
    assert list(found.said) == sorted(found.said)
    assert isinstance(found.error, Figure)
