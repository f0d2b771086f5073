"""Models whose bills are known: their price lists, what a request counts, and the sum by hand.

Not the gateway's arithmetic and nothing imported from it: fractions and whole picodollars, from the
words of docs/costs.md alone, so that a mistake there is not made here again.
"""

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

# What a kind of token without a price of its own costs.
_ELSE = {
    "cached_input": "input",
    "cache_write": "input",
    "cache_write_1h": "cache_write",
    "audio_input": "input",
    "reasoning": "output",
}
# Dollars per million tokens. "odd" has more digits than a picodollar a token; fees are dollars.
PRICES: Mapping[str, Mapping[str, Any]] = {
    "small": {"input": "0.15", "output": "0.6", "cached_input": "0.075"},
    "large": {"input": "10", "output": "50", "cached_input": "1", "cache_write": "12.5"},
    "odd": {"input": "0.1234567", "output": "0.7654321", "cached_input": "0.0123457"},
    "thinker": {"input": "1.1", "output": "4.4", "reasoning": "6.6", "audio_input": "11.7"},
    "tiered": {
        **{"input": "1.25", "output": "10", "cached_input": "0.125", "request_usd": "0.00035"},
        "tiers": [
            {"above_prompt_tokens": 2000, "input": "2.5", "output": "15", "cached_input": "0.25"},
            {"service_tier": "flex", "input": "0.625", "output": "5"},
            {
                **{"above_prompt_tokens": 2000, "service_tier": "flex"},
                **{"input": "1.3", "output": "7.7", "cached_input": "0.13"},
            },
        ],
    },
    "claude": {
        **{"input": "3", "output": "15", "cached_input": "0.3", "cache_write": "3.75"},
        **{"cache_write_1h": "6", "web_search_usd": "0.01"},
    },
    "claude-breaks": {"input": "3", "output": "15", "cached_input": "0.3", "cache_write": "3.75"},
    "responder": {"input": "4", "output": "20", "cached_input": "0.4", "cache_write": "5"},
    "uncounted": {"input": "1", "output": "5"},
    "busy": {"input": "0.01", "output": "0.01"},
    "limited": {"input": "0.02", "output": "0.02"},
    "refuses": {"input": "1", "output": "5"},
    "late": {"input": "1", "output": "5"},
    "unreachable": {"input": "1", "output": "5"},
    "breaks": {"input": "0.3", "output": "1.7", "cached_input": "0.03"},
    "waits": {"input": "0.4", "output": "1.9"},
}
UNPRICED = ("unpriced", "says")  # of the second the provider says what it bills
_LITELLM = {
    "claude": "anthropic/claude",
    "claude-breaks": "anthropic/claude-breaks",
    "responder": "openai/responder",
}
_MORE = {"responder": {"wire": "responses"}}
_WRITE = frozenset({"claude", "claude-breaks", "large", "responder"})  # have a paid cache
_STRONG = frozenset({"large", "claude", "thinker"})
# Pool: its profiles, the baseline last.
POOLS: Mapping[str, tuple[str, ...]] = {
    "default": ("small", "tiered", "large"),
    "cheap": ("odd", "thinker"),
    "falls": ("busy", "small", "large"),
    "nobody": ("busy", "limited"),
    "breaking": ("breaks", "large"),
    "waiting": ("waits", "large"),
    "mixed": ("says", "unpriced", "claude"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What a provider counts; every kind is a part of `prompt` or of `completion`."""

    prompt: int
    cached: int = 0
    written: int = 0
    written_1h: int = 0  # a part of `written`
    audio: int = 0  # of the prompt
    completion: int = 0
    reasoning: int = 0
    searches: int = 0
    service: str = ""
    said: str | None = None  # dollars that the provider says it bills


def counts(model: str, wire: str, number: int) -> Counts:
    """What the provider counts of a request: always the same, never what another one counts."""
    dice = random.Random(f"{number} {model}")
    prompt = dice.randrange(1, 4000)
    if wire == "embeddings":
        return Counts(prompt=prompt)
    completion = dice.randrange(1, 900)  # what says something counts something
    if wire == "completions":
        return Counts(prompt=prompt, completion=completion)
    cached = dice.choice((0, dice.randrange(prompt + 1)))
    written = dice.randrange(prompt - cached + 1) if model in _WRITE else 0
    return Counts(
        prompt=prompt,
        cached=cached,
        written=written,
        written_1h=dice.randrange(written + 1) if model == "claude" else 0,
        audio=dice.randrange(prompt - cached + 1) if model == "thinker" else 0,
        completion=completion,
        reasoning=dice.randrange(completion + 1) if model in ("thinker", "responder") else 0,
        searches=dice.choice((0, 0, 1, 3)) if model == "claude" else 0,
        service=dice.choice(("", "flex", "priority")) if model == "tiered" else "",
        said=f"{Decimal(dice.randrange(10**12)).scaleb(-14):f}" if model == "says" else None,
    )


def picodollars(model: str, of: Counts) -> int | None:
    """The bill by the model's price list; None if there is none."""
    price = PRICES.get(model)
    if price is None:
        return None
    rates, _ = _tier(price, of)
    plain = of.prompt - of.cached - of.written - of.audio
    micro = (
        plain * _rate(rates, "input")
        + of.cached * _rate(rates, "cached_input")
        + (of.written - of.written_1h) * _rate(rates, "cache_write")
        + of.written_1h * _rate(rates, "cache_write_1h")
        + of.audio * _rate(rates, "audio_input")
        + (of.completion - of.reasoning) * _rate(rates, "output")
        + of.reasoning * _rate(rates, "reasoning")
    )
    fees = Fraction(price.get("request_usd", "0"))
    fees += of.searches * Fraction(price.get("web_search_usd", "0"))
    return round(micro * 10**6 + fees * 10**12)  # half to even


def said_picodollars(said: str) -> int:
    """What the provider says, to the picodollar."""
    return round(Fraction(said) * 10**12)


def is_exact(model: str, of: Counts) -> bool:
    """Whether the price list has rates for the service that answered."""
    return _tier(PRICES[model], of)[1] == of.service


def _tier(price: Mapping[str, Any], of: Counts) -> tuple[Mapping[str, str], str]:
    """The rates of the whole request, and the service that they are of."""
    tiers: list[Mapping[str, Any]] = [price, *price.get("tiers", ())]
    reached = max(t.get("above_prompt_tokens", 0) for t in tiers if _reaches(of, t))
    level = [t for t in tiers if t.get("above_prompt_tokens", 0) == reached]
    by_service = {t.get("service_tier", ""): t for t in level}
    service = of.service if of.service in by_service else ""
    return by_service[service], service


def _reaches(of: Counts, tier: Mapping[str, Any]) -> bool:
    return of.prompt > tier.get("above_prompt_tokens", 0) or "above_prompt_tokens" not in tier


def _rate(rates: Mapping[str, str], kind: str) -> Fraction:
    return Fraction(rates[kind]) if kind in rates else _rate(rates, _ELSE[kind])


def write_catalog(folder: Path, base: str, unreachable: str) -> Path:
    """The catalog of these models at the provider's address; JSON is YAML, too."""
    source = Path(__file__).parent.parent / "profiles" / "dimensions.yaml"
    (folder / "dimensions.yaml").write_text(source.read_text("utf-8"), "utf-8")
    dimensions = ("reasoning", "code_generation", "debugging", "tool_use")
    for name in (*PRICES, *UNPRICED):
        profile: dict[str, Any] = {
            "name": name,
            "litellm_model": _LITELLM.get(name, f"hosted_vllm/{name}"),
            "api_base": unreachable if name == "unreachable" else base,
            "api_key_env": "BENCH_KEY",
            "capabilities": dict.fromkeys(dimensions, 1.0 if name in _STRONG else 0.0),
            "limits": {"context_tokens": 100_000, "output_tokens": 8000},
            "features": ["tools"],
            **_MORE.get(name, {}),
        }
        if name in PRICES:
            profile["price"] = _as_profile(PRICES[name])
        (folder / f"{name}.yaml").write_text(json.dumps(profile), "utf-8")
    modes = {"peak": 0.0, "iso": 0.2, "aggressive": 5}
    pools = {
        name: {"profiles": list(members), "modes": modes, "default_mode": "iso"}
        | {"baseline": members[-1]}
        for name, members in POOLS.items()
    }
    (folder / "pools.yaml").write_text(json.dumps({"pools": pools}), "utf-8")
    return folder


def _as_profile(price: Mapping[str, Any]) -> dict[str, Any]:
    plain = ("request_usd", "web_search_usd", "above_prompt_tokens", "service_tier")
    made: dict[str, Any] = {}
    for name, value in price.items():
        if name == "tiers":
            made["tiers"] = [_as_profile(tier) for tier in value]
        elif name in plain:
            made[name] = float(value) if name.endswith("_usd") else value
        else:
            made[f"{name}_usd_per_mtok"] = float(value)
    return made
