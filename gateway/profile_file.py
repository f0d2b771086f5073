"""One model's YAML file, made into a profile.

What the file leaves out comes from litellm's bundled table; capabilities come from the file itself
or from its benchmark scores on the reference scale (anchors.py).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Final

from gateway import anchors, bundled_prices, yaml_fields
from gateway.price import BILLED_AS, KINDS, Price, Rates, Tier
from gateway.profile import (
    DEFAULT_EXPECTED_OUTPUT_TOKENS,
    FEATURES,
    WIRES,
    Benchmark,
    Dimension,
    Limits,
    PredictorFacts,
    Profile,
)
from gateway.yaml_fields import Fields

_REQUIRED: Final = frozenset(KINDS) - BILLED_AS.keys()
_RESERVED_NAME: Final = "auto"
_NAME: Final = re.compile(r"[\w.:/@+-]+", re.ASCII)  # it goes into response headers


@dataclass(frozen=True, slots=True)
class Draft:
    """A profile and its anchors (K,) in [0, 1]; None where capabilities were given outright."""

    profile: Profile
    anchors: tuple[float, ...] | None


def read(
    path: Path,
    dimensions: Sequence[Dimension],
    reference: Mapping[str, anchors.Range],
    facts: PredictorFacts,
    problems: list[str],
) -> Draft | None:
    """The profile of one file, or None with complaints in `problems`."""
    fields = yaml_fields.read(path, problems)
    if fields is None:
        return None
    name = fields.text("name", required=True)
    model = fields.text("litellm_model", required=True)
    if name is not None and name.partition(":")[0] == _RESERVED_NAME:
        fields.reject("name", "'auto' and what starts with 'auto:' is the router's own name")
    if name is not None and not _NAME.fullmatch(name):
        fields.reject("name", f"use letters, digits and . _ : / @ + - only, got '{name}'")
    benchmarks = _benchmarks(fields, reference)
    explicit = _explicit_capabilities(fields, dimensions)
    if explicit is None and not benchmarks and "capabilities" not in fields:
        fields.complain("capabilities", "give these, or benchmarks with at least one score each")
    found = _anchors(fields, benchmarks, dimensions, reference) if explicit is None else None
    price = _price(fields)
    limits = _limits(fields)
    features = frozenset(fields.texts("features"))
    for feature in sorted(features - set(FEATURES)):
        fields.reject("features", f"unknown feature '{feature}'; known are {', '.join(FEATURES)}")
    wire = fields.text("wire")
    if wire is not None and wire not in WIRES:
        fields.reject("wire", f"expected one of {', '.join(WIRES)}, got '{wire}'")
    expected = fields.integer("expected_output_tokens", low=1)
    draft = Profile(
        name=name or "",
        litellm_model=model or "",
        capabilities=explicit or _in_bands(found, facts.bands),
        benchmarks=benchmarks,
        price=price or (bundled_prices.price(model) if model else None),
        limits=_completed(limits, bundled_prices.limits(model) if model else Limits()),
        features=features if "features" in fields or not model else bundled_prices.features(model),
        expected_output_tokens=expected or DEFAULT_EXPECTED_OUTPUT_TOKENS,
        api_key_env=fields.text("api_key_env"),
        api_base=fields.text("api_base"),
        params=fields.plain("params"),
        litellm_params=fields.plain("litellm_params"),
        wire=wire,
    )
    fields.close()
    return Draft(draft, found) if name and model else None


def _benchmarks(fields: Fields, reference: Mapping[str, anchors.Range]) -> dict[str, Benchmark]:
    table = fields.mapping("benchmarks")
    scores: dict[str, Benchmark] = {}
    for name, entry in table.mappings() if table else ():
        score = entry.number("score", high=100, required=True)
        source, date = entry.text("source"), entry.text("date")
        entry.close()
        if table is not None and name not in reference:
            table.reject(name, f"is not in the reference table; known are {', '.join(reference)}")
        elif score is not None:
            scores[name] = Benchmark(score=float(score), source=source or "", date=date or "")
    return scores


def _explicit_capabilities(
    fields: Fields, dimensions: Sequence[Dimension]
) -> tuple[float, ...] | None:
    """The vector (K,) given outright, on the requirements' scale."""
    table = fields.mapping("capabilities")
    if table is None:
        return None
    values = [table.number(item.name, high=1, required=True) for item in dimensions]
    table.close()
    return tuple(0.0 if value is None else float(value) for value in values)


