"""The catalog that ships: it loads, and each of its numbers says where it comes from."""

from datetime import date
from pathlib import Path

import pytest

import predictor
from gateway import catalog, price_list
from gateway.catalog import Catalog
from gateway.predictor_facts import facts
from gateway.price import Tier
from gateway.profile import MODES

ROOT = Path(__file__).parent.parent
NAMES = sorted(
    path.stem
    for path in (ROOT / "profiles").glob("*.yaml")
    if path.stem not in ("pools", "dimensions")
)


@pytest.fixture(scope="module")
def shipped() -> Catalog:
    """The shipped catalog, with every provider's key set, for the predictor that is there."""
    model = predictor.load()
    everything = {name: "set" for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY")}
    return catalog.load(ROOT / "profiles", facts(model), everything)


def test_it_has_the_pools_that_are_promised(shipped: Catalog) -> None:
    assert {"default", "local", "demo"} <= set(shipped.pools)


def test_each_file_is_named_as_its_profile(shipped: Catalog) -> None:
    assert sorted(shipped.profiles) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_price_has_a_source_and_a_date(shipped: Catalog, name: str) -> None:
    price = shipped.profiles[name].price
    assert price is not None
    assert price.source
    assert date.fromisoformat(price.date) >= date(2025, 1, 1)
    for tier in (Tier(rates=price.base), *price.tiers):
        assert tier.rates.billed("cached_input_usd_per_mtok") <= tier.rates.input_usd_per_mtok
        assert tier.rates.input_usd_per_mtok <= tier.rates.output_usd_per_mtok
    assert (
        price.base.output_usd_per_mtok < 1000
    )  # per million tokens, not per token or per thousand


def test_no_price_differs_from_litellms_table(shipped: Catalog) -> None:
    """But those of servers of one's own, which it does not know."""
    assert price_list.differences(shipped) == {
        "differences": [],
        "not_in_the_table": ["local-large", "local-small"],
    }


@pytest.mark.parametrize("name", NAMES)
def test_every_benchmark_score_has_a_source_and_a_date(shipped: Catalog, name: str) -> None:
    benchmarks = shipped.profiles[name].benchmarks
    assert benchmarks
    for score in benchmarks.values():
        assert score.source
        assert date.fromisoformat(score.date) >= date(2025, 1, 1)
        assert score.score >= 1  # percent, not a fraction


@pytest.mark.parametrize("name", NAMES)
def test_every_capability_lies_in_the_predictors_band(shipped: Catalog, name: str) -> None:
    bands = shipped.pools["default"].bands
    for capability, (low, high) in zip(shipped.profiles[name].capabilities, bands, strict=True):
        assert low <= capability <= high


def test_modes_are_ordered_from_quality_to_savings(shipped: Catalog) -> None:
    """The dollars that a solved request is worth: more of them buy more."""
    for pool in shipped.pools.values():
        assert pool.rule == "value"
        assert set(pool.modes) == set(MODES)
        peak, iso, aggressive = (pool.modes[mode] for mode in MODES)
        assert peak >= iso >= aggressive > 0
        assert pool.default_mode in pool.modes


def test_every_pool_can_route_and_has_a_priced_baseline(shipped: Catalog) -> None:
    for pool in shipped.pools.values():
        assert len(pool.profiles) >= 2
        assert shipped.profiles[pool.baseline].price is not None
        assert pool.fallback_profile is not None
        assert sum(pool.weights) == pytest.approx(1)


def test_the_local_pool_needs_no_key(shipped: Catalog) -> None:
    for profile in shipped.pools["local"].profiles:
        assert profile.api_key_env is None
        assert profile.api_base is not None


def test_a_dearer_model_of_the_default_pool_is_not_the_weakest(shipped: Catalog) -> None:
    pool = shipped.pools["default"]
    cheapest = min(
        pool.profiles,
        key=lambda profile: profile.price.base.output_usd_per_mtok if profile.price else 0,
    )
    assert cheapest.mean_capability < max(profile.mean_capability for profile in pool.profiles)


def test_the_shipped_modes_are_those_of_the_shipped_predictor(shipped: Catalog) -> None:
    sha = predictor.load().sha256
    for pool in shipped.pools.values():
        assert pool.fitted_for is not None
        assert sha.startswith(pool.fitted_for), pool.name
