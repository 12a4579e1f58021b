"""Workers that decide at the same moment, by the same news of each other, keep out of each other's way.

What a worker knows of the others' load is a fraction of a second old. Until they hear of each other again,
all would send to the one deployment that looks least loaded, then all to the next. So a worker that is
one of k looks at a k-th of the deployments that differ by their load alone, drawn anew for each request:
few meet, and the best of a few is nearly as good as the best of all (Mitzenmacher, How Useful Is Old
Information?). Which model serves is not touched by this, nor is anything where one worker decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from rb_litellm.core.types import BoolArray, IntArray

MIN_SAMPLE = 8
"""So many are looked at however many workers there are; a smaller tier is looked at whole."""


@dataclass(frozen=True, slots=True, eq=False)
class CandidateSampling:
    """Who decides over N deployments."""

    workers: int
    """All that send there, at least 1."""
    tiers: IntArray
    """(N,) number of each deployment's tier."""

    def left_out(self, alike: BoolArray, random: Random) -> IntArray:
        """Rows of those (N,) `alike` that this decision does not look at; may be none."""
        (rows,) = alike.nonzero()
        looked_at = max(MIN_SAMPLE, -(-rows.size // self.workers))
        if looked_at >= rows.size:
            return rows[:0]
        return rows[random.sample(range(rows.size), rows.size - looked_at)]
