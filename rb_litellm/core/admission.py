"""Admission: refuse a request now rather than let it wait beyond use, the least important first.

A queue that is longer than the request may wait is not joined; where all are, the request is refused.
Every queue works off one second of its wait in a second, so a request that finds more than its limit
everywhere can come back when the shortest queue has fallen to it: that is the `Retry-After`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rb_litellm.core.types import BoolArray, FloatArray


@dataclass(frozen=True, slots=True)
class Admission:
    """How long a request may be made to wait before it is refused."""

    max_wait_s: float

    def drain_s(self, wait_s: FloatArray, offered: BoolArray) -> float | None:
        """Time in s until the shortest queue (of N) is within the limit; None where one is now."""
        shortest = float(wait_s[offered].min())
        return shortest - self.max_wait_s if shortest > self.max_wait_s else None


def wait_limit(max_wait_s: float, by_priority: Sequence[tuple[int, float]], priority: int | None) -> float:
    """The limit in s for a request of a LiteLLM priority (0 is the most important).

    `by_priority` is sorted by priority; the last entry that is not above the request's own counts, and
    `max_wait_s` for requests below the first entry or without a priority.
    """
    limit = max_wait_s
    if priority is not None:
        for level, seconds in by_priority:
            if level > priority:
                break
            limit = seconds
    return limit
