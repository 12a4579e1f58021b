"""Herding: the same arrivals on one worker and on several, with gauges exchanged and without.

Workers that do not see each other's load all find the same deployment idle and send everything there.
Here each worker is the real thing (ledger, gauges in their wire format, reckoning, balancer, latency
learning) on a simulated clock, in front of simulated servers, so that a run is exact and repeatable.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from random import Random
from typing import Any

from rb_litellm.balancer import Assignment, Balancer, RoutingRequest
from rb_litellm.core.decision.scoring import PRESETS, JointScore
from rb_litellm.core.fleet import Deployment
from rb_litellm.core.latency.learning.learner import LatencyLearner
from rb_litellm.core.latency.measurement import measured
from rb_litellm.core.types import Prompt
from rb_litellm.demo.server.answers import AnswerLengths
from rb_litellm.predictors.registry import PredictionSource
from rb_litellm.sim.servers.cluster import PAPER_CLUSTER, Cluster
from rb_litellm.sim.servers.instance import Instance, Job
from rb_litellm.state.attempt import AttemptKey, LeaseRule
from rb_litellm.state.exchange.gauges import StoredGauge, decode, encode
from rb_litellm.state.exchange.peers import Peers
from rb_litellm.state.exchange.schedule import pauses_s
from rb_litellm.state.index import DeploymentIndex
from rb_litellm.state.ledger import Ledger
from rb_litellm.state.reckoning import Reckoner

RATE = 48.0
"""Requests per second, Poisson."""
SATURATING_RATE = 300.0
"""Requests per second that bring the paper's cluster near its limit."""
INTERVAL_S = 0.2
"""Between exchanges, the default of `redis.interval_ms`."""
TRANSIT_S = 0.001
"""From Redis to a worker."""
_FEW = 50
"""Tiers with fewer requests per deployment say nothing of how they are shared out."""


@dataclass(frozen=True, slots=True)
class _Arrival:
    at_s: float
    prompt: str
    input_tokens: int
    worker: float
    """In [0, 1): which of the workers accepts it."""


@dataclass(slots=True, eq=False)
class _Request:
    arrival: _Arrival
    worker: _Worker
    key: AttemptKey


class _Worker:
    """One proxy worker as far as routing goes."""

    def __init__(self, name: str, seed: int) -> None:
        self.name = name
        self.index = DeploymentIndex()
        self.ledger = Ledger(self.index, LeaseRule())
        self.peers = Peers(self.index)
        self.random = Random(seed)
        self.balancer = Balancer(Reckoner(self.index, self.ledger, self.peers), LatencyLearner(), self.random)
        self.predictions = PredictionSource()
        self.told_changes = -1

    def gauge(self, now: float) -> bytes:
        self.told_changes = self.ledger.changes
        return encode(self.index, self.ledger.sums(now), self.ledger.decode_rates(), now)


@dataclass
class _Fleet:
    """The simulation: servers, workers, and the events still to come."""

    cluster: Cluster
    workers: list[_Worker]
    gauges: bool
    weights: str
    candidates: tuple[Deployment, ...] = ()
    servers: dict[str, Instance] = field(default_factory=dict)
    lengths: dict[str, AnswerLengths] = field(default_factory=dict)
    e2e_s: list[float] = field(default_factory=list)
    chosen: Counter[str] = field(default_factory=Counter)
    _events: list[tuple[float, int, Callable[[float], None]]] = field(default_factory=list)
    _order: count[int] = field(default_factory=count)
    _published: dict[str, tuple[bytes, float]] = field(default_factory=dict)
    _open: int = 0

    def run(self, arrivals: Sequence[_Arrival]) -> None:
        self.candidates = tuple(d for tier in self.cluster.tiers for d in tier.deployments())
        for tier in self.cluster.tiers:
            self.lengths[tier.model] = AnswerLengths(tier.output_tokens)
            for deployment in tier.deployments():
                self.servers[deployment.id] = Instance(tier.hardware)
        for arrival in arrivals:
            self._at(arrival.at_s, partial(self._arrive, arrival))
        if self.gauges:
            for worker in self.workers:
                self._at(worker.random.uniform(0.0, INTERVAL_S), partial(self._exchange, worker))
        self._open = len(arrivals)
        while self._open:
            now, _, act = heapq.heappop(self._events)
            act(now)

    def _at(self, when: float, act: Callable[[float], None]) -> None:
        heapq.heappush(self._events, (when, next(self._order), act))

    def _arrive(self, arrival: _Arrival, now: float) -> None:
        worker = self.workers[int(arrival.worker * len(self.workers))]
        prompt = Prompt(text=arrival.prompt, input_tokens=arrival.input_tokens, turns=1)
        ask = RoutingRequest(prompt, self.candidates, JointScore(PRESETS[self.weights]))
        [placed] = worker.balancer.decide([ask], worker.predictions, now)
        assert isinstance(placed, Assignment)
        key = AttemptKey(str(next(self._order)), 0)
        decision, deployment = placed.decision, placed.deployment
        worker.ledger.open(
            key,
            deployment.id,
            now=now,
            input_tokens=arrival.input_tokens,
            prediction=decision.prediction,
            in_flight=decision.in_flight,
            pending_prefill_tokens=decision.pending_prefill_tokens,
            streams=True,
        )
        self.chosen[deployment.id] += 1
        output_tokens = self.lengths[deployment.group].output_tokens(arrival.prompt, deployment.group)
        server = self.servers[deployment.id]
        server.add(Job(arrival.input_tokens, output_tokens, tag=_Request(arrival, worker, key)))
        if not server.busy:
            self._begin(server, now)

    def _begin(self, server: Instance, now: float) -> None:
        took = server.begin()
        if took is not None:
            self._at(now + took, partial(self._iterated, server))

    def _iterated(self, server: Instance, now: float) -> None:
        for job, _ in server.finish():
            request: _Request = job.tag
            if job.written == 1:
                begun = request.worker.ledger.first_token(request.key, now)
                if begun is not None:
                    request.worker.balancer.beliefs.first_token(begun)
            if job.done:
                outcome = request.worker.ledger.close(request.key, now, "stream-end")
                if outcome is not None:
                    request.worker.balancer.beliefs.learn(measured(outcome, job.output_tokens))
                self.e2e_s.append(now - request.arrival.at_s)
                self._open -= 1
        self._begin(server, now)

    def _exchange(self, worker: _Worker, now: float) -> None:
        self._published[worker.name] = (worker.gauge(now), now)
        others = [
            decode(StoredGauge(name, now - told, payload))
            for name, (payload, told) in self._published.items()
            if name != worker.name
        ]
        self._at(now + TRANSIT_S, partial(self._hear, worker, others, now))

    def _hear(self, worker: _Worker, others: list[Any], asked: float, now: float) -> None:
        worker.peers.update(others, asked)
        soonest, latest = pauses_s(INTERVAL_S, 0, worker.random)
        self._at(asked + soonest, partial(self._exchange_if_changed, worker, asked + latest))

    def _exchange_if_changed(self, worker: _Worker, latest: float, now: float) -> None:
        if worker.ledger.changes != worker.told_changes:
            self._exchange(worker, now)
        else:
            self._at(latest, partial(self._exchange, worker))


