"""Redis under fault: a real proxy under load, its Redis failing in each way of the list for ten seconds.

For each fault the same load runs before it and during it; the 99th percentiles of our part of the
decision (`x-routebalance-decision-ms`, as every client gets it) are compared within the run. The Redis is
RouteBalance's alone, so that the figures are not about LiteLLM's own use of one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rb_litellm.bench.fault_proxy import FaultProxy
from rb_litellm.bench.redis_faults import FAULTS, injected
from rb_litellm.bench.redis_server import RedisServer
from rb_litellm.bench.stand import Proxy, running_proxy, running_servers
from rb_litellm.demo.load import Answer, fire, poisson

RATE = 40.0
"""Requests per second, Poisson: about half of one core of the proxy."""
_RECOVERY_S = 3.5
"""After each fault, until the workers exchange again: their longest pause between attempts and some."""
_SERVERS = 4


def run(
    folder: Path,
    seconds: float = 10.0,
    faults: Sequence[str] = FAULTS,
    workers: int = 2,
    seed: int = 0,
    progress: Callable[[str], None] = lambda _: None,
) -> list[dict[str, Any]]:
    """`[{"fault", "requests", "failed", "p99_ratio", ...}]`; requests are those during the fault."""
    with (
        RedisServer() as redis,
        FaultProxy(redis.port) as wire,
        running_servers(folder / "servers", _SERVERS) as servers,
    ):
        config = {
            "model_list": [servers.deployment(number, "main") for number in range(_SERVERS)],
            "router_settings": {
                "routing_strategy": "routebalance",
                "routing_strategy_args": {"redis": {"url": f"redis://127.0.0.1:{wire.port}/0"}},
                "num_retries": 0,
            },
        }
        with running_proxy(folder, config, workers=workers) as proxy:
            return asyncio.run(_run(proxy, redis, wire, seconds, faults, seed, progress))


async def _run(
    proxy: Proxy,
    redis: RedisServer,
    wire: FaultProxy,
    seconds: float,
    faults: Sequence[str],
    seed: int,
    progress: Callable[[str], None],
) -> list[dict[str, Any]]:
    rows = []
    progress("warming up")
    await _load(proxy, max(seconds, 5.0), seed)
    for number, fault in enumerate(faults, 1):
        progress(f"{fault} for {seconds:g} s")
        # The same arrivals before and during: the difference is the fault.
        before = await _load(proxy, seconds, seed + number)
        with injected(fault, redis, wire):
            during = await _load(proxy, seconds, seed + number)
        await asyncio.sleep(_RECOVERY_S)
        rows.append(_row(fault, before, during))
    return rows


async def _load(proxy: Proxy, seconds: float, seed: int) -> list[Answer]:
    prompts = [f"Question {n}: what is a balance, and what keeps it?" for n in range(50)]
    shots = poisson(prompts, round(RATE * seconds), RATE, seed)
    return await fire(shots, f"{proxy.url}/v1", "main", proxy.key, max_tokens=8, stream=False)


def _row(fault: str, before: Sequence[Answer], during: Sequence[Answer]) -> dict[str, Any]:
    p50_before, p99_before = _percentiles_ms(before)
    p50_during, p99_during = _percentiles_ms(during)
    return {
        "fault": fault,
        "requests": len(during),
        "failed": sum(not answer.ok for answer in [*before, *during]),
        "p99_ratio": round(p99_during / p99_before, 2),
        "p50_ratio": round(p50_during / p50_before, 2),
        "p99_before_ms": round(p99_before, 3),
        "p99_during_ms": round(p99_during, 3),
    }


def _percentiles_ms(answers: Sequence[Answer]) -> tuple[float, float]:
    taken = [float(a.routebalance["decision-ms"]) for a in answers if "decision-ms" in a.routebalance]
    p50, p99 = np.percentile(taken, (50, 99))
    return float(p50), float(p99)
