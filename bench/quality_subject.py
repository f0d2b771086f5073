"""A predictor beside the shipped catalog: text to requirements to a profile, as in serving.

It knows no measure and no sample. Profiles count as usable without their keys, and the caller says
at which request's prices a choice is made, so that two wordings can be compared on one basis.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import predictor
from gateway import catalog, demands
from gateway.predictor_facts import facts
from gateway.routing import MIN_BAND_WIDTH, decide
from predictor.predictor import SHIPPED
from predictor.render import render

PROFILES = Path(__file__).parent.parent / "profiles"
Vector = NDArray[np.float64]


class Subject:
    """A predictor and the pool it routes to; each text is predicted once."""

    def __init__(self, model: predictor.Predictor, pool: str = "default") -> None:
        known = facts(model)
        if not known.reference.exists():  # a folder fresh from training
            known = replace(known, reference=SHIPPED / known.reference.name)
        found = catalog.load(PROFILES, known, {}, usable_without_keys=True)
        self.model = model
        self.dimensions = model.dimensions
        self.pool = found.pools[pool]
        # the default mode first
        self.modes = sorted(self.pool.modes, key=lambda mode: mode != self.pool.default_mode)
        low, high = np.array(model.bands).T
        self.middles: Vector = (low + high) / 2  # (K,)
        self.widths: Vector = np.maximum(high - low, MIN_BAND_WIDTH)  # (K,)
        self._known: dict[str, Vector] = {}

    def vector(self, text: str) -> Vector:
        """Requirements (K,) of a lone user message."""
        rendered = render([{"role": "user", "content": text}])
        if rendered not in self._known:
            self._known[rendered] = np.array(self.model.predict(rendered))
        return self._known[rendered]

    def chosen(self, requirements: Vector, priced_as: str, mode: str) -> str:
        """The profile for these requirements at the prices of the request `priced_as`."""
        needs = demands.of({}, [{"role": "user", "content": priced_as}])
        values = tuple(float(value) for value in requirements)
        return decide(values, needs, self.pool, self.pool.modes[mode]).chosen

    def cheapest(self, priced_as: str) -> str:
        """The profile for a request that needs nothing."""
        return self.chosen(np.zeros(len(self.dimensions)), priced_as, self.modes[0])
