"""From public benchmark scores to capabilities: HyDRA's Eq. 3 on a fixed reference scale.

Pure arithmetic. The reference scale makes each model's capabilities a function of its own scores,
so that adding a model never moves another; the pool's scale (minimum and maximum over the pool) is
the paper's, kept for comparison.
"""

from collections.abc import Mapping, Sequence

Range = tuple[float, float]
"""(floor, ceiling) of a benchmark in percent, or (lo, hi) of a band in [0, 1]."""


def mean_anchor(
    scores: Mapping[str, float], weights: Mapping[str, float], reference: Mapping[str, Range]
) -> float | None:
    """The weighted mean of the normalised scores that exercise one dimension, in [0, 1].

    Args: scores in percent by benchmark; weights > 0 by benchmark; reference (floor, ceiling) in
    percent by benchmark. Only benchmarks present in all three count; None when there is none.

    >>> reference = {"a": (20.0, 100.0), "b": (0.0, 80.0)}
    >>> mean_anchor({"a": 60.0, "b": 90.0}, {"a": 1.0, "b": 1.0}, reference)
    0.75
    """
    present = [name for name in weights if name in scores and name in reference]
    total = sum(weights[name] for name in present)
    if not present or total <= 0:
        return None
    return (
        sum(weights[name] * normalised(scores[name], reference[name]) for name in present) / total
    )


def normalised(score: float, reference: Range) -> float:
    """The score's place between floor and ceiling, clamped to [0, 1]."""
    floor, ceiling = reference
    return min(1.0, max(0.0, (score - floor) / (ceiling - floor)))


def banded(anchor: float, band: Range) -> float:
    """An anchor in [0, 1] mapped into the predictor's band [lo, hi] (Eq. 3)."""
    lo, hi = band
    return lo + anchor * (hi - lo)


def pool_scaled(anchors: Sequence[float], band: Range) -> tuple[float, ...]:
    """The paper's Eq. 3: minimum and maximum over the pool span the band; all equal gives hi.

    >>> pool_scaled([0.2, 0.6, 0.4], (0.1, 0.9))
    (0.1, 0.9, 0.5)
    """
    low, high = min(anchors), max(anchors)
    if high == low:
        return (band[1],) * len(anchors)
    return tuple(round(banded((anchor - low) / (high - low), band), 12) for anchor in anchors)
