"""Run by `routebalance bench fleet`: the exchange of N workers on M deployments, all busy and all changing.

A handful of processes stands for the fleet: MEASURED of them are one worker each, as in production, and are
timed; the other workers share STANDING processes. All of them are real publishers, each with a connection of
its own to one real Redis. On a small machine they are in each other's way, which wall-clock figures show.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from rb_litellm.bench.fleet.worker import Figures, Task
from rb_litellm.bench.real.redis_server import RedisServer
from rb_litellm.demo.processes import Child
from rb_litellm.demo.stage import clean_environment

MEASURED = 2
STANDING = 2
_START_S = 6.0
"""For processes to start and for workers to meet each other, before anything is measured;"""
_START_PER_LOAD_S = 1.5e-4
"""and for each worker's load on each deployment."""


def run(
    workers: Sequence[int] = (16, 64),
    deployments: Sequence[int] = (128, 1000),
    seconds: float = 10.0,
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Measure each fleet; `{"rows": [..]}`.

    Raises:
        ChildFailed: a process of the fleet ended early.
    """
    rows = []
    for count, size in [(count, size) for count in workers for size in deployments]:
        progress(f"{count} workers, {size} deployments")
        rows.append(_fleet(count, size, seconds))
    return {"seconds": seconds, "measured": MEASURED, "rows": rows}


def _fleet(workers: int, deployments: int, seconds: float) -> dict[str, Any]:
    names = [f"worker-{number}" for number in range(workers)]
    alone, others = names[:MEASURED], names[MEASURED:]
    shared = [part for n in range(STANDING) if (part := others[n::STANDING])]
    with (
        TemporaryDirectory(prefix="rb-bench-fleet-") as folder,
        RedisServer() as server,
        ExitStack() as stack,
    ):
        from_s = time.monotonic() + _START_S + _START_PER_LOAD_S * workers * deployments
        until_s = from_s + seconds
        children = []
        for number, part in enumerate([*([name] for name in alone), *shared]):
            # Two names at least make a process stand around.
            part = [*part, f"{part[0]}-more"] if number >= len(alone) and len(part) == 1 else part
            task = Task(server.url, tuple(part), deployments, from_s, until_s)
            command = [sys.executable, "-m", "rb_litellm.bench.fleet.worker", json.dumps(asdict(task))]
            log = Path(folder) / f"process-{number}.log"
            children.append(
                stack.enter_context(Child(f"process {number}", command, log, clean_environment()))
            )
        time.sleep(max(from_s - time.monotonic(), 0.0))
        before, began = _figures(server), time.monotonic()
        time.sleep(seconds)
        after, took = _figures(server), time.monotonic() - began
        load = os.getloadavg()[0]
        figures = [_result(child, until_s) for child in children]
    return _row(workers, deployments, figures[: len(alone)], figures, before, after, took, load)


def _row(
    workers: int,
    deployments: int,
    alone: Sequence[Figures],
    all_of_them: Sequence[Figures],
    before: dict[str, float],
    after: dict[str, float],
    took: float,
    load: float,
) -> dict[str, Any]:
    cpu, bare, stalls, stale = (
        [value for its in alone for value in getattr(its, name)]
        for name in ("cpu_s", "round_trip_cpu_s", "stall_s", "staleness_s")
    )
    exchanges = sum(its.exchanges for its in alone)
    return {
        "workers": workers,
        "deployments": deployments,
        "exchanges_per_s_worker": round(exchanges / took / max(len(alone), 1), 2),
        "exchange_cpu_ms_p50": _ms(cpu, 50),
        "exchange_cpu_ms_p99": _ms(cpu, 99),
        "round_trip_cpu_ms_p50": _ms(bare, 50),
        "loop_stall_ms_p50": _ms(stalls, 50),
        "loop_stall_ms_p99": _ms(stalls, 99),
        "redis_cpu_share": round((after["cpu_s"] - before["cpu_s"]) / took, 3),
        "redis_out_mb_s": round((after["out"] - before["out"]) / took / 1e6, 2),
        "staleness_ms_p50": _ms(stale, 50),
        "failures": sum(its.failures for its in all_of_them),
        "machine_load": round(load, 1),
    }


def _figures(server: RedisServer) -> dict[str, float]:
    with server.client() as client:
        info = client.info("all")
    cpu_s = float(info["used_cpu_user"]) + float(info["used_cpu_sys"])
    return {"cpu_s": cpu_s, "out": float(info["total_net_output_bytes"])}


def _result(child: Child, until_s: float) -> Figures:
    child.wait(max(until_s - time.monotonic(), 0.0) + 60.0)
    return Figures(**json.loads(child.output().strip().splitlines()[-1]))


def _ms(seconds: Sequence[float], percentile: float) -> float | None:
    return round(float(np.percentile(seconds, percentile)) * 1e3, 3) if seconds else None
