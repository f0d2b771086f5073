"""A change of catalog files: what they say now and would say, as a diff, and the writing of it."""

import difflib
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from gateway import catalog
from gateway.catalog import POOLS_FILE
from gateway.evaluation import catalog_text
from gateway.evaluation.calibration import Calibration
from gateway.evaluation.fitting import Curve
from gateway.evaluation.inputs import World
from gateway.evaluation.outcomes import OutcomeError
from gateway.predictor_facts import facts
from gateway.profile import Pool


@dataclass(frozen=True, slots=True)
class CatalogChange:
    """Path -> the file's text before and after."""

    files: Mapping[Path, tuple[str, str]]

    @property
    def diff(self) -> str:
        return "".join(_diff(path, old, new) for path, (old, new) in self.files.items())

    def write(self, world: World) -> None:
        """Write it. Raises CatalogError before anything is overwritten, if it would not load."""
        with tempfile.TemporaryDirectory() as folder:
            for path in catalog.files(world.settings.catalog_folder):
                shutil.copy(path, folder)
            for path, (_, new) in self.files.items():
                (Path(folder) / path.name).write_text(new, encoding="utf-8")
            catalog.load(Path(folder), facts(world.predictor), {}, usable_without_keys=True)
        for path, (_, new) in self.files.items():
            path.write_text(new, encoding="utf-8")


def change(
    world: World, pool: Pool, found: Calibration, curve: Curve | None = None
) -> CatalogChange:
    """What a calibration makes of the catalog: modes, the pool's own curve, capabilities."""
    folder = world.settings.catalog_folder
    path = folder / POOLS_FILE
    old = path.read_text(encoding="utf-8")
    modes = {mode: each.knob for mode, each in found.modes.items()}
    new = catalog_text.with_modes(old, pool.name, modes, world.predictor_sha)
    if curve is not None:
        new = catalog_text.with_p_solve(new, pool.name, curve, world.predictor_sha)
    files = {path: (old, new)}
    for name, capabilities in found.capabilities.items():
        path = _profile_path(folder, name)
        old = path.read_text(encoding="utf-8")
        new = catalog_text.with_capabilities(old, world.predictor.dimensions, capabilities)
        files[path] = (old, new)
    return CatalogChange(files)


def _profile_path(folder: Path, name: str) -> Path:
    for path in catalog.files(folder):
        fields = yaml.safe_load(path.read_text(encoding="utf-8"))
        if isinstance(fields, dict) and str(fields.get("name")) == name:
            return path
    raise OutcomeError(f"{folder}: no file describes the profile '{name}'")


def _diff(path: Path, old: str, new: str) -> str:
    lines = difflib.unified_diff(
        old.splitlines(keepends=True), new.splitlines(keepends=True), str(path), str(path), n=1
    )
    return "".join(lines)
