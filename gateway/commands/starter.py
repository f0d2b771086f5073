"""`hydra-gateway init`: the catalog that came with the gateway, as files to edit."""

import argparse
import os
from pathlib import Path
from typing import Any, Final

import predictor
from gateway import catalog
from gateway.catalog import Catalog
from gateway.commands.output import print_json
from gateway.errors import GatewayError
from gateway.intake import DEFAULT_POOL
from gateway.predictor_facts import facts
from gateway.settings import shipped_catalog

_USUAL: Final = Path("profiles")  # where serve looks without being told


def init(options: argparse.Namespace) -> int:
    """Write the files that are not there yet, and say what next."""
    folder: Path = options.folder
    files = {path.name: path.read_bytes() for path in _shipped()}
    new = {name: content for name, content in files.items() if not _is(folder / name, content)}
    in_the_way = [name for name in new if (folder / name).exists()]
    if in_the_way and not options.force:
        names = ", ".join(str(folder / name) for name in in_the_way)
        raise GatewayError(f"nothing was written, these files differ: {names}; --force overwrites")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in new.items():
            (folder / name).write_bytes(content)
    except OSError as exc:
        where = exc.filename or folder
        raise GatewayError(f"{where}: cannot be written: {exc.strerror or exc}") from exc
    # The shipped predictor: HYDRA_PREDICTOR may name one of other dimensions.
    found = catalog.load(folder, facts(predictor.load()), os.environ)
    if options.json:
        print_json(_as_json(folder, sorted(new), found))
    else:
        print(_words(folder, sorted(new), found))
    return 0


def _shipped() -> list[Path]:
    folder = shipped_catalog()
    return sorted([*catalog.files(folder), folder / "README.md"])


def _is(path: Path, content: bytes) -> bool:
    try:
        return path.read_bytes() == content
    except OSError:
        return False


def _as_json(folder: Path, written: list[str], found: Catalog) -> dict[str, Any]:
    return {
        "folder": str(folder),
        "written": written,
        "usable": [name for name in found.profiles if found.is_usable(name)],
        "unusable": found.unusable,
    }


def _words(folder: Path, written: list[str], found: Catalog) -> str:
    pool = found.pools[DEFAULT_POOL]
    usable = [profile.name for profile in pool.profiles]
    count = f"{len(written)} file{'' if len(written) == 1 else 's'}"
    lines = [f"{folder}: {count} written" if written else f"{folder}: all of it is there already"]
    lines += ["", f"  pool {pool.name}"]
    lines += [f"    usable: {', '.join(usable)}"] if usable else []
    lines += [f"    left out: {name} ({found.unusable[name]})" for name in pool.left_out]
    steps = ["edit the files, one a model; README.md has every field"]
    if not usable:
        steps.append("put the keys of your providers into .env; without any, a demo answers")
    setting = "" if folder.resolve() == _USUAL.resolve() else f"HYDRA_PROFILES={folder} "
    steps += [f"{setting}hydra-gateway {command}" for command in ("doctor", "serve")]
    return "\n".join([*lines, "", "next", *(f"  {step}" for step in steps)])
