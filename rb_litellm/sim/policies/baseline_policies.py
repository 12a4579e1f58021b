"""Baselines: load balancers that know nothing of quality or price."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from random import Random

import numpy as np

from rb_litellm.sim.policies.policy import Excluded, Oblivious, nobody
from rb_litellm.sim.servers.cluster import Cluster
from rb_litellm.sim.workloads.workload import Request


class RoundRobin(Oblivious):
    """Each deployment in its turn."""

    name = "round-robin"

    def __init__(self, deployments: int) -> None:
        self._count = deployments
        self._next = 0

    def decide(self, worker: int, batch: Sequence[Request], now: float) -> Sequence[int]:
        """The next ones in the circle."""
        first, self._next = self._next, self._next + len(batch)
        return [(first + n) % self._count for n in range(len(batch))]


class ShortestQueue(Oblivious):
    """Join the shortest queue: fewest open requests, ties at random. Counts its own requests, exactly."""

    def __init__(self, deployments: int, seed: int = 0, samples: int | None = None) -> None:
        """With `samples`, only that many randomly drawn deployments are compared (power of two choices)."""
        self.name = "jsq" if samples is None else f"power-of-{samples}"
        self._open = np.zeros(deployments, dtype=np.int64)
        self._samples = samples
        self._random = Random(f"{self.name} {seed}")

    def decide(self, worker: int, batch: Sequence[Request], now: float) -> Sequence[int]:
        """The shortest queue for each, the ones before it counted."""
        every = range(self._open.size)
        return [
            self.join(every if self._samples is None else self._random.sample(every, self._samples))
            for _ in batch
        ]

    def join(self, among: Sequence[int]) -> int:
        """The shortest queue of the given ones, joined by one."""
        counts = self._open[list(among)]
        shortest = np.flatnonzero(counts == counts.min())
        chosen = among[int(shortest[self._random.randrange(shortest.size)])]
        self._open[chosen] += 1
        return chosen

    def leave(self, deployment: int) -> None:
        """One fewer in that queue."""
        self._open[deployment] -= 1

    def closed(self, worker: int, request: Request, deployment: int, now: float, output_tokens: int) -> None:
        """One fewer."""
        self.leave(deployment)


class PeakEwma(Oblivious):
    """Peak-EWMA with two choices: of two random deployments, the one with the lower latency x load.

    The latency estimate jumps to any higher measurement and falls with time constant DECAY_S (tower's
    `load/peak_ewma.rs`, after Finagle). A deployment that was never measured costs next to nothing.
    """

    name = "peak-ewma"
    DECAY_S = 10.0

    def __init__(self, deployments: int, seed: int = 0) -> None:
        self._open = np.zeros(deployments, dtype=np.int64)
        self._latency_s = np.full(deployments, 0.03)
        self._seen_s = np.zeros(deployments)
        self._sent_s: dict[int, float] = {}
        self._random = Random(f"{self.name} {seed}")

    def decide(self, worker: int, batch: Sequence[Request], now: float) -> Sequence[int]:
        """The better one of two for each, the ones before it counted."""
        return [self._pick(request, now) for request in batch]

    def closed(self, worker: int, request: Request, deployment: int, now: float, output_tokens: int) -> None:
        """The answer's time is measured, a failure's too."""
        self._open[deployment] -= 1
        took_s = now - self._sent_s.pop(request.number)
        kept = math.exp(-(now - self._seen_s[deployment]) / self.DECAY_S)
        before = self._latency_s[deployment]
        self._latency_s[deployment] = took_s if took_s > before else before * kept + took_s * (1.0 - kept)
        self._seen_s[deployment] = now

    def _pick(self, request: Request, now: float) -> int:
        two = self._random.sample(range(self._open.size), min(2, self._open.size))
        chosen = min(two, key=lambda d: self._latency_s[d] * (self._open[d] + 1))
        self._open[chosen] += 1
        self._sent_s[request.number] = now
        return chosen


class PrefixGate(Oblivious):
    """Longest cached prefix, unless that server is busier than another by more than a gate.

    As the routers do that are built for prefix caches (SGLang's cache-aware policy, llm-d's prefix scorer
    behind a load filter): among the servers with at most `gate` requests more than the least busy one, the
    one that was sent the longest beginning of the prompt; of equals the least busy. It knows the blocks
    exactly, and that nothing is cached that was not sent; what is evicted it does not know.
    """

    def __init__(self, deployments: int, gate: int, seed: int = 0) -> None:
        self.name = f"prefix-gate:{gate}"
        self._gate = gate
        self._open = [0] * deployments
        self._sent: list[set[int]] = [set() for _ in range(deployments)]
        self._random = Random(f"{self.name} {seed}")

    def decide(self, worker: int, batch: Sequence[Request], now: float) -> Sequence[int]:
        """For each, the ones before it counted."""
        return [self._pick(request) for request in batch]

    def closed(self, worker: int, request: Request, deployment: int, now: float, output_tokens: int) -> None:
        """One fewer."""
        self._open[deployment] -= 1

    def _pick(self, request: Request) -> int:
        most = min(self._open) + self._gate
        near = [d for d, count in enumerate(self._open) if count <= most]
        chosen = max(near, key=lambda d: (self._seen(d, request), -self._open[d], self._random.random()))
        self._open[chosen] += 1
        self._sent[chosen].update(request.prefix)
        return chosen

    def _seen(self, deployment: int, request: Request) -> int:
        sent = self._sent[deployment]
        return next((n for n, block in enumerate(request.prefix) if block not in sent), len(request.prefix))


class SessionSticky(Oblivious):
    """A session stays where its first request went, the server with the fewest open then, while it answers.

    As LiteLLM's session affinity does (`optional_pre_call_checks: [session_affinity]`) over least-busy.
    """

    def __init__(self, deployments: int, seed: int = 0) -> None:
        self.name = "session-sticky"
        self.excluded: Excluded = nobody
        self._open = [0] * deployments
        self._at: dict[int | None, int] = {}
        self._random = Random(f"{self.name} {seed}")

    def decide(self, worker: int, batch: Sequence[Request], now: float) -> Sequence[int]:
        """For each where its session is."""
        return [self._pick(request, self.excluded(request, now)) for request in batch]

    def closed(self, worker: int, request: Request, deployment: int, now: float, output_tokens: int) -> None:
        """One fewer; a server that failed loses the session."""
        self._open[deployment] -= 1
        if not output_tokens:
            self._at.pop(request.conversation, None)

    def _pick(self, request: Request, excluded: Collection[int]) -> int:
        chosen = self._at.get(request.conversation)
        if chosen is None or chosen in excluded:
            left = [d for d in range(len(self._open)) if d not in excluded]
            chosen = min(left, key=lambda d: (self._open[d], self._random.random()))
            self._at[request.conversation] = chosen
        self._open[chosen] += 1
        return chosen


class TierQueues:
    """Shortest queue within one tier, for routers that choose the model by other means."""

    def __init__(self, cluster: Cluster, seed: int = 0) -> None:
        tier_of = [n for n, tier in enumerate(cluster.tiers) for _ in range(tier.instances)]
        self._members = [[d for d, t in enumerate(tier_of) if t == n] for n in range(len(cluster.tiers))]
        self._queues = ShortestQueue(len(tier_of), seed)

    def join(self, tier: int) -> int:
        """The tier's deployment with the shortest queue, joined by one."""
        return self._queues.join(self._members[tier])

    def leave(self, deployment: int) -> None:
        """One fewer in that queue."""
        self._queues.leave(deployment)
