"""A process of the fleet's benchmark: one worker that is measured, or many that stand around it.

Each worker is the real thing as far as the exchange goes: ledger, publisher, Redis. Its load is made up:
every deployment has open attempts, and another number of them at every exchange, so that there is never
anything to leave out.

A process is told what to do in one JSON argument, and prints one JSON line when its time is over.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from redis.asyncio import Redis

from rb_litellm.core.types import InstanceState, Prediction
from rb_litellm.state.attempt import AttemptKey, LeaseRule
from rb_litellm.state.exchange.peers import Peers
from rb_litellm.state.exchange.publisher import GaugePublisher
from rb_litellm.state.exchange.redis.settings import RedisSettings
from rb_litellm.state.exchange.redis.store import RedisStore
from rb_litellm.state.index import DeploymentIndex
from rb_litellm.state.ledger import Ledger

TICK_S = 0.001
"""Between two looks at whether the event loop goes round."""
ROUND_TRIP_EVERY_S = 0.1
"""As often as a small fleet exchanges: what a command costs depends on what has run since the last one."""
_PREDICTION = Prediction(0.5, 2000.0, 0.0, 0.2, 0.02, 40.2, 0.001)
_NOISE = 4
"""The number of attempts of a deployment changes by less than this."""


@dataclass(frozen=True, slots=True)
class Task:
    """What one process does."""

    url: str
    names: tuple[str, ...]
    """Workers of this process. The first one is measured; with several, they only stand around."""
    deployments: int
    from_s: float
    until_s: float
    """What is measured lies between these, on the machine's monotonic clock."""


@dataclass(slots=True)
class Figures:
    """What one process measured; times in seconds."""

    exchanges: int = 0
    failures: int = 0
    cpu_s: list[float] = field(default_factory=list)
    """Per exchange, of the loop's thread."""
    round_trip_cpu_s: list[float] = field(default_factory=list)
    """The same of a command of one byte, sent between exchanges: what no exchange can do without."""
    stall_s: list[float] = field(default_factory=list)
    """Per exchange, the longest time that the loop did not come round meanwhile."""
    staleness_s: list[float] = field(default_factory=list)
    """Mean age of the others' loads, at many moments."""
    error: str = ""


class _BusyLedger(Ledger):
    """A ledger whose every load is another one at each look."""

    def __init__(self, index: DeploymentIndex, seed: int) -> None:
        super().__init__(index, LeaseRule())
        self._noise = np.random.default_rng(seed)

    def sums(self, now: float) -> InstanceState:
        held = super().sums(now)
        self.changes += 1
        more = self._noise.integers(0, _NOISE, held.in_flight.size).astype(np.float64)
        return InstanceState(
            held.in_flight + more,
            held.pending_prefill_tokens + 100.0 * more,
            held.pending_decode_tokens + 200.0 * more,
        )


class _ThreadTime:
    """Processor time of the loop's thread, less what the loop's rounds cost by themselves: the watch makes
    them, and what a round costs is seen while nothing is measured."""

    def __init__(self, watch: _LoopWatch) -> None:
        self._watch = watch
        self._idle_s, self._idle_rounds = 0.0, 0
        self._began_s, self._began_round = time.thread_time(), 0
        self._ended_s, self._ended_round = self._began_s, 0

    def begin(self) -> None:
        self._began_s, self._began_round = time.thread_time(), self._watch.rounds
        self._idle_s += self._began_s - self._ended_s
        self._idle_rounds += self._began_round - self._ended_round

    def took_s(self) -> float:
        alone_s = self._idle_s / max(self._idle_rounds, 1)
        took_s = time.thread_time() - self._began_s
        return max(took_s - alone_s * (self._watch.rounds - self._began_round), 0.0)

    def end(self) -> None:
        self._ended_s, self._ended_round = time.thread_time(), self._watch.rounds


