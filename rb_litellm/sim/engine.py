"""The discrete-event simulation: arrivals, decisions, network and all servers on one clock.

Events are kept in a heap by time, equal times in the order of their making, and all randomness comes
from the seed: the same inputs give the same result, bit for bit. Servers run several decode
iterations as one event while nothing joins them; an arrival cuts that short at the next iteration.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from heapq import heappop, heappush
from itertools import count
from random import Random
from time import perf_counter

from rb_litellm.sim.policies.policy import (
    HELD,
    REFUSED,
    AsksForSeveral,
    HearsCached,
    Levels,
    Policy,
    Releases,
    TellsFailures,
)
from rb_litellm.sim.servers.cluster import Cluster
from rb_litellm.sim.servers.instance import Instance, Job
from rb_litellm.sim.workloads.workload import Request

MAX_STEPS = 4096
"""Decode iterations taken as one event."""
TOO_LONG = "ContextWindowExceededError"
"""The error that LiteLLM makes of a prompt which a server cannot hold. Answers end where its room does."""
RETRY_LIMIT = 2
"""Further attempts for a request whose server went down."""


@dataclass(frozen=True, slots=True)
class Incident:
    """From `start_s` to `end_s` a deployment is `slowdown` times slower, or down (`slowdown` inf)."""

    deployment: int
    start_s: float
    end_s: float
    slowdown: float


@dataclass(frozen=True, slots=True)
class Fault:
    """How attempts on a deployment fail, each by chance."""

    error: str
    """Class name of the exception that the proxy gets."""
    chance: float = 1.0
    after_s: float | None = 0.0
    """Seconds until it shows; None where the stream breaks off halfway."""


@dataclass(slots=True)
class Served:
    """What became of one request. Times in simulated s, from its arrival where not said otherwise."""

    request: Request
    worker: int
    deployment: int = -1
    decided_s: float = 0.0
    """On the clock."""
    step_left_s: float = 0.0
    """What was left of the iteration under way on the server when this one reached it,"""
    step_s: float = 0.0
    """and how long that iteration was; 0 on an idle server."""
    ttft_s: float = float("nan")
    e2e_s: float = float("nan")
    output_tokens: int = 0
    cached_tokens: int = 0
    """Of its prompt, on the server that answered."""
    attempts: int = 0
    failed: bool = False
    refused: bool = False
    """Failed because the policy sent it nowhere."""
    broken: str = ""
    """The error with which its stream is going to break off; empty for none."""
    lost_tokens: int = 0
    """Output tokens of a stream that broke off."""
    answers_left: int = 1
    """Answers that are not complete, of those that its server was asked for,"""
    written: int = 0
    """and the tokens of those that are."""


@dataclass(slots=True)
class Timeline:
    """Requests on each deployment, sampled at even times."""

    every_s: float
    times_s: list[float] = field(default_factory=list)
    in_flight: list[list[int]] = field(default_factory=list)


@dataclass(slots=True)
class _Queue:
    waiting: list[Served] = field(default_factory=list)
    busy: bool = False


@dataclass(frozen=True, slots=True)
class _Progress:
    """A stream with one token in each chunk."""

    simulation: Simulation
    deployment: int
    job: Job

    @property
    def chunks(self) -> int:
        return self.simulation.written(self.deployment, self.job)

    @property
    def latest_s(self) -> float:
        return self.simulation.latest_s(self.deployment, self.job)


class Simulation:
    """One run of one policy over one list of requests."""

    def __init__(
        self,
        cluster: Cluster,
        policy: Policy,
        requests: Sequence[Request],
        seed: int = 0,
        incidents: Sequence[Incident] = (),
        sample_s: float | None = None,
        events: Sequence[tuple[float, Callable[[Simulation], None]]] = (),
        follow: Callable[[Served], Request | None] = lambda _: None,
    ) -> None:
        """`events` are called at their times with this simulation.

        `follow` says of each request that was answered which one its client sends next, not before now; None
        for none.
        """
        self._follow = follow
        self._policy = policy
        self._holder = policy if isinstance(policy, Releases) else None
        self._levels = policy if isinstance(policy, Levels) else None
        self._several = policy if isinstance(policy, AsksForSeveral) else None
        self._held: dict[int, Served] = {}
        self.deciding_wall_s = 0.0
        """Real time that the policy's decisions took."""
        self._network_s = [tier.network_s for tier in cluster.tiers for _ in range(tier.instances)]
        self._tells_cached = [
            tier.cached_usd_per_million is not None for tier in cluster.tiers for _ in range(tier.instances)
        ]
        self._now = 0.0
        self._order = count()
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self.tier_of = [index for index, tier in enumerate(cluster.tiers) for _ in range(tier.instances)]
        self.instances = [Instance(tier.hardware) for tier in cluster.tiers for _ in range(tier.instances)]
        self._started = [0.0] * len(self.instances)
        self._version = [0] * len(self.instances)
        self._down = [False] * len(self.instances)
        self.faults: list[Fault | None] = [None] * len(self.instances)
        """How each of them fails just now; None for not at all."""
        self._faulty = Random(f"faults {seed}")
        self._random = random = Random(f"workers {seed}")
        self.served = [Served(request, random.randrange(policy.workers)) for request in requests]
        self._open = len(self.served)
        self._queues = [_Queue() for _ in range(policy.workers)]
        self.timeline = Timeline(sample_s) if sample_s else None
        for served in self.served:
            self._at(served.request.arrival_s, partial(self._arrive, served))
        for incident in incidents:
            self._at(incident.start_s, partial(self.strike, incident.deployment, incident.slowdown))
            self._at(incident.end_s, partial(self.strike, incident.deployment, 1.0))
        for when, event in events:
            self._at(when, partial(event, self))

    def run(self) -> list[Served]:
        """Run until every request is answered or has failed; what became of each, in order of arrival."""
        if self._policy.tick_s is not None:
            self._at(self._policy.tick_s, self._tick)
        if self.timeline is not None:
            self._at(0.0, self._sample)
        events = self._events
        while self._open:
            self._now, _, action = heappop(events)
            action()
        return self.served

    @property
    def now(self) -> float:
        """The simulated time in s."""
        return self._now

    def _at(self, when: float, action: Callable[[], None]) -> None:
        heappush(self._events, (when, next(self._order), action))

    # The way of a request: arrive, be decided, reach a server, write, end.

    def _arrive(self, served: Served) -> None:
        queueing = self._policy.decision_queue
        if queueing.kind == "concurrent":
            self._at(self._now + queueing.decision_s, partial(self._decide, [served]))
            return
        queue = self._queues[served.worker]
        queue.waiting.append(served)
        if not queue.busy:
            self._serve(queue)

    def _serve(self, queue: _Queue) -> None:
        if not queue.waiting:
            queue.busy = False
            return
        queueing = self._policy.decision_queue
        taken = len(queue.waiting) if queueing.kind == "batch" else 1
        batch, queue.waiting = queue.waiting[:taken], queue.waiting[taken:]
        queue.busy = True

        def decided() -> None:
            self._decide(batch)
            self._serve(queue)

        self._at(self._now + queueing.decision_s + queueing.per_request_s * len(batch), decided)

    def _decide(self, batch: list[Served]) -> None:
        started = perf_counter()
        chosen = self._policy.decide(batch[0].worker, [served.request for served in batch], self._now)
        self.deciding_wall_s += perf_counter() - started
        for served, deployment in zip(batch, chosen, strict=True):
            self._send(served, deployment)

    def _send(self, served: Served, deployment: int) -> None:
        if deployment == HELD:
            self._held[served.request.number] = served
            return
        served.deployment, served.decided_s = deployment, self._now
        served.attempts += 1
        if deployment == REFUSED:
            served.failed = served.refused = True
            self._open -= 1
            return
        self._at(self._now + self._network_s[deployment], partial(self._reach, served))

    def _release(self) -> None:
        if self._holder is not None:
            for request, deployment in self._holder.released(self._now):
                self._send(self._held.pop(request.number), deployment)

    def _reach(self, served: Served) -> None:
        index = served.deployment
        if self._down[index]:
            self._fail(served)
            return
        fault = self.faults[index]
        served.broken = ""
        if fault is not None and self._faulty.random() < fault.chance:
            if fault.after_s is not None:
                self._at(self._now + fault.after_s, partial(self._fail, served, fault.error))
                return
            served.broken = fault.error
        instance = self.instances[index]
        served.step_left_s = served.step_s = 0.0
        request = served.request
        column = self.tier_of[index] if self._levels is None else self._levels.column(request, index)
        tokens = int(request.output_tokens[column])
        limit = request.prompt.max_tokens
        tokens = min(tokens, limit) if limit else tokens
        tokens = max(tokens // 2, 1) if served.broken else tokens
        room = instance.hardware.kv_tokens - request.prompt.input_tokens
        if room <= 0:
            self._at(self._now + self._network_s[index], partial(self._reject, served))
            return
        instance.add(
            Job(request.prompt.input_tokens, min(tokens, room), served, request.prefix, request.leaves)
        )
        further = () if self._several is None else self._several.further(request, index)
        served.answers_left, served.written, served.cached_tokens = 1 + len(further), 0, 0
        for length in further:
            instance.add(Job(1, min(length, room), served))
        if not instance.busy:
            self._begin(index)
        else:
            elapsed_s = self._now - self._started[index]
            ends_s = instance.cut(elapsed_s)
            served.step_left_s, served.step_s = max(ends_s - elapsed_s, 0.0), instance.last_step_s
            self._schedule(index, ends_s)

    def _begin(self, index: int) -> None:
        took = self.instances[index].begin(MAX_STEPS)
        self._started[index] = self._now
        if took is None:
            self._version[index] += 1
        else:
            self._schedule(index, took)

    def _schedule(self, index: int, took: float) -> None:
        # A cut makes the event that was scheduled before void; its version tells.
        self._version[index] += 1
        version = self._version[index]
        # Rounding may put the end of the current iteration a hair before now.
        self._at(max(self._started[index] + took, self._now), partial(self._iterated, index, version))

    def _iterated(self, index: int, version: int) -> None:
        if version != self._version[index]:
            return
        back_s = self._network_s[index]
        for job, tokens in self.instances[index].finish():
            # Most of them go on: nothing of a request is looked at while it does.
            if job.written == tokens:
                self._first_written(job.tag, job, back_s)
            if job.written >= job.output_tokens:
                self._all_written(job.tag, job, back_s)
        self._begin(index)

    def _first_written(self, served: Served, job: Job, back_s: float) -> None:
        if served.ttft_s != served.ttft_s:
            served.ttft_s = self._now + back_s - served.request.arrival_s
            self._at(self._now + back_s, partial(self._first_token, served, job))

    def _all_written(self, served: Served, job: Job, back_s: float) -> None:
        served.cached_tokens = max(served.cached_tokens, job.found)
        served.written += job.written
        served.answers_left -= 1
        if not served.answers_left:
            self._at(self._now + back_s, partial(self._end, served, served.written))

    def _first_token(self, served: Served, job: Job) -> None:
        progress = _Progress(self, served.deployment, job)
        self._policy.first_token(served.worker, served.request, served.deployment, self._now, progress)

    def written(self, index: int, job: Job) -> int:
        """Tokens of a job on this deployment that have come back by now."""
        elapsed_s = self._now - self._network_s[index] - self._started[index]
        return job.written + self.instances[index].steps_done(job, elapsed_s)

    def latest_s(self, index: int, job: Job) -> float:
        """When the latest token of a job on this deployment has come back."""
        network_s, began_s, instance = self._network_s[index], self._started[index], self.instances[index]
        steps = instance.steps_done(job, self._now - network_s - began_s)
        return began_s + instance.after(steps) + network_s

    def _end(self, served: Served, tokens: int) -> None:
        if served.broken:
            # Its client has seen the beginning of an answer: nobody but the client tries again.
            served.failed, served.lost_tokens = True, tokens
            self._open -= 1
            self._tell_failed(served, served.broken)
            self._release()
            return
        served.e2e_s = self._now - served.request.arrival_s
        served.output_tokens = tokens
        self._open -= 1
        if self._tells_cached[served.deployment] and isinstance(self._policy, HearsCached):
            self._policy.cached(served.worker, served.request, served.cached_tokens)
        self._policy.closed(served.worker, served.request, served.deployment, self._now, tokens)
        if (request := self._follow(served)) is not None:
            self.served.append(Served(request, self._random.randrange(self._policy.workers)))
            self._open += 1
            self._at(request.arrival_s, partial(self._arrive, self.served[-1]))
        self._release()

    def _tell_failed(self, served: Served, error: str) -> None:
        if isinstance(self._policy, TellsFailures):
            self._policy.failed(served.worker, served.request, served.deployment, self._now, error)
        else:
            self._policy.closed(served.worker, served.request, served.deployment, self._now, 0)

    def _fail(self, served: Served, error: str = "ServiceUnavailable") -> None:
        self._tell_failed(served, error)
        if served.attempts <= RETRY_LIMIT:
            served.ttft_s = float("nan")
            self._arrive(served)
        else:
            served.failed = True
            self._open -= 1

    def _reject(self, served: Served) -> None:
        # What one server cannot hold is wrong to all of LiteLLM: nobody sends it again.
        self._tell_failed(served, TOO_LONG)
        served.failed = True
        self._open -= 1
        self._release()

    def strike(self, index: int, slowdown: float) -> None:
        """From now on a deployment is so many times slower than it should be, or down (inf)."""
        instance = self.instances[index]
        self._down[index] = slowdown == float("inf")
        if self._down[index]:
            jobs = [*instance.running, *instance.waiting]
            for job in jobs:
                instance.cancel(job)
            for served in {id(job.tag): job.tag for job in jobs}.values():
                self._fail(served)
        else:
            instance.slowdown = slowdown
            if instance.busy:
                self._schedule(index, instance.cut(self._now - self._started[index]))

    def _tick(self) -> None:
        self._policy.tick(self._now)
        self._release()
        assert self._policy.tick_s is not None
        self._at(self._now + self._policy.tick_s, self._tick)

    def _sample(self) -> None:
        assert self.timeline is not None
        self.timeline.times_s.append(self._now)
        self.timeline.in_flight.append([len(instance) for instance in self.instances])
        self._at(self._now + self.timeline.every_s, self._sample)
