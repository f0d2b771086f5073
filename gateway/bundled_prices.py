"""Prices, limits and features of the models that litellm's bundled table knows.

Read as the data file that it is, without importing litellm (3-5 s, 165 MB). Only what a profile
leaves out is taken from here; a model that the table does not know stays unknown.
"""

import importlib.metadata
import importlib.util
import json
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Final

from gateway.price import BILLED_AS, KINDS, Price, Rates, Tier
from gateway.profile import Limits

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


# The table's names of what a kind of token costs. The rate of a tier has `_above_200k_tokens`, the
# name of a service, or both behind it.
_NAMES: Final = {
    "input_usd_per_mtok": "input_cost_per_token",
    "output_usd_per_mtok": "output_cost_per_token",
    "cached_input_usd_per_mtok": "cache_read_input_token_cost",
    "cache_write_usd_per_mtok": "cache_creation_input_token_cost",
    "cache_write_1h_usd_per_mtok": "cache_creation_input_token_cost_above_1hr",
    "audio_input_usd_per_mtok": "input_cost_per_audio_token",
    "image_input_usd_per_mtok": "input_cost_per_image_token",
    "reasoning_usd_per_mtok": "output_cost_per_reasoning_token",
    "audio_output_usd_per_mtok": "output_cost_per_audio_token",
    "image_output_usd_per_mtok": "output_cost_per_image_token",
}
_TIER: Final = re.compile(
    r"(?:input|output)_cost_per_token((?:_above_\d+k?_tokens)?)((?:_[a-z]+)?)"
)
_LATER: Final = "_batches"  # answers of another day: no request of ours comes back as one
# When the table of a version was compared with the providers' price lists.
_DATES: Final = {"1.106.2": "2026-11-23"}
_FAMILIES: Final = {"bedrock_converse": "bedrock"}
_INCLUSIVE: Final = frozenset({"xai"})  # its long prompts begin at the length, not above it
# Fireworks bills cached tokens at half its input price, and the table leaves that out.
_CACHED_SHARES: Final = {"fireworks_ai": Decimal("0.5")}


def price(litellm_model: str) -> Price | None:
    """The list price, or None where the table does not know both directions."""
    entry = _entry(litellm_model)
    steps = list(_steps(entry))
    base = steps[0].rates if steps else _rates(entry, "", "")
    if base is None:
        return None
    tiers = steps[1:] if steps else [*_tiers(entry), *_factors(entry, base)]
    searches = entry.get("search_context_cost_per_query") or {}
    search_usd = _usd(searches, "search_context_size_medium")
    if len(set(searches.values())) > 1:  # by how much the client lets it read: not in the answer
        search_usd = None
    return Price(
        base=base,
        tiers=tuple(sorted(tiers, key=lambda tier: (tier.above_prompt_tokens, tier.service))),
        request_usd=_usd(entry, "input_cost_per_request") or Decimal(0),
        web_search_usd=search_usd,
        varies_by_hour="off_peak_pricing" in entry,
        source=f"litellm {_version()} bundled table",
        date=_DATES.get(_version(), ""),
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
    owner = str(entry.get("litellm_provider")).partition("-")[0]  # vertex_ai-language-models
    return entry if _FAMILIES.get(owner, owner) == provider else {}


def _tiers(entry: Mapping[str, Any]) -> Iterator[Tier]:
    """The tiers for which the table has a price of plain tokens."""
    found = dict.fromkeys(
        (match[1], match[2]) for name in entry if (match := _TIER.fullmatch(name)) is not None
    )
    for length, service in found:
        rates = _rates(entry, length, service)
        if rates is not None and (length or service) and service != _LATER:
            yield Tier(
                rates=rates,
                above_prompt_tokens=_above(entry, length),
                service=service.removeprefix("_"),
            )


def _above(entry: Mapping[str, Any], length: str) -> int:
    digits, thousands = re.findall(r"(\d+)(k?)", length)[0] if length else ("0", "")
    tokens = int(digits) * (1000 if thousands else 1)
    return tokens - 1 if length and entry.get("litellm_provider") in _INCLUSIVE else tokens


def _rates(entry: Mapping[str, Any], length: str, service: str) -> Rates | None:
    """The rates of one tier; of what it leaves out, the nearest other one's that the table has."""
    found: dict[str, Decimal | None] = {}
    for kind, name in _NAMES.items():
        nearest = (length + service, length, service, "")
        found[kind] = next(
            (usd for end in nearest if (usd := _usd(entry, name + end)) is not None), None
        )
        plain = BILLED_AS.get(kind)
        if plain and found[kind] is not None and _usd(entry, name) == _usd(entry, _NAMES[plain]):
            # The table repeats the plain price, and does so in no tier: it is no price of its own.
            own = _usd(entry, name + length + service)
            found[kind] = own if own != _usd(entry, _NAMES[plain] + length + service) else None
    return _made(found, entry)


def _made(usd: Mapping[str, Decimal | None], entry: Mapping[str, Any]) -> Rates | None:
    """Rates per million tokens of dollars per token."""
    rates = {kind: (value * _MTOK).normalize() for kind, value in usd.items() if value is not None}
    share = _CACHED_SHARES.get(str(entry.get("litellm_provider")))
    if share is not None and "input_usd_per_mtok" in rates:
        rates.setdefault("cached_input_usd_per_mtok", rates["input_usd_per_mtok"] * share)
    if "input_usd_per_mtok" not in rates or "output_usd_per_mtok" not in rates:
        return None
    return Rates(**rates)


def _steps(entry: Mapping[str, Any]) -> Iterator[Tier]:
    """The lengths of a model that the table prices by nothing else: `tiered_pricing`."""
    for step in entry.get("tiered_pricing") or ():
        rates = _made({kind: _usd(step, name) for kind, name in _NAMES.items()}, entry)
        if rates is not None and step.get("range"):
            yield Tier(rates=rates, above_prompt_tokens=int(step["range"][0]))


def _factors(entry: Mapping[str, Any], base: Rates) -> Iterator[Tier]:
    """Anthropic's fast mode and its computers in one country multiply every rate."""
    factors = entry.get("provider_specific_entry") or {}
    for service in ("fast", "us"):
        factor = _usd(factors, service)
        if factor is not None:
            plain = [Tier(rates=base), *(tier for tier in _tiers(entry) if not tier.service)]
            for tier in plain:
                usd = {kind: getattr(tier.rates, kind) for kind in KINDS}
                raised = {kind: value * factor for kind, value in usd.items() if value is not None}
                yield Tier(
                    rates=Rates(**raised),
                    above_prompt_tokens=tier.above_prompt_tokens,
                    service=service,
                )


def _usd(entry: Mapping[str, Any], name: str) -> Decimal | None:
    """A JSON number as the decimal that was written."""
    value = entry.get(name)
    return None if value is None else Decimal(str(value))


def _count(entry: Mapping[str, Any], name: str) -> int | None:
    value = entry.get(name)
    return value if isinstance(value, int) else None


@cache
def _version() -> str:
    return importlib.metadata.version("litellm")


@cache
def _table() -> Mapping[str, Mapping[str, Any]]:
    spec = importlib.util.find_spec("litellm")
    if spec is None or not spec.submodule_search_locations:
        return {}
    path = Path(spec.submodule_search_locations[0]) / _TABLE
    table: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return table
