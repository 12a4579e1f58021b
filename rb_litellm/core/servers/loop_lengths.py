"""How many further calls an agent's loop will make: from its calls so far, and from loops that have ended.

Nobody says how long a loop is. What is assumed before any has ended is a law of Lindy's kind (Lomax's
distribution): whoever has made k calls ends with the k-th with chance 1 / (k + u), so that the longer it has
gone on, the longer it is expected to. u is the usual length: 1 for conversations, of which half then end with
their first turn, and 16 for loops with tools. What is learned are these chances, for k = 1, 2 to 3, 4 to 7,
... apart: of the calls made in that range, how many were the last.

    ends = (CALLS / (k + u) + loops that ended there) / (CALLS + calls made there)

A call counts once it is known whether another one came. What was counted fades by half with MEMORY calls.
With the chance to go on, g = (1 - ends) * exp(-seconds between two calls / LASTS_S), the calls to come count
for

    sum over j = 1, 2, ... of g_k * g_k+1 * ... * g_k+j-1

The second factor is there because a difference between servers does not last: what is known of them now says
less and less of later calls. It bounds the sum, too.
"""

from __future__ import annotations

import math

import numpy as np

from rb_litellm.core.types import FloatArray

LASTS_S = 120.0
"""Time constant of the differences between servers."""
_CALLS = 8.0
"""What is assumed counts for this many calls of a range."""
_MEMORY = 512.0
_RANGES = 11
"""The last one has no end: 1,024 calls and more."""


def _range_of(calls: float) -> int:
    return min(int(math.log2(max(calls, 1.0))), _RANGES - 1)


class LoopLengths:
    """Of the loops of one kind. Bounded: two numbers for each range."""

    def __init__(self, usual: float) -> None:
        """`usual` is how many calls most loops make at least."""
        middle = 1.5 * 2.0 ** np.arange(_RANGES) - 0.5
        self._assumed: FloatArray = np.asarray(1.0 / (middle + usual), dtype=np.float64)
        self._made: FloatArray = np.zeros(_RANGES)
        self._last: FloatArray = np.zeros(_RANGES)
        self._goes_on: list[float] | None = None
        """Chance that another call comes after one in each range; None until it is worked out."""

    def went_on(self, calls: float, counts: float = 1.0) -> None:
        """After so many calls a loop has made another one, which counts for `counts`."""
        self._count(_range_of(calls), counts, 0.0)

    def ended(self, calls: float) -> None:
        """After so many calls a loop has made no other one."""
        self._count(_range_of(calls), 1.0, 1.0)

    def ends(self) -> FloatArray:
        """(ranges,) chance that a call in each range is the last."""
        found: FloatArray = (_CALLS * self._assumed + self._last) / (_CALLS + self._made)
        return found

    def further(self, calls: float, between_s: float) -> float:
        """What the calls count for that come after this one, the `calls`-th, of which one comes every
        `between_s`."""
        lasting = math.exp(-between_s / LASTS_S)
        if self._goes_on is None:
            self._goes_on = (1.0 - self.ends()).tolist()
        found, reached = 0.0, 1.0
        first = _range_of(calls)
        for at in range(first, _RANGES):
            g = min(self._goes_on[at] * lasting, 1.0 - 1e-6)
            count = 2.0 ** (at + 1) - max(calls, 2.0**at) if at < _RANGES - 1 else math.inf
            left = g**count
            found += reached * g * (1.0 - left) / (1.0 - g)
            reached *= left
        return found

    def _count(self, at: int, made: float, last: float) -> None:
        kept = 0.5 ** (made / _MEMORY)
        self._made[at] = self._made[at] * kept + made
        self._last[at] = self._last[at] * kept + last
        self._goes_on = None
