"""How likely a deployment is to answer at all, by its latest attempts, and what that makes its time.

Failures of the last minutes count, each half as much after another minute, beside one success that is taken
for granted. A request that fails is sent again elsewhere, so with a probability of failure p its expected
time is longer by what each failure costs:

    factor = 1 + COST * p / (1 - p)

Attempts without an answer (timeouts, leases) are failures here, and say more than that to the latency model.
"""

from __future__ import annotations

import numpy as np

from rb_litellm.core.types import FloatArray, IntArray

HALF_LIFE_S = 60.0
COST = 2.0
"""What a failure costs, in times of an answer: the time until it shows, the retry's wait and its own."""
_MOST = 0.95


class Availability:
    """Of a growing number of deployments, by the learner's rows."""

    def __init__(self) -> None:
        self._failed: FloatArray = np.zeros(0)
        self._all: FloatArray = np.zeros(0)
        self._at_s: FloatArray = np.zeros(0)
        self.any_failed = False
        """Whether there is anything to look at."""

    def add(self) -> None:
        """Add a deployment that has failed nobody."""
        self._failed = np.append(self._failed, 0.0)
        self._all = np.append(self._all, 0.0)
        self._at_s = np.append(self._at_s, 0.0)

    def observe(self, row: int, answered: bool, now: float) -> None:
        """An attempt there was answered, or failed."""
        if answered and not self._failed[row]:
            return  # Nothing to weigh it against.
        kept = float(np.exp2(-max(now - self._at_s[row], 0.0) / HALF_LIFE_S))
        self._failed[row] = self._failed[row] * kept + (not answered)
        self._all[row] = self._all[row] * kept + 1.0
        self._at_s[row] = max(now, self._at_s[row])
        if self._failed[row] < 0.01:
            self._failed[row] = self._all[row] = 0.0
        self.any_failed = bool(self._failed.any())

    def forget(self, row: int) -> None:
        """Take what has failed there as never happened."""
        self._failed[row] = self._all[row] = 0.0
        self.any_failed = bool(self._failed.any())

    def factor(self, rows: IntArray, now: float) -> FloatArray:
        """(n,) on the times of these rows; at least 1."""
        kept = np.exp2(-np.maximum(now - self._at_s[rows], 0.0) / HALF_LIFE_S)
        failing = np.minimum(self._failed[rows] * kept / (self._all[rows] * kept + 1.0), _MOST)
        factor: FloatArray = 1.0 + COST * failing / (1.0 - failing)
        return factor
