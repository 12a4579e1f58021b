"""Twelve scripted incidents on servers of one model, and what each policy made of them.

One model on SERVERS servers, so that quality does not differ and the mean E2E tells who noticed what. Every
incident begins at START_S, after the policies have learned how things are, and is judged by the requests from
then until JUDGED_S. All policies meet the same requests.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from random import Random
from typing import Any

import numpy as np

from rb_litellm.core.servers.streams import Progress
from rb_litellm.core.types import Prompt
from rb_litellm.sim.engine import Served, Simulation
from rb_litellm.sim.policies.policy import Policy
from rb_litellm.sim.servers.cluster import PAPER_CLUSTER, Cluster
from rb_litellm.sim.servers.prefix_cache import BLOCK_TOKENS, PrefixCache
from rb_litellm.sim.workloads.workload import Request

SERVERS = 6
RATE = 6.0
START_S, END_S, JUDGED_S, LAST_S = 60.0, 150.0, 210.0, 220.0
SYSTEM_PROMPTS, SYSTEM_TOKENS = 8, 1024
_HANGS = 300.0
"""An answer that takes so many times as long is none."""
_DEAD = float("inf")
_DEARER = 2.0

Event = tuple[float, Callable[[Simulation], None]]


@dataclass(frozen=True)
class Incident:
    """What happens, as events of the simulation; `changes` are those that the operator makes."""

    name: str
    events: tuple[Event, ...] = ()
    changes: tuple[tuple[float, Callable[[Any], None]], ...] = ()
    """Called with the policy."""
    dearer: tuple[Sequence[int], float] = ((), 1.0)
    """Servers whose price is that many times as high from START_S on."""
    burst: float = 1.0
    """Factor on the rate of requests in the first 30 s."""


@dataclass(frozen=True)
class Judged:
    """How a policy came through an incident."""

    mean_e2e_s: float
    p95_e2e_s: float
    failed: int
    quality: float
    cost_usd_per_1k: float


def cluster() -> Cluster:
    """One model, as the paper's cluster has it."""
    tier = PAPER_CLUSTER.tier("paper-7b")
    return Cluster("incidents", (replace(tier, instances=SERVERS),))


