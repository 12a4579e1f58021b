"""Two workers of a real proxy before two real engines, their clients, and what these get to see."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from rb_litellm.bench.real.redis_server import RedisServer
from rb_litellm.bench.real.testbed import Proxy, running_proxy
from tests.e2e.proxy import shared_state
from tests.engines.engine import MODEL, Engine

ASKED = "tiny-group"
TIMEOUT_S = 10.0
"""Of one attempt; each request has two more."""
AT_ONCE = 4
"""Twice as many as one engine runs."""
TOKENS = 16
OK = "answered"
CUT = "cut: "
"""With this begins how a stream ended that had begun: no retry can save it."""
PATIENCE_S = 60.0


@dataclass
class Fleet:
    """One proxy of two workers, and the engines behind it."""

    strategy: str
    proxy: Proxy
    redis: RedisServer
    engines: Sequence[Engine]

    def open(self) -> float:
        """Requests that its workers count as open, together."""
        told = shared_state(self.redis.url, self.strategy)
        return float(sum(deployment["in_flight"] for deployment in told["deployments"]))

    def comes_to_rest(self) -> bool:
        """Whether its workers count nothing any more, after a while."""
        deadline = time.monotonic() + PATIENCE_S
        while self.open():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.5)
        return True


@contextmanager
def running_fleet(
    folder: Path, strategy: str, redis: RedisServer, engines: Sequence[Engine]
) -> Iterator[Fleet]:
    """A proxy that routes between these engines; both strategies get the same retries and cooldowns."""
    settings: dict[str, Any] = {"routing_strategy": strategy, "num_retries": 2, "timeout": TIMEOUT_S}
    if strategy == "routebalance":
        shared = {"url": redis.url, "namespace": strategy}
        settings["routing_strategy_args"] = {"redis": shared, "scrape": {"interval_s": 2}}
    config = {"model_list": [_entry(engine) for engine in engines], "router_settings": settings}
    with running_proxy(folder, config, workers=2) as proxy:
        yield Fleet(strategy, proxy, redis, engines)


def _entry(engine: Engine) -> dict[str, Any]:
    return {
        "model_name": ASKED,
        "litellm_params": {
            "model": f"{engine.provider}/{MODEL}", "api_base": engine.url, "api_key": "none",
            "input_cost_per_token": 1e-7, "output_cost_per_token": 1e-7,
        },
        "model_info": {"id": f"{engine.name}:{engine.port}", "routebalance": {"quality": 0.5}},
    }  # fmt: skip


async def send(
    fleet: Fleet, requests: int, then: dict[int, Callable[[], object]] | None = None, **how: Any
) -> Counter[str]:
    """Send so many, AT_ONCE at a time, every other one as a stream; how they ended.

    `then` holds what is to happen before the request of a number is sent.
    """
    ended: Counter[str] = Counter()
    numbers = iter(range(requests))
    # A connection stays with the worker that accepted it: a new one for each request reaches both.
    limits = httpx.Limits(max_keepalive_connections=0)

    async def client() -> None:
        async with fleet.proxy.async_client(limits=limits) as asking:
            for number in numbers:
                if then and number in then:
                    await asyncio.to_thread(then[number])
                ended[await ask(asking, number, stream=number % 2 == 0, **how)] += 1

    await asyncio.gather(*(client() for _ in range(AT_ONCE)))
    return ended


async def ask(
    client: httpx.AsyncClient, number: int, stream: bool, words: int = 10, leaves_after: int | None = None
) -> str:
    """How one request ended: OK, a status, or what broke. A client may leave after so many chunks."""
    text = f"{number} {time.monotonic_ns()} " + "word " * words
    body = {
        "model": ASKED, "messages": [{"role": "user", "content": text}], "max_tokens": TOKENS,
        "ignore_eos": True, "stream": stream,
    }  # fmt: skip
    try:
        async with client.stream("POST", "/v1/chat/completions", json=body) as answer:
            if answer.status_code != 200:
                await answer.aread()
                return str(answer.status_code)
            if not stream:
                return OK if json.loads(await answer.aread())["choices"] else "empty"
            chunks, last = 0, ""
            async for line in answer.aiter_lines():
                chunks += 1
                if leaves_after is not None and chunks > leaves_after:
                    return "left"
                last = line or last
            return OK if last == "data: [DONE]" else f"{CUT}{last[:80]}"
    except httpx.HTTPError as error:
        return type(error).__name__
