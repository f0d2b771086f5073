"""From scores to capabilities: the arithmetic of Eq. 3."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.anchors import banded, mean_anchor, normalised, pool_scaled

REFERENCE = {"quiz": (20.0, 100.0), "tools": (0.0, 50.0)}
unit = st.floats(0, 1)
bands = st.tuples(unit, unit).map(lambda edges: (min(edges), max(edges)))


@pytest.mark.parametrize(
    ("score", "place"),
    [
        pytest.param(20, 0.0, id="the floor"),
        pytest.param(60, 0.5, id="half way"),
        pytest.param(100, 1.0, id="the ceiling"),
        pytest.param(5, 0.0, id="worse than chance"),
    ],
)
def test_a_score_lies_between_floor_and_ceiling(score: float, place: float) -> None:
    assert normalised(score, REFERENCE["quiz"]) == place


def test_a_score_above_the_ceiling_counts_as_the_ceiling() -> None:
    assert normalised(70, REFERENCE["tools"]) == 1.0


@pytest.mark.parametrize(
    ("scores", "weights", "anchor"),
    [
        pytest.param({"quiz": 60, "tools": 50}, {"quiz": 1, "tools": 1}, 0.75, id="the mean"),
        pytest.param({"quiz": 60, "tools": 50}, {"quiz": 3, "tools": 1}, 0.625, id="by weight"),
        pytest.param({"quiz": 60}, {"quiz": 1, "tools": 9}, 0.5, id="over those present"),
        pytest.param({"quiz": 60, "other": 1}, {"quiz": 1, "other": 1}, 0.5, id="and placed"),
        pytest.param({"tools": 50}, {"quiz": 1}, None, id="none that says anything"),
        pytest.param({"quiz": 60}, {"quiz": 0}, None, id="one that weighs nothing"),
        pytest.param({}, {"quiz": 1}, None, id="no score at all"),
    ],
)
def test_the_mean_anchor(
    scores: dict[str, float], weights: dict[str, float], anchor: float | None
) -> None:
    assert mean_anchor(scores, weights, REFERENCE) == anchor


@given(st.lists(unit, min_size=1, max_size=6), bands)
def test_a_pools_own_scale_spans_the_band_and_keeps_the_order(
    anchors: list[float], band: tuple[float, float]
) -> None:
    scaled = pool_scaled(anchors, band)
    assert max(scaled) == pytest.approx(band[1])
    if min(anchors) < max(anchors):
        assert min(scaled) == pytest.approx(band[0])
    ranked = sorted(range(len(anchors)), key=anchors.__getitem__)
    assert [scaled[index] for index in ranked] == sorted(scaled)


@given(unit, bands)
def test_a_capability_lies_in_the_band(anchor: float, band: tuple[float, float]) -> None:
    assert band[0] - 1e-12 <= banded(anchor, band) <= band[1] + 1e-12


def test_a_pool_of_equals_is_at_the_top_of_the_band() -> None:
    assert pool_scaled([0.3, 0.3], (0.1, 0.8)) == (0.8, 0.8)
