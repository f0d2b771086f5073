"""All checks, in the order in which a person would mend what they find."""

from collections.abc import Callable, Mapping
from typing import Final

from gateway.doctor import (
    catalog_checks,
    installation,
    machine,
    providers,
    redis_checks,
    settings_checks,
    spool_checks,
)
from gateway.doctor.finding import Finding
from gateway.doctor.installation import Installation

CHECKS: Final[tuple[Callable[[Installation], list[Finding]], ...]] = (
    machine.python,
    settings_checks.settings,
    settings_checks.dotenv,
    settings_checks.callers,
    catalog_checks.predictor,
    catalog_checks.catalog,
    catalog_checks.profiles,
    catalog_checks.provider_keys,
    catalog_checks.prices,
    catalog_checks.modes,
    providers.providers,
    redis_checks.reachable,
    redis_checks.writable,
    redis_checks.persistence,
    redis_checks.memory,
    redis_checks.clock,
    machine.data_folder,
    spool_checks.undelivered,
    machine.port,
    machine.open_files,
)


def examine(environ: Mapping[str, str], *, online: bool = False) -> list[Finding]:
    """What every check finds; `online` asks the providers, too."""
    found = installation.read(environ, online=online)
    return [finding for check in CHECKS for finding in check(found)]