def run(
    requests: int = 3000,
    workers: Sequence[int] = (1, 4),
    seeds: Sequence[int] = (0, 1, 2),
    weights: str = "balanced",
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Compare; `{"rows": [{"workers", "gauges", "mean_e2e_s", "max_share_ratio"}]}`, means over the seeds.

    `max_share_ratio` is the largest share of a deployment within its tier over the mean share there;
    `e2e_ratio` is to the first number of workers. `near_saturation` has the same at a rate that the
    cluster can barely serve, where seeing the others' load matters most.
    """

    def at(rate: float) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        for number in workers:
            for gauges in (True, False) if number > 1 else (True,):
                progress(f"{rate:g} requests/s, {number} workers, gauges {'on' if gauges else 'off'}")
                runs = [_measure(requests, number, gauges, rate, seed, weights) for seed in seeds]
                means = {name: sum(run[name] for run in runs) / len(runs) for name in runs[0]}
                rows.append({"workers": number, "gauges": gauges, **means})
        return [{**row, "e2e_ratio": row["mean_e2e_s"] / rows[0]["mean_e2e_s"], "rate": rate} for row in rows]

    return {
        "rows": at(RATE),
        "near_saturation": at(SATURATING_RATE),
        "requests": requests,
        "seeds": list(seeds),
        "weights": weights,
        "cluster": PAPER_CLUSTER.name,
        "deployments": sum(tier.instances for tier in PAPER_CLUSTER.tiers),
    }


def _measure(
    requests: int, workers: int, gauges: bool, rate: float, seed: int, weights: str
) -> dict[str, float]:
    random = Random(seed)
    at_s, arrivals = 0.0, []
    for number in range(requests):
        at_s += random.expovariate(rate)
        input_tokens = max(int(random.lognormvariate(4.5, 0.8)), 4)
        arrivals.append(_Arrival(at_s, f"prompt {seed} {number}", input_tokens, random.random()))
    fleet = _Fleet(PAPER_CLUSTER, [_Worker(f"w{n}", seed * 100 + n) for n in range(workers)], gauges, weights)
    fleet.run(arrivals)
    e2e = sorted(fleet.e2e_s)
    qualities = {d.id: tier.quality for tier in PAPER_CLUSTER.tiers for d in tier.deployments()}
    return {
        "mean_e2e_s": sum(e2e) / len(e2e),
        "p95_e2e_s": e2e[int(0.95 * len(e2e))],
        "quality": sum(qualities[deployment] * n for deployment, n in fleet.chosen.items()) / requests,
        "max_share_ratio": _max_share_ratio(PAPER_CLUSTER, fleet.chosen),
    }


def _max_share_ratio(cluster: Cluster, chosen: Counter[str]) -> float:
    worst = 1.0
    for tier in cluster.tiers:
        counts = [chosen[deployment.id] for deployment in tier.deployments()]
        mean = sum(counts) / len(counts)
        if mean >= _FEW:
            worst = max(worst, max(counts) / mean)
    return worst
