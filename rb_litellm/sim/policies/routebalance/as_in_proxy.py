"""RouteBalance as a policy of the simulator: the proxy's own balancer, ledger, gauges and latency learner.

Nothing of the decision is written here a second time. What the adapter does around a pick in the
proxy (open an attempt, note its first token, close it, learn) is done here on the simulated clock; k
workers exchange encoded gauges at every tick, as they do through Redis.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from random import Random

from rb_litellm.balancer import RoutingRequest
from rb_litellm.core.best_of.candidate import Samples
from rb_litellm.core.cascade.candidate import Compound
from rb_litellm.core.decision.breakdown import Refusal
from rb_litellm.core.decision.exploring.exploration import RECOVERY, ExplorationRule
from rb_litellm.core.decision.scoring import JointScore, Norm, Objective, QualityNorm, Weights
from rb_litellm.core.fleet import Deployment
from rb_litellm.core.latency.learning.learned import LearnedTimes
from rb_litellm.core.latency.measurement import measured
from rb_litellm.core.limits.filters import Limits
from rb_litellm.core.servers.streams import Progress
from rb_litellm.core.targets.stated import Targets
from rb_litellm.core.types import Outcome, Prediction
from rb_litellm.predictors.registry import PredictionSource
from rb_litellm.sim.policies.policy import REFUSED, DecisionQueue, Excluded, nobody
from rb_litellm.sim.policies.routebalance.arms import WHOLE, Arms, WithoutBurden
from rb_litellm.sim.policies.routebalance.worker import Worker
from rb_litellm.sim.servers.cluster import Cluster
from rb_litellm.sim.workloads.workload import Request
from rb_litellm.state.exchange.gauges import StoredGauge, decode, encode

DECISION_S = 0.0006
"""Time of one decision in the proxy, measured for 13 deployments with predictors; a batch adds to it,"""
PER_REQUEST_S = 0.0002
"""this for each request."""


class RouteBalance:
    """The policy. `predictions` is what the proxy would load; it may be shared between policies."""

    def __init__(
        self,
        name: str,
        cluster: Cluster,
        weights: Weights,
        predictions: PredictionSource,
        *,
        quality_norm: QualityNorm = "raw",
        norm: Norm = "absolute",
        exploration: ExplorationRule | None = RECOVERY,
        arms: Arms = WHOLE,
        workers: int = 1,
        gauges_s: float = 0.2,
        seed: int = 0,
        objective: Objective | None = None,
        limits: Limits | None = None,
        targets: Targets | None = None,
    ) -> None:
        """With `targets`, their controller decides by what each request is scored, not `objective`."""
        self.excluded: Excluded = nobody
        self.name = name
        self.workers = workers
        self.tick_s: float | None = gauges_s if workers > 1 else 1.0
        self.decision_queue = DecisionQueue(
            "batch" if arms.batching else "concurrent", DECISION_S + arms.window_s, PER_REQUEST_S
        )
        self._deployments = tuple(d for tier in cluster.tiers for d in tier.deployments())
        self._number = {d.id: n for n, d in enumerate(self._deployments)}
        self._weights = weights
        self._norm: QualityNorm = quality_norm
        joint = JointScore(weights, quality_norm, norm)
        self._exploration = exploration
        self._objective: Objective = objective or (joint if arms.burden else WithoutBurden(joint))
        self._limits = limits
        self._targets = targets
        self._predictions = predictions
        self._arms = arms
        self._efforts: dict[int, str] = {}
        """The level of effort of each request that was placed, by its number."""
        self._pairs: dict[int, tuple[Compound, Deployment]] = {}
        """What is to follow where its answer is poor, with a deployment of the model that answers then."""
        self._samples: dict[int, Samples] = {}
        """Of those that were asked for several answers, how many, by their numbers."""
        self._workers = [Worker(f"worker-{n}", arms, Random(f"{seed} {n}")) for n in range(workers)]

    def decide(self, worker: int, batch: Sequence[Request], now: float) -> Sequence[int]:
        """Place the batch and open an attempt for each request."""
        its = self._workers[worker]
        if self._targets is not None:
            self._objective = its.book.objective(self.name, self._targets)
        return self._place(worker, batch, self._routing_requests(batch, now), now)

    def _place(
        self,
        worker: int,
        batch: Sequence[Request],
        routing_requests: Sequence[RoutingRequest],
        now: float,
    ) -> list[int]:
        """The same for requests as the balancer reads them."""
        its = self._workers[worker]
        if self._arms.sequential:
            placed = its.balancer.decide(routing_requests, self._predictions, now)
        else:
            placed = [
                its.balancer.decide([routing_request], self._predictions, now)[0]
                for routing_request in routing_requests
            ]
        for request, assignment in zip(batch, placed, strict=True):
            if isinstance(assignment, Refusal):
                continue
            decision = assignment.decision
            if self._targets is not None:
                its.book.decided(self.name, self._targets, request.number, decision)
            its.ledger.open(
                its.attempt(request),
                assignment.deployment.id,
                now=now,
                input_tokens=round(decision.prefill_tokens),
                prediction=decision.prediction,
                in_flight=decision.in_flight,
                pending_prefill_tokens=decision.pending_prefill_tokens,
                streams=True,
                sent_before=decision.sent_before,
                saved_tokens=decision.saved_tokens,
                join_steps=decision.join_steps,
                level=assignment.level,
                answers=decision.answers,
            )
            if decision.best_of is not None:
                self._samples[request.number] = decision.best_of
            its.predicted[request.number] = decision.prediction
            self._efforts[request.number] = assignment.deployment.effort
            if decision.cascade is not None:
                self._pairs[request.number] = (
                    decision.cascade,
                    assignment.deployments[decision.cascade.second],
                )
        return [
            REFUSED if isinstance(assignment, Refusal) else self._number[assignment.deployment.id]
            for assignment in placed
        ]

    def _candidates(self, request: Request, now: float) -> tuple[Deployment, ...]:
        excluded = self.excluded(request, now)
        if not excluded:
            return self._deployments
        return tuple(d for n, d in enumerate(self._deployments) if n not in excluded)

    def _routing_requests(self, batch: Sequence[Request], now: float) -> list[RoutingRequest]:
        return [
            RoutingRequest(
                r.prompt,
                self._candidates(r, now),
                self._objective,
                self._limits,
                self._arms.affinity,
                self._exploration,
                thread=str(r.conversation) if self._arms.threads and r.conversation is not None else "",
            )
            for r in batch
        ]

    def replace_deployment(self, number: int, deployment: Deployment) -> None:
        """The operator has edited one: another price, or another model under its old id."""
        its = list(self._deployments)
        its[number] = deployment
        self._deployments = tuple(its)

    def learned(self) -> dict[str, LearnedTimes]:
        """What the first worker has learned, as it is in the store."""
        return self._workers[0].balancer.beliefs.learned(-math.inf)

    def adopt(self, learned: dict[str, LearnedTimes]) -> None:
        """Start from what is in the store."""
        for worker in self._workers:
            worker.balancer.beliefs.adopt(learned)

    def first_token(
        self, worker: int, request: Request, deployment: int, now: float, progress: Progress
    ) -> None:
        """Tell the ledger, as a stream would."""
        its = self._workers[worker]
        key = its.ledger.latest_open(str(request.number))
        begun = None if key is None else its.ledger.first_token(key, now, progress)
        if begun is not None and self._arms.learning:
            its.balancer.beliefs.first_token(begun)

    def cached(self, worker: int, request: Request, tokens: int) -> None:
        """Kept for the close."""
        self._workers[worker].told_cached = tokens

    def closed(self, worker: int, request: Request, deployment: int, now: float, output_tokens: int) -> None:
        """Close the attempt and learn from it."""
        self._closed(worker, request, deployment, now, output_tokens, "ServiceUnavailable")

    def failed(self, worker: int, request: Request, deployment: int, now: float, error: str) -> None:
        """The same for one that failed."""
        self._closed(worker, request, deployment, now, 0, error)

    def _closed(
        self, worker: int, request: Request, deployment: int, now: float, output_tokens: int, failure: str
    ) -> None:
        its = self._workers[worker]
        if self._targets is not None:
            facts = self._deployments[deployment]
            cost = facts.input_usd_per_token * request.prompt.input_tokens
            cost += facts.output_usd_per_token * output_tokens
            its.book.finished(
                request.number,
                cost if output_tokens else 0.0,
                now - request.arrival_s if output_tokens else None,
            )
        key = its.ledger.latest_open(str(request.number))
        if key is None:
            return
        error = None if output_tokens else failure
        outcome = its.ledger.close(key, now, "success" if output_tokens else "failure", error=error)
        if outcome is None:
            return
        if its.told_cached is not None:
            outcome = outcome._replace(cached_tokens=its.told_cached)
        if (samples := self._samples.get(request.number)) is not None:
            outcome = outcome._replace(choices=samples.n)
        its.told_cached = None
        if self._arms.learning and (self._arms.failures or error is None):
            its.balancer.beliefs.learn(_measured(outcome, output_tokens))

    def tick(self, now: float) -> None:
        """End leases; workers tell each other their loads."""
        gauges = []
        for its in self._workers:
            its.ledger.expire(now)
            if self._arms.learning:
                its.observe_streams(now)
            if self.workers > 1:
                sums, rates = its.ledger.sums(now), its.ledger.decode_rates()
                failing = its.balancer.beliefs.failing(now)
                told = encode(its.index, sums, rates, now, failing=failing, targets=its.book.told())
                gauges.append(StoredGauge(its.name, 0.0, told))
        for n, its in enumerate(self._workers):
            if self.workers > 1:
                others = [decode(g) for m, g in enumerate(gauges) if m != n]
                its.peers.update(others, now)
                its.book.heard({gauge.origin: gauge.targets for gauge in others})

    def predicted(self, worker: int, request: Request) -> Prediction:
        """What was predicted at the request's last decision."""
        return self._workers[worker].predicted[request.number]


def _measured(outcome: Outcome, output_tokens: int) -> Outcome:
    return measured(outcome, output_tokens) if output_tokens else outcome
