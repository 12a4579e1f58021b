"""By how much each deployment is slower than its tier: what answers taught, what bounds and age add.

Three numbers in log for each deployment and kind of time (0 for TPOT, 1 for TTFT):

- *learned*, from answers;
- *bound*, never negative, from attempts that were open for long without one. An answer says more than any
  bound: of it stays what the answer confirms, as part of what is learned, and the rest is gone. So a server
  that hung is as quick as before with its first answer, and one that takes a minute stays slow;
- *drift*, what age has added meanwhile (`aging`). It takes from the bound first.
"""

from __future__ import annotations

import math

import numpy as np

from rb_litellm.core.latency.learning.pooling import pooled
from rb_litellm.core.types import BoolArray, FloatArray, IntArray

_MOST = math.log(200.0)
_SHRINK = 0.002
"""Pull of what is learned back to the tier, per measurement."""


class Scales:
    """Of a growing number of deployments; arrays are (2, N)."""

    def __init__(self) -> None:
        self.measured: IntArray = np.zeros((2, 0), dtype=np.int64)
        """Times that were measured."""
        self.believed: FloatArray = np.zeros((2, 0))
        """Log scales as pooled within their tiers, without what age adds."""
        self._learned: FloatArray = np.zeros((2, 0))
        self._bound: FloatArray = np.zeros((2, 0))
        self._drift: FloatArray = np.zeros((2, 0))

    def add(self) -> None:
        """Add a deployment that is as its tier."""
        none = np.zeros((2, 1))
        self.measured = np.append(self.measured, np.zeros((2, 1), dtype=np.int64), axis=1)
        self.believed = np.append(self.believed, none, axis=1)
        self._learned = np.append(self._learned, none, axis=1)
        self._bound = np.append(self._bound, none, axis=1)
        self._drift = np.append(self._drift, none, axis=1)

    def forget(self, row: int) -> None:
        """Its deployment is gone: the row is as when it was added."""
        self.measured[:, row] = 0
        for its in (self.believed, self._learned, self._bound, self._drift):
            its[:, row] = 0.0

    def learned(self, kind: int, row: int) -> float:
        """The factor that answers taught."""
        return math.exp(self._learned[kind, row])

    def level(self, kind: int, row: int) -> float:
        """The log scale of this moment, for a deployment on its own."""
        return float(self._learned[kind, row] + self._bound[kind, row])

    def present(self) -> FloatArray:
        """(2, N) log scales as believed, with what age adds."""
        now: FloatArray = self.believed + self._drift
        return now

    def count(self, kind: int, row: int) -> float:
        """One more time was measured; its weight by number alone."""
        self.measured[kind, row] += 1
        return 1.0 / (float(self.measured[kind, row]) + 3.0)

    def move(self, kind: int, row: int, step: float) -> float:
        """An answer moves the scale by this, in log; how far it did."""
        before = float(self._learned[kind, row])
        moved = min(max((before + step) * (1.0 - _SHRINK), -_MOST), _MOST)
        self._learned[kind, row] = moved
        return moved - before

    def bounded_by(self, kind: int, row: int, step: float) -> None:
        """An attempt without an answer moves the bound by this, in log."""
        self._bound[kind, row] = min(max(float(self._bound[kind, row]) + step, 0.0), _MOST)

    def is_bound(self, row: int) -> bool:
        """Whether bounds add to the scales of a deployment."""
        return bool(self._bound[0, row] or self._bound[1, row])

    def answered(self, kind: int, row: int, slower: float) -> None:
        """An answer took so many times what is learned: of the bound stays what it confirms."""
        confirmed = max(math.log(slower), 0.0)
        self._learned[kind, row] += min(float(self._bound[kind, row]), confirmed)
        self._bound[kind, row] = 0.0

    def aged(self, drift: FloatArray, least: float, most: int) -> list[tuple[int, int]]:
        """What age adds is now `drift` (2, N): the (kind, row) where it changed by `least`, up to `most`."""
        changed: BoolArray = np.abs(drift - self._drift) > least
        kinds, rows = (found[:most] for found in np.nonzero(changed))
        self._drift[kinds, rows] = drift[kinds, rows]
        return list(zip(kinds.tolist(), rows.tolist(), strict=True))

    def settle_age(self, kind: int, row: int) -> bool:
        """Before a measurement: what age has made of the belief is the belief. True if that is news."""
        drift = float(self._drift[kind, row])
        if not drift:
            return False
        forgotten = min(float(self._bound[kind, row]), max(-drift, 0.0))
        self._bound[kind, row] -= forgotten
        self._learned[kind, row] += drift + forgotten
        self._drift[kind, row] = 0.0
        return True

    def adopt(self, kind: int, row: int, scale: float, measured: int) -> None:
        """Another worker's log scale, by so many measurements."""
        self._learned[kind, row] = min(max(scale, -_MOST), _MOST)
        self._bound[kind, row] = self._drift[kind, row] = 0.0
        self.measured[kind, row] = max(int(self.measured[kind, row]), measured)

    def refreshed(self, kind: int, rows: IntArray) -> FloatArray:
        """(K,) factors of a tier's deployments at `rows` (K,), pooled anew."""
        # A row of a matrix and then its entries: several times quicker than both indices at once.
        its = pooled(self._learned[kind][rows], self.measured[kind][rows]) + self._bound[kind][rows]
        self.believed[kind][rows] = its
        factors: FloatArray = np.exp(its + self._drift[kind][rows])
        return factors
