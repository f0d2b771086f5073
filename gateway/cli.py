"""The command line: its options, and which function of gateway/commands/ runs each command.

Nothing heavy is imported here, so that `--help`, a wrong option and a press of Tab answer at once;
the module of a command is imported when it runs.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Final

from gateway import __version__
from gateway.errors import ConfigError, GatewayError, UsageError
from gateway.evaluation import arguments as evaluation
from gateway.filters import LISTED, SHARED
from gateway.forgotten import NAMES
from gateway.profile import MODES
from gateway.rollups import GROUPS

_MAX_LIMIT: Final = 1000  # decisions in one list
_COMPLETED: Final = {"model": "profiles", "pool": "pools", "key": "keys"}
_TIME: Final = "ISO 8601 time or Unix seconds"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0, 1 failed, 2 wrong usage, 3 wrong configuration,
    130 interrupted."""
    top = parser()
    if "_ARGCOMPLETE" in os.environ:  # a shell asks what could come next
        import argcomplete

        argcomplete.autocomplete(top)
    options = top.parse_args(arguments)
    _load_dotenv()
    try:
        code = _run(options)
        sys.stdout.flush()  # here, where a reader that left is no traceback
    except ConfigError as exc:
        for problem in exc.problems:
            print(problem, file=sys.stderr)
        return 3
    except UsageError as exc:
        print(exc, file=sys.stderr)
        return 2
    except GatewayError as exc:
        print(exc.message, file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader has enough, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130
    return code


def _run(options: argparse.Namespace) -> int:
    module, _, function = options.run.partition(".")
    code: int = getattr(import_module(f"gateway.commands.{module}"), function)(options)
    return code


def _load_dotenv() -> None:
    """Add what .env says and the environment does not."""
    from dotenv import load_dotenv

    load_dotenv(Path(".env"), override=False)


def parser() -> argparse.ArgumentParser:
    """The whole command line; docs/cli.md is its help."""
    top = argparse.ArgumentParser(
        prog="hydra-gateway",
        description="An OpenAI-compatible gateway that picks the cheapest model that is good"
        " enough. Settings come from HYDRA_* variables and .env: docs/configuration.md.",
        epilog="Exit codes: 0 done, 1 failed, 2 wrong usage, 3 wrong configuration,"
        " 130 interrupted.",
    )
    top.add_argument("--version", action="version", version=__version__)
    commands = Commands(top)
    _add_serving(commands)
    _add_log(commands)
    _add_catalog(commands)
    _add_fitting(commands)
    shell = commands.add(
        *("completion", "shell.completion"),
        "Print what lets a shell complete commands, options and names.",
        "completion bash",
    )
    shell.add_argument("shell", choices=("bash", "zsh"), help="which one")
    return top


class Commands:
    """The commands of a parser, or those below one of them."""

    def __init__(self, parser: argparse.ArgumentParser, *, is_required: bool = True) -> None:
        self._parsers = parser.add_subparsers(required=is_required, metavar="COMMAND")

    def add(self, name: str, run: str, help: str, example: str) -> argparse.ArgumentParser:
        """A command that gateway.commands' `module.function` of `run` carries out."""
        added: argparse.ArgumentParser = self._parsers.add_parser(
            name,
            help=help,
            description=help,
            epilog=f"example: hydra-gateway {example}",
        )
        added.set_defaults(run=run)
        return added

    def add_reader(self, name: str, run: str, help: str, example: str) -> argparse.ArgumentParser:
        """One with something to tell, to a person or a program."""
        added = self.add(name, run, help, example)
        added.add_argument("--json", action="store_true", help="JSON instead of a table")
        return added


def _add_serving(commands: Commands) -> None:
    commands.add(
        *("serve", "server.serve"),
        "Start the gateway with the keys that are set; none: a demo.",
        "serve",
    )
    commands.add(
        *("demo", "server.demo"),
        "Start the gateway on the demo upstream, whatever keys are set.",
        "demo",
    )
    init = commands.add_reader(
        *("init", "starter.init"),
        "Write a catalog to start from; overwrites nothing unless forced.",
        "init",
    )
    init.add_argument(
        "folder", nargs="?", type=Path, default=Path("profiles"), help="default: profiles"
    )
    init.add_argument("--force", action="store_true", help="overwrite files that differ")
    commands.add_reader(
        *("check", "configuration.check"),
        "Check settings and catalog; names every problem, exit 3.",
        "check --json",
    )
    doctor = commands.add_reader(
        *("doctor", "doctor.doctor"),
        "Say what is wrong with everything around the gateway, and how to mend it.",
        "doctor --online",
    )
    doctor.add_argument(
        "--online", action="store_true", help="ask each provider, with a GET that costs nothing"
    )
    keys = commands.add_reader(
        "keys", "keys.show", "List the ids of the keys that may call.", "keys --json"
    )
    new = Commands(keys, is_required=False).add_reader(
        "new", "keys.new", "Make a key and say where it goes.", "keys new alice"
    )
    new.add_argument("name", nargs="?", metavar="NAME", help="what the log calls it")
    route = commands.add_reader(
        *("route", "routing.route"),
        "Show who would answer a prompt, and why; calls no model.",
        "route --mode peak 'prove that sqrt(2) is irrational'",
    )
    route.add_argument("prompt", help="the user's message, or - to read it from stdin")
    route.add_argument("--mode", choices=MODES, help="default: the pool's")
    route.add_argument("--threshold", type=float, help="a number instead of a mode")
    _completes(route.add_argument("--pool", help="default: HYDRA_POOL"), "pool")


def _add_log(commands: Commands) -> None:
    decisions = commands.add_reader(
        *("decisions", "log.decisions"),
        "List who answered, why, tokens and dollars.",
        "decisions --follow --status error",
    )
    decisions.add_argument(
        "--limit", type=_limit, help="how many (20; with --follow, of those already there: 0)"
    )
    decisions.add_argument(
        *("-f", "--follow"),
        action="store_true",
        help="print new ones as they come, until Ctrl-C; --json: one object a line",
    )
    export = commands.add_reader(
        *("export", "exporting.export"),
        "Write decisions to Parquet, CSV or JSON lines.",
        "export --since 2026-11-01 decisions.parquet",
    )
    export.add_argument("out", metavar="OUT", help="a file; - for the standard output")
    export.add_argument(
        "--format", choices=("parquet", "csv", "jsonl"), help="default: as OUT's name ends"
    )
    export.add_argument(
        "--incremental",
        action="store_true",
        help="go on where the last run with this OUT stopped; Parquet: OUT is a folder",
    )
    for each in (decisions, export):
        for name in (*LISTED, *SHARED):
            _completes(each.add_argument(f"--{name}", help=f"only this {name}"), name)
    costs = commands.add_reader(
        *("costs", "log.costs"),
        "Sum up spend, tokens and savings.",
        "costs --group-by day,model --since 2026-11-01",
    )
    costs.add_argument(
        "--group-by", default="model", help=f"comma list of {', '.join(GROUPS)} (model)"
    )
    for each in (decisions, export, costs):
        each.add_argument("--since", help=_TIME)
        each.add_argument("--until", help=_TIME)
    forget = commands.add_reader(
        *("forget", "forgetting.forget"),
        "Delete the decisions of a key, a user or a session.",
        "forget --user mary --dry-run",
    )
    for name in NAMES:
        words = f"of this {name}; of several names: that have all"
        _completes(forget.add_argument(f"--{name}", help=words), name)
    forget.add_argument("--dry-run", action="store_true", help="only say how many there are")
    forget.add_argument("--yes", action="store_true", help="do not ask")


def _add_catalog(commands: Commands) -> None:
    commands.add_reader(
        *("models", "catalog.models"),
        "List the profiles, their capabilities and prices.",
        "models",
    )
    prices = commands.add_reader(
        *("prices", "catalog.prices"),
        "List every profile's rates with their source and age.",
        "prices --diff",
    )
    prices.add_argument(
        "--diff", action="store_true", help="only where they differ from litellm's bundled table"
    )


def _add_fitting(commands: Commands) -> None:
    evaluate = commands.add_reader(
        *("evaluate", "fitting.evaluate"),
        "Route recorded outcomes; frontier, hull, intervals.",
        "evaluate --pool default outcomes.jsonl",
    )
    evaluation.add_evaluate(evaluate)
    calibrate = commands.add_reader(
        *("calibrate", "fitting.calibrate"),
        "Fit a pool's modes to outcomes or feedback.",
        "calibrate --from-log --since 2026-11-01",
    )
    evaluation.add_calibrate(calibrate)


def _limit(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= _MAX_LIMIT:
        raise argparse.ArgumentTypeError(f"expected 1 to {_MAX_LIMIT}, got '{text}'")
    return int(text)


def _completes(action: argparse.Action, name: str) -> None:
    """Let a shell complete its value, where that is the name of something configured."""
    if name in _COMPLETED:

        def completer(**_: object) -> list[str]:
            from gateway.commands.shell import names

            return names(_COMPLETED[name])

        action.completer = completer  # type: ignore[attr-defined] # where argcomplete looks
