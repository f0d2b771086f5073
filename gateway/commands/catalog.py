"""`hydra-gateway models` and `prices`: what the catalog says of its profiles."""

import argparse
import os
from datetime import UTC, datetime
from typing import Any

from gateway import price_list
from gateway.catalog import Catalog
from gateway.commands.output import print_json
from gateway.serving import plan
from gateway.tables import catalog as tables
from gateway.tables.terminal import show


def models(options: argparse.Namespace) -> int:
    """Capabilities, limits and pools."""
    found = plan(os.environ).catalog
    if options.json:
        print_json([_model(found, name) for name in sorted(found.profiles)])
    else:
        show(tables.models(found))
    return 0


def prices(options: argparse.Namespace) -> int:
    """Rates, or where they differ from litellm's table."""
    found, today = plan(os.environ).catalog, datetime.now(UTC).date()
    if options.diff:
        return _differences(found, is_json=options.json)
    rows = price_list.rows(found, today)
    if options.json:
        print_json(rows)
        return 0
    show(tables.prices(rows))
    for warning in price_list.warnings(found, today):
        print(f"warning: {warning}")
    return 0


def _differences(found: Catalog, *, is_json: bool) -> int:
    apart = price_list.differences(found)
    if is_json:
        print_json(apart)
        return 0
    if apart["differences"]:
        show(tables.price_differences(apart["differences"]))
    else:
        print("no profile's price differs from litellm's bundled table")
    if apart["not_in_the_table"]:
        print(f"not in the table: {', '.join(apart['not_in_the_table'])}")
    return 0


def _model(found: Catalog, name: str) -> dict[str, Any]:
    profile = found.profiles[name]
    return {
        "name": name,
        "litellm_model": profile.litellm_model,
        "capabilities": profile.capabilities,
        "pools": [pool.name for pool in found.pools.values() if pool.profile(name) is not None],
        "unusable": found.unusable.get(name),
    }
