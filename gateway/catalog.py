"""The catalog: one YAML file per model, the pools, the dimensions; read, checked, made into values.

All problems are reported at once, each with file, line and field, and a catalog with a problem is
not loaded at all. Which profile a request gets is routing.py's business.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway import anchors, pools_file, profile_file, yaml_fields
from gateway.errors import CatalogError
from gateway.profile import Dimension, Pool, PredictorFacts, Profile
from gateway.profile_file import Draft

POOLS_FILE: Final = "pools.yaml"
DIMENSIONS_FILE: Final = "dimensions.yaml"
REFERENCE_FILE: Final = "reference.yaml"  # ships with the predictor


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """All that a gateway may route to. `pools` hold usable profiles only."""

    profiles: Mapping[str, Profile]
    pools: Mapping[str, Pool]
    dimensions: tuple[Dimension, ...]
    unusable: Mapping[str, str]  # profile name -> why
    sha: str

    def is_usable(self, name: str) -> bool:
        return name in self.profiles and name not in self.unusable


def load(
    folder: Path,
    facts: PredictorFacts,
    environ: Mapping[str, str],
    *,
    usable_without_keys: bool = False,
) -> Catalog:
    """Read a catalog folder. Raises CatalogError with every problem found.

    A profile whose `api_key_env` is not set in `environ` is unusable, unless the demo upstream
    answers for it (`usable_without_keys`).
    """
    problems: list[str] = []
    paths = files(folder)
    if not any(path.name == POOLS_FILE for path in paths):
        raise CatalogError([f"{folder / POOLS_FILE}:1: pools: no such file; a catalog needs it"])
    dimensions = _dimensions(folder / DIMENSIONS_FILE, facts, problems)
    reference = _reference(facts.reference, problems)
    if problems:  # without axes and scales nothing else can be judged
        raise CatalogError(problems)
    drafts: dict[str, Draft] = {}
    for path in paths:
        if path.name in (POOLS_FILE, DIMENSIONS_FILE):
            continue
        draft = profile_file.read(path, dimensions, reference, facts, problems)
        if draft is None:
            continue
        if draft.profile.name in drafts:
            problems.append(f"{path}:1: name: '{draft.profile.name}' is taken by another file")
        drafts[draft.profile.name] = draft
    unusable = {
        name: f"{draft.profile.api_key_env} is not set"
        for name, draft in drafts.items()
        if draft.profile.api_key_env
        and not environ.get(draft.profile.api_key_env)
        and not usable_without_keys
    }
    pools = pools_file.read(folder / POOLS_FILE, drafts, unusable, dimensions, facts, problems)
    if problems:
        raise CatalogError(problems)
    return Catalog(
        profiles={name: draft.profile for name, draft in drafts.items()},
        pools=pools,
        dimensions=dimensions,
        unusable=unusable,
        sha=_sha([*paths, facts.reference]),
    )


def warnings(catalog: Catalog) -> list[str]:
    """What is allowed in a pool's profiles but keeps them from being chosen, for a person."""
    routed = {profile.name: profile for pool in catalog.pools.values() for profile in pool.profiles}
    found = []
    for name, profile in sorted(routed.items()):
        if profile.price is None:
            found.append(f"{name}: its price is unknown, so it ranks last and its cost is unknown")
        if not profile.features:
            found.append(f"{name}: it lists no features, so requests with tools or images skip it")
    return found


def files(folder: Path) -> list[Path]:
    """The files that make up the catalog, in order of name; hidden files are not part."""
    return sorted(
        path for path in folder.glob("*.yaml") if path.is_file() and not path.name.startswith(".")
    )


def _dimensions(path: Path, facts: PredictorFacts, problems: list[str]) -> tuple[Dimension, ...]:
    top = yaml_fields.read(path, problems)
    table = top.mapping("dimensions", required=True) if top else None
    if top is None or table is None:
        return ()
    found: list[Dimension] = []
    for name, fields in table.mappings():
        benchmarks = fields.mapping("benchmarks", required=True)
        weight = fields.number("weight")
        found.append(
            Dimension(
                name=name,
                description=fields.text("description") or "",
                weight=1.0 if weight is None else float(weight),
                benchmarks={} if benchmarks is None else benchmarks.numbers(),
            )
        )
        fields.close()
    top.close()
    names = tuple(dimension.name for dimension in found)
    if names != facts.dimensions:
        wanted = ", ".join(facts.dimensions)
        top.reject("dimensions", f"must be the predictor's, in its order: {wanted}")
        return ()
    return tuple(found)


def _reference(path: Path, problems: list[str]) -> dict[str, anchors.Range]:
    """Benchmark -> (floor, ceiling) in percent."""
    top = yaml_fields.read(path, problems)
    table = top.mapping("benchmarks", required=True) if top else None
    ranges: dict[str, anchors.Range] = {}
    for name, fields in table.mappings() if table else ():
        floor, ceiling = (
            fields.number(edge, high=100, required=True) for edge in ("floor", "ceiling")
        )
        fields.text("description")
        fields.text("source")
        fields.close()
        if floor is not None and ceiling is not None:
            if floor >= ceiling:
                fields.reject("ceiling", "must be above the floor")
            else:
                ranges[name] = (float(floor), float(ceiling))
    return ranges


def _sha(paths: Sequence[Path]) -> str:
    """A digest of the files' names and bytes: the same catalog has the same sha everywhere."""
    digest = hashlib.sha256()
    for path in paths:
        content = path.read_bytes()
        digest.update(f"{path.name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()[:16]
