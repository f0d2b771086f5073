"""What is examined: settings, predictor, catalog and Redis, each as far as it can be read.

Nothing here judges, and one part that is wrong hides none of the others: settings that can't be
read count as not set.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import predictor
from gateway import catalog
from gateway.catalog import Catalog
from gateway.doctor.redis_facts import RedisFacts
from gateway.errors import CatalogError, SettingsError
from gateway.intake import DEFAULT_POOL
from gateway.predictor_facts import facts
from gateway.profile import Pool
from gateway.settings import Settings
from predictor import Predictor

DOTENV: Final = Path(".env")


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """All that a check may want to know. What could not be read is None, with the reason beside."""

    environ: Mapping[str, str]
    settings: Settings
    settings_problems: tuple[str, ...]
    predictor: Predictor | None
    predictor_problem: str
    catalog: Catalog | None
    catalog_problems: tuple[str, ...]
    redis: RedisFacts
    online: bool

    @property
    def pool(self) -> Pool | None:
        """The one that serves `auto`."""
        if self.catalog is None:
            return None
        return self.catalog.pools.get(self.settings.pool or DEFAULT_POOL)

    @property
    def is_demo(self) -> bool:
        """Whether the demo upstream would answer."""
        return self.settings.profiles is None and self.pool is not None and not self.pool.profiles


def read(environ: Mapping[str, str], *, online: bool) -> Installation:
    """Read it all, once."""
    settings, settings_problems = _settings(environ)
    model, predictor_problem = None, ""
    found: Catalog | None = None
    catalog_problems: tuple[str, ...] = ()
    try:
        model = predictor.load(settings.predictor)
    except predictor.PredictorError as exc:
        predictor_problem = str(exc)
    else:
        try:
            found = catalog.load(settings.catalog_folder, facts(model), environ)
        except CatalogError as exc:
            catalog_problems = exc.problems
    return Installation(
        environ=environ,
        settings=settings,
        settings_problems=settings_problems,
        predictor=model,
        predictor_problem=predictor_problem,
        catalog=found,
        catalog_problems=catalog_problems,
        redis=RedisFacts.read(settings),
        online=online,
    )


def _settings(environ: Mapping[str, str]) -> tuple[Settings, tuple[str, ...]]:
    """The settings as if the wrong ones were not set, and what is wrong with those."""
    left = dict(environ)
    problems: tuple[str, ...] = ()
    while True:
        try:
            return Settings.from_env(left), problems
        except SettingsError as exc:
            problems += exc.problems
            for name in {found.partition(":")[0] for found in exc.problems}:
                left.pop(name, None)
                if name == "HYDRA_API_KEYS":  # two keys share a name, wherever they are
                    left.pop("HYDRA_API_KEYS_FILE", None)
                    left.pop("HYDRA_ADMIN_KEY", None)
