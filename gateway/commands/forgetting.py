"""`hydra-gateway forget`: the decisions of a key, a user or a session, deleted.

Counts, asks, deletes; says on stderr how far it is.
"""

import argparse
import sys
import time
from collections.abc import AsyncIterator
from typing import Any, Final

from gateway.commands.log_access import from_redis
from gateway.commands.output import print_json
from gateway.deletion import Deletion, Progress
from gateway.errors import GatewayError, UsageError
from gateway.forgotten import NAMES, Selection
from gateway.ledger import LogUnavailable

_SAY_EVERY_S: Final = 1.0


def forget(options: argparse.Namespace) -> int:
    """Delete, or only count."""
    try:
        selection = Selection(**{name: getattr(options, name) for name in NAMES})
    except ValueError as exc:
        raise UsageError(str(exc)) from exc

    async def delete(client: Any) -> int:
        deletion = Deletion(client)
        if options.dry_run or not options.yes:
            found = await _last(deletion.count(selection), "found")
            if options.dry_run:
                return found
            _ask(found, selection)
        return await _last(deletion.forget(selection), "deleted")

    count = from_redis(delete)
    if options.json:
        print_json({"decisions": count, "dry_run": options.dry_run})
    else:
        print(f"{_number(count)} {'would be' if options.dry_run else 'were'} deleted")
    return 0


def _ask(found: int, selection: Selection) -> None:
    whose = " and ".join(f"{name} {value!r}" for name, value in selection.filters.items())
    print(f"{_number(found)} of {whose}, and the names in the sums", file=sys.stderr)
    print("This cannot be undone. Delete? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise GatewayError("nothing was deleted; --yes does not ask")


async def _last(steps: AsyncIterator[Progress], verb: str) -> int:
    count, said = 0, time.monotonic()
    try:
        async for progress in steps:
            count = progress.deleted
            if time.monotonic() - said >= _SAY_EVERY_S:
                said = time.monotonic()
                print(f"{progress.doing}: {_number(count)} {verb}", file=sys.stderr)
    except LogUnavailable as error:
        raise LogUnavailable(f"{error}; {_number(count)} {verb}: run it again") from error
    return count


def _number(count: int) -> str:
    return f"{count:,} decision{'' if count == 1 else 's'}"
