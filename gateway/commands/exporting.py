"""`hydra-gateway export`: decisions to Parquet, CSV or JSON lines."""

import argparse
import sys
from typing import Any

from gateway import export as exports
from gateway.commands.log import given_filters
from gateway.commands.log_access import from_redis
from gateway.commands.output import print_json
from gateway.errors import GatewayError
from gateway.feedback import Feedback
from gateway.listing import Listing


def export(options: argparse.Namespace) -> int:
    """Write what the log holds now."""
    is_piped = options.out == exports.STDOUT
    if is_piped and options.json:
        raise GatewayError("--json needs a file as OUT: the standard output has the decisions")

    async def read(client: Any) -> exports.Exported:
        order = exports.order(
            options.out, options.format, given_filters(options), is_incremental=options.incremental
        )
        return await exports.run(order, Listing(client), Feedback(client, ttl_s=0))

    found = from_redis(read)
    for warning in found.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    if options.json:
        print_json(found.to_dict())
    else:
        words = "decision" if found.rows == 1 else "decisions"
        where = ", ".join(found.files) or options.out
        print(f"{found.rows} {words}: {where}", file=sys.stderr if is_piped else sys.stdout)
    return 0
