"""What a proxy adds to the latency of a request, against its upstream alone and against simple-shuffle.

By the method of https://github.com/BerriAI/ai-gateway-bench: closed loops of 1, 16 and 64 clients before a
mock upstream that answers at once. Upstream and proxies take turns in short rounds, so that whatever else the
machine does meets all alike; figures are medians over the rounds. Run by `routebalance bench overhead`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from random import Random
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from rb_litellm.bench.closed_loop import closed_loop, upstream
from rb_litellm.bench.proxy import OURS, WARM_UP_REQUESTS, proxy_config
from rb_litellm.bench.real.redis_server import RedisServer
from rb_litellm.bench.real.testbed import LITELLM, RB_LITELLM, running_proxy

UPSTREAM = "upstream"
SHUFFLE = "simple-shuffle"
STRATEGIES = (OURS, SHUFFLE)

Target = tuple[str, Mapping[str, str]]
"""Address and headers."""


def run(
    concurrency: Sequence[int] = (1, 16, 64),
    rounds: int = 5,
    seconds: float = 4.0,
    seed: int = 0,
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Measure; `{"rows": [..]}`, one per proxy and concurrency, and the upstream alone.

    Raises:
        ChildFailed: a proxy does not start.
        RuntimeError: a request failed.
    """
    random, rows = Random(seed), []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="rb-bench-overhead-")))
        served = upstream(stack, folder)
        redis = stack.enter_context(RedisServer())
        targets: dict[str, Target] = {UPSTREAM: (served.removesuffix("/v1"), {})}
        for strategy in STRATEGIES:
            progress(f"starting {strategy}")
            proxy = stack.enter_context(
                running_proxy(
                    folder / strategy,
                    proxy_config(strategy, served, redis.url),
                    command=RB_LITELLM if strategy == OURS else LITELLM,
                )
            )
            targets[strategy] = (proxy.url, proxy.headers)
        for target in targets.values():
            asyncio.run(closed_loop(*target, 16, None, WARM_UP_REQUESTS))
        for clients in concurrency:
            rows += _rows(clients, _measured(targets, clients, rounds, seconds, random, progress))
    return {"seed": seed, "rounds": rounds, "seconds": seconds, "workers": 1, "rows": rows}


def _measured(
    targets: Mapping[str, Target],
    clients: int,
    rounds: int,
    seconds: float,
    random: Random,
    progress: Callable[[str], None],
) -> dict[str, tuple[float, float, float]]:
    """p50 and p99 in ms and requests per second of each target."""
    taken: dict[str, list[tuple[float, float, float]]] = {name: [] for name in targets}
    for number in range(rounds):
        progress(f"{clients} client(s), round {number + 1} of {rounds}")
        for name in random.sample(list(targets), len(targets)):
            latencies, elapsed = asyncio.run(closed_loop(*targets[name], clients, seconds, None))
            p50, p99 = np.percentile(np.array(latencies) * 1e3, (50, 99))
            taken[name].append((float(p50), float(p99), len(latencies) / elapsed))
    return {
        name: (median(one[0] for one in of), median(one[1] for one in of), median(one[2] for one in of))
        for name, of in taken.items()
    }


def _rows(clients: int, measured: Mapping[str, tuple[float, float, float]]) -> list[dict[str, Any]]:
    alone, shuffle = measured[UPSTREAM], measured[SHUFFLE]
    rows = []
    for name, (p50, p99, rps) in measured.items():
        of_shuffle = None if name == UPSTREAM else round((p50 - alone[0]) / (shuffle[0] - alone[0]), 3)
        rows.append(
            {
                "proxy": name,
                "concurrency": clients,
                "added_p50_ms": round(p50 - alone[0], 2),
                "added_p99_ms": round(p99 - alone[1], 2),
                "rps": round(rps, 1),
                "p50_ms": round(p50, 2),
                "p99_ms": round(p99, 2),
                "added_p50_of_simple_shuffle": of_shuffle,
            }
        )
    return rows
