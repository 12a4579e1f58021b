"""`scrape`: a server that others use directly gets fewer of the proxy's requests."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.proxy import Servers, chat, routed, running_proxy

pytestmark = pytest.mark.slow
_LONG = "A long answer, please."


@contextlib.asynccontextmanager
async def direct_load(url: str, count: int) -> AsyncIterator[None]:
    """So many requests at a time on a server, past the proxy."""

    async def ask(number: int) -> None:
        async with httpx.AsyncClient(base_url=url, timeout=60.0) as client:
            while True:
                await client.post("/v1/chat/completions", json=chat("mock", f"{_LONG} {number}"))

    asking = [asyncio.create_task(ask(number)) for number in range(count)]
    try:
        yield
    finally:
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)


async def test_a_server_that_is_busy_with_others_requests_is_avoided(
    servers: Servers, tmp_path: Path
) -> None:
    config = {
        "model_list": [servers.deployment(number, "small") for number in (0, 1)],
        "router_settings": {
            "routing_strategy": "routebalance",
            "routing_strategy_args": {
                "weights": "latency",
                "redis": {"enabled": False},
                "scrape": {"interval_s": 1},
            },
        },
    }
    with running_proxy(tmp_path, config) as proxy:
        async with proxy.async_client() as client:

            async def answered_by() -> str:
                response = await client.post("/v1/chat/completions", json=chat("small", max_tokens=3))
                assert response.status_code == 200, response.text
                return routed(response)["deployment"]

            idle = Counter([await answered_by() for _ in range(8)])
            async with direct_load(servers.urls[0], 24):
                await asyncio.sleep(3.0)  # two readings and a half
                busy = Counter([await answered_by() for _ in range(8)])
    assert set(idle) == {"small-0", "small-1"}
    assert busy == {"small-1": 8}
