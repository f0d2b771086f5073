"""litellm's table as the source of what a profile leaves out."""

import importlib.metadata
import importlib.util
import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from gateway import bundled_prices
from gateway.profile import FEATURES, Limits


def test_a_known_model_has_price_limits_and_features() -> None:
    price = bundled_prices.price("openai/gpt-4o")
    assert price is not None
    assert price.output_usd_per_mtok > price.input_usd_per_mtok > Decimal(0)
    assert price.cached_input_usd_per_mtok is not None
    assert price.source == f"litellm {importlib.metadata.version('litellm')} bundled table"
    limits = bundled_prices.limits("openai/gpt-4o")
    assert limits.context_tokens is not None
    assert limits.output_tokens is not None
    assert {"tools", "vision", "json_schema"} <= bundled_prices.features("openai/gpt-4o")


@pytest.mark.parametrize(
    ("name", "same_as"),
    [
        pytest.param("openai/gpt-4o", "gpt-4o", id="the provider's own prefix"),
        pytest.param("anthropic/claude-haiku-4-5", "claude-haiku-4-5", id="another provider's"),
    ],
)
def test_a_prefix_that_is_the_rows_provider_is_cut(name: str, same_as: str) -> None:
    price = bundled_prices.price(name)
    assert price is not None
    assert price == bundled_prices.price(same_as)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("hosted_vllm/gpt-4o", id="self-hosted under a known name"),
        pytest.param("azure_ai/claude-haiku-4-5-of-ours", id="a deployment's name"),
        pytest.param("openai/no-such-model", id="a model nobody knows"),
        pytest.param("openai/", id="no model"),
        pytest.param("", id="nothing"),
    ],
)
def test_what_the_table_does_not_know_stays_unknown(name: str) -> None:
    assert bundled_prices.price(name) is None
    assert bundled_prices.limits(name) == Limits()
    assert bundled_prices.features(name) == frozenset()


def test_every_row_of_the_table_can_be_read() -> None:
    spec = importlib.util.find_spec("litellm")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    folder = Path(spec.submodule_search_locations[0])
    names = json.loads(
        (folder / "model_prices_and_context_window_backup.json").read_text(encoding="utf-8")
    )
    assert len(names) > 1000
    for name in names:
        price = bundled_prices.price(name)
        assert price is None or min(price.input_usd_per_mtok, price.output_usd_per_mtok) >= 0
        bundled_prices.limits(name)
        assert bundled_prices.features(name) <= set(FEATURES)


def test_reading_the_table_does_not_import_litellm() -> None:
    code = (
        "import sys; from gateway import bundled_prices; bundled_prices.price('gpt-4o');"
        "sys.exit('litellm' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
