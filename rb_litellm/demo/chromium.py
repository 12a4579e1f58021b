"""The system's Chromium, headless, under Playwright: for pictures, and for tests of pages.

Needs `pip install 'rb_litellm[browser]'` and a Chromium of the system.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    "--no-first-run",
)
_NAMES = ("chromium", "chromium-browser", "google-chrome")


def chromium() -> str | None:
    """Where the system's Chromium is, None without one."""
    return next((path for path in map(shutil.which, _NAMES) if path is not None), None)


@contextmanager
def browser() -> Iterator[Any]:
    """A headless Chromium under Playwright.

    Raises:
        RuntimeError: the system has no Chromium.
    """
    from playwright.sync_api import sync_playwright

    path = chromium()
    if path is None:
        raise RuntimeError(f"no Chromium is installed: looked for {', '.join(_NAMES)}")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=list(_FLAGS))
        try:
            yield running
        finally:
            running.close()
