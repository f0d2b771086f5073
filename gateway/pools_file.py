"""pools.yaml, made into pools: who may be chosen from, with which weights, thresholds and defaults.

A pool lists profiles by name; those that can't be used here (no key) are left out of it.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from gateway import anchors, yaml_fields
from gateway.profile import (
    ALPHAS,
    BETAS,
    DEFAULT_MARGIN,
    MODES,
    RULES,
    SCALES,
    Dimension,
    Pool,
    PredictorFacts,
    Profile,
)
from gateway.profile_file import Draft
from gateway.yaml_fields import Fields


def read(
    path: Path,
    drafts: Mapping[str, Draft],
    unusable: Collection[str],
    dimensions: Sequence[Dimension],
    facts: PredictorFacts,
    problems: list[str],
) -> dict[str, Pool]:
    """Every pool of the file; what is wrong goes to `problems`."""
    top = yaml_fields.read(path, problems)
    table = top.mapping("pools", required=True) if top else None
    if top is not None and table is not None and not table.names():
        top.reject("pools", "needs at least one pool")
    pools: dict[str, Pool] = {}
    for name, fields in table.mappings() if table else ():
        pool = _pool(name, fields, drafts, unusable, dimensions, facts)
        if pool is not None:
            pools[name] = pool
    if top is not None:
        top.close()
    return pools


def _pool(
    name: str,
    fields: Fields,
    drafts: Mapping[str, Draft],
    unusable: Collection[str],
    dimensions: Sequence[Dimension],
    facts: PredictorFacts,
) -> Pool | None:
    listed = fields.texts("profiles", required=True)
    modes_table = fields.mapping("modes", required=True)
    modes = {} if modes_table is None else modes_table.numbers(MODES)
    if modes_table is not None and not modes_table.names():
        fields.reject("modes", f"needs at least one of {', '.join(MODES)}")
    settings: dict[str, Any] = {
        "rule": fields.choice("rule", RULES) or "threshold",
        "scale": fields.choice("scale", SCALES) or "reference",
        "escalate": fields.boolean("escalate") or False,
    }
    margin = fields.number("margin")
    default_mode = fields.choice("default_mode", tuple(modes) or MODES)
    baseline = fields.text("baseline")
    fallback = fields.text("fallback_profile")
    fitted_for = fields.text("fitted_for")
    alpha, beta, p_solve_fitted_for = _p_solve(fields, facts)
    weights = _weights(fields, dimensions)
    fields.close()
    for field, names in (
        ("profiles", listed),
        ("baseline", filter(None, [baseline])),
        ("fallback_profile", filter(None, [fallback])),
    ):
        for other in names:
            if other not in drafts:
                fields.reject(field, f"no profile is named '{other}'")
    if fallback in drafts and listed and fallback not in listed:
        fields.reject("fallback_profile", f"'{fallback}' is not one of this pool's profiles")
    if settings["rule"] == "value" and (alpha is None or beta is None):
        fields.reject("rule", "'value' needs p_solve, or a predictor with alpha and beta")
    members = [drafts[item] for item in dict.fromkeys(listed) if item in drafts]
    if not members or not modes:
        return None
    profiles = _scaled(members, settings["scale"], facts.bands)
    strongest = max(profiles, key=lambda profile: profile.mean_capability)
    return Pool(
        name=name,
        profiles=tuple(profile for profile in profiles if profile.name not in unusable),
        left_out=tuple(profile.name for profile in profiles if profile.name in unusable),
        dimensions=facts.dimensions,
        weights=weights,
        bands=facts.bands,
        modes=modes,
        default_mode=default_mode or ("iso" if "iso" in modes else next(iter(modes))),
        baseline=baseline or strongest.name,
        fallback_profile=fallback,
        margin=DEFAULT_MARGIN if margin is None else float(margin),
        alpha=alpha,
        beta=beta,
        fitted_for=fitted_for,
        p_solve_fitted_for=p_solve_fitted_for,
        **settings,
    )


def _p_solve(
    fields: Fields, facts: PredictorFacts
) -> tuple[float | None, float | None, str | None]:
    """alpha, beta and whom they were fitted for: the pool's own, else those of the predictor."""
    own = fields.mapping("p_solve")
    if own is None:
        return facts.alpha, facts.beta, None
    alpha = own.number("alpha", low=ALPHAS[0], high=ALPHAS[1], required=True)
    beta = own.number("beta", low=BETAS[0], high=BETAS[1], required=True)
    fitted_for = own.text("fitted_for")
    own.close()
    if alpha is None or beta is None:  # complained of; the rest is judged as without
        return facts.alpha, facts.beta, None
    return float(alpha), float(beta), fitted_for


def _scaled(members: Sequence[Draft], scale: str, bands: Sequence[anchors.Range]) -> list[Profile]:
    """The pool's profiles; on the paper's scale their capabilities depend on each other."""
    profiles = [member.profile for member in members]
    anchored = [index for index, member in enumerate(members) if member.anchors is not None]
    if scale == "reference" or not anchored:
        return profiles
    columns = [
        anchors.pool_scaled([(members[index].anchors or ())[axis] for index in anchored], band)
        for axis, band in enumerate(bands)
    ]
    for row, index in enumerate(anchored):
        profiles[index] = replace(
            profiles[index], capabilities=tuple(column[row] for column in columns)
        )
    return profiles


def _weights(fields: Fields, dimensions: Sequence[Dimension]) -> tuple[float, ...]:
    """Weights (K,) that sum to 1: the pool's own, else those of dimensions.yaml."""
    table = fields.mapping("weights")
    own = {} if table is None else table.numbers([item.name for item in dimensions])
    raw = [own.get(item.name, item.weight) for item in dimensions]
    total = sum(raw)
    if dimensions and total <= 0:
        fields.reject("weights", "at least one must be above 0")
    return tuple(value / total for value in raw) if total > 0 else tuple(raw)
