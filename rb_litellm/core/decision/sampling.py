"""Power of k choices under stale load: workers that decide at the same moment keep out of each other's way.

What a worker knows of the others' load is a fraction of a second old. Until they exchange it again, all
workers would send to the one deployment that looks least loaded, and then all to the next (herding). So one
of k workers considers a k-th of the deployments that differ by load alone, at least eight, drawn anew for
each request:

    sample size = max(8, ceil(n / k))

Then few workers meet, and the best of a few is nearly as good as the best of all (Mitzenmacher, How Useful Is
Old Information?, IEEE TPDS 2000, https://doi.org/10.1109/71.824633; The Power of Two Choices in Randomized
Load Balancing, 2001). The choice of the model is not affected, and nothing changes where one worker decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from rb_litellm.core.types import BoolArray, IntArray

MIN_SAMPLE = 8
"""Least size of a sample; a smaller tier is considered whole. Two choices bring most of the gain; a larger
sample costs nothing here, because all candidates are scored anyway."""


@dataclass(frozen=True, slots=True, eq=False)
class CandidateSampling:
    """How many workers decide over N deployments."""

    workers: int
    """Workers that send requests there, at least 1."""
    tiers: IntArray
    """(N,) number of each deployment's tier."""

    def left_out(self, alike: BoolArray, random: Random) -> IntArray:
        """Rows of the candidates `alike` (N,) that are not in this decision's sample; may be none."""
        (rows,) = alike.nonzero()
        size = max(MIN_SAMPLE, -(-rows.size // self.workers))
        if size >= rows.size:
            return rows[:0]
        return rows[random.sample(range(rows.size), rows.size - size)]
