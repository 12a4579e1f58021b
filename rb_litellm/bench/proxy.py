"""What a whole proxy does per second with each strategy, before upstreams that answer at once.

One proxy per strategy, all started first; then short rounds of load go to one after another in turns, so that
whatever else the machine does meets all alike. RouteBalance is started by `rb-litellm`, with a Redis for
its exchange; the others by `litellm`, as they are without us. Load is a closed loop of that many clients.
Run by `routebalance bench proxy`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from rb_litellm.bench.closed_loop import MODEL, closed_loop, upstream
from rb_litellm.bench.real.redis_server import RedisServer
from rb_litellm.bench.real.testbed import LITELLM, RB_LITELLM, Proxy, running_proxy

OURS = "routebalance"
STRATEGIES = (OURS, "simple-shuffle", "least-busy", "latency-based-routing")
DEPLOYMENTS = 13
WARM_UP_REQUESTS = 200


@dataclass(slots=True)
class _Rounds:
    """What was measured of one strategy; one entry per round."""

    rps: list[float] = field(default_factory=list)
    p50_ms: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)


def run(
    workers: Sequence[int] = (1, 2),
    rounds: int = 5,
    seconds: float = 4.0,
    clients: int = 16,
    seed: int = 0,
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Measure; `{"rows": [...]}` with medians over the rounds, and our share of simple-shuffle's rate.

    Raises:
        ChildFailed: a proxy does not start.
        RuntimeError: a request failed.
    """
    rows: list[dict[str, Any]] = []
    for count in workers:
        measured = _measure(count, rounds, seconds, clients, Random(seed), progress)
        shuffle = measured["simple-shuffle"].rps
        for strategy, taken in measured.items():
            # Rounds stand side by side in time: their ratio is steadier than that of the medians.
            ratios = [own / other for own, other in zip(taken.rps, shuffle, strict=True)]
            rows.append(
                {
                    "strategy": strategy,
                    "workers": count,
                    "rps": round(median(taken.rps), 1),
                    "p50_ms": round(median(taken.p50_ms), 2),
                    "p99_ms": round(median(taken.p99_ms), 2),
                    "rps_of_simple_shuffle": round(median(ratios), 3),
                }
            )
    return {"seed": seed, "rounds": rounds, "seconds": seconds, "clients": clients, "rows": rows}


def _measure(
    workers: int, rounds: int, seconds: float, clients: int, random: Random, progress: Callable[[str], None]
) -> dict[str, _Rounds]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="rb-bench-proxy-")))
        served = upstream(stack, folder)
        redis = stack.enter_context(RedisServer())
        proxies: dict[str, Proxy] = {}
        for strategy in STRATEGIES:
            progress(f"starting {strategy}, {workers} worker(s)")
            proxies[strategy] = stack.enter_context(
                running_proxy(
                    folder / strategy,
                    proxy_config(strategy, served, redis.url),
                    command=RB_LITELLM if strategy == OURS else LITELLM,
                    arguments=("--timeout_worker_healthcheck", "120") if workers > 1 else (),
                    workers=workers,
                )
            )
        for proxy in proxies.values():
            asyncio.run(closed_loop(proxy.url, proxy.headers, clients, None, WARM_UP_REQUESTS * workers))
        measured = {strategy: _Rounds() for strategy in STRATEGIES}
        for number in range(rounds):
            progress(f"{workers} worker(s), round {number + 1} of {rounds}")
            for strategy in random.sample(STRATEGIES, len(STRATEGIES)):
                taken, elapsed = asyncio.run(
                    closed_loop(proxies[strategy].url, proxies[strategy].headers, clients, seconds, None)
                )
                p50, p99 = np.percentile(np.array(taken) * 1e3, (50, 99))
                measured[strategy].rps.append(len(taken) / elapsed)
                measured[strategy].p50_ms.append(float(p50))
                measured[strategy].p99_ms.append(float(p99))
        return measured


def proxy_config(strategy: str, upstream: str, redis_url: str) -> dict[str, Any]:
    """The configuration of a proxy with this strategy, of deployments that are all that one upstream."""
    router: dict[str, Any] = {"routing_strategy": strategy}
    if strategy == OURS:
        router["routing_strategy_args"] = {"redis": {"url": redis_url}}
    params = {"model": "hosted_vllm/mock", "api_base": upstream, "api_key": "none"}
    prices = {"input_cost_per_token": 1e-7, "output_cost_per_token": 1e-7}
    return {
        "model_list": [
            {
                "model_name": MODEL,
                "litellm_params": {**params, **prices},
                "model_info": {"id": f"bench-{n}"},
            }
            for n in range(DEPLOYMENTS)
        ],
        "router_settings": router,
    }
