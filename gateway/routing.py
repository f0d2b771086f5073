"""The rule: which profile of a pool answers a request. The file to read first.

Pure: values in, a Decision out; no clock, no I/O, no randomness, standard library only. The same
function serves requests, the dry run, the command line and a replay of the log. Equations are those
of HyDRA (arXiv 2605.17106); where we differ (reference scale, expected cost), docs/why.md says why.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

from gateway.decision import Candidate, Decision, NoEligibleProfile, Reason
from gateway.demands import Demands
from gateway.profile import CHAT_ONLY_FEATURES, Pool, Profile

MIN_BAND_WIDTH = 0.1  # a head with a narrower band would count its noise as large gaps
_MTOK = Decimal(1_000_000)
_UNKNOWN_RANKS_LAST = Decimal("Infinity")


def shortfall(
    requirements: Sequence[float],
    capabilities: Sequence[float],
    weights: Sequence[float],
    bands: Sequence[tuple[float, float]],
) -> float:
    """Weighted shortfall in band widths, s = sum_k w_k max(0, r_k - c_k) / max(hi_k - lo_k, 0.1).

    Args: requirements, capabilities (K,) in [0, 1]; weights (K,) summing to 1; bands (K,) of
    (lo, hi). Returns s >= 0; 0 when c >= r on every dimension: a surplus never pays for a gap.
    Raises ValueError if lengths differ. Source: Eq. 4 and 5, up to a constant.

    >>> shortfall((0.5, 0.2), (0.3, 0.9), (0.5, 0.5), ((0.0, 1.0), (0.0, 1.0)))
    0.1
    """
    return sum(
        weight * max(0.0, needed - offered) / max(band[1] - band[0], MIN_BAND_WIDTH)
        for needed, offered, weight, band in zip(
            requirements, capabilities, weights, bands, strict=True
        )
    )


def excluded_by(profile: Profile, demands: Demands) -> str | None:
    """The first hard gate that removes the profile, in words, or None. Vetoes, never weights."""
    if demands.native is not None and demands.native[0] not in profile.speaks:
        wire, words = demands.native
        return f"{words}: only a server of the {wire} protocol takes it"
    limits = profile.limits
    output_tokens = demands.max_output_tokens or 0
    if limits.output_tokens is not None and output_tokens > limits.output_tokens:
        return f"output limit: asks for {output_tokens} tokens, offers {limits.output_tokens}"
    needed = demands.prompt_tokens + output_tokens
    if limits.context_tokens is not None and needed > limits.context_tokens:
        return f"context: needs about {needed} tokens, offers {limits.context_tokens}"
    offered = profile.features
    if "chat" not in profile.speaks:
        offered -= CHAT_ONLY_FEATURES  # no other wire has a place for them
    missing = sorted(demands.features - offered)
    return missing[0] if missing else None


def expected_cost(profile: Profile, demands: Demands) -> Decimal | None:
    """Dollars this request is expected to cost on the profile; None where the price is unknown."""
    price = profile.price
    if price is None:
        return None
    # Of one tier, as it is billed: that of the prompt's length and of the service asked for.
    rates = price.tier(demands.prompt_tokens, str(profile.params.get("service_tier", ""))).rates
    output_tokens = expected_output_tokens(profile, demands) * demands.choices
    tokens = (
        demands.prompt_tokens * rates.input_usd_per_mtok + output_tokens * rates.output_usd_per_mtok
    )
    return tokens / _MTOK + price.request_usd


def expected_output_tokens(profile: Profile, demands: Demands) -> int:
    """Tokens per choice that the profile usually writes, cut where the client cuts."""
    if demands.max_output_tokens is None:
        return profile.expected_output_tokens
    return min(profile.expected_output_tokens, demands.max_output_tokens)


def p_solve(pool: Pool, gap: float) -> float | None:
    """P_m = sigmoid(alpha - beta * s), the chance of solving; None when not calibrated."""
    if pool.alpha is None or pool.beta is None:
        return None
    return 1.0 / (1.0 + math.exp(-(pool.alpha - pool.beta * gap)))


def decide(
    requirements: Sequence[float] | None,
    demands: Demands,
    pool: Pool,
    threshold: float,
    *,
    vetoes: Mapping[str, str] | None = None,
) -> Decision:
    """Choose a profile of the pool for one request.

    Args: requirements (K,) in [0, 1], or None when the predictor could not answer; threshold, the
    largest accepted shortfall (rule "threshold") or dollars per solved request (rule "value");
    vetoes, profiles excluded from outside with the words to say why (unhealthy, already failed).
    Raises NoEligibleProfile when the gates leave nobody.
    """
    candidates = tuple(
        _assess(profile, requirements, demands, pool, (vetoes or {}).get(profile.name))
        for profile in pool.profiles
    )
    ranked = _ranked(candidates, requirements, pool, threshold)
    if not ranked:
        raise NoEligibleProfile(pool.name, candidates)
    chosen = ranked[0]
    return Decision(
        pool=pool.name,
        rule=pool.rule,
        threshold=threshold,
        dimensions=pool.dimensions,
        demands=demands,
        requirements=None if requirements is None else tuple(requirements),
        candidates=candidates,
        chosen=chosen.model,
        runner_up=ranked[1].model if len(ranked) > 1 else None,
        reason=_reason(chosen, ranked, requirements, pool, threshold),
    )


def pinned(profile: Profile, demands: Demands, pool: Pool) -> Decision:
    """The decision for a caller who named the profile: nothing is predicted, nothing is gated."""
    return Decision(
        pool=pool.name,
        rule=pool.rule,
        threshold=None,
        dimensions=pool.dimensions,
        demands=demands,
        requirements=None,
        candidates=(
            replace(_assess(profile, None, demands, pool, None), eligible=True, excluded_by=None),
        ),
        chosen=profile.name,
        runner_up=None,
        reason="pinned",
    )


def _assess(
    profile: Profile,
    requirements: Sequence[float] | None,
    demands: Demands,
    pool: Pool,
    veto: str | None,
) -> Candidate:
    gap = None
    if requirements is not None:
        gap = shortfall(requirements, profile.capabilities, pool.weights, pool.bands)
    excluded = veto or excluded_by(profile, demands)
    return Candidate(
        model=profile.name,
        capabilities=profile.capabilities,
        shortfall=gap,
        p_solve=None if gap is None else p_solve(pool, gap),
        expected_output_tokens=expected_output_tokens(profile, demands),
        expected_cost_usd=expected_cost(profile, demands),
        eligible=excluded is None,
        excluded_by=excluded,
    )


def _ranked(
    candidates: Sequence[Candidate],
    requirements: Sequence[float] | None,
    pool: Pool,
    threshold: float,
) -> list[Candidate]:
    """The eligible candidates, best first, by the pool's rule."""
    eligible = [candidate for candidate in candidates if candidate.eligible]
    if requirements is None:
        return sorted(
            eligible,
            key=lambda candidate: (
                candidate.model != pool.fallback_profile,
                -sum(candidate.capabilities),
                candidate.model,
            ),
        )
    if pool.rule == "value":
        return sorted(
            eligible, key=lambda c: (-_net_value(c, threshold), _gap(c), _cost(c), c.model)
        )
    return sorted(
        eligible,
        key=lambda c: (
            (0, _cost(c), Decimal(_gap(c)), c.model)
            if _gap(c) <= threshold
            else (1, Decimal(_gap(c)), _cost(c), c.model)
        ),
    )


def _net_value(candidate: Candidate, value_usd: float) -> float:
    """P_m - expected cost / value: what the request is worth on this model, in solved requests."""
    if candidate.p_solve is None or candidate.expected_cost_usd is None or value_usd <= 0:
        return -math.inf
    return candidate.p_solve - float(candidate.expected_cost_usd) / value_usd


def _reason(
    chosen: Candidate,
    ranked: Sequence[Candidate],
    requirements: Sequence[float] | None,
    pool: Pool,
    threshold: float,
) -> Reason:
    if requirements is None:
        return "predictor_unavailable"
    if len(ranked) == 1:
        return "only_eligible"
    if pool.rule == "threshold" and _gap(chosen) > threshold:
        return "least_shortfall"
    return "cheapest_sufficient"


def _gap(candidate: Candidate) -> float:
    return math.inf if candidate.shortfall is None else candidate.shortfall


def _cost(candidate: Candidate) -> Decimal:
    cost = candidate.expected_cost_usd
    return _UNKNOWN_RANKS_LAST if cost is None else cost
