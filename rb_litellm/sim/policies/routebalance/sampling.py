"""RouteBalance with best of n: some requests are answered several times at once, and a judge picks an answer.

What the first answer of every model to every prompt is worth was measured; the public grades hold no second
one. So the further answers are made up, as an urn of Polya that begins with the measured one: with k right
ones among j so far, the next is right with probability

    (q (1 - r) + k r) / (1 - r + j r)

q being the model's mean on the prompt's task and r the correlation between answers. That makes them
beta-binomial, as the rule has it, about what was measured. The judge calls right and wrong answers good at
its rates, whatever the prompt, and picks one of those it calls good by chance, or any where there is none:
not quite what the rule takes it to do.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random

import numpy as np

from rb_litellm.balancer import RoutingRequest
from rb_litellm.core.best_of.rule import BestOfRule
from rb_litellm.core.decision.scoring import PRESETS, Objective
from rb_litellm.core.types import FloatArray
from rb_litellm.predictors.registry import PredictionSource
from rb_litellm.sim.engine import Served, Simulation
from rb_litellm.sim.policies.routebalance.as_in_proxy import RouteBalance
from rb_litellm.sim.policies.routebalance.judged import Answered, Judge, paid_usd
from rb_litellm.sim.servers.cluster import Cluster
from rb_litellm.sim.workloads.workload import Corpus, Request


@dataclass(frozen=True)
class FurtherAnswers:
    """How further answers of a model hang together with its first one, in truth."""

    means: Mapping[str, FloatArray]
    """(M,) mean grade of each tier's model by task; of all tasks under the empty name."""
    correlation: float
    length_spread: float

    @classmethod
    def of(cls, corpus: Corpus, correlation: float, length_spread: float) -> FurtherAnswers:
        """With the means of these grades."""
        tasks = np.array(corpus.tasks or [""] * len(corpus))
        means = {str(task): corpus.quality[tasks == task].mean(axis=0) for task in np.unique(tasks)}
        return cls({**means, "": corpus.quality.mean(axis=0)}, correlation, length_spread)

    def right(self, request: Request, column: int, n: int, random: Random) -> list[bool]:
        """Which of n answers are right, the measured one first."""
        q = float(self.means.get(request.task, self.means[""])[column])
        r = self.correlation
        found = [random.random() < request.quality[column]]
        while len(found) < n:
            chance = (q * (1.0 - r) + sum(found) * r) / (1.0 - r + len(found) * r)
            found.append(random.random() < chance)
        return found

    def lengths(self, request: Request, column: int, n: int, random: Random) -> list[int]:
        """Lengths of n further answers, log-normal about that of the measured one."""
        s = self.length_spread
        mean = float(request.output_tokens[column])
        return [max(round(mean * math.exp(random.gauss(0.0, s) - 0.5 * s * s)), 1) for _ in range(n)]


@dataclass(frozen=True, slots=True)
class AnsweredSeveral(Answered):
    """And how many answers each of them had, (R,)."""

    answers: FloatArray


class Sampling(RouteBalance):
    """`rule` is what is believed of judge and answers; None for single answers."""

    def __init__(
        self,
        name: str,
        cluster: Cluster,
        predictions: PredictionSource,
        objective: Objective,
        rule: BestOfRule | None,
        judge: Judge,
        truth: FurtherAnswers,
        seed: int = 0,
    ) -> None:
        super().__init__(name, cluster, PRESETS["balanced"], predictions, objective=objective, seed=seed)
        self._deployments = tuple(replace(deployment, takes_n=True) for deployment in self._deployments)
        self._cluster = cluster
        self._column = [n for n, tier in enumerate(cluster.tiers) for _ in range(tier.instances)]
        self._rule = rule
        self._judge = judge
        self._truth = truth
        self._seed = seed
        self._lengths: dict[int, list[int]] = {}
        """Of the further answers to each request, by its number."""

    def run(self, asked: Sequence[Request]) -> AnsweredSeveral:
        """Serve these requests."""
        served = Simulation(self._cluster, self, asked, self._seed).run()
        found = [self._got(one) for one in served]
        quality, e2e_s, usd, answers = (np.array(figures) for figures in zip(*found, strict=True))
        return AnsweredSeveral(quality, e2e_s, usd, answers)

    def further(self, request: Request, deployment: int) -> Sequence[int]:
        """See `AsksForSeveral`."""
        samples = self._samples.get(request.number)
        if samples is None:
            return ()
        column = self._column[deployment]
        random = Random(f"lengths {self._seed} {request.number} {column}")
        lengths = self._truth.lengths(request, column, samples.n - 1, random)
        self._lengths[request.number] = lengths
        return lengths

    def closed(self, worker: int, request: Request, deployment: int, now: float, output_tokens: int) -> None:
        """Close the attempt; the longest answer is the one that was waited for."""
        further = self._lengths.get(request.number)
        if further:
            output_tokens = max(output_tokens - sum(further), *further)
        super().closed(worker, request, deployment, now, output_tokens)

    def _routing_requests(self, batch: Sequence[Request], now: float) -> list[RoutingRequest]:
        read = super()._routing_requests(batch, now)
        for routing in read:
            routing.best_of = self._rule
        return read

    def _got(self, served: Served) -> tuple[float, float, float, float]:
        request, column = served.request, self._column[served.deployment]
        tier, judge = self._cluster.tiers[column], self._judge
        usd = paid_usd(served, tier)
        samples = self._samples.get(request.number)
        if samples is None:
            return float(request.quality[column]), served.e2e_s, usd, 1.0
        random = Random(f"answers {self._seed} {request.number} {column}")
        right = self._truth.right(request, column, samples.n, random)
        good = [its for its in right if judge.accepts(its, random)]
        picked = random.choice(good or right)
        usd += judge.usd_for(served)
        return float(picked), served.e2e_s + judge.seconds, usd, float(samples.n)
