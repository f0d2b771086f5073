"""The rule, as tables and properties of the pure function."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.costing import price_of
from gateway.decision import Candidate, NoEligibleProfile, Usage
from gateway.demands import Demands
from gateway.price import Price, Rates, Tier
from gateway.profile import Limits, Pool, Profile
from gateway.routing import decide, excluded_by, expected_cost, pinned, shortfall

BANDS = ((0.1, 0.7), (0.1, 0.8), (0.2, 0.9), (0.1, 0.6))
DIMENSIONS = ("reasoning", "code_generation", "debugging", "tool_use")
PLAIN = Demands(prompt_tokens=1000)


def rates(usd: str) -> Rates:
    return Rates(input_usd_per_mtok=Decimal(usd), output_usd_per_mtok=Decimal(usd) * 5)


def profile(
    name: str, level: float, usd: str | None, *, dearer_above: int | None = None, **more: object
) -> Profile:
    """A profile of one level; its prompts above a length cost 2 dollars more per million."""
    price = None
    if usd is not None:
        price = Price(base=rates(usd))
        if dearer_above is not None:
            long = rates(str(Decimal(usd) + 2))
            price = replace(price, tiers=(Tier(rates=long, above_prompt_tokens=dearer_above),))
    fields = {"capabilities": (level,) * 4, "price": price, **more}
    return Profile(name=name, litellm_model=f"openai/{name}", **fields)  # type: ignore[arg-type]


def pool(*profiles: Profile, **more: object) -> Pool:
    fields = {
        "name": "test",
        "weights": (0.25,) * 4,
        "modes": {"iso": 0.2},
        "default_mode": "iso",
        "baseline": "large",
        **more,
    }
    return Pool(profiles=profiles, dimensions=DIMENSIONS, bands=BANDS, **fields)  # type: ignore[arg-type]


SMALL = profile("small", 0.3, "0.5")
MEDIUM = profile("medium", 0.6, "2")
LARGE = profile("large", 0.9, "5")
POOL = pool(SMALL, MEDIUM, LARGE)

unit = st.floats(0, 1, allow_nan=False)
vectors = st.tuples(unit, unit, unit, unit)
lengths = st.sampled_from((None, 500, 1000, 2000))
prices = st.one_of(st.none(), st.integers(0, 100).map(lambda cents: str(Decimal(cents) / 10)))


@st.composite
def pools(draw: st.DrawFn) -> Pool:
    members = [
        replace(
            profile(f"m{index}", 0, draw(prices), dearer_above=draw(lengths)),
            capabilities=draw(vectors),
        )
        for index in range(draw(st.integers(1, 6)))
    ]
    return pool(*members)


@pytest.mark.parametrize(
    ("requirements", "threshold", "chosen", "reason"),
    [
        pytest.param(
            (0.1,) * 4, 0.0, "small", "cheapest_sufficient", id="easy goes to the cheapest"
        ),
        pytest.param((0.5,) * 4, 0.0, "medium", "cheapest_sufficient", id="harder goes up"),
        pytest.param((0.5,) * 4, 1.0, "small", "cheapest_sufficient", id="a large threshold saves"),
        pytest.param(
            (0.95,) * 4, 0.0, "large", "least_shortfall", id="nobody is enough: fail open"
        ),
        pytest.param(
            (0.9, 0, 0, 0), 0.0, "large", "cheapest_sufficient", id="one hard axis counts"
        ),
    ],
)
def test_the_cheapest_profile_within_the_threshold_wins(
    requirements: tuple[float, ...], threshold: float, chosen: str, reason: str
) -> None:
    decision = decide(requirements, PLAIN, POOL, threshold)
    assert (decision.chosen, decision.reason) == (chosen, reason)


def test_a_surplus_never_pays_for_a_gap() -> None:
    capabilities = (1.0, 1.0, 1.0, 0.0)
    assert shortfall((0.0, 0.0, 0.0, 0.5), capabilities, (0.25,) * 4, BANDS) > 0


def test_gaps_are_counted_in_band_widths_but_never_in_narrower_ones_than_a_tenth() -> None:
    narrow = ((0.5, 0.52),)
    assert shortfall((0.6,), (0.5,), (1.0,), narrow) == pytest.approx(1.0)
    assert shortfall((0.6,), (0.5,), (1.0,), ((0.0, 0.5),)) == pytest.approx(0.2)


def test_vectors_of_different_lengths_are_an_error() -> None:
    with pytest.raises(ValueError, match="zip"):
        shortfall((0.5,), (0.5, 0.5), (1.0,), BANDS)


def test_k_is_data() -> None:
    two = Pool(
        name="two",
        profiles=(replace(SMALL, capabilities=(0.1, 0.9)), replace(LARGE, capabilities=(0.9, 0.9))),
        dimensions=("a", "b"),
        weights=(0.5, 0.5),
        bands=((0.0, 1.0), (0.0, 1.0)),
        modes={"iso": 0.1},
        default_mode="iso",
        baseline="large",
    )
    assert decide((0.0, 0.8), PLAIN, two, 0.0).chosen == "small"
    assert decide((0.8, 0.0), PLAIN, two, 0.0).chosen == "large"


@given(pools(), vectors, st.integers(0, 3000), st.floats(0, 2), st.floats(0, 2))
def test_a_larger_threshold_never_costs_more(
    drawn: Pool, requirements: tuple[float, ...], tokens: int, first: float, second: float
) -> None:
    def cost(threshold: float) -> Decimal:
        decision = decide(requirements, Demands(prompt_tokens=tokens), drawn, threshold)
        expected = decision.candidate(decision.chosen).expected_cost_usd
        return Decimal("Infinity") if expected is None else expected

    assert cost(max(first, second)) <= cost(min(first, second))


@given(pools(), vectors, st.floats(0, 2), st.randoms(use_true_random=False))
def test_the_order_of_the_pool_changes_nothing(
    drawn: Pool, requirements: tuple[float, ...], threshold: float, random: st.DataObject
) -> None:
    shuffled = list(drawn.profiles)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    again = replace(drawn, profiles=tuple(shuffled))
    ours, theirs = (decide(requirements, PLAIN, p, threshold) for p in (drawn, again))
    assert (ours.chosen, ours.reason, ours.runner_up) == (
        theirs.chosen,
        theirs.reason,
        theirs.runner_up,
    )


@given(pools(), vectors, st.floats(0, 2))
def test_the_same_input_gives_the_same_decision(
    drawn: Pool, requirements: tuple[float, ...], threshold: float
) -> None:
    assert decide(requirements, PLAIN, drawn, threshold) == decide(
        requirements, PLAIN, drawn, threshold
    )


@given(pools(), vectors, vectors, st.floats(0, 2))
def test_adding_a_profile_never_changes_anothers_shortfall(
    drawn: Pool, requirements: tuple[float, ...], newcomer: tuple[float, ...], threshold: float
) -> None:
    added = replace(profile("newcomer", 0, "1"), capabilities=newcomer)
    larger = replace(drawn, profiles=(*drawn.profiles, added))
    before = decide(requirements, PLAIN, drawn, threshold)
    after = decide(requirements, PLAIN, larger, threshold)
    for candidate in before.candidates:
        assert after.candidate(candidate.model) == candidate


@given(pools(), vectors, st.floats(0, 2), st.floats(0, 2))
def test_raising_a_requirement_never_lowers_a_shortfall(
    drawn: Pool, requirements: tuple[float, ...], threshold: float, more: float
) -> None:
    harder = tuple(min(1.0, value + more) for value in requirements)
    before = decide(requirements, PLAIN, drawn, threshold)
    after = decide(harder, PLAIN, drawn, threshold)
    for candidate in before.candidates:
        assert (after.candidate(candidate.model).shortfall or 0) >= (candidate.shortfall or 0)


def test_ties_go_by_shortfall_then_by_name() -> None:
    twins = [profile(name, level, "1") for name, level in (("b", 0.5), ("a", 0.5), ("c", 0.6))]
    assert decide((0.7,) * 4, PLAIN, pool(*twins), 9.0).chosen == "c"
    assert decide((0.4,) * 4, PLAIN, pool(*twins), 9.0).chosen == "a"


def test_an_unknown_price_ranks_last_and_is_never_free() -> None:
    unknown = profile("unknown", 0.9, None)
    assert decide((0.8,) * 4, PLAIN, pool(unknown, LARGE), 0.0).chosen == "large"
    assert expected_cost(unknown, PLAIN) is None


def test_expected_cost_counts_prompt_and_expected_output_tokens_of_every_choice() -> None:
    demands = Demands(prompt_tokens=1000, max_output_tokens=100, choices=2)
    assert expected_cost(SMALL, demands) == Decimal("0.001")  # 1000*0.5/1e6 + 2*100*2.5/1e6
    assert expected_cost(SMALL, PLAIN) == Decimal("0.002")  # 600 output tokens are usual


def test_expected_cost_is_of_the_tier_that_the_request_will_be_billed_at() -> None:
    flat = profile("flat", 0.9, "3")
    tiered = profile("tiered", 0.9, "2", dearer_above=1000)
    assert decide((0.5,) * 4, Demands(prompt_tokens=1000), pool(flat, tiered), 0).chosen == "tiered"
    assert decide((0.5,) * 4, Demands(prompt_tokens=1001), pool(flat, tiered), 0).chosen == "flat"
    long = Usage(prompt=5000, completion=600)
    assert tiered.price is not None
    assert expected_cost(tiered, Demands(prompt_tokens=5000)) == price_of(long, tiered.price)
    flex = (Tier(rates=rates("1"), service="flex"),)
    price = Price(base=rates("2"), tiers=flex, request_usd=Decimal("0.01"))
    cheaper = replace(flat, price=price, params={"service_tier": "flex"})
    billed = price_of(Usage(prompt=1000, completion=600, service="flex"), price)
    assert expected_cost(cheaper, PLAIN) == billed == Decimal("0.014")


@pytest.mark.parametrize(
    ("limits", "features", "demands", "gate"),
    [
        pytest.param(Limits(), (), PLAIN, None, id="an unknown limit excludes nothing"),
        pytest.param(
            Limits(context_tokens=1500),
            (),
            Demands(prompt_tokens=1000, max_output_tokens=600),
            "context: needs about 1600 tokens, offers 1500",
            id="prompt and answer must fit the context",
        ),
        pytest.param(
            Limits(output_tokens=500),
            (),
            Demands(prompt_tokens=1, max_output_tokens=600),
            "output limit: asks for 600 tokens, offers 500",
            id="output limit",
        ),
        pytest.param(
            Limits(),
            ("tools",),
            Demands(prompt_tokens=1, features=frozenset({"tools", "vision"})),
            "vision",
            id="an image skips a text-only model",
        ),
        pytest.param(
            Limits(),
            ("tools", "vision"),
            Demands(prompt_tokens=1, features=frozenset({"tools", "vision"})),
            None,
            id="all features there",
        ),
    ],
)
def test_gates(
    limits: Limits, features: tuple[str, ...], demands: Demands, gate: str | None
) -> None:
    gated = replace(SMALL, limits=limits, features=frozenset(features))
    assert excluded_by(gated, demands) == gate


def test_a_gate_is_a_veto_whatever_the_threshold() -> None:
    seeing = replace(LARGE, features=frozenset({"vision"}))
    picture = Demands(prompt_tokens=1, features=frozenset({"vision"}))
    decision = decide((0.0,) * 4, picture, pool(SMALL, MEDIUM, seeing), 9.0)
    assert (decision.chosen, decision.reason) == ("large", "only_eligible")
    assert decision.candidate("small").excluded_by == "vision"


def test_no_profile_left_names_the_gate_of_each() -> None:
    picture = Demands(prompt_tokens=1, features=frozenset({"vision"}))
    with pytest.raises(NoEligibleProfile, match=r"small: vision; medium: vision; large: vision"):
        decide((0.0,) * 4, picture, POOL, 0.0)


def test_a_veto_from_outside_moves_on_by_the_same_rule() -> None:
    decision = decide((0.1,) * 4, PLAIN, POOL, 0.0, vetoes={"small": "failed upstream: 503"})
    assert decision.chosen == "medium"
    assert decision.candidate("small").excluded_by == "failed upstream: 503"


@pytest.mark.parametrize(
    ("fallback", "features", "chosen"),
    [
        pytest.param("small", (), "small", id="the pool's fallback profile"),
        pytest.param(None, (), "large", id="without one the most capable"),
        pytest.param("small", ("vision",), "large", id="a fallback that a gate removes is skipped"),
    ],
)
def test_without_a_prediction_the_pool_has_a_default(
    fallback: str | None, features: tuple[str, ...], chosen: str
) -> None:
    seeing = replace(LARGE, features=frozenset({"vision"}))
    demands = Demands(prompt_tokens=1, features=frozenset(features))
    blind = pool(SMALL, MEDIUM, seeing, profile("blind", 0.9, "9"), fallback_profile=fallback)
    if not features:
        blind = pool(SMALL, MEDIUM, seeing, fallback_profile=fallback)
    decision = decide(None, demands, blind, 0.2)
    assert (decision.chosen, decision.reason) == (chosen, "predictor_unavailable")
    assert decision.requirements is None


def test_rule_value_spends_where_it_pays_and_not_on_the_hopeless() -> None:
    valued = pool(SMALL, LARGE, rule="value", alpha=2.0, beta=4.0)
    assert decide((0.1,) * 4, PLAIN, valued, 0.05).chosen == "small"
    assert decide((0.8,) * 4, PLAIN, valued, 0.05).chosen == "large"
    assert decide((0.8,) * 4, PLAIN, valued, 0.0001).chosen == "small"


def test_a_pinned_profile_is_not_gated_and_nothing_is_predicted() -> None:
    picture = Demands(prompt_tokens=1, features=frozenset({"vision"}))
    decision = pinned(SMALL, picture, POOL)
    only: Candidate = decision.candidates[0]
    assert (decision.chosen, decision.reason, decision.requirements) == ("small", "pinned", None)
    assert only.eligible
    assert only.shortfall is None
