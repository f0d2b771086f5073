"""`make screenshots`: every view of the page, light, dark and narrow, over a demo's real decisions.

A demo gateway serves some hundred varied requests. Its records are then spread over the last month,
most of them over the last day, since a page full of one minute says little; nothing else of them is
changed. Not a test: tests/test_dashboard_browser.py drives the page.

    python tests/screenshots.py docs/screenshots [--requests 300]
"""

import argparse
import asyncio
import contextlib
import io
import math
import random
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from browsers import MISSING, chromium
from log_fixtures import delivered, end
from PIL import Image
from playwright.sync_api import Browser, Page
from servers import serve

from gateway import serving
from gateway.app import create_app
from gateway.decision_log import DecisionLog
from gateway.demo import DemoUpstream
from gateway.embedded_redis import running

LOOKS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light", "viewport": {"width": 1200, "height": 760}},
    "dark": {"color_scheme": "dark", "viewport": {"width": 1200, "height": 760}},
    "narrow": {"color_scheme": "light", "viewport": {"width": 360, "height": 780}},
}
PROMPTS = (
    "hello",
    "Translate 'good morning' into Norwegian.",
    "What is the capital of Bolivia?",
    "Summarise this mail in one sentence: the delivery is late by two days, sorry, Anna",
    "Write a haiku about rain.",
    "Give me a polite way to decline a meeting.",
    "Prove that the square root of 2 is irrational.",
    "Is every bounded monotone sequence of reals convergent? Prove it or give a counterexample.",
    "A train leaves at 14:05 and arrives at 17:50, with two long stops. How long did it go?",
    "Implement an in-place radix-2 FFT in Rust, with unit tests.",
    "Write a Python function that merges overlapping intervals, with type hints and doctests.",
    "Write a SQL query: the three best-selling products of each region and quarter, ties included.",
    "Refactor this into async code:\n\ndef fetch(urls):\n"
    "    return [requests.get(url).text for url in urls]",
    "Why does this deadlock?\n\nlock_a.acquire(); lock_b.acquire()  # thread 1\n"
    "lock_b.acquire(); lock_a.acquire()  # thread 2",
    'Traceback (most recent call last):\n  File "app.py", line 12, in <module>\n    main()\n'
    "KeyError: 'id'\n\nIt only happens in production. Where do I look?",
    "Our Postgres pool runs dry every night at 02:00 and nothing is in the logs. Find out why.",
    "The CI is red since the last commit: test_merge fails with 'expected 3, got 2'. Fix the bug.",
    "Book me a flight to Oslo on Friday and put it in my calendar.",
    "Look up the open tickets, group them by component and assign the oldest to me.",
    "Design a rate limiter that holds over five regions, and say what breaks first.",
)
LAST = PROMPTS[-4]
TAGS = ("web", "batch", "search", "support", "ci")
KEYS = "web=k-web,batch=k-batch,ci=k-ci"
ADMIN = "k-admin"


@contextlib.contextmanager
def demo(redis_url: str, folder: Path) -> Iterator[str]:
    """A demo gateway with keys, and its address."""
    environ = {
        "HYDRA_REDIS_URL": redis_url,
        "HYDRA_DATA_DIR": str(folder),
        "HYDRA_API_KEYS": KEYS,
        "HYDRA_ADMIN_KEY": ADMIN,
    }
    planned = serving.plan(environ, force_demo=True)
    with DemoUpstream(planned.catalog.profiles) as upstream:
        app = create_app(planned.settings, environ={}, demo_base=upstream.base_url)
        with serve(app) as url:
            yield url


async def send(url: str, number: int) -> None:
    """That many requests, some dozen at a time; a few go to a model that is not there, and some
    clients leave early."""
    chance = random.Random(7)
    slots = asyncio.Semaphore(24)

    async def one(index: int) -> None:
        model = chance.choices(
            ("auto", "auto:peak", "auto:aggressive", "claude-sonnet-4-6", "local-small"),
            (70, 12, 12, 4, 2),
        )[0]
        prompt = chance.choice(PROMPTS)
        key = chance.choices(("k-web", "k-batch", "k-ci"), (6, 3, 1))[0]
        tags = chance.sample(TAGS, chance.choice((1, 1, 2)))
        is_streamed, leaves = chance.random() < 0.4, chance.random() < 0.03
        body = {
            "model": model,
            "messages": [{"role": "user", "content": prompt}],
            "user": f"user-{chance.randrange(30)}",
            "stream": is_streamed,
            "hydra": {"tags": tags, "session": f"session-{index // 4}"},
        }
        async with slots:
            with contextlib.suppress(httpx.TransportError):
                await http.post(
                    "/v1/chat/completions",
                    json=body,
                    headers={"authorization": f"Bearer {key}"},
                    timeout=0.3 if leaves else 60,
                )

    async with httpx.AsyncClient(base_url=url) as http:
        await asyncio.gather(*(one(index) for index in range(number)))
        await asyncio.sleep(2.5)  # the log follows