class _LoopWatch:
    """Tells for how long the loop did not come round, and how often it did."""

    def __init__(self) -> None:
        self.longest_s = 0.0
        self.rounds = 0
        self._last = 0.0

    def tick(self) -> None:
        self.rounds += 1
        now = time.monotonic()
        if self._last:
            self.longest_s = max(self.longest_s, now - self._last - TICK_S)
        self._last = now
        asyncio.get_running_loop().call_later(TICK_S, self.tick)


def publisher(name: str, task: Task) -> tuple[GaugePublisher, Peers]:
    """A worker's part in the exchange, with one open attempt on every deployment."""
    index = DeploymentIndex()
    ledger = _BusyLedger(index, hash(name) & 0xFFFF)
    now = time.monotonic()
    for number in range(task.deployments):
        # Ids as LiteLLM makes them: 64 hex digits.
        key = AttemptKey(f"call-{number}", 0)
        ledger.open(key, f"{number:064x}", now=now, input_tokens=200, prediction=_PREDICTION)
    peers = Peers(index)
    settings = RedisSettings(url=task.url, namespace="fleet", timeout_s=30.0)
    store = RedisStore(settings)
    return GaugePublisher(index, ledger, peers, store, timeout_s=30.0, origin=name), peers


async def measured(task: Task) -> Figures:
    """Run the one worker and measure each of its exchanges."""
    figures, watch = Figures(), _LoopWatch()
    its, peers = publisher(task.names[0], task)
    step, spent, one_at_a_time = its.step, _ThreadTime(watch), asyncio.Lock()

    async def timed() -> bool:
        async with one_at_a_time:
            watch.longest_s = 0.0
            spent.begin()
            done = await step()
            cpu_s = spent.took_s()
            # The loop comes round once more, so that the exchange's last part is seen too.
            await asyncio.sleep(2.0 * TICK_S)
            if task.from_s <= time.monotonic() <= task.until_s:
                figures.exchanges += 1
                figures.cpu_s.append(cpu_s)
                figures.stall_s.append(watch.longest_s)
            spent.end()
        return done

    async def round_trips() -> None:
        async with Redis.from_url(task.url) as client:
            while True:
                await asyncio.sleep(ROUND_TRIP_EVERY_S)
                async with one_at_a_time:
                    spent.begin()
                    await client.echo(b"-")
                    cpu_s = spent.took_s()
                    if task.from_s <= time.monotonic() <= task.until_s:
                        figures.round_trip_cpu_s.append(cpu_s)
                    spent.end()

    its.step = timed  # type: ignore[method-assign]
    watch.tick()
    its.start()
    beside = asyncio.create_task(round_trips())
    while (now := time.monotonic()) < task.until_s:
        await asyncio.sleep(0.02)
        ages = [worker.age_s for worker in peers.workers]
        if now >= task.from_s and ages:
            figures.staleness_s.append(peers.silence_s(now) + float(np.mean(ages)))
    beside.cancel()
    _end(figures, its)
    return figures


async def standing(task: Task) -> Figures:
    """Run workers that only stand around; nothing of them is timed."""
    figures = Figures()
    them = [publisher(name, task)[0] for name in task.names]
    for its in them:
        its.start()
    await asyncio.sleep(max(task.until_s - time.monotonic(), 0.0))
    for its in them:
        _end(figures, its)
    return figures


def _end(figures: Figures, its: GaugePublisher) -> None:
    status = its.status()
    figures.failures += status.failures + status.unreadable
    figures.error = figures.error or status.error or ""


def main(argument: str) -> None:
    """Do what the task says, and print the figures."""
    told: dict[str, Any] = json.loads(argument)
    task = Task(**{**told, "names": tuple(told["names"])})
    asyncio.run(_told(task))


async def _told(task: Task) -> None:
    figures = await (measured if len(task.names) == 1 else standing)(task)
    print(json.dumps(asdict(figures)), flush=True)
    # As a worker that is killed: the others' exchanges are not waited for.
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
