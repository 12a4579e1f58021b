"""Lets real proxy workers decide all the time, in their own event loops, and times each decision.

Clients alone give too few decisions in ten seconds for a 99th percentile that means anything: a
proxied request costs a hundred times as much as its decision. LiteLLM calls `start` in every worker that has
`LITELLM_WORKER_STARTUP_HOOKS=rb_litellm.bench.real.picker:start` and `RB_PICKER_FOLDER` in its environment.
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from uuid import uuid4

HOOK = "rb_litellm.bench.real.picker:start"
FOLDER = "RB_PICKER_FOLDER"
MODEL = "main"
"""The model that is asked for."""
_EVERY_S = 0.01
_tasks: set[asyncio.Task[None]] = set()


def start() -> None:
    """Begin to decide, in the running event loop."""
    folder = Path(os.environ[FOLDER])
    _tasks.add(asyncio.get_running_loop().create_task(_pick(folder / f"picks-{os.getpid()}")))


def read(folder: Path, since_s: float, until_s: float) -> list[float]:
    """Seconds of each decision made by any worker in this span of the machine's monotonic clock."""
    lines = [line for path in folder.glob("picks-*") for line in path.read_text().splitlines()]
    pairs = [line.split() for line in lines if line.count(" ") == 1]
    return [float(took) for at, took in pairs if since_s <= float(at) < until_s]


async def _pick(path: Path) -> None:
    from litellm.proxy import proxy_server

    from rb_litellm.litellm_adapter.worker import worker

    with path.open("w", buffering=1) as picks:
        while True:
            await asyncio.sleep(_EVERY_S)
            router = proxy_server.llm_router
            if router is None:  # the configuration has not been read yet
                continue
            request = {"litellm_call_id": uuid4().hex, "metadata": {}}
            messages = [{"role": "user", "content": f"Question {request['litellm_call_id']}"}]
            await router.async_get_available_deployment(
                model=MODEL, request_kwargs=request, messages=messages
            )
            decision = worker().accounting.decision(str(request["litellm_call_id"]))
            worker().accounting.closed(str(request["litellm_call_id"]), "bench", error="Superseded")
            if decision is not None:
                picks.write(f"{time.monotonic():.3f} {decision.duration_s:.7f}\n")
