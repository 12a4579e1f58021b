"""Admission control: refuse a request now rather than let it wait longer than its answer is worth.

A request does not join a queue whose predicted wait exceeds its limit. Where all queues do, it is refused
(load shedding), and `Retry-After` says when to come back. A queue works off one second of its predicted wait
per second, so the excess of the shortest queue over the limit is the time to wait. A limit may depend on the
request's priority, so that the least important requests are refused first.
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
        """Seconds until the shortest of N queues is within the limit; None where one already is."""
        shortest = float(wait_s[offered].min())
        return shortest - self.max_wait_s if shortest > self.max_wait_s else None


def wait_limit(max_wait_s: float, by_priority: Sequence[tuple[int, float]], priority: int | None) -> float:
    """The limit in s for a request with this LiteLLM priority (0 is the most important).

    `by_priority` is sorted by priority. The last entry at or below the request's priority counts. A request
    without a priority, or with one below the first entry, has `max_wait_s`.
    """
    limit = max_wait_s
    if priority is not None:
        for level, seconds in by_priority:
            if level > priority:
                break
            limit = seconds
    return limit
