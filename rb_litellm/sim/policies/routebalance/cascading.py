"""RouteBalance with cascades: some answers are judged, and those called poor are asked for again elsewhere.

What the truth is of every prompt and model is known, so what becomes of a cascade is known, too; only the
judge is made up, by the rates at which it accepts right and wrong answers, whatever the prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

import numpy as np

from rb_litellm.balancer import RoutingRequest
from rb_litellm.core.cascade.rule import CascadeRule
from rb_litellm.core.decision.scoring import PRESETS, Objective
from rb_litellm.predictors.registry import PredictionSource
from rb_litellm.sim.engine import Served, Simulation
from rb_litellm.sim.policies.routebalance.as_in_proxy import RouteBalance
from rb_litellm.sim.policies.routebalance.judged import Answered, Judge, paid_usd
from rb_litellm.sim.servers.cluster import Cluster
from rb_litellm.sim.workloads.workload import Request

AGAIN = 10_000_000
"""Added to a request's number, it is that of its second answer."""


@dataclass(frozen=True, slots=True)
class AnsweredTwice(Answered):
    """And how many were judged, and answered a second time."""

    judged: int
    escalated: int


class Cascading(RouteBalance):
    """`rule` is what is believed of the judge; None for no cascades."""

    def __init__(
        self,
        name: str,
        cluster: Cluster,
        predictions: PredictionSource,
        objective: Objective,
        rule: CascadeRule | None,
        judge: Judge,
        seed: int = 0,
    ) -> None:
        super().__init__(name, cluster, PRESETS["balanced"], predictions, objective=objective, seed=seed)
        self._cluster = cluster
        self._rule = rule
        self._judge = judge
        self._seed = seed
        self._judged: dict[int, float] = {}
        """What a verdict on each request's first answer has cost, by its number."""

    def run(self, asked: Sequence[Request]) -> AnsweredTwice:
        """Serve these requests, and those that follow."""
        served = Simulation(self._cluster, self, asked, self._seed, follow=self._follow).run()
        tier_of = [tier for tier in self._cluster.tiers for _ in range(tier.instances)]
        column = [n for n, tier in enumerate(self._cluster.tiers) for _ in range(tier.instances)]

        second = {one.request.number - AGAIN: one for one in served if one.request.number >= AGAIN}
        quality, e2e_s, cost = [], [], []
        for one in served[: len(asked)]:
            number = one.request.number
            last = second.get(number, one)
            quality.append(one.request.quality[column[last.deployment]])
            ended_s = last.request.arrival_s + last.e2e_s
            kept_s = self._judge.seconds if number in self._judged and number not in second else 0.0
            e2e_s.append(ended_s + kept_s - one.request.arrival_s)
            again = paid_usd(last, tier_of[last.deployment]) if last is not one else 0.0
            cost.append(paid_usd(one, tier_of[one.deployment]) + self._judged.get(number, 0.0) + again)
        return AnsweredTwice(
            np.array(quality), np.array(e2e_s), np.array(cost), len(self._judged), len(second)
        )

    def _routing_requests(self, batch: Sequence[Request], now: float) -> list[RoutingRequest]:
        read = super()._routing_requests(batch, now)
        for request, routing in zip(batch, read, strict=True):
            if request.number < AGAIN:
                routing.cascade = self._rule
            else:
                _, wanted = self._pairs[request.number - AGAIN]
                routing.candidates = tuple(d for d in routing.candidates if d.group == wanted.group)
        return read

    def _follow(self, served: Served) -> Request | None:
        number = served.request.number
        if number not in self._pairs:
            return None
        column = next(
            n for n, tier in enumerate(self._cluster.tiers)
            if tier.model == self._deployments[served.deployment].group
        )  # fmt: skip
        judge, random = self._judge, Random(f"verdict {self._seed} {number} {column}")
        self._judged[number] = judge.usd_for(served)
        # A grade between right and wrong is right in that share of the cases.
        right = random.random() < served.request.quality[column]
        if judge.accepts(right, random):
            return None
        ended_s = served.request.arrival_s + served.e2e_s
        return replace(served.request, number=number + AGAIN, arrival_s=ended_s + judge.seconds)
