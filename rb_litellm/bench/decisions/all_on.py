"""What a decision costs with everything on against everything off, in the processor time of its thread.

Off and on take turns, in the order drawn anew for each round, on the same machine in the same seconds; time
that others take from the machine does not count. Each feature is measured alone as well, to see what is dear.
Run by `routebalance bench all-on`.
"""

from __future__ import annotations

import asyncio
import logging
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from random import Random
from types import SimpleNamespace
from typing import Any

from rb_litellm.bench.decisions.picks import (
    EVERYTHING,
    GROUPS,
    requests_of,
    router_of,
    use_compiled_loops,
)

FEATURES: dict[str, dict[str, Any]] = {
    "targets": {"targets": {"cost_usd_per_1k": 0.05, "e2e_p95_s": 20.0}},
    "hold": {"hold": {}, "admission": {"max_wait_s": 60.0}},
    "agents": {"agents": {}},
    "requests_per_minute": {"requests_per_minute": 1_000_000},
    "usd_per_day": {"usd_per_day": 1_000_000.0},
    "efforts": {},
    "cascade": {"cascade": {"judge": {"model": GROUPS[-1]}}},
    "best of n": {"best_of": {"judge": {"model": GROUPS[-1]}}},
}
"""With all on, a request is part of an agent's loop, and is answered once."""
OFF, ALL_ON, ALL_AND_LIMITS = "all off", "all on", "all on, with limits, budget and affinity"
_EFFORTS = {
    "low": {"quality": 0.6, "output_tokens": 200},
    "medium": {"quality": 0.65, "output_tokens": 500},
    "high": {"quality": 0.7, "output_tokens": 1500},
}
_ROUND = 10
"""Decisions in a row of each kind, of which the first is not counted."""


def run(
    sizes: Sequence[int], rounds: int, seed: int, progress: Callable[[int], None] = lambda _: None
) -> dict[str, Any]:
    """Measure; rows with the median CPU time of a decision in microseconds, and its ratio to all off.

    The predictor is the one that ships.
    """
    return {
        "seed": seed,
        "rounds": rounds,
        "rows": asyncio.run(_run(sizes, rounds, seed, progress)),
    }


async def _run(
    sizes: Sequence[int], rounds: int, seed: int, progress: Callable[[int], None]
) -> list[dict[str, Any]]:
    import litellm

    from rb_litellm import register
    from rb_litellm.litellm_adapter.shared.upkeep.gc_tuning import set_aside

    register()
    use_compiled_loops()
    logging.getLogger("LiteLLM").setLevel(logging.ERROR)
    random = Random(seed)
    everything = {name: value for its in FEATURES.values() for name, value in its.items()}
    rows: list[dict[str, Any]] = []
    for size in sizes:
        plain, leveled = (router_of(litellm, "routebalance", size, {}, e) for e in ({}, _EFFORTS))
        decisions = {
            OFF: _Decision(plain, {}),
            **{
                name: _Decision(leveled if name == "efforts" else plain, its)
                for name, its in FEATURES.items()
            },
            ALL_ON: _Decision(leveled, everything),
            ALL_AND_LIMITS: _Decision(leveled, {**EVERYTHING, **everything}),
        }
        taken: dict[str, list[float]] = {name: [] for name in decisions}
        requests = _requests(random)
        set_aside()
        for turn in range(rounds + 1):
            for name in random.sample(list(decisions), len(decisions)):
                took = [await decisions[name].cpu_s(next(requests)) for _ in range(_ROUND)]
                if turn:  # The first round warms up.
                    taken[name] += took[1:]
        medians = {name: statistics.median(its) for name, its in taken.items()}
        rows += [
            {"deployments": size, "on": name, "cpu_us": round(1e6 * median, 1),
             "ratio": round(median / medians[OFF], 3)}
            for name, median in medians.items()
        ]  # fmt: skip
        progress(size)
    return rows


class _Decision:
    """Decisions with these settings; what is written down after one counts too."""

    def __init__(self, router: Any, arguments: dict[str, Any]) -> None:
        from rb_litellm.litellm_adapter.build_selector import build_selector

        self._selector = build_selector(router, arguments)
        self._entries = list(router.model_list)

    async def cpu_s(self, request: dict[str, Any]) -> float:
        """Processor time that one takes, in s."""
        from rb_litellm.litellm_adapter.request.stages import Run, during
        from rb_litellm.litellm_adapter.worker import worker

        books = worker().accounting
        with during(Run(request["litellm_call_id"], {})):
            began = time.thread_time()
            await self._selector.select("auto", self._entries, request["messages"], None, request)
            books.publisher.work_off()
        took = time.thread_time() - began
        books.closed(request["litellm_call_id"], "bench", error="Superseded")
        return took


def _requests(random: Random) -> Iterator[dict[str, Any]]:
    for request in requests_of(random):
        request["litellm_logging_obj"] = SimpleNamespace(call_type="acompletion")
        request["metadata"] = {"session_id": request["litellm_call_id"]}
        yield request
