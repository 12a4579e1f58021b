"""Pictures of the status page of a real proxy under load: `python -m rb_litellm.demo.pictures DIR`.

Starts what the demo runs on, one server dead and one slow, sends it a load until all is done, and photographs
the page in Chromium, light and dark, on a wide screen and on a telephone.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from rb_litellm.demo.backend import Place
from rb_litellm.demo.chromium import browser
from rb_litellm.demo.load import fire, poisson
from rb_litellm.demo.processes import end_on_sigterm
from rb_litellm.demo.prompts import BUILT_IN, read_prompts
from rb_litellm.demo.server.faults import NO_FAULTS, Faults
from rb_litellm.demo.stage import OURS, Stage, stage

SIZES = {"wide": (1600, 1000), "phone": (400, 860)}
_WEIGHTS = "quality"
"""With which all sizes of models are in use."""
_RATE = 8.0
"""Requests/s: in-flight requests everywhere, and time left to a small machine for the browser."""
_LONG_ENOUGH_S = 900.0
_WARM = 35
"""Decisions that the page lists before it is photographed; the one that is explained is over by then."""
_PATIENCE_MS = 120_000
"""Proxy, servers and browser share the machine."""


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
def faults(ready: Stage) -> Iterator[None]:
    """The first server refuses everything and the fourth one is slow while the `with` block runs."""
    dead, _, _, slow, *_ = ready.places.values()
    _set_faults(dead, Faults(error_rate=1.0))
    _set_faults(slow, Faults(slowdown=12.0))
    yield
    for place in (dead, slow):
        _set_faults(place, NO_FAULTS)


def _set_faults(place: Place, faults: Faults) -> None:
    address = f"http://127.0.0.1:{place.port}/admin/faults"
    httpx.post(address, json=faults.model_dump()).raise_for_status()


@contextmanager
def load(ready: Stage, requests: int, rate: float) -> Iterator[None]:
    """Requests to the proxy while the `with` block runs; it does not wait for their end."""
    shots = poisson(read_prompts(BUILT_IN), requests, rate, seed=0)
    sending = threading.Thread(
        target=lambda: asyncio.run(fire(shots, f"{ready.url}/v1", "auto", ready.key)), daemon=True
    )
    sending.start()
    yield


def photograph(ready: Stage, folder: Path) -> Iterator[Path]:
    """Write all pictures to `folder`, one by one."""
    folder.mkdir(parents=True, exist_ok=True)
    with browser() as running:
        for scheme in ("light", "dark"):
            for size_name, size in SIZES.items():
                page = signed_in(running, ready.url, ready.key, size, scheme)
                page.set_default_timeout(_PATIENCE_MS)
                page.locator("#decisions tr").nth(_WARM).wait_for()
                page.locator("#trouble li").filter(has_text="failed").first.wait_for()
                page.locator("#trouble li").nth(1).wait_for()
                page.get_by_role("button", name="quality", exact=True).click()
                page.locator("#whatif").wait_for()
                page.evaluate("scrollTo(0, 0)")
                status = folder / f"status-{scheme}-{size_name}.png"
                page.screenshot(path=str(status), full_page=True)
                yield status
                page.locator("#decisions button").nth(_WARM).click()
                decision = folder / f"decision-{scheme}-{size_name}.png"
                page.screenshot(path=str(decision))
                yield decision
                page.context.close()


def main(folder: Path) -> None:
    """Everything from an empty machine to the pictures."""
    end_on_sigterm()
    with (
        tempfile.TemporaryDirectory(prefix="routebalance-pictures-") as work,
        stage(Path(work), 1.0, 0, _WEIGHTS, entrants=(OURS,)) as ready,
        faults(ready),
        load(ready, requests=int(_RATE * _LONG_ENOUGH_S), rate=_RATE),
    ):
        for picture in photograph(ready, folder):
            print(picture, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "pictures"))
