"""`hydra-gateway decisions --follow`: the log as it grows, as `tail -f` shows a file.

Asks Redis twice a second, as the tail over HTTP does (log_tail.py); it needs no gateway for it.
"""

import asyncio
import sys
from collections.abc import Mapping
from typing import Any, Protocol

from gateway import stream_fields
from gateway.commands.log_access import from_redis
from gateway.commands.output import print_json_line
from gateway.filters import matcher
from gateway.ledger import LogUnavailable
from gateway.listing import Listing, lowest_id
from gateway.log_tail import POLL_S
from gateway.tables.decisions import Lines


class Printer(Protocol):
    def __call__(self, record: Mapping[str, Any], /) -> None: ...


def follow(filters: Mapping[str, str], *, earlier: int, is_json: bool) -> int:
    """Print decisions as they are logged, until interrupted: first `earlier` that are there or,
    with `since` among the filters, all since then. Raises GatewayError if the log can't be read at
    first; an outage later is said on stderr once and waited for.
    """
    show = print_json_line if is_json else Lines().show

    async def read(client: Any) -> None:
        await _follow(Listing(client), filters, earlier, show)

    from_redis(read)
    return 0


async def _follow(
    listing: Listing, filters: Mapping[str, str], earlier: int, show: Printer
) -> None:
    matcher(filters)  # complains before anything is printed
    last = lowest_id(filters) if "since" in filters else await listing.last_id()
    if earlier and "since" not in filters:
        page = await listing.page(filters=filters, limit=earlier, cursor=_next_id(last))
        for record in reversed(page.data):
            show(record)
    is_away = False
    while True:
        try:
            step = await listing.after(last, filters)
        except LogUnavailable as exc:
            if not is_away:
                print(f"{exc}; it is asked again", file=sys.stderr, flush=True)
            is_away = True
            await asyncio.sleep(POLL_S)
            continue
        is_away, last = False, step.reached
        for _, entry in step.found:
            show(stream_fields.decode(entry))
        if step.is_last:
            await asyncio.sleep(POLL_S)


def _next_id(entry_id: str) -> str | None:
    """The id right after one of the stream, so that a page ends with it; None: it is empty."""
    milliseconds, _, number = entry_id.partition("-")
    return None if milliseconds == "0" else f"{milliseconds}-{int(number) + 1}"
