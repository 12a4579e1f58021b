"""Two deployments of one real engine, behind a proxy of two workers: each sees what the other one was sent.

Workers tell each other their loads every 200 ms, through Redis; the engine is not scraped, and its slots are
told, so nothing but the exchange can tell a worker what it has not sent itself.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack
from statistics import median
from typing import Any

import httpx
import pytest

from rb_litellm.bench.real.redis_server import RedisServer
from rb_litellm.bench.real.testbed import Proxy, running_proxy
from tests.e2e.proxy import routed
from tests.engines.engine import MODEL, SLOTS, Engine

BUSY, ASKED = "busy", "asked"
"""Model groups of one deployment each."""
AT_ONCE, TOKENS = 8, 96
INTERVAL_S = 0.2
"""Between exchanges."""
ON_ITS_WAY_S = 0.3
"""Until a request has passed the proxy and is counted."""
ASKS = 6
"""So many connections reach both workers, but once in 32 times."""


def _entry(group: str, engine: Engine) -> dict[str, Any]:
    return {
        "model_name": group,
        "litellm_params": {"model": f"{engine.provider}/{MODEL}", "api_base": engine.url, "api_key": "none"},
        "model_info": {"id": group, "routebalance": {"quality": 0.5, "max_num_seqs": SLOTS}},
    }


@pytest.fixture
def proxy(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """Two workers of it."""
    with ExitStack() as stack:
        redis = stack.enter_context(RedisServer())
        shared = {"url": redis.url, "namespace": "two", "interval_ms": round(INTERVAL_S * 1000.0)}
        settings = {
            "routing_strategy": "routebalance",
            "routing_strategy_args": {"redis": shared, "exploration": {"method": "none"}},
            "num_retries": 0,
            "timeout": 120.0,
        }
        config = {"model_list": [_entry(g, engine) for g in (BUSY, ASKED)], "router_settings": settings}
        yield stack.enter_context(running_proxy(tmp_path_factory.mktemp("two"), config, workers=2))


async def ask(proxy: Proxy, group: str, tokens: int) -> tuple[float, float]:
    """Seconds that were forecast for a whole answer, and that it took. Each has a connection of its own."""
    text = f"{time.monotonic_ns()} import os"
    body = {
        "model": group, "messages": [{"role": "user", "content": text}], "max_tokens": tokens,
        "ignore_eos": True,
    }  # fmt: skip
    async with proxy.async_client(limits=httpx.Limits(max_keepalive_connections=0)) as client:
        began = time.monotonic()
        answer = await client.post("/v1/chat/completions", json=body)
        answer.raise_for_status()
    return float(routed(answer)["e2e-ms"]) / 1000.0, time.monotonic() - began


async def test_two_deployments_on_one_engine_see_each_other_within_one_interval(
    engine: Engine, proxy: Proxy
) -> None:
    for _ in range(12):
        await ask(proxy, BUSY, TOKENS)
    idle_s = [await ask(proxy, ASKED, TOKENS) for _ in range(4)]
    busy = asyncio.gather(*(ask(proxy, BUSY, TOKENS) for _ in range(AT_ONCE)))
    await asyncio.sleep(ON_ITS_WAY_S + INTERVAL_S)
    seen_s = await asyncio.gather(*(ask(proxy, ASKED, TOKENS) for _ in range(ASKS)))
    await busy
    error = median(abs(forecast_s / took_s - 1.0) for forecast_s, took_s in seen_s)
    print(f"{engine.name}, two workers, idle {idle_s}, seen {seen_s}, E2E {error:.3f}")
    # Who sees nothing of the other's eight forecasts an idle server: a fourth of it, or less.
    usual_s = median(forecast_s for forecast_s, _ in idle_s)
    assert min(forecast_s for forecast_s, _ in seen_s) > 2.0 * usual_s
