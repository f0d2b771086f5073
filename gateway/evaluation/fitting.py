"""Capabilities and the solve curve, fitted to outcomes with the router's own likelihood.

`P(m solves q) = sigmoid(alpha - beta * shortfall(r(q), c_m))`, most likely parameters under normal
priors, by damped Newton steps on the expected curvature. Only training rows come in here; keeping
scored rows out is crossfit.py's business. n queries, m models, K dimensions.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from gateway.evaluation.outcomes import Floats
from gateway.routing import MIN_BAND_WIDTH

_STEPS: Final = 60
_ENOUGH: Final = 1e-7  # relative fall of the loss at which it stops
_BEND: Final = 0.05  # band widths over which the hinge bends, so that no gradient is zero
# Priors, in band widths: a model stands anywhere around the middle of the band, and, less surely,
# alike on all dimensions, so that one which the rows do not exercise follows those that they do. On
# mixtures of training files a spread of .3 lost half a point of hull gain against 1.
_MIDDLE: Final = 0.5
_STRENGTH_SD: Final = 1.0
_DIFFERENCE_SD: Final = 1.0
_ALPHA_SD: Final = 2.0
_LOG_BETA_SD: Final = 0.7


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """alpha and beta > 0 of the chance to solve a request by its shortfall."""

    alpha: float
    beta: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """What the rows say about the models: capabilities (m, K) in [0, 1], and the curve."""

    capabilities: Floats
    curve: Curve


def fit(
    requirements: Floats,
    solved: Floats,
    weights: Sequence[float],
    bands: Sequence[tuple[float, float]],
    prior: Curve,
    *,
    capabilities: Floats | None = None,
    fit_curve: bool = True,
) -> Fit:
    """Fit what is not given: capabilities unless (m, K) are, the curve if `fit_curve`.

    Args: requirements (n, K); solved (n, m) in [0, 1]; prior, the predictor's own curve: the
    centre of the prior, or the curve itself. Models with equal columns count once, so that the
    same model under a second name changes nothing.
    """
    if capabilities is None:
        columns, place = np.unique(solved, axis=1, return_inverse=True)
        place = place.reshape(-1)
    else:
        columns, place = solved, np.arange(solved.shape[1])
    low = np.array([edge for edge, _ in bands])
    width = np.maximum(np.array([high - edge for edge, high in bands]), MIN_BAND_WIDTH)
    problem = _Problem(
        needed=(requirements - low) / width,
        solved=columns,
        weights=np.asarray(weights, dtype=np.float64),
        prior=prior,
        edges=(-low / width, (1 - low) / width),
        fit_offered=capabilities is None,
        fit_curve=fit_curve,
    )
    count, axes = columns.shape[1], requirements.shape[1]
    offered = (
        np.full((count, axes), _MIDDLE) if capabilities is None else (capabilities - low) / width
    )
    if capabilities is None and fit_curve:
        # were beta free from the start, it would sink before the offers know where they belong
        offered, _ = replace(problem, fit_curve=False).solve(offered)
    offered, curve = problem.solve(offered)
    if capabilities is None:
        capabilities = np.clip(low + width * offered[place], 0.0, 1.0)
    return Fit(capabilities=capabilities, curve=curve)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Problem:
    """Everything in band widths above the band's floor: needed (n, K), offered (m, K).

    `edges` (K,) each are where capabilities are 0 and 1. They bind: were an offer outside cut off
    only at the end, the curve fitted with it would not fit any more.
    """

    needed: Floats
    solved: Floats
    weights: Floats
    prior: Curve
    edges: tuple[Floats, Floats]
    fit_offered: bool
    fit_curve: bool

    def solve(self, offered: Floats) -> tuple[Floats, Curve]:
        alpha, log_beta = self.prior.alpha, float(np.log(self.prior.beta))
        damping = 1e-3
        loss = self._loss(offered, alpha, log_beta)
        for _ in range(_STEPS):
            gradient, curvature = self._derivatives(offered, alpha, log_beta)
            while True:
                step = np.linalg.solve(curvature + damping * np.diag(np.diag(curvature)), -gradient)
                step = np.clip(step, -1.0, 1.0)
                tried = (
                    np.clip(offered + step[:-2].reshape(offered.shape), *self.edges)
                    if self.fit_offered
                    else offered,
                    alpha + float(step[-2]),
                    log_beta + float(step[-1]),
                )
                found = self._loss(*tried)
                if found <= loss or damping > 1e6:
                    break
                damping *= 10
            if found > loss:
                break  # no step helps any more
            fall = loss - found
            (offered, alpha, log_beta), loss = tried, found
            damping = max(damping / 10, 1e-6)
            if fall <= _ENOUGH * abs(loss):
                break
        if not self.fit_curve:
            return offered, self.prior  # to the last digit
        return offered, Curve(alpha=alpha, beta=float(np.exp(log_beta)))

    def _gaps(self, offered: Floats) -> tuple[list[Floats], list[Floats]]:
        """Per dimension the softly hinged gap (n, m), and its slope by what is needed."""
        hinged, slopes = [], []
        for axis in range(self.needed.shape[1]):
            gap = self.needed[:, axis, None] - offered[None, :, axis]
            root = np.sqrt(gap**2 + _BEND**2)
            hinged.append((gap + root) / 2)
            slopes.append((1 + gap / root) / 2)
        return hinged, slopes

    def _chance(self, hinged: Sequence[Floats], alpha: float, beta: float) -> tuple[Floats, Floats]:
        short = np.zeros_like(hinged[0])
        for weight, gap in zip(self.weights, hinged, strict=True):
            short += weight * gap
        return short, 1 / (1 + np.exp(-np.clip(alpha - beta * short, -30, 30)))

    def _loss(self, offered: Floats, alpha: float, log_beta: float) -> float:
        hinged, _ = self._gaps(offered)
        _, chance = self._chance(hinged, alpha, float(np.exp(log_beta)))
        likely = self.solved * np.log(chance) + (1 - self.solved) * np.log1p(-chance)
        away = offered - _MIDDLE
        mean = away.mean(axis=1, keepdims=True)
        return float(
            -likely.sum()
            + (mean**2).sum() / (2 * _STRENGTH_SD**2)
            + ((away - mean) ** 2).sum() / (2 * _DIFFERENCE_SD**2)
            + (alpha - self.prior.alpha) ** 2 / (2 * _ALPHA_SD**2)
            + (log_beta - np.log(self.prior.beta)) ** 2 / (2 * _LOG_BETA_SD**2)
        )

    def _derivatives(self, offered: Floats, alpha: float, log_beta: float) -> tuple[Floats, Floats]:
        """Gradient (m*K + 2,) and expected curvature of the loss; last come alpha and log beta.

        What is not fitted has gradient 0 and no share in the others' curvature.
        """
        models, axes = offered.shape
        size = models * axes
        beta = float(np.exp(log_beta))
        hinged, slopes = self._gaps(offered)
        short, chance = self._chance(hinged, alpha, beta)
        error, curve = chance - self.solved, chance * (1 - chance)  # (n, m)
        gradient, curvature = np.zeros(size + 2), np.zeros((size + 2, size + 2))
        # how the curve's argument moves: by an offer, by alpha (1), by log beta
        by_beta = -beta * short
        if self.fit_offered:
            by_offer = [
                beta * weight * slope for weight, slope in zip(self.weights, slopes, strict=True)
            ]
            at = np.arange(models) * axes
            for axis, move in enumerate(by_offer):
                gradient[at + axis] = (error * move).sum(axis=0)
                weighed = curve * move
                for other in range(axis + 1):
                    block = (weighed * by_offer[other]).sum(axis=0)
                    curvature[at + axis, at + other] = curvature[at + other, at + axis] = block
                curvature[at + axis, size] = curvature[size, at + axis] = weighed.sum(axis=0)
                cross = (weighed * by_beta).sum(axis=0)
                curvature[at + axis, size + 1] = curvature[size + 1, at + axis] = cross
        away = offered - _MIDDLE
        mean = away.mean(axis=1, keepdims=True)
        even = np.full((axes, axes), 1 / axes)
        precision = even / (axes * _STRENGTH_SD**2) + (np.eye(axes) - even) / _DIFFERENCE_SD**2
        pull = mean / (axes * _STRENGTH_SD**2) + (away - mean) / _DIFFERENCE_SD**2
        if self.fit_offered:
            gradient[:size] += pull.reshape(-1)
        curvature[:size, :size] += np.kron(np.eye(models), precision)
        # an offer at an edge that would leave stays there, and moves nobody else
        low, high = self.edges
        slope = gradient[:size].reshape(offered.shape)
        stuck = ((offered <= low) & (slope > 0)) | ((offered >= high) & (slope < 0))
        held = np.flatnonzero(stuck.reshape(-1))
        gradient[held] = 0
        curvature[held, :] = curvature[:, held] = 0
        curvature[held, held] = 1
        if self.fit_curve:
            gradient[size] = error.sum() + (alpha - self.prior.alpha) / _ALPHA_SD**2
            gradient[size + 1] = (error * by_beta).sum()
            gradient[size + 1] += (log_beta - np.log(self.prior.beta)) / _LOG_BETA_SD**2
            curvature[size, size] = curve.sum() + 1 / _ALPHA_SD**2
            cross = (curve * by_beta).sum()
            curvature[size, size + 1] = curvature[size + 1, size] = cross
            curvature[size + 1, size + 1] = (curve * by_beta**2).sum() + 1 / _LOG_BETA_SD**2
        else:
            curvature[size:, :] = curvature[:, size:] = 0
            curvature[size, size] = curvature[size + 1, size + 1] = 1
        return gradient, curvature
