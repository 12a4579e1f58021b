"""LiteLLM's least-busy as 1.110 rewrote it, for environments with an older LiteLLM.

It counts a pick as soon as it is made, where releases before count a call when it starts upstream, so that
requests that arrive together no longer herd. Of equals it takes the one listed first, always. With 1.110
installed, `litellm:least-busy` runs LiteLLM's own code; a test there holds this one against it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rb_litellm.sim.policies.policy import Oblivious
from rb_litellm.sim.workloads.workload import Request


class ReservingLeastBusy(Oblivious):
    """The fewest picks that have not ended; the first listed of equals."""

    def __init__(self, name: str, deployments: int) -> None:
        self.name = name
        self._open = np.zeros(deployments, dtype=np.int64)

    def decide(self, worker: int, batch: Sequence[Request], now: float) -> Sequence[int]:
        """Each counted before the next is placed."""
        placed = []
        for _ in batch:
            placed.append(int(self._open.argmin()))
            self._open[placed[-1]] += 1
        return placed

    def closed(self, worker: int, request: Request, deployment: int, now: float, output_tokens: int) -> None:
        """One fewer."""
        self._open[deployment] -= 1
