"""`hydra-gateway completion`, and the names that a shell completes.

Light, since a person waits at each press of Tab: names are read from the files as they are.
"""

import argparse
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import yaml
from argcomplete.shell_integration import shellcode
from dotenv import load_dotenv

from gateway.errors import ConfigError
from gateway.settings import Settings

PROGRAM: Final = "hydra-gateway"


def completion(options: argparse.Namespace) -> int:
    """Print what a shell must run once to complete our commands."""
    print(shellcode([PROGRAM], shell=options.shell))
    return 0


def names(what: str) -> list[str]:
    """The profiles, pools or keys that there are; none where the configuration is wrong."""
    load_dotenv(Path(".env"), override=False)
    try:
        settings = Settings.from_env(os.environ)
        return _SOURCES[what](settings)
    except (ConfigError, OSError, yaml.YAMLError):
        return []


def _profiles(settings: Settings) -> list[str]:
    read = (_mapping(path).get("name") for path in settings.catalog_folder.glob("*.yaml"))
    return [name for name in read if isinstance(name, str)]


def _pools(settings: Settings) -> list[str]:
    found = _mapping(settings.catalog_folder / "pools.yaml").get("pools")
    return list(found) if isinstance(found, dict) else []


def _keys(settings: Settings) -> list[str]:
    return [key.id for key in settings.keys]


def _mapping(path: Path) -> Mapping[str, Any]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times quicker, where it was built
    found = yaml.load(path.read_bytes(), loader)
    return found if isinstance(found, dict) else {}


_SOURCES: Final[Mapping[str, Callable[[Settings], list[str]]]] = {
    "profiles": _profiles,
    "pools": _pools,
    "keys": _keys,
}
