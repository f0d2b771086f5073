"""`hydra-gateway decisions` and `costs`: what the log holds, and what it sums up."""

import argparse
from typing import Any

from gateway.commands import following
from gateway.commands.log_access import from_ledger, from_redis
from gateway.commands.output import print_json
from gateway.errors import UsageError
from gateway.feedback import Feedback
from gateway.filters import FILTERS
from gateway.ledger import Ledger, Page
from gateway.tables import costs as cost_tables
from gateway.tables import decisions as tables
from gateway.tables.terminal import show

_LIMIT = 20


def decisions(options: argparse.Namespace) -> int:
    """The newest decisions, or those to come."""
    filters = given_filters(options)
    if options.follow:
        if options.until:
            raise UsageError("--until: not with --follow, which ends when you end it")
        return following.follow(filters, earlier=options.limit or 0, is_json=options.json)

    async def read(client: Any) -> Page:
        limit = options.limit or _LIMIT
        page = await Ledger(client).decisions(filters=filters, limit=limit, cursor=None)
        await Feedback(client, ttl_s=0).join(page.data)
        return page

    page = from_redis(read)
    if options.json:
        print_json(page.data)
    elif page.data:
        show(tables.decisions(page.data))
    else:
        print("no decision matches" if filters else "no decisions yet")
    return 0


def costs(options: argparse.Namespace) -> int:
    """Spend, tokens and savings by group."""
    group_by = tuple(filter(None, options.group_by.split(",")))

    async def read(ledger: Ledger) -> list[dict[str, Any]]:
        return await ledger.costs(group_by=group_by, since=options.since, until=options.until)

    rows = from_ledger(read)
    if options.json:
        print_json(rows)
    elif rows:
        show(cost_tables.costs(rows, group_by))
    else:
        print("no decisions yet")
    return 0


def given_filters(options: argparse.Namespace) -> dict[str, str]:
    """Those of the options that have a value."""
    return {name: getattr(options, name) for name in FILTERS if getattr(options, name)}
