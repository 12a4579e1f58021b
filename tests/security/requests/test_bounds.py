"""Bounds hold while many ask at once; names are safe where they leave."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from pathlib import Path

import httpx
import pytest

from rb_litellm.config import FeedbackSettings
from rb_litellm.litellm_adapter.proxy.endpoints.explain_limit import (
    EXPLANATIONS_PER_MINUTE,
    MAX_KEYS,
    ExplainLimit,
    coarse,
)
from rb_litellm.litellm_adapter.proxy.endpoints.status_routes import MAX_WATCHERS, STREAM_S, Watchers
from rb_litellm.litellm_adapter.shared.feedback_file import FeedbackBox
from rb_litellm.logs.feedback import Feedback, FeedbackFull
from rb_litellm.telemetry.records.headers import header_value
from rb_litellm.telemetry.records.log_lines import MAX_LINE, SafeLines, safe_text
from tests.e2e.proxy import Proxy, chat, routed
from tests.security.conftest import ask, key, send


def test_places_for_watchers_are_taken_when_they_are_asked_for() -> None:
    watchers = Watchers()
    taken = [watchers.enter(0.0) for _ in range(200)]
    assert sum(place is not None for place in taken) == MAX_WATCHERS
    leave = taken[0]
    assert leave is not None
    leave()
    leave()
    assert watchers.enter(1.0) is not None
    assert watchers.enter(1.0) is None
    assert watchers.enter(1.0 + 3 * STREAM_S) is not None


def test_many_writers_do_not_pass_the_files_bound(tmp_path: Path) -> None:
    settings = FeedbackSettings(path=str(tmp_path / "f.jsonl"), max_bytes=5_000)
    boxes = [FeedbackBox() for _ in range(4)]

    def write(box: FeedbackBox) -> None:
        for number in range(100):
            try:
                box.keep(settings, Feedback(f"call-{number}", 0.5))
            except FeedbackFull:  # noqa: PERF203  the file is full
                return

    threads = [threading.Thread(target=write, args=(boxes[n % 4],)) for n in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 4_900 < (tmp_path / "f.jsonl").stat().st_size <= 5_000


def test_explanations_of_a_key_are_counted() -> None:
    now = [0.0]
    limit = ExplainLimit(lambda: now[0])
    assert sum(limit.wait_s("a") == 0.0 for _ in range(200)) == EXPLANATIONS_PER_MINUTE
    assert limit.wait_s("b") == 0.0
    assert 0.0 < limit.wait_s("a") <= 1.0
    now[0] = 1.01
    assert limit.wait_s("a") == 0.0
    assert sum(limit.wait_s("c", 3) == 0.0 for _ in range(9)) == 3
    assert limit.wait_s("d", 0) == 60.0
    for number in range(MAX_KEYS + 10):
        limit.wait_s(f"key-{number}")
    assert len(limit._left) == MAX_KEYS


def test_who_is_no_admin_is_told_in_steps() -> None:
    def told(wait_s: float) -> object:
        candidate = {
            "deployment": "a", "score": 0.51 + wait_s / 100, "wait_s": wait_s, "ttft_s": 1 + wait_s,
            "e2e_s": 5 + wait_s, "tpot_s": 0.02, "terms": {"latency": 0.2 + wait_s / 100},
            "filters": {"ttft": {"passed": True, "limit": 9, "level": wait_s}},
        }  # fmt: skip
        flip = {"deployment": "b", "model": "m", "weights": wait_s}
        return coarse({"candidates": [candidate], "flips": [flip], "state_age_s": wait_s})

    assert told(0.9) == told(1.1)
    assert told(1.0) != told(9.0)


@pytest.mark.parametrize(
    "name", ["a\x00b", "a\r\nSet-Cookie: x=1", " a ", "a\t", "\x1b[31m", "é", "x" * 10_000, "\u2028"]
)
def test_a_header_carries_visible_characters_alone(name: str) -> None:
    value = header_value(name)
    assert len(value) <= 512
    assert value == value.strip()
    assert all(" " <= c <= "~" for c in value)
    httpx.Headers({"x": value})


def test_nobody_writes_a_log_line_of_its_own(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("rb_litellm.of-this-test")
    logger.addFilter(SafeLines())
    with caplog.at_level(logging.INFO, logger.name):
        logger.warning("id %s, error %s", "a\nERROR forged\x1b[31m", ValueError("b\r\nERROR"))
        logger.warning("plain %d%%", 7)
    first, second = (record.getMessage() for record in caplog.records)
    assert all(line.startswith(("id", "  ")) for line in first.split("\n"))
    assert "\x1b" not in first
    assert "\r" not in first
    assert second == "plain 7%"
    assert len(safe_text("x" * 10**6)) < MAX_LINE + 10


@pytest.mark.slow
def test_a_request_to_an_oddly_named_model_is_answered(proxy: Proxy) -> None:
    answer = ask(proxy, key("odd"), "odd")
    assert answer.status_code == 200
    assert routed(answer)["model"] == "odd?name?[31m"
    for line in proxy.child.output().splitlines():
        if "RouteBalance" in line:
            assert line.isprintable(), line


@pytest.mark.slow
def test_a_key_that_asks_too_often_for_explanations_waits(proxy: Proxy) -> None:
    often = key("lenient", user_id="often")
    answers = [
        send(proxy, often, "/routebalance/explain", chat("lenient"))
        for _ in range(EXPLANATIONS_PER_MINUTE + 30)
    ]
    refused = [a for a in answers if a.status_code == 429]
    assert refused
    assert int(refused[0].headers["retry-after"]) >= 1
    assert (
        send(proxy, key("lenient", user_id="another"), "/routebalance/explain", chat("lenient")).status_code
        == 200
    )
    assert ask(proxy, often, "lenient").status_code == 200
    told = answers[0].json()
    assert "state_age_s" not in told


def _memory_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@pytest.mark.slow
async def test_floods_are_bounded_and_the_figures_printed(proxy: Proxy) -> None:
    """Memory and time as seen from outside; stalls of the proxy's own loop are not probed here."""
    pid = proxy.child.pid
    before = _memory_mb(pid)
    limits = httpx.Limits(max_connections=400, max_keepalive_connections=0)
    async with httpx.AsyncClient(base_url=proxy.url, timeout=60.0, limits=limits) as client:
        admitted: list[int] = []

        async def stream() -> None:
            async with client.stream("GET", "/routebalance/events", headers=proxy.headers) as answer:
                admitted.append(answer.status_code)
                if answer.status_code == 200:
                    await asyncio.sleep(6.0)

        streams = [asyncio.create_task(stream()) for _ in range(200)]
        await asyncio.sleep(3.0)
        began = time.perf_counter()

        async def post(path: str, body: object) -> int:
            return (await client.post(path, json=body, headers=proxy.headers)).status_code

        explained = []
        for _ in range(20):
            explained += await asyncio.gather(
                *(post("/routebalance/explain", chat("lenient")) for _ in range(50))
            )
        took = time.perf_counter() - began
        grades = await asyncio.gather(
            *(post("/routebalance/feedback", {"call_id": f"c{n}", "score": 1.0}) for n in range(600))
        )
        # How a stream that nobody reads ends is not looked at.
        await asyncio.gather(*streams, return_exceptions=True)
    after = _memory_mb(pid)
    figures = {code: admitted.count(code) for code in set(admitted)}
    print(f"streams {figures}; 1,000 explains in {took:.1f} s; memory {before:.0f} -> {after:.0f} MB")
    assert 0 < figures[200] <= MAX_WATCHERS
    assert set(explained) == {200}
    assert set(grades) <= {201, 507}
    assert after - before < 100
