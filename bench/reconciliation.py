"""Whether the sums agree: a mixed load with a known bill, added up in four places.

A gateway, a Redis and a provider serve requests of every protocol: routed and by name, whole and
streamed, refused, fallen back, broken off in their middle, left by their clients, without a price,
without a count, cached, at other tiers, billed by the provider's own word. Then these must be the
same to the last digit, request by request and in every group, for requests, tokens, cost, baseline,
savings and unknown costs: what each must cost by hand (mixed_load.py), the log's decisions,
`/v1/costs`, and the rollups as they lie in Redis. A request with several tags counts once under
each. Exits with 1 where they differ. Last line: JSON.

    python bench/reconciliation.py [--count 100000] [--at-once 32] [--workers 1]
"""

import argparse
import asyncio
import collections
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import redis
import sums
from billed_models import write_catalog
from billed_provider import BilledProvider
from lanes import free_port
from mixed_load import KEYS, Ask, Bill, MixedLoad, ask, bill

from gateway.embedded_redis import running

ADMIN = "sk-admin-secret"
_FIELDS = (
    *("request_id", "ts", "served_by", "chosen", "key_id", "mode", "pool", "tags", "user"),
    *("session", "status", "cost_status", "usage", "cost_usd", "baseline_cost_usd", "savings_usd"),
)


@contextlib.contextmanager
def gateway(
    folder: Path, provider: str, redis_url: str, options: argparse.Namespace
) -> Iterator[str]:
    """A gateway process; gives its URL."""
    port = free_port()
    nobody = f"http://127.0.0.1:{free_port()}/v1"
    (folder / "profiles").mkdir()
    environ = {
        "HYDRA_PORT": str(port),
        "HYDRA_REDIS_URL": redis_url,
        "HYDRA_DATA_DIR": str(folder / "data"),
        "HYDRA_PROFILES": str(write_catalog(folder / "profiles", provider, nobody)),
        "HYDRA_API_KEYS": ",".join(f"{name}={secret}" for name, secret in KEYS.items()),
        "HYDRA_ADMIN_KEY": ADMIN,
        "HYDRA_LOG_MAX_DECISIONS": str(options.count + 10_000),  # all of them, and some more
        "HYDRA_WORKERS": str(options.workers),
        "BENCH_KEY": "x",
    }
    with (folder / "gateway.log").open("w+b") as log:
        command = [sys.executable, "-m", "gateway", "serve"]
        process = subprocess.Popen(command, env={**os.environ, **environ}, stdout=log, stderr=log)
        url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 90
        try:
            while not _answers(url):
                assert process.poll() is None, (folder / "gateway.log").read_text("utf-8")
                assert time.monotonic() < deadline, "the gateway did not start in 90 s"
                time.sleep(0.1)
            yield url
        finally:
            process.terminate()
            process.wait(timeout=60)


def _answers(url: str) -> bool:
    with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/healthz", timeout=5):
        return True
    return False


