"""How many decisions a second: processes that decide batch after batch, each as a proxy's worker does.

Of a decision everything counts that a worker does for one: reading, counting and predicting the prompt, the
choice, and opening, recording and closing the attempt. There is no network and no LiteLLM around it. Run by
`routebalance bench rate`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4

from rb_litellm.bench.decisions.picks import (
    GROUPS,
    decision_timer,
    requests_of,
    router_of,
    use_compiled_loops,
)
from rb_litellm.bench.real.placeholder_predictor import train_placeholder

_PROMPTS = 512
"""Different prompts of a process, which it asks in turn."""
_WARM_S = 1.0
_START_S = 20.0
"""For processes to start, and loops to be compiled, before all decide at the same time."""


def run(
    predictor: Path | None, processes: int = 2, deployments: int = 100, batch: int = 32, seconds: float = 5.0
) -> dict[str, Any]:
    """Decide for so long in all processes at once; `{"rows": [...]}`, one row for each and one for all."""
    with tempfile.TemporaryDirectory(prefix="routebalance-bench-") as folder:
        if predictor is None:
            train_placeholder(GROUPS, Path(folder) / "placeholder")
        path = str(predictor or Path(folder) / "placeholder")
        with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
            begin = time.time() + _START_S
            asked = [
                pool.submit(_worker, path, deployments, batch, seconds, seed, begin)
                for seed in range(processes)
            ]
            rows = [one.result() for one in asked]
    return {
        "deployments": deployments,
        "batch": batch,
        "rows": rows,
        "decisions_per_s": round(sum(row["decisions_per_s"] for row in rows)),
        "decisions_per_processor_s": round(
            sum(row["decisions"] for row in rows) / sum(row["processor_s"] for row in rows)
        ),
        "machine_load": round(os.getloadavg()[0], 1),
    }


def _worker(
    predictor: str, deployments: int, batch: int, seconds: float, seed: int, begin: float
) -> dict[str, Any]:
    return asyncio.run(_decide(predictor, deployments, batch, seconds, seed, begin))


async def _decide(
    predictor: str, deployments: int, batch: int, seconds: float, seed: int, begin: float
) -> dict[str, Any]:
    import litellm

    from rb_litellm import register
    from rb_litellm.litellm_adapter.shared.upkeep.gc_tuning import set_aside

    register()
    logging.getLogger("LiteLLM").setLevel(logging.ERROR)
    compiled = use_compiled_loops()
    settings = {"predictor": {"path": predictor}}
    router = router_of(litellm, "routebalance", deployments, settings)
    decide = decision_timer(router, settings, batch)
    prompts = [*islice(requests_of(Random(seed)), _PROMPTS)]
    set_aside()

    async def decided_until(end: float) -> int:
        count = 0
        while time.time() < end:
            await decide({**prompts[count // batch % _PROMPTS], "litellm_call_id": uuid4().hex})
            count += batch
        return count

    await decided_until(time.time() + _WARM_S)
    # All of them at the same time.
    await asyncio.sleep(max(begin - time.time(), 0.0))
    began, cpu = time.time(), time.process_time()
    count = await decided_until(began + seconds)
    took, cpu_s = time.time() - began, time.process_time() - cpu
    return {
        "process": seed,
        "compiled": compiled,
        "decisions": count,
        "decisions_per_s": round(count / took),
        "processor_s": round(cpu_s, 2),
    }
