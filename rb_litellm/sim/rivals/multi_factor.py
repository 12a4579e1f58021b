"""The `multi_factor` selector of vLLM Semantic Router, in front of shortest queues.

Its candidates are models, not servers. Of each it knows the stated quality, the 95th percentile of the last
1,000 times per output token, the cost of the request, and how many requests it has in flight, the last two
and the percentile by what this very process has sent. Each is stretched over the candidates to [0, 1]
(0.5 where all are equal), and the weighted mean of those known decides
(https://github.com/vllm-project/semantic-router, `pkg/selection/multi_factor.go`).

In its favour: it takes no time to decide, the expected output length is the true mean of the models, and
behind it each model's servers are shared by the shortest queue, counted for all processes together. Not
rebuilt: service levels, quality floors and the lexicographic order, which are off unless configured.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np

from rb_litellm.core.servers.streams import Progress
from rb_litellm.core.types import FloatArray
from rb_litellm.sim.policies.baseline_policies import TierQueues
from rb_litellm.sim.policies.policy import Oblivious
from rb_litellm.sim.servers.cluster import Cluster
from rb_litellm.sim.workloads.workload import Request

EQUAL_WEIGHTS = (0.25, 0.25, 0.25, 0.25)
"""Its default weights of quality, latency, cost and load."""
_HISTORY = 1000
_PERCENTILE = 95
_ENOUGH = 3
"""Measurements from which a percentile is taken; of fewer, the mean."""


class MultiFactor(Oblivious):
    """See the module's docstring."""

    def __init__(
        self,
        name: str,
        cluster: Cluster,
        weights: tuple[float, float, float, float] = EQUAL_WEIGHTS,
        workers: int = 1,
        seed: int = 0,
    ) -> None:
        self.name = name
        self.workers = workers
        self._weights = np.array(weights) / sum(weights)
        tiers = cluster.tiers
        self._tier_of = [n for n, tier in enumerate(tiers) for _ in range(tier.instances)]
        self._quality = np.array([tier.quality for tier in tiers])
        self._prices = np.array([(t.input_usd_per_million, t.output_usd_per_million) for t in tiers])
        self._output_tokens = float(np.mean([tier.output_tokens for tier in tiers]))
        self._queues = TierQueues(cluster, seed)
        self._processes = [_Process(len(tiers)) for _ in range(workers)]
        self._first_s: dict[int, float] = {}

    def decide(self, worker: int, batch: Sequence[Request], now: float) -> Sequence[int]:
        """The model of the best weighted mean, its server by the shortest queue."""
        its = self._processes[worker]
        placed = []
        for request in batch:
            tier = int(self._scores(request, its).argmax())
            its.in_flight[tier] += 1
            placed.append(self._queues.join(tier))
        return placed

    def first_token(
        self, worker: int, request: Request, deployment: int, now: float, progress: Progress
    ) -> None:
        """Noted for the time per output token."""
        self._first_s[request.number] = now

    def closed(self, worker: int, request: Request, deployment: int, now: float, output_tokens: int) -> None:
        """One fewer in flight; the time per output token is measured."""
        its, tier = self._processes[worker], self._tier_of[deployment]
        its.in_flight[tier] -= 1
        self._queues.leave(deployment)
        first_s = self._first_s.pop(request.number, None)
        if first_s is not None and output_tokens > 1:
            its.tpot_s[tier].append((now - first_s) / (output_tokens - 1))

    def _scores(self, request: Request, its: _Process) -> FloatArray:
        cost = self._prices @ np.array([request.prompt.input_tokens, self._output_tokens])
        latency = np.array([_percentile(times) for times in its.tpot_s])
        factors = (self._quality, -latency, -cost, -its.in_flight.astype(np.float64))
        total = np.zeros(len(self._quality))
        counted = np.zeros(len(self._quality))
        for weight, factor in zip(self._weights, factors, strict=True):
            known = np.isfinite(factor)
            total[known] += weight * _stretched(factor[known])
            counted[known] += weight
        return np.divide(total, counted, out=np.zeros_like(total), where=counted > 0.0)


class _Process:
    """What one process of the router knows."""

    def __init__(self, models: int) -> None:
        self.in_flight = np.zeros(models, dtype=np.int64)
        self.tpot_s: list[deque[float]] = [deque(maxlen=_HISTORY) for _ in range(models)]


def _percentile(times: deque[float]) -> float:
    if not times:
        return float("nan")
    return float(np.mean(times) if len(times) < _ENOUGH else np.percentile(times, _PERCENTILE))


def _stretched(values: FloatArray) -> FloatArray:
    if not values.size:
        return values
    low, high = values.min(), values.max()
    return np.asarray((values - low) / (high - low) if high > low else np.full(values.size, 0.5))
