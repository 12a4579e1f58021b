"""Load balancers that know nothing of quality or price: the plain end of the comparison."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import numpy as np

from rb_litellm.sim.policy import Oblivious
from rb_litellm.sim.workload import Request


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
        """With `samples`, only so many randomly drawn deployments are compared (power of two choices)."""
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

    def closed(self, worker: int, request: Request, deployment: int, now: float, output_tokens: int) -> None:
        """One fewer."""
        self._open[deployment] -= 1