async def ask(url: str, prompt: str) -> None:
    """One more request, that the overview tells about."""
    body = {"model": "auto", "messages": [{"role": "user", "content": prompt}], "user": "user-1"}
    async with httpx.AsyncClient(base_url=url, timeout=60) as http:
        await http.post("/v1/chat/completions", json=body, headers={"authorization": "Bearer k-ci"})
        await asyncio.sleep(2.5)


def records(url: str) -> list[dict[str, Any]]:
    """All of them, whole, in the order in which they came."""
    found: list[dict[str, Any]] = []
    with httpx.Client(base_url=url, headers={"x-api-key": ADMIN}, timeout=30) as http:
        cursor: str | None = None
        while True:
            page = {"limit": "200"} | ({"cursor": cursor} if cursor else {})
            answer = http.get("/v1/decisions", params=page).json()
            found += [http.get(f"/v1/decisions/{row['id']}").json() for row in answer["data"]]
            cursor = answer["next_cursor"]
            if not answer["has_more"]:
                return found[::-1]


def spread(found: list[dict[str, Any]], now: datetime) -> list[dict[str, Any]]:
    """The same records over a month, busier by day than by night."""
    chance = random.Random(11)

    def busy(at: datetime) -> float:
        return 0.15 + max(0.0, math.sin((at.hour + at.minute / 60 - 7) / 12 * math.pi))

    times: list[datetime] = []
    while len(times) < len(found) - 1:
        days = chance.random() if chance.random() < 0.6 else 30 * chance.random()
        at = now - timedelta(days=days)
        if chance.random() < busy(at):
            times.append(at)
    times = [*sorted(times), now - timedelta(minutes=1)]
    return [
        {**record, "ts": at.isoformat(timespec="milliseconds").replace("+00:00", "Z")}
        for record, at in zip(found, times, strict=True)
    ]


async def enter(redis_url: str, folder: Path, found: list[dict[str, Any]]) -> None:
    """Into the log, as a gateway does it."""
    async with DecisionLog.open(data_dir=folder, redis_url=redis_url) as log:
        for record in found:
            end(log, record)
        await delivered(log)


def shoot(browser: Browser, url: str, folder: Path, decision_id: str) -> None:
    views = {
        "overview": "/dashboard",
        "decisions": "/dashboard/decisions",
        "decision": f"/dashboard/decisions/{decision_id}",
        "models": "/dashboard/models",
        "try": "/dashboard/try",
    }
    for look, options in LOOKS.items():
        page = browser.new_context(**options).new_page()
        page.goto(f"{url}/dashboard")
        if page.locator("input[name=key]").count():
            save(page, folder / f"login-{look}.png")
            page.fill("input[name=key]", ADMIN)
            page.click("main button[type=submit]")
        for name, path in views.items():
            page.goto(url + path)
            if name == "try":
                page.wait_for_selector("#sentence")
            if name == "overview":
                page.wait_for_selector("#chart[data-drawn]")
            save(page, folder / f"{name}-{look}.png")


def save(page: Page, path: Path) -> None:
    """The whole page, down to two windows of it, in 256 colours: half of the bytes."""
    height = page.viewport_size["height"] * 2 if page.viewport_size else 1500
    image = Image.open(io.BytesIO(page.screenshot(full_page=True)))
    image = image.crop((0, 0, image.width, min(image.height, height))).convert("RGB")
    image.quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path} {path.stat().st_size // 1024} KiB")


def telling(found: list[dict[str, Any]]) -> str:
    """The id of a decision in which models were told apart."""
    routed = [each for each in found if each["requirements"] and each["status"] == "ok"]
    return str(max(routed, key=lambda each: max(each["requirements"].values()))["id"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--requests", type=int, default=300)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hydra-")))
        served = stack.enter_context(running(work / "served"))
        with demo(served, work / "one") as url:
            asyncio.run(send(url, options.requests))
            found = records(url)
        shown = stack.enter_context(running(work / "shown"))
        asyncio.run(enter(shown, work / "entered", spread(found, datetime.now(UTC))))
        url = stack.enter_context(demo(shown, work / "two"))
        asyncio.run(ask(url, LAST))
        browser = stack.enter_context(chromium())
        if browser is None:
            print(MISSING, file=sys.stderr)
            return 1
        shoot(browser, url, options.folder, telling(found))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
