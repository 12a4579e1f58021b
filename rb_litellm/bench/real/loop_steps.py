"""A probe inside a real proxy worker, for measurements: how long single steps of tasks hold its event loop.

A stall (see `loop_stalls`) is a whole round of the loop, with the steps of many requests in it. A step is
what nothing can come between: from where a task goes on to where it waits again. LiteLLM calls `start` as it
calls that of `loop_stalls`. Told is processor time of the loop's own thread, so that waiting for a processor
on a busy machine does not count.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Coroutine, Generator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rb_litellm.bench.real.loop_stalls import FOLDER, MAX_NOTED, owner_of_frame

HOOK = "rb_litellm.bench.real.loop_steps:start"
NOTED_S = 0.002
"""Shorter steps are not noted."""
_LOOK_S = 0.0005


@dataclass(frozen=True)
class Step:
    """A task computed for `computed_s` without a pause, up to `at_s` on the machine's monotonic clock."""

    at_s: float
    computed_s: float
    ours: float
    """Share of that which was spent in our code, by samples of the stack."""
    where: str
    """Function and line of ours that was seen most often, if any was."""
    task: str

    @property
    def ours_s(self) -> float:
        """What our code computed of it."""
        return self.computed_s * self.ours


def start() -> None:
    """Begin in the running loop, with the tasks that are made from now on."""
    probe = _Probe(Path(os.environ[FOLDER]) / f"steps-{os.getpid()}.jsonl")
    loop = asyncio.get_running_loop()
    loop.set_task_factory(lambda loop, coro, **named: asyncio.Task(_Timed(coro, probe), loop=loop, **named))
    # Else the other thread looks where the loop's lets go of the interpreter, and hardly anywhere else.
    sys.setswitchinterval(_LOOK_S / 2.0)
    threading.Thread(target=probe.watch, daemon=True, name="steps").start()


def read(folder: Path) -> list[Step]:
    """What all workers noted, the earliest first."""
    lines = [line for path in folder.glob("steps-*.jsonl") for line in path.read_text().splitlines()]
    return sorted((Step(**json.loads(line)) for line in lines), key=lambda step: step.at_s)


class _Timed(Coroutine[Any, Any, Any]):
    """A coroutine whose every step is timed."""

    def __init__(self, coro: Any, probe: _Probe) -> None:
        self._coro = coro
        self._probe = probe

    def send(self, value: Any) -> Any:
        with self._probe.step(self._coro):
            return self._coro.send(value)

    def throw(self, *error: Any) -> Any:
        with self._probe.step(self._coro):
            return self._coro.throw(*error)

    def close(self) -> None:
        self._coro.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        return (yield from self._coro.__await__())


class _Probe:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = threading.get_ident()
        self._began: float | None = None
        self._seen: list[tuple[str, str]] = []
        self._noted = 0

    def step(self, coro: Any) -> _Step:
        return _Step(self, coro)

    def begin(self) -> float:
        self._seen = []
        self._began = time.monotonic()
        return time.thread_time()

    def end(self, coro: Any, since: float) -> None:
        computed = time.thread_time() - since
        self._began = None
        if computed > NOTED_S and self._noted < MAX_NOTED:
            self._note(coro, computed, self._seen)

    def _note(self, coro: Any, computed_s: float, seen: list[tuple[str, str]]) -> None:
        places = Counter(where for owner, where in seen if owner == "ours")
        self._noted += 1
        step = Step(
            at_s=time.monotonic(),
            computed_s=round(computed_s, 5),
            ours=round(places.total() / max(len(seen), 1), 3),
            where=places.most_common(1)[0][0] if places else "",
            task=getattr(coro, "__qualname__", type(coro).__name__),
        )
        with self._path.open("a") as file:
            file.write(json.dumps(asdict(step)) + "\n")

    def watch(self) -> None:
        while True:
            time.sleep(_LOOK_S)
            if self._began is not None and len(self._seen) < 1_000:
                self._seen.append(owner_of_frame(sys._current_frames().get(self._thread)))


@dataclass(slots=True)
class _Step:
    probe: _Probe
    coro: Any
    since: float = 0.0

    def __enter__(self) -> None:
        self.since = self.probe.begin()

    def __exit__(self, *_: object) -> None:
        self.probe.end(self.coro, self.since)
