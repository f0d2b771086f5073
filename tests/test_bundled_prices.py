"""litellm's table as the source of what a profile leaves out."""

import importlib.metadata
import importlib.util
import json
import subprocess
import sys
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from gateway import bundled_prices
from gateway.price import KINDS, Price, Tier
from gateway.profile import FEATURES, Limits


def test_a_known_model_has_price_limits_and_features() -> None:
    price = bundled_prices.price("openai/gpt-4o")
    assert price is not None
    assert price.base.output_usd_per_mtok > price.base.input_usd_per_mtok > Decimal(0)
    assert price.base.cached_input_usd_per_mtok is not None
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


def dollars(price: Price, prompt_tokens: int, service: str = "") -> dict[str, str]:
    """The rates of a request, those that the price has of its own."""
    rates = price.tier(prompt_tokens, service).rates
    own = {kind: getattr(rates, kind) for kind in KINDS}
    return {
        kind.removesuffix("_usd_per_mtok"): f"{usd:f}"
        for kind, usd in own.items()
        if usd is not None
    }


GPT = {"input": "2.5", "output": "15", "cached_input": "0.25"}
GPT_LONG = {"input": "5", "output": "22.5", "cached_input": "0.5"}
HAIKU = {"cached_input": "0.01", "cache_write": "0.125", "cache_write_1h": "0.2"}
HAIKU_US = {"cached_input": "0.055", "cache_write": "0.6875", "cache_write_1h": "1.1"}


@pytest.mark.parametrize(
    ("name", "prompt_tokens", "service", "rates"),
    [
        pytest.param("openai/gpt-5.4", 272_000, "", GPT, id="a prompt that is just not long"),
        pytest.param("openai/gpt-5.4", 272_001, "", GPT_LONG, id="a long prompt"),
        pytest.param(
            *("openai/gpt-5.4", 10, "flex"),
            {"input": "1.25", "output": "7.5", "cached_input": "0.13"},
            id="flex",
        ),
        pytest.param(
            *("openai/gpt-5.4", 300_000, "flex"),
            {"input": "2.5", "output": "11.25", "cached_input": "0.25"},
            id="a long prompt on flex",
        ),
        pytest.param(
            *("openai/gpt-5.4", 300_000, "priority"), GPT_LONG, id="priority has no long prompts"
        ),
        pytest.param("openai/gpt-5.4", 10, "batch", GPT, id="a service that is none of ours"),
        pytest.param(
            *("anthropic/claude-haiku-5-5", 10, ""),
            {"input": "0.1", "output": "0.5", **HAIKU},
            id="cache writes of both lengths",
        ),
        pytest.param(
            *("anthropic/claude-haiku-5-5", 100_001, "us"),
            {"input": "0.55", "output": "2.75", **HAIKU_US},
            id="a factor on a long prompt",
        ),
        pytest.param(
            "xai/grok-4.20-0309-reasoning",
            *(200_000, "", {"input": "2.5", "output": "5", "cached_input": "0.4"}),
            id="xAI's long prompts begin at the length",
        ),
        pytest.param(
            "dashscope/qwen-flash",
            *(256_001, "", {"input": "0.25", "output": "2"}),
            id="a table of lengths",
        ),
        pytest.param(
            "dashscope/qwen-plus-2025-04-28",
            *(10, "", {"input": "0.4", "output": "1.2", "reasoning": "4"}),
            id="thoughts at a price of their own",
        ),
        pytest.param(
            *("gemini/gemini-2.5-flash", 10, "priority"),
            {"input": "0.54", "output": "4.5", "cached_input": "0.054", "audio_input": "1.8"},
            id="thoughts at the plain price have none of their own",
        ),
        pytest.param(
            "gpt-audio",
            *(10, "", {"input": "2.5", "output": "10", "audio_input": "32", "audio_output": "64"}),
            id="audio",
        ),
        pytest.param(
            "bedrock/anthropic.claude-sonnet-4-5-20250929-v1:0",
            *(200_001, ""),
            {
                **{"input": "6", "output": "22.5", "cached_input": "0.6"},
                **{"cache_write": "7.5", "cache_write_1h": "12"},
            },
            id="Claude above 200,000 on Bedrock",
        ),
    ],
)
def test_every_rate_of_the_table_is_read(
    name: str, prompt_tokens: int, service: str, rates: dict[str, str]
) -> None:
    price = bundled_prices.price(name)
    assert price is not None
    assert dollars(price, prompt_tokens, service) == rates


def test_fireworks_cached_tokens_cost_half_of_its_others() -> None:
    price = bundled_prices.price("fireworks_ai/accounts/fireworks/models/deepseek-v3")
    assert price is not None
    assert price.base.billed("cached_input_usd_per_mtok") == price.base.input_usd_per_mtok / 2


def test_fees_and_hours_are_read_too() -> None:
    online = bundled_prices.price("perplexity/sonar-small-online")
    assert online is not None
    assert online.request_usd == Decimal("0.005")
    searching = bundled_prices.price("openai/gpt-5.4-mini")
    assert searching is not None
    assert searching.web_search_usd == Decimal("0.01")
    by_size = bundled_prices.price("perplexity/sonar")
    assert by_size is not None
    assert by_size.web_search_usd is None  # low, medium or high: the answer does not say
    by_hour = bundled_prices.price("deepseek-flash")
    assert by_hour is not None
    assert by_hour.varies_by_hour


def test_the_pinned_table_has_a_date() -> None:
    """A new pin of litellm needs a line in `_DATES`: somebody looked at what it changed."""
    price = bundled_prices.price("openai/gpt-4o")
    assert price is not None
    assert date.fromisoformat(price.date) >= date(2026, 11, 23)


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
        for tier in () if price is None else (Tier(rates=price.base), *price.tiers):
            assert all(tier.rates.billed(kind) >= 0 for kind in KINDS)
            assert tier.above_prompt_tokens >= 0
        bundled_prices.limits(name)
        assert bundled_prices.features(name) <= set(FEATURES)


def test_reading_the_table_does_not_import_litellm() -> None:
    code = (
        "import sys; from gateway import bundled_prices; bundled_prices.price('gpt-4o');"
        "sys.exit('litellm' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