def _anchors(
    fields: Fields,
    benchmarks: Mapping[str, Benchmark],
    dimensions: Sequence[Dimension],
    reference: Mapping[str, anchors.Range],
) -> tuple[float, ...] | None:
    scores = {name: entry.score for name, entry in benchmarks.items()}
    found = [anchors.mean_anchor(scores, item.benchmarks, reference) for item in dimensions]
    for dimension, anchor in zip(dimensions, found, strict=True):
        if anchor is None and scores:
            wanted = ", ".join(dimension.benchmarks)
            fields.reject("benchmarks", f"no score exercises {dimension.name}; add one of {wanted}")
    known = [anchor for anchor in found if anchor is not None]
    return tuple(known) if known and len(known) == len(found) else None


def _in_bands(found: Sequence[float] | None, bands: Sequence[anchors.Range]) -> tuple[float, ...]:
    if found is None:
        return (0.0,) * len(bands)
    return tuple(
        round(anchors.banded(anchor, band), 12) for anchor, band in zip(found, bands, strict=True)
    )


def _price(fields: Fields) -> Price | None:
    price = fields.mapping("price")
    if price is None:
        return None
    base = _rates(price)
    tiers = [_tier(tier) for tier in price.listed("tiers")]
    keys = [(tier.above_prompt_tokens, tier.service) for tier in tiers if tier is not None]
    if len(set(keys)) < len(keys):
        price.reject("tiers", "two of them are for the same prompts and service")
    request_usd, web_search_usd = price.number("request_usd"), price.number("web_search_usd")
    source, date = price.text("source"), price.text("date")
    price.close()
    if base is None:
        return None
    return Price(
        base=base,
        tiers=tuple(tier for tier in tiers if tier is not None),
        request_usd=request_usd or Decimal(0),
        web_search_usd=web_search_usd,
        source=source or "",
        date=date or "",
    )


def _rates(fields: Fields) -> Rates | None:
    """The rates of a price or of one of its tiers."""
    found = {kind: fields.number(kind, required=kind not in BILLED_AS) for kind in KINDS}
    rates = {kind: usd for kind, usd in found.items() if usd is not None}
    return Rates(**rates) if rates.keys() >= _REQUIRED else None


def _tier(fields: Fields) -> Tier | None:
    above = fields.integer("above_prompt_tokens", low=1)
    service = fields.text("service_tier")
    if "above_prompt_tokens" not in fields and "service_tier" not in fields:
        fields.complain(
            fields.path, "give above_prompt_tokens, service_tier or both: when does it hold?"
        )
    rates = _rates(fields)
    fields.close()
    if rates is None:
        return None
    return Tier(rates=rates, above_prompt_tokens=above or 0, service=service or "")


def _completed(limits: Limits | None, bundled: Limits) -> Limits:
    """The file's limits, and the table's where the file says nothing."""
    if limits is None:
        return bundled
    return Limits(
        context_tokens=limits.context_tokens or bundled.context_tokens,
        output_tokens=limits.output_tokens or bundled.output_tokens,
    )


def _limits(fields: Fields) -> Limits | None:
    limits = fields.mapping("limits")
    if limits is None:
        return None
    found = Limits(
        context_tokens=limits.integer("context_tokens", low=1),
        output_tokens=limits.integer("output_tokens", low=1),
    )
    limits.close()
    return found
