"""Both lanes on one core against one upstream: requests/s, p50, chunks/s, CPU of a request.

`--mock` and `--load` are a mock provider and a load generator fast enough not to be what is
measured, with these command lines: `mock PORT` (OpenAI chat, 100 chunks a stream) and
`load PORT PATH BODYFILE CONNECTIONS SECONDS -w WARM_S -p PID`, which prints one JSON line with rps,
p50, events_s and gw_cpu_us_per_req. The gateway runs on the first core, all else on the second;
`forward` is an app of ten lines, Starlette and aiohttp, that only hands the bytes on: what this
machine can do. Contenders take turns in short rounds, since machines drift; figures are medians.
Last line: JSON.

    python bench/lanes.py --mock ./mock --load ./load [--rounds 3] [--seconds 3]
"""

import argparse
import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from gateway.embedded_redis import running

_MESSAGES = [
    {"role": "system", "content": "You are helpful."},
    {"role": "user", "content": "Explain in one sentence why the sky is blue."},
]
PROFILE = """\
name: {name}
litellm_model: openai/mock-{name}
api_base: http://127.0.0.1:{port}/v1
api_key_env: BENCH_KEY
capabilities: {{reasoning: 0.5, code_generation: 0.5, debugging: 0.5, tool_use: 0.5}}
price: {{input_usd_per_mtok: 1, output_usd_per_mtok: 5, cached_input_usd_per_mtok: 0.1}}
limits: {{context_tokens: 100000, output_tokens: 8000}}
"""
POOLS = """\
pools:
  default:
    profiles: [a, b]
    modes: {peak: 0.0, iso: 0.2, aggressive: 5}
    default_mode: iso
    baseline: b
"""
_FORWARD = """\
import contextlib, aiohttp
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route
@contextlib.asynccontextmanager
async def lifespan(app):
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        yield {"session": session}
async def chat(request):
    session, headers = request.state.session, {"content-type": "application/json"}
    body = await request.body()
    async with session.post("http://127.0.0.1:%d/v1/chat/completions", data=body,
                            headers=headers) as answer:
        return Response(await answer.read(), media_type="application/json")
app = Starlette(routes=[Route("/v1/chat/completions", chat, methods=["POST"])], lifespan=lifespan)
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


@contextlib.contextmanager
def process(core: int, command: list[str], environ: dict[str, str], cwd: Path) -> Iterator[int]:
    """A process on one core while the block runs; gives its id."""
    started = subprocess.Popen(
        ["taskset", "-c", str(core), *command],
        env={**os.environ, **environ},
        cwd=cwd,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield started.pid
    finally:
        started.terminate()
        started.wait(timeout=60)


def wait_for(port: int) -> None:
    for _ in range(300):
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=1)
            return
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            if port in BARE:
                return
        time.sleep(0.1)
    raise SystemExit(f"nothing listens on port {port}")


BARE: set[int] = set()  # ports of what has no /healthz


def write_catalog(folder: Path, upstream: int) -> None:
    root = Path(__file__).parent.parent
    folder.mkdir()
    (folder / "dimensions.yaml").write_text((root / "profiles/dimensions.yaml").read_text())
    (folder / "pools.yaml").write_text(POOLS)
    for name in ("a", "b"):
        (folder / f"{name}.yaml").write_text(PROFILE.format(name=name, port=upstream))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mock", type=Path, required=True)
    parser.add_argument("--load", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3)
    options = parser.parse_args()
    mock, load = str(options.mock.resolve()), str(options.load.resolve())
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        upstream = free_port()
        stack.enter_context(process(1, [mock, str(upstream)], {}, folder))
        write_catalog(folder / "profiles", upstream)
        os.sched_setaffinity(0, {1})  # Redis inherits it
        redis_url = stack.enter_context(running(folder / "redis"))
        ports: dict[str, tuple[int, int]] = {}
        for name in ("forward", "auto", "litellm"):
            port = free_port()
            if name == "forward":
                BARE.add(port)
                (folder / "forward.py").write_text(_FORWARD % upstream)
                command = ["-m", "uvicorn", "forward:app", "--port", str(port)]
                environ = {}
            else:
                command = ["-m", "gateway", "serve"]
                environ = {
                    "HYDRA_UPSTREAM": name,
                    "HYDRA_PORT": str(port),
                    "HYDRA_PROFILES": str(folder / "profiles"),
                    "HYDRA_DATA_DIR": str(folder / name),
                    "HYDRA_REDIS_URL": redis_url,
                    "BENCH_KEY": "x",
                }
            pid = stack.enter_context(process(0, [sys.executable, *command], environ, folder))
            wait_for(port)
            ports[name] = (port, pid)
        bodies = {}
        for kind, model, stream in (
            ("named", "a", False),
            ("routed", "auto", False),
            ("stream", "a", True),
        ):
            bodies[kind] = folder / f"{kind}.json"
            body = {"model": model, "messages": _MESSAGES, "temperature": 0.2, "stream": stream}
            bodies[kind].write_text(json.dumps(body))
        rows: dict[tuple[str, str, int], list[dict[str, float]]] = {}
        for _ in range(options.rounds):
            for name, (port, pid) in ports.items():
                for kind in ("named",) if name == "forward" else tuple(bodies):
                    for connections in (16,) if kind == "stream" else (1, 16, 64):
                        arguments = [port, "/v1/chat/completions", bodies[kind], connections]
                        arguments += [options.seconds, "-w", 1, "-p", pid]
                        ran = subprocess.run(
                            ["taskset", "-c", "1", load, *map(str, arguments)],
                            capture_output=True,
                            text=True,
                            check=True,
                        )
                        found = json.loads(ran.stdout.strip().splitlines()[-1])
                        assert found["errs"] == found["non200"] == 0, found
                        rows.setdefault((name, kind, connections), []).append(found)
    figures = {}
    print("lane      requests    c   req/s  p50 ms  chunks/s CPU us")
    for (name, kind, connections), found in rows.items():
        middle = {
            field: statistics.median(row.get(field, 0) for row in found)
            for field in ("rps", "p50", "events_s", "gw_cpu_us_per_req")
        }
        figures[f"{name} {kind} {connections}"] = middle
        chunks = f"{middle['events_s']:9.0f}" if middle["events_s"] else " " * 9
        print(
            f"{name:9s} {kind:9s} {connections:3d} {middle['rps']:7.0f} {middle['p50']:7.2f}"
            f" {chunks} {middle['gw_cpu_us_per_req']:6.0f}"
        )
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
