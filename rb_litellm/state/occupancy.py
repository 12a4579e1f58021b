"""How many answers this worker had under way on a server on average: what a request ran beside.

The load that a request meets says little of the load that it runs with: the first of eight that come at once
meets nobody, and is written beside another one all along. So for each server the integral of open attempts
over time is kept, and a mean is the difference of two readings over the time between them:

    mean = (A(t1) - A(t0)) / (t1 - t0)        A(t) = integral of the number open, up to t

So is the sum of all prompt tokens that were prefilled there, and when the last were: what was prefilled while
an answer was written. A reading is one addition whatever happened in between. The ledger's lock guards it.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from typing import NamedTuple

from rb_litellm.core.types import Prefilled


class Reading(NamedTuple):
    """Integral and sum at one moment."""

    at_s: float
    request_s: float
    """Request-seconds."""
    prefilled_tokens: float


@dataclass(slots=True)
class _Server:
    at_s: float
    request_s: float = 0.0
    count: int = 0
    prefilled_tokens: float = 0.0
    prefilled_s: float = 0.0
    """When the last of them were."""

    def reach(self, now: float) -> None:
        """Let the time pass; it does not go back."""
        if now > self.at_s:
            self.request_s += self.count * (now - self.at_s)
            self.at_s = now


class Occupancy:
    """Of the servers that one worker sends to, by number; one entry for each."""

    def __init__(self) -> None:
        self._servers: dict[int, _Server] = {}

    def changed(self, server: int, by: int, now: float) -> Reading:
        """So many more are open there from now on."""
        its = self._servers.get(server)
        if its is None:
            its = self._servers[server] = _Server(now)
        its.reach(now)
        its.count += by
        return Reading(its.at_s, its.request_s, its.prefilled_tokens)

    def forget(self, kept: Container[int]) -> None:
        """Servers other than these, on which nothing is open, are gone."""
        self._servers = {server: its for server, its in self._servers.items() if server in kept}

    def count(self, server: int) -> int:
        """Attempts that are open there."""
        its = self._servers.get(server)
        return 0 if its is None else its.count

    def reading(self, server: int, now: float) -> Reading:
        """The integral at this moment."""
        return self.changed(server, 0, now)

    def prefilled(self, server: int, tokens: float, now: float) -> Reading:
        """A prompt of so many tokens has been prefilled there; the reading afterwards."""
        its = self._servers.get(server)
        if its is not None:
            its.prefilled_tokens += tokens
            its.prefilled_s = now
        return self.reading(server, now)

    def mean(self, server: int, since: Reading, now: float) -> float | None:
        """How many were open there on average since a reading; None where no time has passed."""
        its = self._servers[server]
        its.reach(now)
        passed_s = its.at_s - since.at_s
        return (its.request_s - since.request_s) / passed_s if passed_s > 0.0 else None

    def met(self, server: int, since: Reading, mean: float) -> Prefilled:
        """What was prefilled there since a reading, since when so many were open on average."""
        its = self._servers[server]
        tokens = its.prefilled_tokens - since.prefilled_tokens
        return Prefilled(tokens, max(its.prefilled_s - since.at_s, 0.0), max(mean - 1.0, 0.0))
