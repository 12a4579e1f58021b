"""Whether deployments answer: outages, in which they answer nobody, and the chance to fail of all others.

A deployment is one or the other. While it is out the outage says all, and what comes after it starts with a
clean record.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from rb_litellm.core.latency.learning.evidence import Failure, failure_of, may_be_the_requests_fault
from rb_litellm.core.limits.availability import Availability
from rb_litellm.core.limits.outages import Outages
from rb_litellm.core.types import Outcome, Seen

_BY_CLIENT = (None, "CancelledError")
"""Ends of an attempt without an answer that need not be the server's fault."""


class Reliability:
    """Of deployments by row, as all workers have seen it. Times in s on one monotonic clock."""

    def __init__(self) -> None:
        self.outages = Outages()
        """Which deployments answer nobody,"""
        self.availability = Availability()
        """and how often the others fail."""

    def add(self) -> None:
        """One more deployment."""
        self.availability.add()

    def forget(self, rows: Iterable[int]) -> None:
        """The deployments of these rows are gone."""
        for row in rows:
            self.availability.forget(row)
            self.outages.forget(row)
        self.availability.look()

    def learn(self, row: int, outcome: Outcome, answered: bool, at_s: float) -> None:
        """An attempt was answered, or was not."""
        if not answered and may_be_the_requests_fault(outcome):
            self.outages.failed_again(row, outcome.call_id)
        elif answered or outcome.error not in _BY_CLIENT:
            in_doubt = not answered and failure_of(outcome) is Failure.ERROR
            self.outages.observe(row, answered, at_s, outcome.call_id if in_doubt else "")
        if self.outages.is_out(row):
            self.availability.forget(row)
            self.availability.look()
        elif answered:
            self.availability.answered(row, at_s)
        else:
            written = outcome.output_tokens or outcome.chunks
            self.availability.failed(row, failure_of(outcome), outcome.open_s, written, at_s)

    def heard(self, row: int, seen: Sequence[Seen], now: float) -> None:
        """What other workers have seen of it. When all is heard, `availability` has to look."""
        self.outages.heard(row, seen, now)
        if self.outages.is_out(row):
            self.availability.forget(row)
        else:
            self.availability.heard(row, [its.losses for its in seen if its.losses.at_s > -math.inf], now)

    def told(self, rows: Iterable[int], now: float) -> dict[int, Seen]:
        """What was seen here, of those of these rows that fail, with times as minus their ages."""
        told = self.outages.told(now)
        if not (told or self.availability.any_failed):
            return {}
        found: dict[int, Seen] = {}
        for row in rows:
            losses, seen = self.availability.told(row), told.get(row)
            if seen is not None or losses.at_s > -math.inf:
                seen = seen or Seen()
                found[row] = seen._replace(
                    failed_s=seen.failed_s - now,
                    answered_s=seen.answered_s - now,
                    losses=losses._replace(at_s=losses.at_s - now),
                )
        return found
