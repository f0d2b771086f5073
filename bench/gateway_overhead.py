"""What the gateway adds to a request: one client, one connection, the same upstream throughout.

The upstream is a stub in a thread that answers at once; contenders take turns in short rounds,
since machines drift. `direct` is the client talking to the stub; `pinned` goes through the gateway
without prediction; `auto` adds prediction (of a text never seen) and decision. Both log. Figures
are medians over rounds of each round's p50 and p95, in milliseconds. Last line: JSON.

    python bench/gateway_overhead.py [--rounds 5] [--requests 40]
"""

import argparse
import itertools
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import httpx

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from gateways import write_catalog
from servers import serve
from upstream_stub import UpstreamStub

from gateway.app import create_app
from gateway.embedded_redis import running
from gateway.settings import Settings

_numbers = itertools.count()


def body(model: str) -> dict[str, object]:
    text = f"Explain in one sentence why the number {next(_numbers)} is or is not prime."
    return {"model": model, "messages": [{"role": "user", "content": text}]}


def measure(ask: Callable[[], httpx.Response], requests: int) -> tuple[float, float]:
    """(p50, p95) in milliseconds."""
    times = []
    for _ in range(requests):
        started = time.perf_counter()
        assert ask().status_code == 200
        times.append((time.perf_counter() - started) * 1000)
    times.sort()
    return times[len(times) // 2], times[int(len(times) * 0.95)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=40)
    options = parser.parse_args()
    stub = UpstreamStub()
    with tempfile.TemporaryDirectory() as folder, serve(stub.app) as upstream:
        stub.base_url = f"{upstream}/v1"
        catalog = Path(folder) / "profiles"
        catalog.mkdir()
        write_catalog(catalog, stub)
        with running(Path(folder)) as redis_url:
            environ = {
                "HYDRA_REDIS_URL": redis_url,
                "HYDRA_DATA_DIR": folder,
                "HYDRA_PROFILES": str(catalog),
                "TEST_PROVIDER_KEY": "x",
            }
            app = create_app(Settings.from_env(environ), environ=environ)
            with serve(app) as url, httpx.Client(timeout=60) as http:

                def chat(base: str, model: str) -> Callable[[], httpx.Response]:
                    return lambda: http.post(f"{base}/v1/chat/completions", json=body(model))

                contenders = {
                    "direct": chat(upstream, "ok"),
                    "pinned": chat(url, "small"),
                    "auto": chat(url, "auto:aggressive"),
                }
                for ask in contenders.values():
                    measure(ask, 10)  # warm up
                rounds: dict[str, list[tuple[float, float]]] = {name: [] for name in contenders}
                for _ in range(options.rounds):
                    for name, ask in contenders.items():
                        rounds[name].append(measure(ask, options.requests))
    result = {
        name: {
            "p50_ms": round(statistics.median(p50 for p50, _ in found), 2),
            "p95_ms": round(statistics.median(p95 for _, p95 in found), 2),
        }
        for name, found in rounds.items()
    }
    for name, figures in result.items():
        print(f"{name:8} p50 {figures['p50_ms']:7.2f} ms   p95 {figures['p95_ms']:7.2f} ms")
    print(json.dumps({"bench": "gateway_overhead", **result}))


if __name__ == "__main__":
    main()
