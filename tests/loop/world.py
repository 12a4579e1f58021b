"""A scripted world on a virtual clock, around the classes that a proxy's worker runs.

Balancer, ledger, attempts and learner are the real ones; what is made up is the servers, whose true speed
changes with time, and the clients. Everything is drawn from the seed, so a world runs the same each time.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from heapq import heappop, heappush
from itertools import count
from random import Random

from rb_litellm.balancer import Balancer, RoutingRequest
from rb_litellm.core.decision.breakdown import Refusal
from rb_litellm.core.decision.scoring import PRESETS, JointScore, Objective
from rb_litellm.core.fleet import Deployment
from rb_litellm.core.latency.drift import Drift
from rb_litellm.core.latency.forecast import LatencyPrior
from rb_litellm.core.latency.hardware import latency_prior
from rb_litellm.core.latency.learning.learner import LatencyLearner
from rb_litellm.core.limits.filters import Limits
from rb_litellm.core.servers.streams import Progress
from rb_litellm.core.types import Outcome, Prompt
from rb_litellm.litellm_adapter.lifecycle.attempts import Attempts
from rb_litellm.predictors.registry import PredictionSource
from rb_litellm.state.attempt import LeaseRule
from rb_litellm.state.exchange.peers import Peers
from rb_litellm.state.index import DeploymentIndex
from rb_litellm.state.ledger import Ledger
from rb_litellm.state.reckoning import Reckoner
from tests.loop.batch import Batch

TICK_S = 1.0


def always(_: float) -> float:
    """No incident: the true speed stays as it is."""
    return 1.0


def between(start_s: float, end_s: float, factor: float) -> Callable[[float], float]:
    """So many times slower from one moment to another."""
    return lambda now: factor if start_s <= now < end_s else 1.0


def never(_: float) -> bool:
    """At no time."""
    return False


@dataclass
class Server:
    """One deployment as it truly is. Times in s; `slower(now)` multiplies them."""

    id: str
    ttft_s: float = 0.3
    tpot_s: float = 0.01
    quality: float = 0.6
    usd_per_million: float = 1.0
    model: str = "hosted/m"
    hosted: bool = True
    growth: float = 0.0
    """Of both times with each request that it serves already."""
    steep: float = 0.0
    """Of time per token with each that is written at the same time, for as long as it is: see `batch`."""
    slower: Callable[[float], float] = always
    hangs: Callable[[float], bool] = never
    """Takes requests and answers none of them."""
    fails: Callable[[float], bool] = never
    """Answers with an error after its first token's time,"""
    fails_after_s: float | None = None
    """or after this."""
    cold_s: float = 0.0
    """What its very first answer takes longer,"""
    idle_s: float = math.inf
    """and each that comes after so long without any,"""
    warm_from_s: float = math.inf
    """until then."""
    slots: float = math.inf
    """Requests that it runs at once; others wait for their turn, in order of arrival."""
    engine: str = ""
    """Name of the engine behind it, which others may share: load, slots and queue are the engine's."""
    prefill_s_per_token: float = 0.0
    per_minute: float = math.inf
    """More requests within a minute than that are answered with 429."""
    open: int = 0
    last_s: float = -math.inf
    sent: list[float] = field(default_factory=list)

    def truth(self) -> LatencyPrior:
        """What an all-knowing operator would write down."""
        known = latency_prior(self.model, self.hosted)
        return replace(
            known,
            tpot_s=self.tpot_s,
            ttft_s=self.ttft_s,
            prefill_s_per_token=self.prefill_s_per_token,
            slots=known.slots if math.isinf(self.slots) else self.slots,
            tpot_s_per_running=self.tpot_s * self.growth,
        )

    def deployment(self, **facts: object) -> Deployment:
        """What the balancer is told of it."""
        facts.setdefault("prior", latency_prior(self.model, self.hosted))
        facts.setdefault("tier", self.model)
        if self.engine:
            facts.setdefault("server", f"{self.engine}:8000")
            facts.setdefault("engine", self.engine)
        return Deployment(
            id=self.id,
            group="auto",
            model=self.model,
            input_usd_per_token=self.usd_per_million / 1e6,
            output_usd_per_token=self.usd_per_million / 1e6,
            quality=self.quality,
            **facts,  # type: ignore[arg-type]
        )


@dataclass
class Engine:
    """What runs the requests of a server, or of several."""

    slots: float
    running: int = 0
    queue: deque[Callable[[], None]] = field(default_factory=deque)

    def enter(self, begin: Callable[[], None]) -> None:
        """Begin now or when it is this request's turn."""
        if self.running < self.slots:
            self.running += 1
            begin()
        else:
            self.queue.append(begin)

    def leave(self) -> None:
        """A request is over; the next one takes its place."""
        if self.queue:
            self.queue.popleft()()
        else:
            self.running -= 1


