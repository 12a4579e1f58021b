"""The status page in a real Chromium, on the demo's proxy of two workers and thirteen servers, under load."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import httpx
import jwt
import pytest

from rb_litellm.core.decision.scoring import PRESETS as WEIGHTS
from rb_litellm.demo.chromium import browser, chromium
from rb_litellm.demo.pictures import SIZES, faults, load, signed_in
from rb_litellm.demo.stage import OURS, Stage, stage

expect = pytest.importorskip("playwright.sync_api", reason="pip install playwright").expect
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(chromium() is None, reason="no Chromium is installed"),
]


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("page")
    with stage(folder, 4.0, 0, "balanced", entrants=(OURS,)) as running:
        # A connection of its own for each, so that both workers have decided something.
        for _ in range(40):
            body = {"model": "auto", "max_tokens": 8, "messages": [{"role": "user", "content": "A river?"}]}
            httpx.post(f"{running.url}/v1/chat/completions", json=body, headers=key_of(running), timeout=60.0)
        yield running


def key_of(ready: Stage) -> dict[str, str]:
    return {"Authorization": f"Bearer {ready.key}"}


@pytest.fixture(scope="module")
def chrome(ready: Stage) -> Iterator[Any]:
    with browser() as running:
        yield running


@pytest.fixture
def page(chrome: Any, ready: Stage) -> Iterator[Any]:
    """The page of somebody signed in to the Admin UI; an error in the console fails the test."""
    context = chrome.new_context(viewport={"width": 1600, "height": 1000})
    claims = {"key": ready.key, "login_method": "username_password", "exp": time.time() + 3600}
    session = jwt.encode(claims, ready.key, algorithm="HS256")
    context.add_cookies([{"name": "token", "value": session, "url": ready.url}])
    page = context.new_page()
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{ready.url}/routebalance/")
    expect(page.locator("#decisions tr")).not_to_have_count(0, timeout=30_000)
    yield page
    context.close()
    assert errors == []


def test_live_numbers_change_under_load(page: Any, ready: Stage) -> None:
    expect(page.locator("#tiers tbody tr")).to_have_count(len(ready.places))
    busy = page.locator("#tiers .load span:first-child").filter(has_text=re.compile("^[1-9]"))
    expect(busy).to_have_count(0, timeout=30_000)
    newest = page.locator("#decisions tr").first
    before = newest.locator("button").get_attribute("aria-label")
    with load(ready, requests=120, rate=60.0):
        expect(busy).not_to_have_count(0, timeout=60_000)
        in_flight = page.locator("#facts div").filter(has_text="In flight").locator("dd")
        expect(in_flight).to_have_text(re.compile("[1-9]"))
        expect(newest.locator("button")).not_to_have_attribute("aria-label", before, timeout=60_000)
    # What has been answered is told as measured.
    expect(newest.locator("td").nth(6)).to_have_text(re.compile(r"\d"), timeout=60_000)
    expect(page.locator("#shares li")).not_to_have_count(0)


def test_the_drawer_explains_a_decision_by_keyboard_alone(page: Any) -> None:
    why = page.locator("#decisions button").first
    why.focus()
    page.keyboard.press("Enter")
    drawer = page.get_by_role("dialog", name="Decision")
    drawer.wait_for()
    text = drawer.inner_text()
    for part in ("(chosen)", "quality", "latency", "cost", "Weights from", "settings"):
        assert part in text
    page.keyboard.press("Escape")
    assert not drawer.is_visible()
    assert "why" in page.evaluate("document.activeElement.textContent")


def test_the_decisions_of_all_workers_are_shown_or_those_of_one(page: Any) -> None:
    workers = page.get_by_label("Worker", exact=True)
    expect(workers.locator("option")).to_have_count(3)
    expect(page.locator("#decisions-note")).to_have_text("of 2 workers", timeout=120_000)
    times = page.locator("#decisions .when").all_inner_texts()
    assert times == sorted(times, reverse=True)
    both = page.locator("#decisions tr:visible").count()
    for name in workers.locator("option").all_inner_texts()[1:]:
        workers.select_option(name)
        assert 0 < page.locator("#decisions tr:visible").count() < both
    workers.select_option("")


def test_a_decision_leads_to_its_own_log_in_the_admin_ui(page: Any) -> None:
    answered = page.locator("#decisions tr").filter(has_not_text="open").first
    answered.locator("button").click()
    link = page.get_by_role("link", name="LiteLLM's log of this request")
    assert re.search(r"/ui/logs/\?log_id=chatcmpl-", link.evaluate("link => link.href"))
    page.keyboard.press("Escape")


def test_decisions_can_be_filtered_and_paused(page: Any, ready: Stage) -> None:
    rows = page.locator("#decisions tr:visible")
    page.get_by_label("Filter").fill("no-such-deployment")
    expect(rows).to_have_count(0)
    expect(page.get_by_text("No decision passes the filter.")).to_be_visible()
    page.get_by_label("Filter").fill("")
    expect(rows).not_to_have_count(0)
    page.get_by_role("button", name="Pause").click()
    newest = page.locator("#decisions tr").first.locator("button")
    before = newest.get_attribute("aria-label")
    with load(ready, requests=20, rate=20.0):
        expect(page.get_by_role("button", name="Resume")).to_have_text(re.compile("more"), timeout=60_000)
    assert newest.get_attribute("aria-label") == before
    page.get_by_role("button", name="Resume").click()
    expect(newest).not_to_have_attribute("aria-label", before)


def test_words_are_explained_on_focus(page: Any) -> None:
    word = page.locator("#facts .tip").first
    expect(word.get_by_role("tooltip")).to_be_hidden()
    word.focus()
    expect(word.get_by_role("tooltip")).to_be_visible()


def test_what_is_live_is_told(page: Any) -> None:
    expect(page.locator("#strategies")).to_contain_text("auto")
    expect(page.locator("#strategies")).to_contain_text("quality 0.33, latency 0.33, cost 0.33 (balanced)")
    expect(page.locator("#facts")).to_contain_text("on litellm")


def test_sliders_answer_and_apply_nothing(page: Any, ready: Stage) -> None:
    before = httpx.get(f"{ready.url}/routebalance/status", headers=key_of(ready)).json()["strategies"]
    page.get_by_label("Quality", exact=True).fill("100")
    page.get_by_label("Latency", exact=True).fill("0")
    page.get_by_label("Cost", exact=True).fill("0")
    page.locator("#whatif").wait_for()
    assert page.locator("#o-quality").inner_text() == "100%"
    # The best model by quality alone is the largest; a busy machine may have made it fail for some requests.
    row = page.locator("#whatif-rows tr").filter(has_text="qwen2.5-72b")
    expect(row.locator("td").nth(1)).to_have_text(re.compile(r"^(9\d|100)%$"))
    page.get_by_role("button", name="cost", exact=True).click()
    expect(page.locator("#o-cost")).to_have_text(f"{WEIGHTS['cost'].cost:.0%}")
    expect(page.get_by_role("button", name="cost", exact=True)).to_have_attribute("aria-pressed", "true")
    assert httpx.get(f"{ready.url}/routebalance/status", headers=key_of(ready)).json()["strategies"] == before


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_axe_finds_nothing(chrome: Any, ready: Stage, scheme: str, size: str) -> None:
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="pip install axe-playwright-python"
    ).Axe()
    page = signed_in(chrome, ready.url, ready.key, SIZES[size], scheme)
    page.locator("#decisions tr").first.wait_for()
    page.get_by_role("button", name="latency", exact=True).click()
    page.locator("#whatif").wait_for()
    assert violations(axe, page) == []
    page.locator("#decisions button").first.click()
    assert violations(axe, page) == []
    page.context.close()


def violations(axe: Any, page: Any) -> list[str]:
    found = axe.run(page).response["violations"]
    return [f"{v['id']}: {v['help']}: {v['nodes'][0]['html'][:200]}" for v in found]


@pytest.mark.parametrize("size", SIZES)
def test_nothing_runs_over_the_edge(chrome: Any, ready: Stage, size: str) -> None:
    page = signed_in(chrome, ready.url, ready.key, SIZES[size])
    page.locator("#decisions tr").first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= SIZES[size][0]
    page.context.close()


def test_the_theme_can_be_chosen_and_is_kept(page: Any) -> None:
    page.get_by_role("button", name="Theme").click()
    page.get_by_role("button", name="Theme").click()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_a_wrong_key_is_refused_and_shows_nothing(chrome: Any, ready: Stage) -> None:
    page = chrome.new_context().new_page()
    page.goto(f"{ready.url}/routebalance/")
    page.get_by_label("Key").fill("sk-wrong")
    page.get_by_role("button", name="Open").click()
    page.get_by_text("does not admit this key").wait_for()
    assert page.locator("#tiers").inner_text() == ""
    page.context.close()


def test_names_are_shown_as_text_whatever_they_hold(chrome: Any, ready: Stage) -> None:
    page = signed_in(chrome, ready.url, ready.key, SIZES["wide"])
    page.route(
        "**/routebalance/events", lambda route: route.fulfill(content_type="text/event-stream", body=hostile)
    )
    page.reload()
    page.locator("#decisions tr").first.wait_for()
    assert "<img src=x onerror=alert(1)>" in page.locator("#decisions").inner_text()
    assert page.locator("#decisions img").count() == 0
    page.context.close()


hostile = "event: decisions\ndata: " + json.dumps(
    {
        "worker": "w",
        "decisions": [
            {
                "call_id": "c",
                "attempt": 0,
                "at_s": 1.0,
                "deployment": "<img src=x onerror=alert(1)>",
                "model": "m",
            }
        ],
    }
)
hostile += "\n\n"


def test_the_policy_allows_nothing_but_the_page_itself(ready: Stage) -> None:
    response = httpx.get(f"{ready.url}/routebalance/")
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert response.status_code == 401
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "query",
    [
        "quality=0&latency=0&cost=0",
        "quality=-1&latency=1&cost=1",
        "quality=nan&latency=1&cost=1",
        "quality=1",
    ],
)
def test_weights_that_cannot_be_are_refused(ready: Stage, query: str) -> None:
    response = httpx.get(f"{ready.url}/routebalance/whatif?{query}", headers=key_of(ready))
    assert 400 <= response.status_code < 500, response.text


def test_events_end_by_themselves_so_that_a_proxy_can_stop(ready: Stage) -> None:
    with httpx.stream(
        "GET", f"{ready.url}/routebalance/events", headers=key_of(ready), timeout=30.0
    ) as response:
        names = [line for line in response.iter_lines() if line.startswith("event: ")]
    assert names.count("event: status") == 15


@pytest.fixture(scope="module")
def broken(ready: Stage) -> Iterator[Stage]:
    """The stage under load, with a server that refuses everything and one that has become slow."""
    with faults(ready), load(ready, requests=1000, rate=3.0):
        yield ready


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_trouble_comes_first_and_nothing_overlaps(
    chrome: Any, broken: Stage, scheme: str, size: str, tmp_path: Any
) -> None:
    page = signed_in(chrome, broken.url, broken.key, SIZES[size], scheme)
    trouble = page.locator("#trouble")
    dead = next(iter(broken.places))
    # On a busy machine a deployment is first in trouble for its times.
    expect(trouble.locator("li").filter(has_text=dead)).to_contain_text("failed", timeout=120_000)
    expect(trouble.locator("li").first).to_contain_text(re.compile("failed|keeps it out"))
    first = page.locator("main section").first
    assert first.get_attribute("id") == "trouble-part"
    expect(page.locator("#tiers tr.in-trouble")).not_to_have_count(0)
    page.screenshot(path=str(tmp_path / f"{scheme}-{size}.png"), full_page=True)
    overlapping = page.evaluate(
        """() => [...document.querySelectorAll("#tiers td, #decisions td")]
            .filter((cell) => cell.offsetParent && cell.scrollWidth > cell.clientWidth)
            .map((cell) => cell.textContent)"""
    )
    assert overlapping == []
    assert page.evaluate("document.documentElement.scrollWidth") <= SIZES[size][0]
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    assert violations(axe, page) == []
    page.context.close()
