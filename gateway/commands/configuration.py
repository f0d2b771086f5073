"""`hydra-gateway check`: the whole configuration, read as `serve` reads it; connects nowhere."""

import argparse
import os
from datetime import UTC, datetime

from gateway import catalog, price_list
from gateway.commands.output import print_json
from gateway.doctor.modes import outdated
from gateway.errors import ConfigError
from gateway.serving import Plan, plan


def check(options: argparse.Namespace) -> int:
    """Name every problem, or what would be served and what to know of it."""
    try:
        planned = plan(os.environ)
    except ConfigError as exc:
        if options.json:
            print_json({"ok": False, "problems": exc.problems, "warnings": []})
            return 3
        raise
    found = planned.catalog
    warnings = [
        *planned.settings.warnings,
        *outdated(found, planned.predictor.sha256),
        *catalog.warnings(found),
        *price_list.warnings(found, datetime.now(UTC).date()),
    ]
    if options.json:
        print_json(_as_json(planned, warnings))
        return 0
    for warning in warnings:
        print(f"warning: {warning}")
    print(f"ok: {len(found.profiles)} profiles, {len(found.pools)} pools, catalog {found.sha}")
    if planned.is_demo:
        print("demo: no provider key is set, the built-in demo upstream would answer")
    for name in found.pools[planned.pool_name].left_out:
        print(f"left out: {name}: {found.unusable[name]}")
    return 0


def _as_json(planned: Plan, warnings: list[str]) -> dict[str, object]:
    found = planned.catalog
    return {
        "ok": True,
        "problems": [],
        "warnings": warnings,
        "demo": planned.is_demo,
        "pool": planned.pool_name,
        "profiles": [name for name in found.profiles if found.is_usable(name)],
        "unusable": found.unusable,
        "catalog_sha": found.sha,
        "predictor_sha": planned.predictor.sha256[:16],
    }