def get(url: str, path: str, secret: str, **query: str) -> Any:
    """A JSON answer of the gateway."""
    address = f"{url}{path}?{urllib.parse.urlencode(query)}"
    request = urllib.request.Request(address, headers={"authorization": f"Bearer {secret}"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


async def served(provider: BilledProvider, port: int, load: MixedLoad) -> float:
    """Run the load; the seconds that it took."""
    runner = await provider.start(port)
    try:
        started = time.monotonic()
        await load.run()
        return time.monotonic() - started
    finally:
        await runner.cleanup()


def decisions(url: str, client: redis.Redis, count: int) -> list[dict[str, Any]]:
    """The whole log, page by page, once it has as many as there were requests."""
    deadline = time.monotonic() + 30
    while client.xlen("hydra:decisions") < count and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(2)  # if there are more than there should be
    found: list[dict[str, Any]] = []
    query = {"limit": "1000"}
    while True:
        page = get(url, "/v1/decisions", ADMIN, **query)
        found += ({name: entry.get(name) for name in _FIELDS} for entry in page["data"])
        print(f"\r{len(found):,} decisions read", end="", file=sys.stderr, flush=True)
        if not page["has_more"]:
            print(file=sys.stderr)
            return found
        query["cursor"] = page["next_cursor"]


def logged(entry: Mapping[str, Any]) -> sums.Row:
    """A decision as the log has it."""
    usage, cost = entry["usage"] or {}, sums.picodollars(entry["cost_usd"])
    money = map(sums.picodollars, (entry["baseline_cost_usd"], entry["savings_usd"]))
    said = {"key": entry["key_id"], **{n: entry[n] for n in ("mode", "pool", "user", "session")}}
    return sums.Row(
        sums.groups(entry["served_by"] or entry["chosen"], said, entry["tags"], entry["ts"]),
        [1, usage.get("prompt", 0), usage.get("completion", 0), int(cost is None), cost, *money],
    )


def by_hand(one: Ask, due: Bill, ts: str) -> sums.Row:
    """The same request by hand; only its time is the log's."""
    said = {
        **{"key": one.key, "mode": one.mode, "pool": one.pool},
        **{"user": one.user, "session": one.session},
    }
    money = (due.cost, due.baseline, due.savings)
    return sums.Row(
        sums.groups(due.model, said, one.tags, ts),
        [1, due.prompt, due.completion, int(due.cost is None), *money],
    )


def wrong_requests(
    found: Mapping[int, Mapping[str, Any]], dues: Mapping[int, Bill], load: MixedLoad
) -> Iterator[str]:
    """Decisions that are not what they must be, and headers that say something else."""
    for number in dues.keys() & found.keys():
        entry, due, one, client = found[number], dues[number], ask(number), load.seen[number]
        log, hand = logged(entry), by_hand(one, due, entry["ts"])
        pairs: dict[str, tuple[object, object]] = {
            name: (log.groups[name], hand.groups[name]) for name in hand.groups
        }
        pairs |= zip(sums.MEASURES, zip(log.adds, hand.adds, strict=True), strict=True)
        pairs |= {"status": (entry["status"], due.status)}
        pairs |= {"cost_status": (entry["cost_status"], due.cost_status)}
        if not one.kind.stream and client.status == 200:
            pairs |= {"x-hydra-cost-usd": (sums.picodollars(client.cost_usd), due.cost)}
            pairs |= {"x-hydra-savings-usd": (sums.picodollars(client.savings_usd), due.savings)}
        for name, (is_so, must_be) in pairs.items():
            if is_so != must_be:
                yield f"{number} {one.kind} {client}: {name} is {is_so}, must be {must_be}"


def checked(
    url: str, client: redis.Redis, load: MixedLoad, provider: BilledProvider
) -> tuple[dict[str, Any], dict[str, str]]:
    """Figures, and the differences, each '0' if there is none; prints the tables."""
    entries = decisions(url, client, len(load.seen))
    found = {int(entry["request_id"]): entry for entry in entries}
    dues = {
        number: bill(ask(number), seen, provider.book.get(number, []))
        for number, seen in load.seen.items()
    }
    log = [logged(entry) for entry in entries]
    hand = [by_hand(ask(n), due, found[n]["ts"] if n in found else "") for n, due in dues.items()]
    wrong = list(wrong_requests(found, dues, load))
    for line in wrong[:20]:
        print(line, file=sys.stderr)
    errors = {
        "decisions twice": str(len(entries) - len(found)),
        "decisions missing": str(len(dues.keys() - found.keys())),
        "decisions too many": str(len(found.keys() - dues.keys())),
        "fields of decisions and headers": str(len(wrong)),
    }
    print("| group | groups | requests | cost, USD | by hand | `/v1/costs` | Redis |")
    print("|---|---|---|---|---|---|---|")
    for group, kinds in sums.GROUPS.items():
        of_log = sums.table(log, group)
        rows = get(url, "/v1/costs", ADMIN, group_by=group)["data"]
        against = {
            "by hand": sums.difference(sums.table(hand, group), of_log),
            "/v1/costs": sums.difference(sums.answered(rows, group), of_log),
            **{
                f"Redis, {kind}": sums.difference(sums.rolled_up(client, kind, group), of_log)
                for kind in kinds
            },
        }
        errors |= {f"{group}, {name}": text for name, text in against.items()}
        first, second, *rest = against.values()
        whole = sums.total(of_log)
        cells = (first, second, max(rest, key=len))
        counts = f"{len(of_log)} | {whole[0]:,} | {sums.dollars(whole[4])}"
        print(f"| {group} | {counts} | {' | '.join(cells)} |")
    for key, secret in KEYS.items():
        own = sums.table((row for row in log if row.groups["key"] == (key,)), "model")
        rows = get(url, "/v1/costs", secret, group_by="model")["data"]
        errors[f"what {key} sees"] = sums.difference(sums.answered(rows, "model"), own)
    mix = collections.Counter((due.status, due.cost_status) for due in dues.values())
    print("\n| status | cost | requests |\n|---|---|---|")
    for (status, cost), count in sorted(mix.items()):
        print(f"| {status} | {cost} | {count:,} |")
    whole = sums.total(sums.table(log, "day"))
    figures = dict(zip(sums.MEASURES, (*whole[:4], *map(sums.dollars, whole[4:])), strict=True))
    return {"decisions": len(entries), **figures}, errors


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--at-once", type=int, default=32)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    provider, port = BilledProvider(), free_port()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        redis_url = stack.enter_context(running(folder / "redis"))
        base = f"http://127.0.0.1:{port}/v1"
        url = stack.enter_context(gateway(folder, base, redis_url, options))
        load = MixedLoad(url, provider, options.count, options.at_once)
        seconds = asyncio.run(served(provider, port, load))
        client: redis.Redis = redis.Redis.from_url(redis_url, decode_responses=True)
        figures, errors = checked(url, client, load, provider)
    for name, error in errors.items():
        if error != "0":
            print(f"WRONG: {name}: {error}", file=sys.stderr)
    figures |= {"sent": len(load.seen), "seconds": round(seconds, 1), "errors": errors}
    print(json.dumps(figures))
    return int(any(error != "0" for error in errors.values()))


if __name__ == "__main__":
    sys.exit(main())
