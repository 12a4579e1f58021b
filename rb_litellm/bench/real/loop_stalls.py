"""A probe inside a real proxy worker, for measurements: when its event loop stood still, and in whose code.

LiteLLM calls `start` in the loop of each worker with `LITELLM_WORKER_STARTUP_HOOKS=HOOK` and FOLDER in its
environment. A timer in the loop tells that it goes round; a thread looks at the loop's stack while it does
not. A stall is told with what the loop's own thread computed meanwhile: the rest is waiting, for a processor
on a busy machine, or for another thread.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType

HOOK = "rb_litellm.bench.real.loop_stalls:start"
FOLDER = "RB_STALLS_FOLDER"
TICK_S = 0.001
NOTED_S = 0.005
"""Shorter stalls are not noted."""
MAX_NOTED = 100_000
_OURS = f"{os.sep}rb_litellm{os.sep}"
_OTHERS = f"{os.sep}site-packages{os.sep}"
_BENCH = f"{os.sep}rb_litellm{os.sep}bench{os.sep}"


@dataclass(frozen=True)
class Stall:
    """The loop did not come round for `took_s`, up to `at_s` on the machine's monotonic clock."""

    at_s: float
    took_s: float
    computed_s: float
    """Of that, time on a processor of the loop's own thread."""
    owner: str
    """`ours`, the name of another package, or `waiting` where the loop was idle when it was seen."""
    where: str
    """Function and line of ours that was seen most often, if any was."""


def start() -> None:
    """Begin in the running loop."""
    probe = _Probe(Path(os.environ[FOLDER]) / f"stalls-{os.getpid()}.jsonl")
    loop = asyncio.get_running_loop()
    loop.call_soon(probe.tick, loop)
    threading.Thread(target=probe.watch, daemon=True, name="stalls").start()


def read(folder: Path) -> list[Stall]:
    """What all workers noted, the earliest first."""
    lines = [line for path in folder.glob("stalls-*.jsonl") for line in path.read_text().splitlines()]
    return sorted((Stall(**json.loads(line)) for line in lines), key=lambda stall: stall.at_s)


class _Probe:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = threading.get_ident()
        self._last = time.monotonic()
        self._computed = time.thread_time()
        self._seen: list[tuple[str, str]] = []
        self._noted = 0

    def tick(self, loop: asyncio.AbstractEventLoop) -> None:
        now, computed = time.monotonic(), time.thread_time()
        took_s = now - self._last - TICK_S
        if took_s > NOTED_S and self._noted < MAX_NOTED:
            self._note(now, took_s, computed - self._computed)
        self._seen = []
        self._last, self._computed = time.monotonic(), time.thread_time()
        loop.call_later(TICK_S, self.tick, loop)

    def _note(self, now: float, took_s: float, computed_s: float) -> None:
        owners = Counter(owner for owner, _ in self._seen)
        places = Counter(where for owner, where in self._seen if owner == "ours")
        stall = Stall(
            at_s=now,
            took_s=round(took_s, 5),
            computed_s=round(computed_s, 5),
            owner=owners.most_common(1)[0][0] if owners else "unseen",
            where=places.most_common(1)[0][0] if places else "",
        )
        self._noted += 1
        with self._path.open("a") as file:
            file.write(json.dumps(asdict(stall)) + "\n")

    def watch(self) -> None:
        while True:
            time.sleep(TICK_S)
            if time.monotonic() - self._last > 2 * TICK_S and len(self._seen) < 1_000:
                self._seen.append(owner_of_frame(sys._current_frames().get(self._thread)))


def owner_of_frame(frame: FrameType | None) -> tuple[str, str]:
    """Whose code runs: that of the innermost frame of a package; the standard library's callers count."""
    while frame is not None:
        file = frame.f_code.co_filename
        if _OURS in file and _BENCH not in file:
            return "ours", f"{Path(file).stem}.{frame.f_code.co_name}:{frame.f_lineno}"
        if _OTHERS in file and _BENCH not in file:
            package = file.rpartition(_OTHERS)[2].partition(os.sep)[0]
            # What is computed for us counts as ours: NumPy's work is done for whoever asked it.
            if package not in _FOR_OTHERS:
                return package, ""
        frame = frame.f_back
    return "waiting", ""


_FOR_OTHERS = ("numpy", "scipy", "xgboost", "pydantic", "tiktoken", "orjson", "prometheus_client")
