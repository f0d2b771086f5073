"""The rules on arrays are the rules of routing.decide."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from gateway import routing
from gateway.demands import Demands
from gateway.evaluation import rules
from gateway.price import Price, Rates
from gateway.profile import Pool, Profile

NAMES = ("ada", "bob", "cyd", "dan")
# Coarse numbers, so that ties come up.
UNIT = st.integers(0, 8).map(lambda eighths: eighths / 8)


@st.composite
def pools(draw: DrawFn) -> Pool:
    """Pools of models whose expected cost of any request is 1 to 4 dollars."""
    count = draw(st.integers(1, 4))
    profiles = tuple(
        Profile(
            name=name,
            litellm_model=f"openai/{name}",
            capabilities=(draw(UNIT), draw(UNIT)),
            price=Price(
                base=Rates(
                    input_usd_per_mtok=Decimal(0),
                    output_usd_per_mtok=Decimal(1_000_000) * draw(st.integers(1, 4)),
                )
            ),
            expected_output_tokens=1,
        )
        for name in draw(st.permutations(NAMES))[:count]
    )
    return Pool(
        name="made",
        profiles=profiles,
        dimensions=("one", "two"),
        weights=(0.25, 0.75),
        bands=((0.1, 0.9), (0.4, 0.45)),
        modes={},
        default_mode="iso",
        baseline=profiles[0].name,
        alpha=0.5,
        beta=draw(st.sampled_from([1.0, 4.0])),
    )


def arrays(pool: Pool, requirements: list[tuple[float, float]]) -> tuple[Any, ...]:
    """Shortfalls, chances and costs (n, m), models in the order of their names, and the names."""
    profiles = sorted(pool.profiles, key=lambda profile: profile.name)
    offered = np.array([profile.capabilities for profile in profiles])
    gaps = rules.shortfalls(np.array(requirements), offered, pool.weights, pool.bands)
    prices = [float(routing.expected_cost(item, DEMANDS) or 0) for item in profiles]
    costs = np.broadcast_to(np.array(prices), gaps.shape)
    chance = rules.chances(gaps, pool.alpha or 0, pool.beta or 0)
    return gaps, chance, costs, np.array([profile.name for profile in profiles])


DEMANDS = Demands(prompt_tokens=10)
REQUIREMENTS = st.lists(st.tuples(UNIT, UNIT), min_size=1, max_size=5)


@given(pools(), REQUIREMENTS, st.sampled_from([0.0, 0.05, 0.3, 1.0, 9.0]))
def test_the_threshold_rule_on_arrays_is_decide(
    pool: Pool, requirements: list[tuple[float, float]], threshold: float
) -> None:
    gaps, _, costs, names = arrays(pool, requirements)
    chosen = names[rules.by_threshold(gaps, costs, [threshold])[:, 0]]
    for needed, gap, name in zip(requirements, gaps, chosen, strict=True):
        decision = routing.decide(needed, DEMANDS, pool, threshold)
        assert decision.chosen == name
        assert {item.model: item.shortfall for item in decision.candidates} == dict(
            zip(names.tolist(), gap.tolist(), strict=True)
        )


@given(pools(), REQUIREMENTS, st.sampled_from([0.01, 1.0, 7.0, 500.0]))
def test_the_value_rule_on_arrays_is_decide(
    pool: Pool, requirements: list[tuple[float, float]], value: float
) -> None:
    """Up to the last bit of exp(), which math and numpy round differently."""
    pool = replace(pool, rule="value")
    gaps, chance, costs, names = arrays(pool, requirements)
    chosen = rules.by_value(chance, gaps, costs, [value])[:, 0]
    for index, needed in enumerate(requirements):
        decision = routing.decide(needed, DEMANDS, pool, value)
        net = chance[index] - costs[index] / value
        theirs = int(np.flatnonzero(names == decision.chosen)[0])
        assert theirs == chosen[index] or abs(net[theirs] - net[chosen[index]]) < 1e-12


@given(pools(), REQUIREMENTS, st.sampled_from([0.01, 1.0, 7.0, 500.0]))
def test_a_dominated_model_is_never_chosen_by_value(
    pool: Pool, requirements: list[tuple[float, float]], value: float
) -> None:
    """Neither on arrays nor by decide: another model offers as much everywhere and costs less."""
    best = pool.profiles[0]
    worse = replace(
        best,
        name="zoe",
        capabilities=tuple(max(0.0, each - 0.125) for each in best.capabilities),
        expected_output_tokens=2,
    )
    pool = replace(pool, rule="value", profiles=(*pool.profiles, worse))
    gaps, chance, costs, names = arrays(pool, requirements)
    assert "zoe" not in names[rules.by_value(chance, gaps, costs, [value])[:, 0]]
    for needed in requirements:
        assert routing.decide(needed, DEMANDS, pool, value).chosen != "zoe"


def test_a_score_router_climbs_the_ladder() -> None:
    scores = np.array([0.1, 0.9, 0.5])
    chosen = rules.by_score(scores, [7, 3], steps=3)
    assert chosen[:, 0].tolist() == [7, 7, 7]
    assert chosen[:, -1].tolist() == [3, 3, 3]
    assert chosen[:, 1].tolist() == [7, 3, 7]  # the hardest goes up first
    assert rules.by_score(scores, [7], steps=3).tolist() == [[7]] * 3


def test_the_grids_run_from_thrifty_to_lavish() -> None:
    gaps = np.array([[0.4, 0.1], [0.8, 0.0]])
    costs = np.array([[1.0, 3.0], [1.0, 3.0]])
    thresholds = rules.threshold_grid(gaps, costs, 5)
    assert (thresholds[0], thresholds[-1]) == (0.8, 0.0)
    assert rules.by_threshold(gaps, costs, thresholds)[:, [0, -1]].tolist() == [[0, 1], [0, 1]]
    chance = rules.chances(gaps, 1.0, 5.0)
    values = rules.value_grid(chance, costs, 9)
    assert rules.by_value(chance, gaps, costs, values)[:, [0, -1]].tolist() == [[0, 1], [0, 1]]
    assert rules.threshold_grid(np.zeros((2, 2)), costs, 5) == [0.0]
    assert rules.value_grid(np.ones((1, 2)), np.zeros((1, 2)), 3)[0] > 0


def test_the_grid_finds_what_lies_within_a_hairs_breadth_of_the_knob() -> None:
    """Queries whose switch from cheap to dear all lie between 1 and 1.0001 dollars a solution."""
    switch = 1 + 1e-4 * np.linspace(0, 1, 200)
    chance = np.stack([np.full(200, 0.4), 0.4 + 0.2 / switch], axis=1)
    costs = np.broadcast_to(np.array([0.1, 0.3]), chance.shape)
    values = rules.value_grid(chance, costs, 21)
    share = (rules.by_value(chance, 1 - chance, costs, values) == 1).mean(axis=0)
    assert share[0] == 0
    assert share[-1] == 1
    assert np.diff(share).max() < 0.07