@dataclass
class Served:
    """What became of one request."""

    at_s: float
    server: str | None
    """None where it was refused."""
    tokens: int
    predicted_s: float = math.nan
    predicted_ttft_s: float = math.nan
    e2e_s: float = math.nan
    ttft_s: float = math.nan
    explored: bool = False
    failed: bool = False
    retry_after_s: float | None = None


@dataclass(frozen=True)
class Traffic:
    """Who asks, how often, and for what."""

    per_s: float = 2.0
    tokens: tuple[int, int] = (80, 120)
    """Shortest and longest answer, evenly drawn."""
    input_tokens: int = 50
    streams: float = 1.0
    """Share of requests that are streamed."""
    told: bool = True
    """Whether the expected length is known to the predictor (the mean of `tokens`)."""
    timeout_s: float = 60.0
    """How long clients wait for an answer that does not come."""


@dataclass(frozen=True)
class Written:
    """How far a stream is, a token in each chunk."""

    world: World
    begins_s: float
    ends_s: float
    tokens: int

    @property
    def chunks(self) -> int:
        """By now."""
        done = (self.world.now - self.begins_s) / max(self.ends_s - self.begins_s, 1e-9)
        return 1 + int((self.tokens - 1) * min(max(done, 0.0), 1.0))

    @property
    def latest_s(self) -> float:
        """When the last of them came."""
        each_s = (self.ends_s - self.begins_s) / max(self.tokens - 1, 1)
        return self.begins_s + (self.chunks - 1) * each_s


