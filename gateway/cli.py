"""The command line: `hydra-gateway serve`, and looking at what was or would be decided.

Every command reads the same settings; the heavy parts are imported inside the command that needs
them, so that `--help` and `check` answer at once.
"""

import argparse
import asyncio
import contextlib
import datetime
import json
import os
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from gateway import __version__
from gateway.errors import ConfigError, GatewayError
from gateway.evaluation import arguments
from gateway.filters import LISTED, SHARED
from gateway.profile import MODES
from gateway.rollups import GROUPS

T = TypeVar("T")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0, 1 failed, 2 wrong usage, 3 wrong configuration."""
    options = parser().parse_args(arguments)
    _load_dotenv()
    try:
        code: int = options.command(options)
    except ConfigError as exc:
        from gateway.serving import report

        return report(exc)
    except GatewayError as exc:
        print(exc.message, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return code


def parser() -> argparse.ArgumentParser:
    """The whole command line; docs/cli.md is its help."""
    top = argparse.ArgumentParser(
        prog="hydra-gateway",
        description="An OpenAI-compatible gateway that picks the cheapest model that is good"
        " enough. Settings come from HYDRA_* variables and .env: docs/configuration.md.",
    )
    top.add_argument("--version", action="version", version=__version__)
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Callable[..., int], help: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=help, description=help)
        added.set_defaults(command=run)
        return added

    command("serve", _serve, "Start the gateway with the keys that are set; none: a demo.")
    command("demo", _demo, "Start the gateway on the demo upstream, whatever keys are set.")
    check = command("check", _check, "Check settings and catalog; names every problem, exit 3.")
    route = command("route", _route, "Show who would answer a prompt, and why; calls no model.")
    route.add_argument("prompt", help="the user's message, or - to read it from stdin")
    route.add_argument("--mode", choices=MODES, help="default: the pool's")
    route.add_argument("--threshold", type=float, help="a number instead of a mode")
    route.add_argument("--pool", help="default: HYDRA_POOL")
    decisions = command("decisions", _decisions, "List who answered, why, tokens and dollars.")
    decisions.add_argument("--limit", type=int, default=20, help="how many (20)")
    for name in (*LISTED, *SHARED):
        decisions.add_argument(f"--{name}", help=f"only this {name}")
    costs = command("costs", _costs, "Sum up spend, tokens and savings.")
    costs.add_argument(
        "--group-by", default="model", help=f"comma list of {', '.join(GROUPS)} (model)"
    )
    for each in (decisions, costs):
        each.add_argument("--since", help="ISO 8601 time or Unix seconds")
        each.add_argument("--until", help="ISO 8601 time or Unix seconds")
    models = command("models", _models, "List the profiles, their capabilities and prices.")
    prices = command("prices", _prices, "List every profile's rates with their source and age.")
    prices.add_argument(
        "--diff", action="store_true", help="only where they differ from litellm's bundled table"
    )
    evaluate = command("evaluate", _evaluate, "Route recorded outcomes; frontier, hull, intervals.")
    arguments.add_evaluate(evaluate)
    calibrate = command("calibrate", _calibrate, "Fit a pool's modes to recorded outcomes.")
    arguments.add_calibrate(calibrate)
    for each in (check, route, decisions, costs, models, prices, evaluate, calibrate):
        each.add_argument("--json", action="store_true", help="JSON instead of a table")
    return top


def _serve(options: argparse.Namespace) -> int:
    from gateway.serving import serve

    return serve(os.environ)


def _demo(options: argparse.Namespace) -> int:
    from gateway.serving import serve

    return serve(os.environ, force_demo=True)


def _check(options: argparse.Namespace) -> int:
    from gateway import catalog, price_list
    from gateway.serving import plan

    try:
        planned = plan(os.environ)
    except ConfigError as exc:
        if options.json:
            _print_json({"ok": False, "problems": exc.problems, "warnings": []})
            return 3
        raise
    found = planned.catalog
    warnings = [*planned.settings.warnings, *_outdated(planned), *catalog.warnings(found)]
    warnings += price_list.warnings(found, _today())
    usable = [name for name in found.profiles if found.is_usable(name)]
    if options.json:
        _print_json(
            {
                "ok": True,
                "problems": [],
                "warnings": warnings,
                "demo": planned.is_demo,
                "pool": planned.pool_name,
                "profiles": usable,
                "unusable": found.unusable,
                "catalog_sha": found.sha,
                "predictor_sha": planned.predictor.sha256[:16],
            }
        )
        return 0
    for warning in warnings:
        print(f"warning: {warning}")
    print(f"ok: {len(found.profiles)} profiles, {len(found.pools)} pools, catalog {found.sha}")
    if planned.is_demo:
        print("demo: no provider key is set, the built-in demo upstream would answer")
    for name in found.pools[planned.pool_name].left_out:
        print(f"left out: {name}: {found.unusable[name]}")
    return 0


def _outdated(planned: Any) -> list[str]:
    """Pools whose modes were fitted for another predictor than the one that runs."""
    sha = planned.predictor.sha256
    return [
        f"pool {pool.name}: its modes were fitted for predictor {pool.fitted_for}, this one is"
        f" {sha[:16]}; run hydra-gateway calibrate"
        for pool in planned.catalog.pools.values()
        if pool.fitted_for is not None and not sha.startswith(pool.fitted_for)
    ]


def _route(options: argparse.Namespace) -> int:
    from gateway import tables
    from gateway.decision import record
    from gateway.intake import DEFAULT_POOL, Intake
    from gateway.prediction import Prediction
    from gateway.request import parse
    from gateway.serving import plan

    planned = plan(os.environ)
    text = sys.stdin.read() if options.prompt == "-" else options.prompt
    knobs = {"mode": options.mode, "threshold": options.threshold, "pool": options.pool}
    body = {
        "model": "auto",
        "messages": [{"role": "user", "content": text}],
        "hydra": {name: value for name, value in knobs.items() if value is not None},
    }
    prediction = Prediction(planned.predictor, timeout_ms=planned.settings.predictor_timeout_ms)
    intake = Intake(
        lambda: planned.catalog,
        prediction,
        default_pool=planned.settings.pool or DEFAULT_POOL,
    )
    chat = parse(json.dumps(body).encode(), {})
    routed = asyncio.run(intake.decide(chat, key_id=None))
    prediction.close()
    entry = record(routed.decision, routed.circumstances)
    if options.json:
        _print_json(entry)
    else:
        tables.show(tables.decision(entry))
    return 0


def _decisions(options: argparse.Namespace) -> int:
    from gateway import tables
    from gateway.filters import FILTERS
    from gateway.ledger import Page

    filters = {name: getattr(options, name) for name in FILTERS if getattr(options, name)}

    async def read(ledger: Any) -> Page:
        page: Page = await ledger.decisions(filters=filters, limit=options.limit, cursor=None)
        return page

    page = _from_ledger(read)
    if options.json:
        _print_json(page.data)
    elif page.data:
        tables.show(tables.decisions(page.data))
    else:
        print("no decision matches" if filters else "no decisions yet")
    return 0


def _costs(options: argparse.Namespace) -> int:
    from gateway import tables

    group_by = tuple(filter(None, options.group_by.split(",")))

    async def read(ledger: Any) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = await ledger.costs(
            group_by=group_by, since=options.since, until=options.until
        )
        return rows

    rows = _from_ledger(read)
    if options.json:
        _print_json(rows)
    elif rows:
        tables.show(tables.costs(rows, group_by))
    else:
        print("no decisions yet")
    return 0


def _models(options: argparse.Namespace) -> int:
    from gateway import tables
    from gateway.serving import plan

    found = plan(os.environ).catalog
    if options.json:
        _print_json(
            [
                {
                    "name": name,
                    "litellm_model": profile.litellm_model,
                    "capabilities": profile.capabilities,
                    "pools": [
                        pool.name for pool in found.pools.values() if pool.profile(name) is not None
                    ],
                    "unusable": found.unusable.get(name),
                }
                for name, profile in sorted(found.profiles.items())
            ]
        )
    else:
        tables.show(tables.models(found))
    return 0


def _prices(options: argparse.Namespace) -> int:
    from gateway import price_list, tables
    from gateway.serving import plan

    found, today = plan(os.environ).catalog, _today()
    if options.diff:
        apart = price_list.differences(found)
        if options.json:
            _print_json(apart)
        elif apart["differences"]:
            tables.show(tables.price_differences(apart["differences"]))
        else:
            print("no profile's price differs from litellm's bundled table")
        if apart["not_in_the_table"] and not options.json:
            print(f"not in the table: {', '.join(apart['not_in_the_table'])}")
        return 0
    rows = price_list.rows(found, today)
    if options.json:
        _print_json(rows)
        return 0
    tables.show(tables.prices(rows))
    for warning in price_list.warnings(found, today):
        print(f"warning: {warning}")
    return 0


def _today() -> datetime.date:
    return datetime.datetime.now(datetime.UTC).date()


def _evaluate(options: argparse.Namespace) -> int:
    from gateway.evaluation.command import run_evaluate

    return _show(options, run_evaluate(options, os.environ))


def _calibrate(options: argparse.Namespace) -> int:
    from gateway.evaluation.command import run_calibrate

    return _show(options, run_calibrate(options, os.environ))


def _show(options: argparse.Namespace, shown: tuple[list[Any], dict[str, Any]]) -> int:
    """Print what a command found, for a person or as JSON."""
    from gateway import tables

    parts, value = shown
    if options.json:
        _print_json(value)
    else:
        tables.show(*parts)
    return 0


def _from_ledger(read: Callable[[Any], Awaitable[T]]) -> T:
    """What `read` gets from the log, whether a gateway runs or not."""
    from gateway.ledger import Ledger, LogUnavailable
    from gateway.redis_connection import connect
    from gateway.settings import Settings

    async def ask(url: str) -> T:
        client = connect(url)
        try:
            return await read(Ledger(client))
        finally:
            await client.aclose()

    settings = Settings.from_env(os.environ)
    if settings.redis_url is None and not (settings.data_dir / "redis").is_dir():
        raise GatewayError(
            f"no log in {settings.data_dir}: run this where the gateway runs, or set"
            " HYDRA_DATA_DIR or HYDRA_REDIS_URL"
        )
    try:
        with _redis_url(settings.redis_url, settings.data_dir) as url:
            return asyncio.run(ask(url))
    except ValueError as exc:
        raise ConfigError([str(exc)]) from exc
    except LogUnavailable as exc:
        raise GatewayError(str(exc)) from exc


@contextlib.contextmanager
def _redis_url(configured: str | None, data_dir: Path) -> Iterator[str]:
    """The Redis of a running gateway, or the embedded one started for this one look."""
    if configured is not None:
        yield configured
        return
    from gateway.embedded_redis import EmbeddedRedisError, running

    try:
        with running(data_dir) as url:
            yield url
    except EmbeddedRedisError as exc:
        raise ConfigError([str(exc)]) from exc


def _load_dotenv() -> None:
    """Add what .env says and the environment does not."""
    from dotenv import load_dotenv

    load_dotenv(Path(".env"), override=False)


def _print_json(value: object) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False, default=list))
