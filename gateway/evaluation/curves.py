"""A pool's own curve: `P = sigmoid(alpha - beta * shortfall)`, fitted to scores of its answers.

The most likely alpha and log beta under normal priors around the predictor's own, which was fitted
to public outcomes: a pool with few scores stays near it. The intervals are of a bootstrap in which
every resample also draws where its prior is centred. Without that, scores that are all alike would
give an interval of no width around a value that the prior chose. n scores, R resamples.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from gateway.evaluation.fitting import Curve
from gateway.evaluation.outcomes import Floats, Ints
from gateway.evaluation.resampling import Figure, figure, resample_weights
from gateway.profile import BETAS

# Strength of the priors. At the shipped curve that of alpha weighs as much as 25 scores of answers
# without shortfall: 1 / .5**2 = 25 * P * (1 - P) at P = .8. Beta is within a factor of 2.7 of the
# shipped one with a probability of 95%.
ALPHA_SD: Final = 0.5
LOG_BETA_SD: Final = 0.5
_STEPS: Final = 100
_LARGEST_STEP: Final = 0.5
_ENOUGH: Final = 1e-6  # of the last step
_DIGITS: Final = 4  # after the point, of what a catalog is given
_AT_ONCE: Final = 2_000_000  # numbers of one array: 16 MB


@dataclass(frozen=True, slots=True, kw_only=True)
class Curves:
    """The fitted curve and, for each resample, another that the scores allow; (R + 1,) each.

    `is_beta_fitted` is false where all shortfalls are the same: beta is then the prior's.
    """

    alpha: Floats
    beta: Floats
    is_beta_fitted: bool

    @property
    def fitted(self) -> Curve:
        return Curve(alpha=float(self.alpha[0]), beta=float(self.beta[0]))

    def figures(self) -> tuple[Figure, Figure]:
        """alpha and beta with their intervals; none for a beta that was not fitted."""
        alpha, beta = figure(self.alpha), figure(self.beta)
        if not self.is_beta_fitted:
            beta = Figure(beta.value, float("nan"), float("nan"))
        return alpha, beta


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """Outcomes that nobody saw, as the curves expect them from shortfalls (n, m)."""

    curves: Curves
    shortfalls: Floats

    def means(self, choices: Ints, weights: Floats) -> Floats:
        """What choices (n, G) solve under weights (R + 1, n) of the queries, (R + 1, G).

        Each resample of the queries is judged by a curve of its own, so that an interval of these
        means holds both what another sample would do and what the scores leave open.
        """
        gaps = np.take_along_axis(self.shortfalls, choices, axis=1)
        found = np.empty((len(weights), gaps.shape[1]))
        rows = max(1, _AT_ONCE // max(len(gaps), 1))
        for start in range(0, len(weights), rows):
            part = slice(start, start + rows)
            alpha, beta = self.curves.alpha[part, None], self.curves.beta[part, None]
            for column, gap in enumerate(gaps.T):
                found[part, column] = (weights[part] * _sigmoid(alpha - beta * gap)).sum(axis=1)
        return found


def fit_curves(gaps: Floats, scores: Floats, prior: Curve, *, resamples: int, seed: int) -> Curves:
    """Fit alpha and beta to the scores (n,) in [0, 1] of answers by their shortfalls (n,).

    A score between 0 and 1 counts as that share of a solved and the rest of an unsolved request.
    Rounded as the catalog is given them.
    """
    is_free = bool(np.ptp(gaps) > 0)
    rng = np.random.default_rng([seed, 1])
    centres = np.zeros((resamples + 1, 2))  # the fit itself has the prior where it belongs
    centres[1:] = rng.normal(size=(resamples, 2)) * (ALPHA_SD, LOG_BETA_SD)
    centres += (prior.alpha, np.log(prior.beta))
    # another seed than that of the queries: the scores are not drawn with them
    counts = resample_weights(len(scores), resamples, seed + 1) * len(scores)
    problem = _Problem(gaps=gaps, scores=scores, is_beta_free=is_free)
    fitted = problem.solve(counts[:1], centres[:1], centres[:1])
    rows = max(1, _AT_ONCE // len(scores))
    parts = [slice(start, start + rows) for start in range(1, len(counts), rows)]
    found = np.concatenate(
        [fitted, *(problem.solve(counts[part], centres[part], fitted) for part in parts)]
    )
    return Curves(
        alpha=found[:, 0].round(_DIGITS),
        beta=np.clip(np.exp(found[:, 1]), *BETAS).round(_DIGITS),
        is_beta_fitted=is_free,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Problem:
    """Scores (n,) of answers with these shortfalls (n,)."""

    gaps: Floats
    scores: Floats
    is_beta_free: bool

    def solve(self, counts: Floats, centres: Floats, start: Floats) -> Floats:
        """The most likely alpha and log beta (R, 2) of the scores taken `counts` (R, n) times.

        Args: centres (R, 2) of the priors; start (1, 2) or (R, 2). Newton steps on the curvature,
        of which whatever would bend the wrong way is left out.
        """
        found = np.broadcast_to(start, centres.shape).copy()
        if not self.is_beta_free:
            found[:, 1] = centres[:, 1]
        precision = np.array([ALPHA_SD, LOG_BETA_SD]) ** -2.0
        for _ in range(_STEPS):
            slope = -np.exp(found[:, 1, None]) * self.gaps  # d argument / d log beta, (R, n)
            chance = _sigmoid(found[:, 0, None] + slope)
            error, bend = counts * (chance - self.scores), counts * chance * (1 - chance)
            if not self.is_beta_free:
                slope = np.zeros_like(slope)
            by_beta = (error * slope).sum(axis=1)
            gradient = np.stack([error.sum(axis=1), by_beta], axis=1)
            gradient += precision * (found - centres)
            first = bend.sum(axis=1) + precision[0]
            cross = (bend * slope).sum(axis=1)
            second = (bend * slope**2).sum(axis=1) + precision[1] + np.maximum(by_beta, 0)
            step = np.stack(
                [
                    cross * gradient[:, 1] - second * gradient[:, 0],
                    cross * gradient[:, 0] - first * gradient[:, 1],
                ],
                axis=1,
            )
            step /= (first * second - cross**2)[:, None]
            found += np.clip(step, -_LARGEST_STEP, _LARGEST_STEP)
            if np.abs(step).max() < _ENOUGH:
                break
        return found


def _sigmoid(argument: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-np.clip(argument, -30, 30))))
