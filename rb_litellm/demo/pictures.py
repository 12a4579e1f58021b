"""Pictures of the status page of a real proxy under load: `python -m rb_litellm.demo.pictures DIR`.

Starts what the demo runs on, sends it a load, and photographs the page in Chromium, light and dark, on a
wide screen and on a telephone. Needs `pip install playwright` and a Chromium of the system.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rb_litellm.demo.load import fire, poisson
from rb_litellm.demo.prompts import BUILT_IN, read_prompts
from rb_litellm.demo.stage import Stage, stage

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    "--no-first-run",
)
SIZES = {"wide": (1600, 1000), "phone": (400, 860)}
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
        running = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        try:
            yield running
        finally:
            running.close()


def signed_in(running: Any, url: str, key: str, size: tuple[int, int], scheme: str = "light") -> Any:
    """The status page, opened as a person with a key opens it."""
    context = running.new_context(
        viewport={"width": size[0], "height": size[1]}, color_scheme=scheme, reduced_motion="reduce"
    )
    page = context.new_page()
    page.goto(f"{url}/routebalance/")
    page.get_by_label("Key").fill(key)
    page.get_by_role("button", name="Open").click()
    page.locator("#link[data-state=live]").wait_for(timeout=30_000)
    return page


@contextmanager
def load(ready: Stage, requests: int, rate: float) -> Iterator[None]:
    """Requests to the proxy while the `with` block runs; it does not wait for their end."""
    shots = poisson(read_prompts(BUILT_IN), requests, rate, seed=0)
    sending = threading.Thread(
        target=lambda: asyncio.run(fire(shots, f"{ready.url}/v1", "auto", ready.key)), daemon=True
    )
    sending.start()
    yield


def photograph(ready: Stage, folder: Path) -> list[Path]:
    """Write all pictures to `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []

    def shoot(page: Any, name: str, whole: bool) -> None:
        written.append(folder / f"{name}.png")
        page.evaluate("scrollTo(0, 0)")
        page.screenshot(path=str(written[-1]), full_page=whole)

    with browser() as running:
        for scheme in ("light", "dark"):
            for size_name, size in SIZES.items():
                page = signed_in(running, ready.url, ready.key, size, scheme)
                page.locator("#decisions tr").nth(8).wait_for(timeout=60_000)
                page.get_by_role("button", name="quality", exact=True).click()
                page.locator("#whatif").wait_for()
                shoot(page, f"status-{scheme}-{size_name}", whole=True)
                page.locator("#decisions button").nth(3).click()
                shoot(page, f"decision-{scheme}-{size_name}", whole=False)
                page.context.close()
    return written


def main(folder: Path) -> None:
    """Everything from an empty machine to the pictures."""
    with (
        tempfile.TemporaryDirectory(prefix="routebalance-pictures-") as work,
        stage(Path(work), 1.0, 0, "balanced") as ready,
        load(ready, requests=900, rate=12.0),
    ):
        for picture in photograph(ready, folder):
            print(picture)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "pictures"))
