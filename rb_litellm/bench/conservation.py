"""Conservation: whatever happens to requests, every attempt that is counted is uncounted again, exactly.

A real proxy with two workers, a real Redis and mock servers go through a random mix of all that can happen
(see mix.py), with one worker killed on the way. When all is quiet, every worker and Redis must count
nothing, and no count may ever have been negative. Leases are set so long that none can help.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from rb_litellm.bench.real import loop_probe
from rb_litellm.bench.real.redis_server import RedisServer
from rb_litellm.bench.real.request_mix import KINDS, SERVERS, Client, configuration
from rb_litellm.bench.real.testbed import Proxy, running_proxy, running_servers
from rb_litellm.state.exchange.overview import Overview, overview
from rb_litellm.state.exchange.redis.settings import RedisSettings
from rb_litellm.state.exchange.redis.store import RedisStore

WORKERS = 2
TTL_S = 5.0
INTERVAL_S = 0.2
"""The defaults of `redis.ttl_s` and `redis.interval_ms`."""
QUIET_S = 60.0
"""How long the counts may take to come to rest. A request that nobody waits for goes on for some seconds."""
_AT_ONCE = 40
_KILL_AFTER = 0.5
"""Share of the requests after which a worker is killed."""
_HELD = 8
"""Streams held open while it is killed, so that it surely has something open."""
_STARTING_S = 240.0


@dataclass
class _Run:
    proxy: Proxy
    redis: RedisServer
    folder: Path
    namespace: str
    random: Random
    done: Counter[str] = field(default_factory=Counter)
    """Requests that ended as they ought to, by kind."""
    odd: Counter[tuple[str, str]] = field(default_factory=Counter)
    """The others, by kind and what came."""
    lowest: float = 0.0
    killed: int | None = None
    """Process id of the worker that was killed."""

    @property
    def alive(self) -> list[loop_probe.WorkerSample]:
        return [sample for sample in loop_probe.read(self.folder) if sample.pid != self.killed]


def run(
    folder: Path,
    requests: int = 10_000,
    seed: int = 0,
    cancels: bool = False,
    kill: bool = True,
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """`{"requests", "open_after", "min_seen", "by_outcome", "kill9_heal_s", ...}`; files go to `folder`.

    `open_after` adds up what every live worker and Redis still count when all is quiet; `unexpected` are
    requests that ended otherwise than their kind should, broken connections of the killed worker included.
    """
    with _testbed(folder, seed, cancels) as testbed:
        return asyncio.run(_run(testbed, requests, kill, progress))


@contextmanager
def _testbed(folder: Path, seed: int, cancels: bool) -> Iterator[_Run]:
    with RedisServer() as redis, running_servers(folder / "servers", SERVERS) as servers:
        config = configuration(
            servers,
            redis.url,
            "conservation",
            ttl_s=TTL_S,
            interval_ms=round(INTERVAL_S * 1000),
            cancels=cancels,
        )
        environment = {"LITELLM_WORKER_STARTUP_HOOKS": loop_probe.HOOK, loop_probe.FOLDER: str(folder)}
        with running_proxy(folder, config, workers=WORKERS, env=environment) as proxy:
            yield _Run(proxy, redis, folder, "conservation", Random(seed))


async def _run(run: _Run, requests: int, kill: bool, progress: Callable[[str], None]) -> dict[str, Any]:
    began = time.monotonic()
    store = RedisStore(RedisSettings(url=run.redis.url, namespace=run.namespace))
    watching = asyncio.create_task(_watch(run, store))
    heal_s: float | None = None
    try:
        async with Client(run.proxy.url, run.proxy.headers) as client:
            await _until(run, lambda: len(run.alive) == WORKERS, _STARTING_S)
            await _spend_the_budget(run, client)
            before = round(requests * _KILL_AFTER) if kill else requests
            await _send(run, client, before, progress)
            if kill:
                progress("killing a worker")
                heal_s, _ = await asyncio.gather(
                    _kill_one(run, client), _send(run, client, requests // 20, progress)
                )
                await _until(run, lambda: len(run.alive) == WORKERS, _STARTING_S)
                await _send(run, client, requests - before - requests // 20, progress)
        progress("waiting for all to be quiet")
        open_after, quiet_s = await _come_to_rest(run, store)
    finally:
        watching.cancel()
        await store.close()
    closed: Counter[str] = Counter()
    failures: Counter[str] = Counter()
    for sample in loop_probe.read(run.folder):
        closed.update(sample.closed)
        failures.update(sample.failures)
        run.lowest = min(run.lowest, sample.lowest)
    return {
        "requests": run.done.total() + run.odd.total(),
        "open_after": open_after,
        "min_seen": run.lowest,
        "by_outcome": dict(sorted(run.done.items())),
        "unexpected": {f"{kind}: {came}": n for (kind, came), n in sorted(run.odd.items())},
        "kill9_heal_s": None if heal_s is None else round(heal_s, 2),
        "kill9_allowed_s": TTL_S + INTERVAL_S,
        "quiet_after_s": round(quiet_s, 1),
        "closed_by": dict(closed.most_common()),
        "failures_inside": dict(failures),
        "seconds": round(time.monotonic() - began),
    }


async def _send(run: _Run, client: Client, requests: int, progress: Callable[[str], None]) -> None:
    """Send this many requests of random kinds, _AT_ONCE at a time."""
    names = run.random.choices(list(KINDS), [kind.weight for kind in KINDS.values()], k=requests)
    seeds = iter([(name, run.random.getrandbits(64)) for name in names])

    async def sender() -> None:
        for name, seed in seeds:
            kind = KINDS[name]
            came = await client.send(kind, Random(seed))
            if came in kind.expected:
                run.done[name] += 1
            else:
                run.odd[name, str(came)] += 1
            total = run.done.total() + run.odd.total()
            if total % 1000 == 0:
                progress(f"{total} requests")

    await asyncio.gather(*(sender() for _ in range(_AT_ONCE)))


async def _spend_the_budget(run: _Run, client: Client) -> None:
    """Let every worker learn that the budget of one deployment is spent."""
    kind, refused = KINDS["rejected_by_budget"], 0
    while refused < 10:
        refused = refused + 1 if await client.send(kind, run.random) in kind.expected else 0
        await asyncio.sleep(0.1)


async def _kill_one(run: _Run, client: Client) -> float:
    """Kill the worker with the most open; seconds until the other one's totals are right again.

    They are right once it knows no load of the killed worker: its own load is exact.
    """
    release, began = asyncio.Event(), asyncio.Semaphore(0)
    held = [asyncio.create_task(client.hold(8000, began.release, release.wait())) for _ in range(_HELD)]
    for _ in held:
        await began.acquire()
    await asyncio.sleep(2.0 * INTERVAL_S)
    victim = max(run.alive, key=lambda sample: sample.open)
    [survivor] = [sample for sample in run.alive if sample.pid != victim.pid]
    if not survivor.peers.get(victim.origin):
        raise RuntimeError(f"the other worker does not see the load of {victim.origin}: {survivor}")
    os.kill(victim.pid, signal.SIGKILL)
    killed_s = time.monotonic()
    run.killed = victim.pid

    def healed() -> bool:
        return any(
            sample.pid == survivor.pid and sample.at_s > killed_s and not sample.peers.get(victim.origin)
            for sample in run.alive
        )

    await _until(run, healed, 10.0 * TTL_S)
    heal_s = time.monotonic() - killed_s
    release.set()
    await asyncio.gather(*held)
    return heal_s


async def _watch(run: _Run, store: RedisStore) -> None:
    """Look at Redis all the time, for a load below zero."""
    while True:
        await asyncio.sleep(0.25)
        seen = overview(await store.read())
        if seen.unreadable:
            run.lowest = -1.0  # a load below zero is no gauge
        run.lowest = min([run.lowest, *(min(_figures(seen), default=0.0),)])


def _figures(seen: Overview) -> list[float]:
    return [
        float(figure)
        for d in seen.deployments
        for figure in (d.in_flight, d.pending_prefill_tokens, d.pending_decode_tokens)
    ]


async def _come_to_rest(run: _Run, store: RedisStore) -> tuple[float, float]:
    """What is still counted anywhere, once it is nothing or the patience is over; and the seconds it took."""
    began = time.monotonic()
    while True:
        seen = overview(await store.read())
        alive = run.alive
        counted = sum(_figures(seen)) + sum(sample.open + sample.held + sample.total for sample in alive)
        fresh = all(time.monotonic() - sample.at_s < 1.0 for sample in alive)
        took = time.monotonic() - began
        if took > QUIET_S or (not counted and fresh and len(seen.workers) == WORKERS):
            return counted, took
        await asyncio.sleep(0.2)


async def _until(run: _Run, true: Callable[[], bool], within_s: float) -> None:
    deadline = time.monotonic() + within_s
    while not true():
        if time.monotonic() > deadline:
            raise RuntimeError(f"it did not come true within {within_s:g} s:\n{run.proxy.child.tail()}")
        await asyncio.sleep(0.02)
