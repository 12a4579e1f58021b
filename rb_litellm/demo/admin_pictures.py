"""Pictures of LiteLLM's Admin UI of a running proxy: `python -m rb_litellm.demo.admin_pictures DIR URL`.

The proxy needs a database and a model `auto` that RouteBalance serves. Signs in as UI_USERNAME with
UI_PASSWORD, chooses `routebalance` in the Router Settings and saves, sends `auto` one request in one piece
and one streamed with LITELLM_MASTER_KEY, and photographs what the pages then show.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from rb_litellm.demo.chromium import browser
from rb_litellm.litellm_adapter.hosts.host import STRATEGY
from rb_litellm.litellm_adapter.hosts.settings.page import FIELD

_SIZE = {"width": 1500, "height": 950}
_PATIENCE_MS = 120_000
_SETTLED_MS = 3_000
"""The pages go on drawing after their data have come, and say nowhere that they are done."""


def photograph(url: str, key: str, user: str, password: str, folder: Path) -> Iterator[Path]:
    """Write all pictures to `folder`, one by one."""
    folder.mkdir(parents=True, exist_ok=True)
    with browser() as running:
        page = running.new_page(viewport=_SIZE)
        page.set_default_timeout(_PATIENCE_MS)

        def shot(name: str) -> Path:
            page.wait_for_timeout(_SETTLED_MS)
            page.screenshot(path=str(folder / f"{name}.png"))
            return folder / f"{name}.png"

        sign_in(page, url, user, password)
        page.goto(f"{url}/ui/router-settings/")
        page.get_by_role("combobox").first.click()
        choice = page.get_by_role("option", name=STRATEGY).first
        choice.scroll_into_view_if_needed()
        yield shot("router-settings-choice")
        choice.click()
        page.get_by_role("button", name="Save Changes").click()
        yield shot("router-settings-saved")
        page.goto(f"{url}/ui/router-settings/")
        page.locator(f"input[name={FIELD}]").click()
        page.mouse.wheel(0, _SIZE["height"])
        yield shot("router-settings-arguments")
        page.get_by_role("tab", name="Routing Groups").click()
        yield shot("routing-groups")
        page.goto(f"{url}/ui/models-and-endpoints/")
        page.locator("tbody tr").first.wait_for()
        yield shot("models")
        page.locator("tbody tr").first.locator("td").first.locator("button, span").first.click()
        page.get_by_role("tab", name="Raw JSON").click()
        page.mouse.wheel(0, _SIZE["height"] // 3)
        yield shot("model")
        for name, stream in (("log", False), ("log-streamed", True)):
            answer = _ask(url, key, stream)
            page.goto(f"{url}/ui/logs/")
            # Rows are written every so often, and the page looks for new ones by itself. It shortens ids.
            page.locator("tbody tr", has_text=answer[:13]).locator("td").first.click()
            page.get_by_text(STRATEGY).first.scroll_into_view_if_needed()
            yield shot(name)


def sign_in(page: Any, url: str, user: str, password: str) -> None:
    """Sign a page in to the Admin UI."""
    page.goto(f"{url}/ui/login/")
    page.locator("input[type=password]").wait_for()
    page.locator("input").first.fill(user)
    page.locator("input[type=password]").fill(password)
    page.locator("button[type=submit], button:has-text('Login')").first.click()
    page.wait_for_url(lambda address: "/login" not in address)


def _ask(url: str, key: str, stream: bool) -> str:
    """One request to `auto`; the id of its answer, by which LiteLLM's logs know it."""
    body = {
        "model": "auto",
        "stream": stream,
        "max_tokens": 40,
        "messages": [{"role": "user", "content": "What is a balance?"}],
    }
    headers = {"Authorization": f"Bearer {key}"}
    answer = httpx.post(f"{url}/v1/chat/completions", json=body, headers=headers, timeout=120.0)
    answer.raise_for_status()
    first = answer.text.partition("\n")[0].removeprefix("data: ")
    return str(json.loads(first if stream else answer.text)["id"])


if __name__ == "__main__":
    told = os.environ
    pictures = photograph(
        sys.argv[2].rstrip("/"),
        told["LITELLM_MASTER_KEY"],
        told.get("UI_USERNAME", "admin"),
        told["UI_PASSWORD"],
        Path(sys.argv[1]),
    )
    for picture in pictures:
        print(picture, flush=True)
