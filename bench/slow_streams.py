"""A thousand slow streams at once: memory of each, whether any breaks, and whether leaving frees.

A provider in a process of its own sends one chunk a second; the gateway, in another process, is
watched from outside. Then every client leaves at once and the provider counts the streams that
still run. Last line: JSON.

    python bench/slow_streams.py [--streams 1000] [--seconds 10]
"""

import argparse
import asyncio
import contextlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import uvicorn
from lanes import POOLS, PROFILE, free_port, wait_for
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from gateway.embedded_redis import running

_PAUSE_S = 1.0


def provider(port: int) -> None:
    """Serve the slow provider until killed."""
    running_streams = {"now": 0, "most": 0}

    async def events(chunks: int) -> AsyncIterator[bytes]:
        running_streams["now"] += 1
        running_streams["most"] = max(running_streams.values())
        try:
            head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "slow"}
            for number in range(chunks):
                last = number == chunks - 1
                choice = {
                    "index": 0,
                    "delta": {} if last else {"content": f"word {number} "},
                    "finish_reason": "stop" if last else None,
                }
                yield f"data: {json.dumps({**head, 'choices': [choice]})}\n\n".encode()
                await asyncio.sleep(_PAUSE_S)
            yield b"data: [DONE]\n\n"
        finally:
            running_streams["now"] -= 1

    async def chat(request: Request) -> Response:
        body = await request.json()
        return StreamingResponse(events(body["chunks"]), media_type="text/event-stream")

    async def count(request: Request) -> Response:
        return JSONResponse(running_streams)

    routes = [
        Route("/v1/chat/completions", chat, methods=["POST"]),
        Route("/healthz", count),
    ]
    uvicorn.run(Starlette(routes=routes), port=port, log_level="error", backlog=4096)


def rss_mib(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


async def measure(
    gateway: int, upstream: int, pid: int, streams: int, seconds: int
) -> dict[str, float]:
    url = f"http://127.0.0.1:{gateway}/v1/chat/completions"
    status = f"http://127.0.0.1:{upstream}/healthz"
    body = {
        "model": "a",
        "messages": [{"role": "user", "content": "hello"}],
        "stream": True,
        "chunks": seconds,
    }
    whole = broken = 0
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:

        async def one() -> None:
            nonlocal whole, broken
            async with session.post(url, json=body) as answer:
                text = await answer.text()
            if text.count("word ") == seconds - 1 and text.endswith("data: [DONE]\n\n"):
                whole += 1
            else:
                broken += 1

        async def wait_until(count: int) -> float:
            started = time.monotonic()
            while time.monotonic() - started < 30:
                async with session.get(status) as answer:
                    if (await answer.json())["now"] == count:
                        break
                await asyncio.sleep(0.02)
            return time.monotonic() - started

        warm = [asyncio.create_task(one()) for _ in range(20)]
        await asyncio.gather(*warm)
        before = rss_mib(pid)
        body["chunks"] = seconds
        tasks = [asyncio.create_task(one()) for _ in range(streams)]
        await wait_until(streams)
        during = rss_mib(pid)
        await asyncio.gather(*tasks)
        body["chunks"] = 600
        leaving = [asyncio.create_task(one()) for _ in range(streams)]
        await wait_until(streams)
        for task in leaving:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*leaving, return_exceptions=True)
        freed_s = await wait_until(0)
    return {
        "streams": streams,
        "whole": whole - len(warm),
        "broken": broken,
        "kib_each": round((during - before) * 1024 / streams, 1),
        "rss_mib": round(during, 1),
        "all_freed_s": round(freed_s, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=1000)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--provider", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if options.provider:
        provider(options.provider)
        return
    if hard < 4 * options.streams:
        raise SystemExit(f"open files are limited to {hard}: raise it (ulimit -n) or ask for fewer")
    upstream, gateway = free_port(), free_port()
    root = Path(__file__).parent.parent
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        profiles = folder / "profiles"
        profiles.mkdir()
        (profiles / "dimensions.yaml").write_text((root / "profiles/dimensions.yaml").read_text())
        (profiles / "pools.yaml").write_text(POOLS)
        for name in ("a", "b"):
            (profiles / f"{name}.yaml").write_text(PROFILE.format(name=name, port=upstream))
        redis_url = stack.enter_context(running(folder / "redis"))
        environ = {
            "HYDRA_PORT": str(gateway),
            "HYDRA_PROFILES": str(profiles),
            "HYDRA_DATA_DIR": str(folder / "data"),
            "HYDRA_REDIS_URL": redis_url,
            "BENCH_KEY": "x",
            "PATH": "/usr/bin:/bin",
        }
        commands = {
            upstream: [sys.executable, __file__, "--provider", str(upstream)],
            gateway: [sys.executable, "-m", "gateway", "serve"],
        }
        pids = {}
        for port, command in commands.items():
            started = subprocess.Popen(
                command, env=environ, cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            stack.callback(started.wait, 60)
            stack.callback(started.terminate)
            wait_for(port)
            pids[port] = started.pid
        found = asyncio.run(
            measure(gateway, upstream, pids[gateway], options.streams, options.seconds)
        )
    print(
        f"{found['streams']} streams at once: {found['whole']} whole, {found['broken']} broken,"
        f" {found['kib_each']} KiB each; after all clients left, the provider was free in"
        f" {found['all_freed_s']} s"
    )
    print(json.dumps(found))


if __name__ == "__main__":
    main()
