"""A probe inside a real proxy worker, for measurements: what it has open, and whether a sum was ever wrong.

LiteLLM calls `start` in each worker with `RB_PROBE_FOLDER` and
`LITELLM_WORKER_STARTUP_HOOKS=rb_litellm.bench.real.loop_probe:start` in its environment. A thread then
samples the state and writes the samples to the worker's own file.
"""

from __future__ import annotations

import json
import os
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HOOK = "rb_litellm.bench.real.loop_probe:start"
FOLDER = "RB_PROBE_FOLDER"
_SAMPLE_S = 0.02
_WRITE_EVERY = 5
"""Samples per written file."""


@dataclass(frozen=True)
class WorkerSample:
    """The last sample of one worker."""

    pid: int
    at_s: float
    """Time of the sample on the machine's monotonic clock, which all processes share."""
    origin: str
    open: int
    """Attempts open in the ledger."""
    lowest: float
    """The lowest load of any deployment that was ever sampled, of any kind, own or total."""
    total: float
    """Attempts in flight as this worker estimates them, its own and those of all others."""
    peers: dict[str, float]
    """Attempts in flight by peer, as last received."""
    held: int
    """Attempts whose tasks are still watched."""
    closed: dict[str, int]
    failures: dict[str, int] = field(default_factory=dict)


def start() -> None:
    """Start sampling, in a thread that ends with the process."""
    folder = Path(os.environ[FOLDER])
    threading.Thread(target=_sample, args=(folder,), daemon=True, name="probe").start()


def read(folder: Path) -> list[WorkerSample]:
    """All workers that ever wrote."""
    return [WorkerSample(**json.loads(path.read_text())) for path in sorted(folder.glob("probe-*.json"))]


def _sample(folder: Path) -> None:
    from rb_litellm.litellm_adapter.worker import worker

    path = folder / f"probe-{os.getpid()}.json"
    lowest, samples = 0.0, 0
    while True:
        time.sleep(_SAMPLE_S)
        seen = worker().runtime
        own, total = seen.ledger.sums(seen.clock()), seen.reckoner.state(seen.clock())
        for state in (own, total):
            for load in (state.in_flight, state.pending_prefill_tokens, state.pending_decode_tokens):
                lowest = min(lowest, float(load.min(initial=0.0)))
        samples += 1
        if samples % _WRITE_EVERY == 0:
            with seen.lock:
                document = _seen(seen, worker().accounting.watched, lowest, float(total.in_flight.sum()))
            _write(path, document)


def _seen(seen: Any, watched: int, lowest: float, total: float) -> dict[str, Any]:
    status = seen.sharing.status()
    return {
        "pid": os.getpid(),
        "at_s": time.monotonic(),
        "origin": "" if status is None else status.origin,
        "open": len(seen.ledger),
        "lowest": lowest,
        "total": total,
        "peers": {worker.name: float(worker.in_flight) for worker in seen.sharing.peers.workers},
        "held": watched,
        "closed": dict(seen.ledger.closed),
        "failures": dict(seen.counters.failures),
    }


def _write(path: Path, document: dict[str, Any]) -> None:
    unfinished = path.with_suffix(".tmp")
    unfinished.write_text(json.dumps(document))
    unfinished.replace(path)
