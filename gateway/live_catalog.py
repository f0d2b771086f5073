"""The catalog as it is now: reread when its files change, kept as it was when the change is wrong.

Watching is by polling names, sizes and times: it works on every file system and mount, and a folder
of some dozen files costs less than a millisecond a second.
"""

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from gateway import catalog
from gateway.catalog import Catalog
from gateway.errors import CatalogError
from gateway.profile import PredictorFacts

logger = logging.getLogger(__name__)

_POLL_S: Final = 1.0

_Fingerprint = tuple[tuple[str, int, int], ...]


class LiveCatalog:
    """The running catalog. The first load must succeed: raises CatalogError."""

    def __init__(
        self,
        folder: Path,
        facts: PredictorFacts,
        environ: Mapping[str, str],
        *,
        usable_without_keys: bool = False,
    ) -> None:
        self._usable_without_keys = usable_without_keys
        self._folder = folder
        self._facts = facts
        self._environ = environ
        self._seen = self._fingerprint()
        self.problems: tuple[str, ...] = ()
        self.refusals = 0  # how often a changed catalog was wrong
        self.current: Catalog = self._load()

    async def watch(self) -> None:
        """Reload on change, for ever."""
        while True:
            await asyncio.sleep(_POLL_S)
            self.refresh()

    def refresh(self) -> None:
        """Reread the folder if it changed; a wrong catalog is reported and not taken."""
        fingerprint = self._fingerprint()
        if fingerprint == self._seen:
            return
        self._seen = fingerprint
        try:
            self.current = self._load()
        except CatalogError as exc:
            self.problems = exc.problems
            self.refusals += 1
            for problem in exc.problems:
                logger.error("catalog refused, the running one stays: %s", problem)
        except OSError as exc:  # a file went away between listing and reading
            self.problems = (f"{self._folder}: {exc}",)
            self.refusals += 1
            logger.error("catalog refused, the running one stays: %s", exc)
        else:
            self.problems = ()
            logger.info("catalog %s loaded", self.current.sha)

    def _load(self) -> Catalog:
        return catalog.load(
            self._folder,
            self._facts,
            self._environ,
            usable_without_keys=self._usable_without_keys,
        )

    def _fingerprint(self) -> _Fingerprint:
        found = []
        for path in catalog.files(self._folder):
            try:
                stat = path.stat()
            except FileNotFoundError:
                continue
            found.append((path.name, stat.st_mtime_ns, stat.st_size))
        return tuple(found)
