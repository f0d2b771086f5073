"""What both commands read: settings, predictor, catalog, outcome files and the scores of models."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import yaml

import predictor
from gateway import anchors, catalog
from gateway.catalog import REFERENCE_FILE, Catalog
from gateway.demands import of
from gateway.errors import ConfigError
from gateway.evaluation import outcomes
from gateway.evaluation.crossfit import Scale
from gateway.evaluation.fitting import Curve
from gateway.evaluation.outcomes import Floats, OutcomeError, Row, Table
from gateway.predictor_facts import facts
from gateway.profile import Pool
from gateway.routing import expected_cost
from gateway.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """The configuration as it is: calibrating and evaluating need no provider keys."""

    settings: Settings
    catalog: Catalog
    predictor: predictor.Predictor

    def pool(self, name: str) -> Pool:
        found = self.catalog.pools.get(name)
        if found is None:
            names = ", ".join(self.catalog.pools)
            raise OutcomeError(f"no pool is named '{name}': there are {names}")
        return found

    def scale(self, pool: Pool | None) -> Scale:
        """The pool's weights and curve, or those of dimensions.yaml and the predictor."""
        raw = [dimension.weight for dimension in self.catalog.dimensions]
        weights = pool.weights if pool else tuple(weight / sum(raw) for weight in raw)
        model = self.predictor
        curve = self.shipped_curve
        if pool is not None and pool.alpha is not None and pool.beta is not None:
            curve = Curve(alpha=pool.alpha, beta=pool.beta)
        return Scale(dimensions=model.dimensions, weights=weights, bands=model.bands, curve=curve)

    @property
    def shipped_curve(self) -> Curve:
        """The predictor's own."""
        return Curve(alpha=self.predictor.alpha, beta=self.predictor.beta)

    @property
    def predictor_sha(self) -> str:
        """As records and catalogs name the predictor."""
        return self.predictor.sha256[:16]


def world(environ: Mapping[str, str]) -> World:
    """Read the configuration. Raises ConfigError with every problem."""
    settings = Settings.from_env(environ)
    try:
        model = predictor.load(settings.predictor)
    except predictor.PredictorError as exc:
        raise ConfigError([f"predictor: {exc}"]) from exc
    found = catalog.load(settings.catalog_folder, facts(model), environ, usable_without_keys=True)
    return World(settings=settings, catalog=found, predictor=model)


def rows(
    files: Sequence[Path], mix: Sequence[tuple[Path, float]], names: Mapping[str, str], seed: int
) -> list[Row]:
    """The rows of plain files, and of a mixture by shares; `names` renames models."""
    found = [row for path in files for row in outcomes.read(path)]
    if mix:
        parts = [outcomes.read(path) for path, _ in mix]
        found += outcomes.mixed(parts, [share for _, share in mix], seed)
    if not found:
        raise OutcomeError("give at least one outcome file")
    return outcomes.renamed(found, names) if names else found


def table(
    found: Sequence[Row],
    models: Sequence[str] | None,
    unit_cost: Mapping[str, float],
    pool: Pool | None,
) -> Table:
    """The table of a pool's profiles, of named models, or of all that every row has.

    A pool's profiles take the catalog's price for rows that carry no cost of theirs.
    """
    if pool is not None:
        found = [_priced(row, pool) for row in found]
        models = [profile.name for profile in pool.profiles]
    return outcomes.table(found, models, unit_cost)


def _priced(row: Row, pool: Pool) -> Row:
    costs = dict(row.cost_usd)
    demands = of({}, [{"role": "user", "content": row.text}])
    for profile in pool.profiles:
        usd = expected_cost(profile, demands)
        if profile.name not in costs and usd is not None:
            costs[profile.name] = float(usd)
    return replace(row, cost_usd=costs)


def pool_capabilities(pool: Pool, models: Sequence[str]) -> Floats:
    """(m, K) of the pool's profiles, in the order of `models`."""
    by_name = {profile.name: profile.capabilities for profile in pool.profiles}
    return np.array([by_name[name] for name in models])


def scored_capabilities(path: Path, models: Sequence[str], known: World) -> Floats:
    """(m, K) from a file of benchmark scores: `model: {benchmark: percent}`, as in a profile."""
    try:
        given = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as exc:
        raise OutcomeError(f"{path}: cannot be read: {exc}") from exc
    reference = _reference(known.predictor.folder / REFERENCE_FILE)
    found = []
    for model in models:
        scores = given.get(model) if isinstance(given, dict) else None
        if not isinstance(scores, dict) or not scores:
            raise OutcomeError(f"{path}: {model}: expected {{benchmark: percent}}")
        for name, score in scores.items():
            if name not in reference or isinstance(score, bool):
                raise OutcomeError(f"{path}: {model}.{name}: is not in the reference table")
            if not isinstance(score, int | float) or not 0 <= score <= 100:
                raise OutcomeError(f"{path}: {model}.{name}: expected percent, got {score!r}")
        row = []
        for dimension, band in zip(known.catalog.dimensions, known.predictor.bands, strict=True):
            anchor = anchors.mean_anchor(scores, dimension.benchmarks, reference)
            if anchor is None:
                wanted = ", ".join(dimension.benchmarks)
                raise OutcomeError(
                    f"{path}: {model}: no score exercises {dimension.name}; add one of {wanted}"
                )
            row.append(anchors.banded(anchor, band))
        found.append(row)
    return np.array(found)


def _reference(path: Path) -> dict[str, anchors.Range]:
    """The predictor's reference table, which the catalog has checked already."""
    given = yaml.safe_load(path.read_text(encoding="utf-8"))["benchmarks"]
    return {name: (float(entry["floor"]), float(entry["ceiling"])) for name, entry in given.items()}
