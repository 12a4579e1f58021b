"""Redis faults: a real proxy under load while its Redis fails in each way of the list for ten seconds.

For each fault the same load runs before it and during it, and the 99th percentiles of our part of the
decision are compared: the workers decide a hundred times a second each for that, beside the clients'
requests (see picker.py). The fault `none` is no fault: what its ratio differs from 1 by is the noise of the
measurement. The Redis is RouteBalance's alone, so that the figures are not about LiteLLM's own use of one.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rb_litellm.bench.real import picker
from rb_litellm.bench.real.fault_proxy import FaultProxy
from rb_litellm.bench.real.redis_faults import FAULTS, injected
from rb_litellm.bench.real.redis_server import RedisServer
from rb_litellm.bench.real.testbed import Proxy, running_proxy, running_servers
from rb_litellm.demo.load import fire, poisson

CONTROL = "none"
RATE = 20.0
"""Requests per second from clients, Poisson."""
_RECOVERY_S = 3.5
"""After each fault, until the workers exchange again: their longest pause between attempts and some."""
_SERVERS = 4


def run(
    folder: Path,
    seconds: float = 10.0,
    faults: Sequence[str] = (CONTROL, *FAULTS),
    workers: int = 2,
    seed: int = 0,
    progress: Callable[[str], None] = lambda _: None,
) -> list[dict[str, Any]]:
    """`[{"fault", "requests", "failed", "p99_ratio", ...}]`; requests are the clients' during the fault."""
    with (
        RedisServer() as redis,
        FaultProxy(redis.port) as wire,
        running_servers(folder / "servers", _SERVERS) as servers,
    ):
        config = {
            "model_list": [servers.deployment(number, picker.MODEL) for number in range(_SERVERS)],
            "router_settings": {
                "routing_strategy": "routebalance",
                "routing_strategy_args": {"redis": {"url": f"redis://127.0.0.1:{wire.port}/0"}},
                "num_retries": 0,
            },
        }
        environment = {"LITELLM_WORKER_STARTUP_HOOKS": picker.HOOK, picker.FOLDER: str(folder)}
        with running_proxy(folder, config, workers=workers, env=environment) as proxy:
            load = _Load(proxy, folder, seconds)
            return asyncio.run(_run(load, redis, wire, faults, seed, progress))


async def _run(
    load: _Load,
    redis: RedisServer,
    wire: FaultProxy,
    faults: Sequence[str],
    seed: int,
    progress: Callable[[str], None],
) -> list[dict[str, Any]]:
    progress("warming up")
    await load.run(seed)
    rows = []
    for number, fault in enumerate(faults, 1):
        progress(f"{fault} for {load.seconds:g} s")
        # The same arrivals before and during: the difference is the fault.
        before = await load.run(seed + number)
        with contextlib.nullcontext() if fault == CONTROL else injected(fault, redis, wire):
            during = await load.run(seed + number)
        await asyncio.sleep(_RECOVERY_S)
        rows.append(_row(fault, before, during))
    return rows


class _Seen:
    """What a span of load showed: clients' requests, those that failed, percentiles of the decisions."""

    def __init__(self, requests: int, failed: int, decisions_s: Sequence[float]) -> None:
        self.requests = requests
        self.failed = failed
        self.decisions = len(decisions_s)
        self.p50_ms, self.p99_ms = (float(p) * 1000.0 for p in np.percentile(decisions_s, (50, 99)))


class _Load:
    def __init__(self, proxy: Proxy, folder: Path, seconds: float) -> None:
        self.seconds = seconds
        self._proxy = proxy
        self._folder = folder

    async def run(self, seed: int) -> _Seen:
        prompts = [f"Question {n}: what is a balance, and what keeps it?" for n in range(50)]
        shots = poisson(prompts, round(RATE * self.seconds), RATE, seed)
        began = time.monotonic()
        answers = await fire(
            shots, f"{self._proxy.url}/v1", picker.MODEL, self._proxy.key, max_tokens=8, stream=False
        )
        failed = sum(not answer.ok for answer in answers)
        return _Seen(len(answers), failed, picker.read(self._folder, began, time.monotonic()))


def _row(fault: str, before: _Seen, during: _Seen) -> dict[str, Any]:
    return {
        "fault": fault,
        "requests": during.requests,
        "failed": before.failed + during.failed,
        "p99_ratio": round(during.p99_ms / before.p99_ms, 2),
        "p50_ratio": round(during.p50_ms / before.p50_ms, 2),
        "p99_before_ms": round(before.p99_ms, 3),
        "p99_during_ms": round(during.p99_ms, 3),
        "decisions": during.decisions,
    }
