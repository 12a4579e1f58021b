"""A probe inside a real proxy worker, for measurements: the rounds of its event loop, and our part of each.

In a round the loop runs all that is ready at once, steps of many requests among it, and nothing else comes
in between. LiteLLM calls `start` in the loop of each worker with `LITELLM_WORKER_STARTUP_HOOKS=HOOK` and
FOLDER in its environment. Times are the processor's, of the loop's own thread: waiting for a processor on a
busy machine, or for another thread, does not count. A round after a pause has in it what the loop did in up
to _TICK_S before. A thread looks at the stack now and then, to tell whether our code runs where no time is
taken of it.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType

from rb_litellm.bench.real.own_time import OwnTime, take_time

FOLDER = "RB_ROUNDS_FOLDER"
HOOK = "rb_litellm.bench.real.loop_rounds:start"
NOTED_S = 0.001
"""Of shorter rounds, those without a millisecond of ours are not noted."""
_BUSY_S = 0.0001
"""After a longer round the next one is measured at once."""
_TICK_S = 0.001
_LOOK_S = 0.005
_MAX_NOTED = 100_000
_OURS = f"{os.sep}rb_litellm{os.sep}"
_BENCH = f"{os.sep}rb_litellm{os.sep}bench{os.sep}"
_OTHERS = f"{os.sep}site-packages{os.sep}"
_FOR_OTHERS = ("numpy", "scipy", "xgboost", "pydantic", "tiktoken", "orjson", "prometheus_client")
"""What is computed for us counts as ours: NumPy's work is done for whoever asked it."""


@dataclass(frozen=True)
class Round:
    """One round, which ended at `at_s` on the machine's monotonic clock."""

    at_s: float
    computed_s: float
    ours_s: float
    """Of that, in our code and what it calls."""
    collected_s: float
    """Beside that, in Python's garbage collector."""
    where: str
    """Milliseconds of ours in the six longest entries, and how often they were entered."""
    missed: float
    """Share of it in which our code was seen to run where no time is taken."""


def start() -> None:
    """Begin in the running loop."""
    own = OwnTime()
    take_time(own)
    probe = _Probe(Path(os.environ[FOLDER]) / f"rounds-{os.getpid()}.jsonl", own)
    asyncio.get_running_loop().call_soon(probe.come_round)
    # Else the thread looks where the loop's lets go of the interpreter, and hardly anywhere else.
    sys.setswitchinterval(_LOOK_S / 10.0)
    threading.Thread(target=probe.watch, daemon=True, name="rounds").start()


def read(folder: Path) -> list[Round]:
    """What all workers noted, the earliest first."""
    lines = [line for path in folder.glob("rounds-*.jsonl") for line in path.read_text().splitlines()]
    return sorted((Round(**json.loads(line)) for line in lines), key=lambda one: one.at_s)


class _Probe:
    def __init__(self, path: Path, own: OwnTime) -> None:
        self._path = path
        self._own = own
        self._began, self._collected_s = time.thread_time(), 0.0
        self._looks = self._missed = 0
        self._lines: list[str] = []
        self._noted = 0

    def come_round(self) -> None:
        computed_s = time.thread_time() - self._began
        spent = self._own.take()
        ours_s = sum(seconds for seconds, _ in spent.values())
        collected_s, self._collected_s = self._own.collected_s - self._collected_s, self._own.collected_s
        if (ours_s > NOTED_S or computed_s > 5 * NOTED_S) and self._noted < _MAX_NOTED:
            self._noted += 1
            self._lines.append(self._told(computed_s, ours_s, collected_s, spent))
        elif computed_s < _BUSY_S and self._lines:
            with self._path.open("a") as file:
                file.write("".join(self._lines))
            self._lines = []
        self._looks = self._missed = 0
        loop = asyncio.get_running_loop()
        self._began = time.thread_time()
        if computed_s > _BUSY_S:
            loop.call_soon(self.come_round)
        else:
            loop.call_later(_TICK_S, self.come_round)

    def _told(
        self, computed_s: float, ours_s: float, collected_s: float, spent: dict[str, tuple[float, int]]
    ) -> str:
        longest = sorted(spent.items(), key=lambda one: -one[1][0])[:6]
        one = Round(
            at_s=time.monotonic(),
            computed_s=round(computed_s, 5),
            ours_s=round(ours_s, 5),
            collected_s=round(collected_s, 5),
            where=", ".join(f"{name} {seconds * 1e3:.1f} ({times})" for name, (seconds, times) in longest),
            missed=round(self._missed / max(self._looks, 1), 3),
        )
        return json.dumps(asdict(one)) + "\n"

    def watch(self) -> None:
        while True:
            time.sleep(_LOOK_S)
            frame = sys._current_frames().get(self._own.thread)
            self._looks += 1
            self._missed += _is_ours(frame) and not self._own.inside


def _is_ours(frame: FrameType | None) -> bool:
    """Whether the innermost package that runs is ours; the standard library's callers count."""
    while frame is not None:
        file = frame.f_code.co_filename
        if _BENCH not in file:
            if _OURS in file:
                return True
            if _OTHERS in file and not file.rpartition(_OTHERS)[2].startswith(_FOR_OTHERS):
                return False
        frame = frame.f_back
    return False
