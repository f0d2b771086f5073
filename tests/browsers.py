"""A headless Chromium for the tests of the page, wherever the machine has one."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser, Playwright, sync_playwright

ON_PATH = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
MISSING = (
    "no Chromium: install one (Debian: apt-get install chromium; elsewhere: .venv/bin/playwright"
    " install chromium) or name its program in CHROMIUM"
)


def program(playwright: Playwright) -> str | None:
    """The path of one: that of CHROMIUM, one on PATH, Playwright's own; None: there is none."""
    named = os.environ.get("CHROMIUM")
    if named:
        return named
    found = next(filter(None, map(shutil.which, ON_PATH)), None)
    own = playwright.chromium.executable_path
    return found or (own if Path(own).exists() else None)


@contextlib.contextmanager
def chromium() -> Iterator[Browser | None]:
    """A browser while the block runs; None where the machine has none."""
    with sync_playwright() as playwright:
        path = program(playwright)
        if path is None:
            yield None
            return
        # As root, as in most containers, Chromium starts only without its sandbox.
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()
