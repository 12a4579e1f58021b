"""llm-d's "sticky until saturated": servers that have the prompt cached, until they are too busy.

A server is sticky to a prompt when at least 80% of its blocks were sent there before and have not been
evicted. Only sticky servers are compared, unless the quickest of them is estimated to begin its answer more
than 18 s after the quickest of the others: uncached prompt tokens in flight over the peak prefill
throughput. Among those left the fewest uncached tokens win, those of the request itself counted; ties at
random (https://llm-d.ai/blog/sticky-until-saturated-token-aware-routing; `prefix-cache-affinity-filter`
with `token-load-scorer` and `max-score-picker` in https://github.com/llm-d/llm-d-router).

All servers are one pool here: it knows nothing of models. In its favour: each server's throughput is its
own, where the original has one figure for the pool, and its memory of blocks is as large as the server's.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from random import Random

import numpy as np

from rb_litellm.core.servers.streams import Progress
from rb_litellm.core.types import BoolArray
from rb_litellm.sim.policies.policy import Excluded, Oblivious, nobody
from rb_litellm.sim.servers.cluster import Cluster
from rb_litellm.sim.servers.prefix_cache import BLOCK_TOKENS, PrefixCache
from rb_litellm.sim.workloads.workload import Request

MAX_TTFT_PENALTY_S = 18.0
_AFFINITY = 0.8
_SATURATED_TOKENS = 4_194_304
"""Servers with more tokens than this in flight count alike."""


class StickyUntilSaturated(Oblivious):
    """See the module's docstring."""

    def __init__(
        self, name: str, cluster: Cluster, max_penalty_s: float = MAX_TTFT_PENALTY_S, seed: int = 0
    ) -> None:
        """`max_penalty_s` 0: never let go."""
        self.name = name
        self.excluded: Excluded = nobody
        hardware = [tier.hardware for tier in cluster.tiers for _ in range(tier.instances)]
        self._tokens_per_s = np.array(
            [h.max_batched_tokens / h.iteration_s(h.max_batched_tokens) for h in hardware]
        )
        self._capacity = [h.kv_tokens for h in hardware]
        self._sent = [PrefixCache() for _ in hardware]
        self._in_flight = np.zeros(len(hardware))
        self._uncached: dict[int, float] = {}
        self._max_penalty_s = max_penalty_s
        self._random = Random(f"{name} {seed}")

    def decide(self, worker: int, batch: Sequence[Request], now: float) -> Sequence[int]:
        """The least loaded sticky server for each, the ones before it counted."""
        return [self._pick(request, self.excluded(request, now)) for request in batch]

    def first_token(
        self, worker: int, request: Request, deployment: int, now: float, progress: Progress
    ) -> None:
        """Its prompt is computed."""
        self._in_flight[deployment] -= self._uncached.pop(request.number, 0.0)

    def closed(self, worker: int, request: Request, deployment: int, now: float, output_tokens: int) -> None:
        """Whatever was counted of it is no more."""
        self._in_flight[deployment] -= self._uncached.pop(request.number, 0.0)

    def _pick(self, request: Request, excluded: Collection[int]) -> int:
        held = np.array([blocks.leading(request.prefix) for blocks in self._sent])
        uncached = np.maximum(request.prompt.input_tokens - held * BLOCK_TOKENS, 0)
        left = np.ones(held.size, dtype=np.bool_)
        left[list(excluded)] = False
        sticky = left & (held >= _AFFINITY * max(len(request.prefix), 1))
        load = np.minimum(self._in_flight + uncached, _SATURATED_TOKENS)
        allowed = sticky if self._sticks(sticky, left) else left
        least = load[allowed].min()
        chosen = self._random.choice(np.flatnonzero(allowed & (load <= least)).tolist())
        self._in_flight[chosen] += uncached[chosen]
        self._uncached[request.number] = float(uncached[chosen])
        self._sent[chosen].keep(request.prefix)
        self._sent[chosen].shrink(self._capacity[chosen])
        return int(chosen)

    def _sticks(self, sticky: BoolArray, left: BoolArray) -> bool:
        others = left & ~sticky
        if not sticky.any():
            return False
        if not others.any() or self._max_penalty_s == 0.0:
            return True
        wait_s = self._in_flight / self._tokens_per_s
        return bool(wait_s[sticky].min() - wait_s[others].min() <= self._max_penalty_s)