def incidents() -> tuple[Incident, ...]:
    """All twelve."""
    third = range(SERVERS // 2)
    flaps = tuple(
        event
        for start in np.arange(START_S, END_S, 20.0).tolist()
        for event in _slow((0,), 6.0, start, start + 10.0)
    )
    slow_hardware = PAPER_CLUSTER.tier("paper-72b")
    return (
        Incident("slow", _slow((0,), 4.0, START_S, END_S)),
        Incident("dead", _slow((0,), _DEAD, START_S, END_S)),
        Incident("hanging", _slow((0,), _HANGS, START_S, END_S)),
        Incident("flapping", flaps),
        Incident(
            "cold start",
            (
                *_slow((0,), _DEAD, START_S, START_S + 30.0),
                *_slow((0,), 20.0, START_S + 30.0, START_S + 45.0),
            ),
        ),
        Incident(
            "price change",
            changes=((START_S, partial(_reprice, third, _DEARER)),),
            dearer=(third, _DEARER),
        ),
        Incident(
            "model swap",
            ((START_S, partial(_swap, 0, slow_hardware.hardware)),),
            ((START_S, partial(_swapped, 0)),),
        ),
        Incident("brown-out of a region", _slow(third, 2.5, START_S, END_S)),
        Incident("cache warm", ((START_S, partial(_warm, third)),)),
        Incident("cache flushed", ((START_S, _flush),)),
        Incident("burst", burst=4.0),
        Incident("restart of all workers", changes=((START_S, _restart),)),
    )


def requests(incident: Incident, seed: int) -> list[Request]:
    """The requests of one run: chats with one of a few system prompts, and answers of very unequal length."""
    random = Random(f"incidents {seed}")
    found: list[Request] = []
    now = 0.0
    while True:
        surge = incident.burst if START_S <= now < START_S + 30.0 else 1.0
        now += random.expovariate(RATE * surge)
        if now >= LAST_S:
            return found
        system = min(int(random.expovariate(0.6)), SYSTEM_PROMPTS - 1)
        blocks = SYSTEM_TOKENS // BLOCK_TOKENS
        prefix = tuple(range(system * blocks, (system + 1) * blocks))
        tokens = min(max(int(random.lognormvariate(4.8, 0.7)), 4), 1500)
        prompt = Prompt(f"Request {len(found)}", SYSTEM_TOKENS + random.randint(20, 200))
        found.append(
            Request(len(found), now, prompt, np.array([0.5]), np.array([float(tokens)]), None, prefix, prefix)
        )


def run(incident: Incident, make: Callable[[], Policy], asked: Sequence[Request], seed: int) -> Judged:
    """One policy through one incident."""
    policy = Restartable(make)
    told = [(when, lambda _, change=change: change(policy)) for when, change in incident.changes]
    simulation = Simulation(cluster(), policy, asked, seed, events=[*incident.events, *told])
    served = [s for s in simulation.run() if START_S <= s.request.arrival_s < JUDGED_S]
    times = np.array([_time_s(s) for s in served])
    tier = cluster().tiers[0]
    dear, factor = incident.dearer
    usd = [
        (s.request.prompt.input_tokens * tier.input_usd_per_million
         + s.output_tokens * tier.output_usd_per_million) / 1e6 * (factor if s.deployment in dear else 1.0)
        for s in served
    ]  # fmt: skip
    return Judged(
        float(times.mean()),
        float(np.percentile(times, 95)),
        sum(s.failed for s in served),
        float(np.mean([0.0 if s.failed else s.request.quality[0] for s in served])),
        float(np.mean(usd)) * 1000.0,
    )


class Restartable:
    """A policy whose process can be started anew: what is under way is then nobody's."""

    def __init__(self, make: Callable[[], Policy]) -> None:
        self._make = make
        self._inner: Any = make()
        self._mine: set[int] = set()
        self.name, self.workers, self.tick_s = self._inner.name, self._inner.workers, self._inner.tick_s
        self.decision_queue = self._inner.decision_queue

    def restart(self) -> None:
        """Another process takes over; RouteBalance finds in the store what the one before had learned."""
        learned = self._inner.learned() if hasattr(self._inner, "learned") else None
        self._inner = self._make()
        self._mine.clear()
        if learned is not None:
            self._inner.adopt(learned)

    @property
    def inner(self) -> Any:
        """The policy as it is now."""
        return self._inner

    def decide(self, worker: int, batch: Sequence[Request], now: float) -> Sequence[int]:
        """As the policy has it."""
        self._mine.update(request.number for request in batch)
        chosen: Sequence[int] = self._inner.decide(worker, batch, now)
        return chosen

    def first_token(
        self, worker: int, request: Request, deployment: int, now: float, progress: Progress
    ) -> None:
        """Told to whoever decided."""
        if request.number in self._mine:
            self._inner.first_token(worker, request, deployment, now, progress)

    def closed(self, worker: int, request: Request, deployment: int, now: float, output_tokens: int) -> None:
        """Told to whoever decided."""
        if request.number in self._mine:
            self._inner.closed(worker, request, deployment, now, output_tokens)

    def tick(self, now: float) -> None:
        """As the policy has it."""
        self._inner.tick(now)


def _time_s(served: Served) -> float:
    # Who fails altogether has waited until then, and has no answer: that is no better than a minute.
    return 60.0 if served.failed or served.e2e_s != served.e2e_s else served.e2e_s


def _slow(which: Sequence[int], slowdown: float, start_s: float, end_s: float) -> tuple[Event, ...]:
    def strike(factor: float, simulation: Simulation) -> None:
        for index in which:
            simulation.strike(index, factor)

    return (start_s, partial(strike, slowdown)), (end_s, partial(strike, 1.0))


def _swap(index: int, hardware: Any, simulation: Simulation) -> None:
    simulation.instances[index].hardware = hardware


def _warm(which: Sequence[int], simulation: Simulation) -> None:
    for index in which:
        simulation.instances[index].prefix_cache.keep(range(SYSTEM_PROMPTS * (SYSTEM_TOKENS // BLOCK_TOKENS)))


def _flush(simulation: Simulation) -> None:
    for instance in simulation.instances:
        instance.prefix_cache = PrefixCache()


def _reprice(which: Sequence[int], factor: float, policy: Restartable) -> None:
    if not hasattr(policy.inner, "replace_deployment"):
        return
    for number, old in enumerate(cluster().tiers[0].deployments()):
        if number in which:
            dearer = replace(
                old,
                input_usd_per_token=old.input_usd_per_token * factor,
                output_usd_per_token=old.output_usd_per_token * factor,
            )
            policy.inner.replace_deployment(number, dearer)


def _swapped(index: int, policy: Restartable) -> None:
    if hasattr(policy.inner, "replace_deployment"):
        old = cluster().tiers[0].deployments()[index]
        tier = PAPER_CLUSTER.tier("paper-72b")
        policy.inner.replace_deployment(
            index, replace(old, tier=tier.name, model=tier.model, prior=tier.prior())
        )


def _restart(policy: Restartable) -> None:
    policy.restart()