class World:
    """One worker of the proxy, its servers and its clients."""

    def __init__(
        self,
        servers: Sequence[Server],
        traffic: Traffic = Traffic(),
        *,
        seed: int = 0,
        objective: Objective | None = None,
        limits: Limits | None = None,
        learner: LatencyLearner | None = None,
        knowing: bool = False,
        **request: object,
    ) -> None:
        """`knowing` says that the worker is told how fast the servers truly are."""
        self.servers = {server.id: server for server in servers}
        self.engines = {(s.engine or s.id): Engine(s.slots) for s in servers}
        self.batches = {s.id: Batch(lambda: self.now, self.at, s.tpot_s, s.steep) for s in servers if s.steep}
        self.traffic = traffic
        self.random = Random(seed)
        self.objective = objective or JointScore(PRESETS["balanced"])
        self.limits = limits
        self.request = request
        self.now = 0.0
        self.served: list[Served] = []
        self.learned: list[Outcome] = []
        self.drifted: list[str] = []
        self.index = DeploymentIndex()
        self.ledger = Ledger(self.index, LeaseRule())
        self.drift = Drift()
        reckoner = Reckoner(self.index, self.ledger, Peers(self.index))
        self.learner = learner or LatencyLearner()
        self.balancer = Balancer(reckoner, self.learner, Random(f"choice {seed}"))
        beliefs = self.balancer.beliefs
        self.attempts = Attempts(self.ledger, self._finished, beliefs.first_token, beliefs.learn)
        self.deployments = tuple(
            s.deployment(output_tokens=self._expected(), **({"prior": s.truth()} if knowing else {}))
            for s in servers
        )
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._calls = count()
        self.at(self.random.expovariate(traffic.per_s), self._arrive)
        self.at(TICK_S, self._tick)

    # What tests ask

    def run(self, until_s: float) -> World:
        """Let the time pass."""
        while self._events and self._events[0][0] <= until_s:
            self.now, _, action = heappop(self._events)
            action()
        self.now = until_s
        return self

    def at(self, when_s: float, action: Callable[[], None]) -> None:
        """Have something happen."""
        heappush(self._events, (when_s, next(self._order), action))

    def within(self, start_s: float, end_s: float) -> list[Served]:
        """The requests of that time."""
        return [s for s in self.served if start_s <= s.at_s < end_s]

    def share(self, server: str, start_s: float, end_s: float) -> float:
        """Share of the requests of that time that went there."""
        its = self.within(start_s, end_s)
        return sum(s.server == server for s in its) / max(len(its), 1)

    def mean_e2e_s(self, start_s: float, end_s: float) -> float:
        """Of the answers to requests of that time."""
        its = [s.e2e_s for s in self.within(start_s, end_s) if s.e2e_s == s.e2e_s]
        return sum(its) / max(len(its), 1)

    def forecast_s(self, server: str, tokens: int, input_tokens: int | None = None) -> float:
        """E2E that is forecast now for an idle server."""
        of = next(d for d in self.deployments if d.id == server)
        prompt = self.traffic.input_tokens if input_tokens is None else input_tokens
        times = self.balancer.snapshot([of], self.now, prompt, tokens).times
        return float(times.e2e_s[0] - times.wait_s[0])

    def true_s(self, server: str, tokens: int) -> float:
        """E2E that it would have."""
        its = self.servers[server]
        return (its.ttft_s + (tokens - 1) * its.tpot_s) * its.slower(self.now)

    # Clients

    def _expected(self) -> float | None:
        low, high = self.traffic.tokens
        return (low + high) / 2.0 if self.traffic.told else None

    def _arrive(self) -> None:
        self.at(self.now + self.random.expovariate(self.traffic.per_s), self._arrive)
        tokens = self.random.randint(*self.traffic.tokens)
        self.send(tokens, self.random.random() < self.traffic.streams)

    def send(self, tokens: int, streams: bool = True, to: str | None = None) -> Served:
        """One request now, to a server of that name where one is given."""
        prompt = Prompt("Why?", self.traffic.input_tokens)
        candidates = tuple(d for d in self.deployments if to is None or d.id == to)
        request = RoutingRequest(prompt, candidates, self.objective, self.limits, **self.request)  # type: ignore[arg-type]
        (placed,) = self.balancer.decide([request], PredictionSource(), self.now)
        if isinstance(placed, Refusal):
            refused = Served(self.now, None, tokens, failed=True, retry_after_s=placed.retry_after_s)
            self.served.append(refused)
            return refused
        call = f"call-{next(self._calls)}"
        self.attempts.open(call, placed, self.traffic.input_tokens, self.now, streams)
        served = Served(
            self.now, placed.deployment.id, tokens, placed.decision.prediction.e2e_s,
            placed.decision.prediction.ttft_s, explored=placed.decision.explored,
        )  # fmt: skip
        self.served.append(served)
        self._serve(call, served, streams)
        return served

    # Servers

    def _serve(self, call: str, served: Served, streams: bool) -> None:
        its = self.servers[str(served.server)]
        its.sent = [t for t in its.sent if t > self.now - 60.0]
        if len(its.sent) >= its.per_minute:
            self.at(self.now + 0.05, lambda: self._failed(call, served, "RateLimitError", its, counted=False))
            return
        its.sent.append(self.now)
        idle = self.now - its.last_s > its.idle_s or its.last_s == -math.inf
        cold = its.cold_s if idle and self.now < its.warm_from_s else 0.0
        its.last_s = self.now
        its.open += 1
        if its.hangs(self.now):
            patience = self.traffic.timeout_s
            self.at(self.now + patience, lambda: self._failed(call, served, "Timeout", its))
            return
        engine = self.engines[its.engine or its.id]
        engine.enter(lambda: self._begin(call, served, streams, its, engine, cold))

    def _begin(
        self, call: str, served: Served, streams: bool, its: Server, engine: Engine, cold_s: float
    ) -> None:
        factor = its.slower(self.now) * (1.0 + its.growth * (engine.running - 1))
        ttft_s = (its.ttft_s + its.prefill_s_per_token * self.traffic.input_tokens) * factor + cold_s
        if its.fails(self.now):
            after_s = ttft_s if its.fails_after_s is None else its.fails_after_s
            self.at(self.now + after_s, lambda: self._broke(call, served, its, engine))
            return
        if its.id in self.batches:
            self.at(self.now + ttft_s, lambda: self._write(call, served, streams, its, engine))
            return
        e2e_s = ttft_s + (served.tokens - 1) * its.tpot_s * factor
        if streams:
            written = Written(self, self.now + ttft_s, self.now + e2e_s, served.tokens)
            self.at(self.now + ttft_s, lambda: self._first(call, served, written))
        self.at(self.now + e2e_s, lambda: self._answered(call, served, its, engine))

    def _write(self, call: str, served: Served, streams: bool, its: Server, engine: Engine) -> None:
        ended = partial(self._answered, call, served, its, engine)
        written = self.batches[its.id].write(served.tokens - 1, ended)
        if streams:
            self._first(call, served, written)

    def _broke(self, call: str, served: Served, its: Server, engine: Engine) -> None:
        self._failed(call, served, "InternalServerError", its)
        engine.leave()

    def _first(self, call: str, served: Served, written: Progress) -> None:
        served.ttft_s = self.now - served.at_s
        self.attempts.first_token(call, self.now, written)

    def _answered(self, call: str, served: Served, its: Server, engine: Engine) -> None:
        its.open -= 1
        served.e2e_s = self.now - served.at_s
        self.attempts.close(call, "success-event", self.now, deployment=served.server)
        self.attempts.complete(call, served.server, served.tokens, None, cached=False)
        engine.leave()

    def _failed(self, call: str, served: Served, error: str, its: Server, counted: bool = True) -> None:
        its.open -= counted
        served.failed = True
        self.attempts.failed(call, str(served.server), self.now, error, at_once=True)

    def _finished(self, outcome: Outcome) -> None:
        self.learned.append(outcome)
        self.balancer.beliefs.learn(outcome)
        self.drifted += [str(change) for change in self.drift.learn(outcome, "auto")]

    def _tick(self) -> None:
        self.attempts.expire(self.now)
        self.balancer.beliefs.observe_streams(self.ledger.streams(512), self.now)
        self.at(self.now + TICK_S, self._tick)
