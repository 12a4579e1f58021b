"""Requests held in a real proxy: served in turn, refused at the bound, none lost."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.proxy import Proxy, chat, routed, running_proxy, running_servers

pytestmark = pytest.mark.slow
HELD_AT_ONCE = 4
TOKENS = 60


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[Proxy]:
    """One server that runs one request at a time, each for about half a second."""
    with running_servers(tmp_path / "servers", count=1, time_scale=1.0, slots=1) as servers:
        known = {"quality": 0.5, "tpot_ms": 9.0, "ttft_ms": 20.0, "output_tokens": TOKENS, "max_num_seqs": 1}
        config: dict[str, Any] = {
            "model_list": [servers.deployment(0, "small", routebalance=known)],
            "router_settings": {
                "routing_strategy": "routebalance",
                "routing_strategy_args": {
                    "predictor": "none",
                    "admission": {"max_wait_s": 0.05},
                    "hold": {"max_wait_s": 20, "max_requests": HELD_AT_ONCE},
                },
            },
        }
        with running_proxy(tmp_path / "proxy", config) as running:
            yield running


async def ask(client: httpx.AsyncClient, **fields: Any) -> httpx.Response:
    return await client.post("/v1/chat/completions", json=chat("small", max_tokens=TOKENS, **fields))


async def together(proxy: Proxy, number: int) -> list[httpx.Response]:
    async with proxy.async_client() as client:
        return await asyncio.gather(*(ask(client) for _ in range(number)))


def series(proxy: Proxy) -> dict[str, float]:
    with proxy.client() as client:
        lines = client.get("/routebalance/metrics").text.splitlines()
    ours = ("routebalance_held_requests", "routebalance_hold_seconds_count")
    named = (line.rpartition(" ") for line in lines if line.startswith(ours))
    return {name: float(value) for name, _, value in named}


def test_what_would_be_refused_is_served_in_turn_and_refused_at_the_bound(proxy: Proxy) -> None:
    answers = asyncio.run(together(proxy, 3))
    assert [answer.status_code for answer in answers] == [200] * 3
    held = [told["held"] for answer in answers if "held" in (told := routed(answer))]
    assert len(held) == 2
    assert all(text.startswith("position ") and "expected" in text and "waited" in text for text in held)

    answers = asyncio.run(together(proxy, HELD_AT_ONCE + 4))
    served = [answer for answer in answers if answer.status_code == 200]
    refused = [answer for answer in answers if answer.status_code != 200]
    assert len(served) >= HELD_AT_ONCE + 1
    assert refused
    assert {answer.status_code for answer in refused} == {429}
    assert all(1 <= int(answer.headers["retry-after"]) <= 120 for answer in refused)
    assert all("no further request is held" in answer.text for answer in refused)

    told = series(proxy)
    assert told['routebalance_held_requests{model="small"}'] == 0.0
    assert told['routebalance_hold_seconds_count{end="full"}'] == len(refused)
    assert told['routebalance_hold_seconds_count{end="served"}'] == 2 + len(served) - 1


def test_none_is_lost_when_the_proxy_is_told_to_end(proxy: Proxy) -> None:
    async def end() -> list[httpx.Response]:
        async with proxy.async_client() as client:
            tasks = [asyncio.create_task(ask(client)) for _ in range(HELD_AT_ONCE)]
            await asyncio.sleep(0.7)
            os.kill(proxy.child.pid, signal.SIGTERM)
            return await asyncio.gather(*tasks)

    answers = asyncio.run(end())
    assert {answer.status_code for answer in answers} <= {200, 429}
    assert any("held" in routed(answer) for answer in answers)
