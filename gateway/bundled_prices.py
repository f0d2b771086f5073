"""Prices, limits and features of the models that litellm's bundled table knows.

Read as the data file that it is, without importing litellm (3-5 s, 165 MB). Only what a profile
leaves out is taken from here; a model that the table does not know stays unknown.
"""

import importlib.metadata
import importlib.util
import json
from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from gateway.profile import Limits, Price

_TABLE = "model_prices_and_context_window_backup.json"
_MTOK = 1_000_000
_FEATURE_FLAGS = {
    "supports_function_calling": "tools",
    "supports_parallel_function_calling": "parallel_tools",
    "supports_vision": "vision",
    "supports_audio_input": "audio",
    "supports_pdf_input": "file",
    "supports_response_schema": "json_schema",
    "supports_prompt_caching": "prompt_cache",
}


def price(litellm_model: str) -> Price | None:
    """The list price, or None where the table does not know both directions."""
    entry = _entry(litellm_model)
    input_usd = _usd_per_mtok(entry, "input_cost_per_token")
    output_usd = _usd_per_mtok(entry, "output_cost_per_token")
    if input_usd is None or output_usd is None:
        return None
    return Price(
        input_usd_per_mtok=input_usd,
        output_usd_per_mtok=output_usd,
        cached_input_usd_per_mtok=_usd_per_mtok(entry, "cache_read_input_token_cost"),
        cache_write_usd_per_mtok=_usd_per_mtok(entry, "cache_creation_input_token_cost"),
        source=_source(),
    )


def limits(litellm_model: str) -> Limits:
    """Context and output limit, each None where unknown."""
    entry = _entry(litellm_model)
    return Limits(
        context_tokens=_count(entry, "max_input_tokens"),
        output_tokens=_count(entry, "max_output_tokens"),
    )


def features(litellm_model: str) -> frozenset[str]:
    """The features that the table says the model has; an absent flag counts as no."""
    entry = _entry(litellm_model)
    return frozenset(name for flag, name in _FEATURE_FLAGS.items() if entry.get(flag) is True)


def _entry(litellm_model: str) -> Mapping[str, Any]:
    """The model's row. A prefix is cut only if the row is that provider's: a self-hosted
    `hosted_vllm/gpt-4o` is not OpenAI's gpt-4o."""
    table = _table()
    if litellm_model in table:
        return table[litellm_model]
    provider, _, name = litellm_model.partition("/")
    entry = table.get(name, {})
    return entry if entry.get("litellm_provider") == provider else {}


def _usd_per_mtok(entry: Mapping[str, Any], name: str) -> Decimal | None:
    value = entry.get(name)
    return None if value is None else Decimal(str(value)) * _MTOK


def _count(entry: Mapping[str, Any], name: str) -> int | None:
    value = entry.get(name)
    return value if isinstance(value, int) else None


@cache
def _source() -> str:
    return f"litellm {importlib.metadata.version('litellm')} bundled table"


@cache
def _table() -> Mapping[str, Mapping[str, Any]]:
    spec = importlib.util.find_spec("litellm")
    if spec is None or not spec.submodule_search_locations:
        return {}
    path = Path(spec.submodule_search_locations[0]) / _TABLE
    table: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return table
