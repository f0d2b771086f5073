"""`hydra-gateway evaluate` and `calibrate`: the ruler for routers, and modes fitted by it."""

import argparse
import os
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from gateway.commands.log_access import from_redis
from gateway.commands.output import print_json
from gateway.evaluation.command import run_calibrate, run_evaluate
from gateway.feedback import Feedback
from gateway.ledger import Ledger
from gateway.tables.terminal import show

T = TypeVar("T")


def evaluate(options: argparse.Namespace) -> int:
    """Measure routers on recorded outcomes."""
    return _show(options, run_evaluate(options, os.environ))


def calibrate(options: argparse.Namespace) -> int:
    """Fit a pool's modes to outcomes or feedback."""
    return _show(options, run_calibrate(options, os.environ, _ask))


def _ask(read: Callable[[Any, Any], Awaitable[T]]) -> T:
    return from_redis(lambda client: read(Ledger(client), Feedback(client, ttl_s=0)))


def _show(options: argparse.Namespace, shown: tuple[list[Any], dict[str, Any]]) -> int:
    """Print what a command found, for a person or as JSON."""
    parts, value = shown
    if options.json:
        print_json(value)
    else:
        show(*parts)
    return 0
