"""The command line's options of `evaluate` and `calibrate`. Light: `--help` must not wait."""

import argparse
from pathlib import Path
from typing import Final

from gateway.errors import UsageError

# What calibrating takes from one source only.
_OF_THE_LOG: Final = ("since", "until", "key", "tag")
_OF_FILES: Final = ("files", "mix", "rename", "cache", "fit_capabilities")


def add_evaluate(command: argparse.ArgumentParser) -> None:
    _add_outcomes(command, pool="a pool whose profiles the files name")
    command.add_argument("--models", help="comma list; default: those that every row has")
    command.add_argument("--scores", type=Path, help="YAML: {model: {benchmark: percent}}")
    command.add_argument(
        "--fit", action="store_true", help="fit a pool's capabilities too, on the other folds"
    )
    command.add_argument("--folds", type=_count, default=5, help="for what is fitted (5)")
    command.add_argument("--plot", type=Path, help="write cost against resolved to a .png or .svg")
    command.add_argument("--title", help="of the plot")


def add_calibrate(command: argparse.ArgumentParser) -> None:
    _add_outcomes(command, pool="whose modes are fitted; default: HYDRA_POOL")
    command.add_argument(
        "--from-log", action="store_true", help="fit to feedback in the log instead of files"
    )
    for name in ("since", "until"):
        command.add_argument(f"--{name}", help="of the log: ISO 8601 time or Unix seconds")
    for name in ("key", "tag"):
        command.add_argument(f"--{name}", help=f"of the log: only this {name}")
    command.add_argument(
        "--fit-capabilities", action="store_true", help="also fit profiles that have no scores"
    )
    command.add_argument("--yes", action="store_true", help="write the change into the catalog")


def check_calibrate(options: argparse.Namespace) -> None:
    """Raises UsageError where options do not go together."""
    unfit = _OF_FILES if options.from_log else _OF_THE_LOG
    given = [name for name in unfit if getattr(options, name)]
    if not given:
        return
    if not options.from_log:
        raise UsageError(f"{_flag(given[0])}: only with --from-log")
    what = "files" if "files" in given else _flag(given[0])
    raise UsageError(f"{what}: not with --from-log, which reads the log instead of files")


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _add_outcomes(command: argparse.ArgumentParser, *, pool: str) -> None:
    command.add_argument(
        "files", nargs="*", type=Path, metavar="FILE", help="outcomes: JSON lines, gzip or not"
    )
    command.add_argument(
        "--mix",
        action="append",
        default=[],
        type=_share,
        metavar="FILE=SHARE",
        help="draw this share of the rows from this file; repeat it",
    )
    command.add_argument("--pool", help=pool)
    command.add_argument(
        "--rename",
        action="append",
        default=[],
        type=_pair,
        metavar="OLD=NEW",
        help="another name for a model of the files; repeat it",
    )
    command.add_argument(
        "--unit-cost",
        action="append",
        default=[],
        type=_amount,
        metavar="MODEL=USD",
        help="what every query costs on this model, instead of the file's costs; repeat it",
    )
    command.add_argument("--resamples", type=_count, default=1000, help="of the bootstrap (1000)")
    command.add_argument("--seed", type=int, default=0, help="of folds, mixture, bootstrap (0)")
    command.add_argument(
        "--cache", type=Path, help="folder of the predictor's readings; default: in HYDRA_DATA_DIR"
    )


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 2:
        raise argparse.ArgumentTypeError(f"expected a whole number, 2 or more, got '{text}'")
    return int(text)


def _pair(text: str) -> tuple[str, str]:
    name, _, value = text.rpartition("=")
    if not (name and value):
        raise argparse.ArgumentTypeError(f"expected NAME=VALUE, got '{text}'")
    return name, value


def _amount(text: str) -> tuple[str, float]:
    name, value = _pair(text)
    try:
        amount = float(value)
    except ValueError:
        amount = -1.0
    if not 0 <= amount < float("inf"):
        raise argparse.ArgumentTypeError(f"expected NAME=NUMBER, 0 or more, got '{text}'")
    return name, amount


def _share(text: str) -> tuple[Path, float]:
    name, share = _amount(text)
    return Path(name), share
