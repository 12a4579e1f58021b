"""Who was on a server before an attempt, and when these ended: what tells a queue from a slow server."""

from __future__ import annotations

from collections import Counter, deque
from typing import NamedTuple

from rb_litellm.core.types import Ahead

MAX_REMEMBERED = 256
"""Ends that are remembered of a server. An attempt that has seen more of them begin and end tells nothing."""


class Arrival(NamedTuple):
    """An attempt's place in its server's order of arrival."""

    server: int
    event: int
    """Number of the event that it is; ends are events too."""
    ahead: int


class _End(NamedTuple):
    event: int
    arrived: int
    """Event of the attempt's arrival."""
    at_s: float


class Departures:
    """Of the servers that one worker sends to. The ledger's lock guards it."""

    def __init__(self) -> None:
        self._open: Counter[int] = Counter()
        self._ends: dict[int, deque[_End]] = {}
        self._events = 0

    def arrived(self, server: int) -> Arrival:
        """An attempt is sent to a server."""
        self._events += 1
        arrival = Arrival(server, self._events, self._open[server])
        self._open[server] += 1
        return arrival

    def ended(self, arrival: Arrival, now: float) -> None:
        """An attempt is over."""
        self._events += 1
        self._open[arrival.server] -= 1
        ends = self._ends.get(arrival.server)
        if ends is None:
            ends = self._ends[arrival.server] = deque(maxlen=MAX_REMEMBERED)
        ends.append(_End(self._events, arrival.event, now))

    def ahead(self, arrival: Arrival, sent_s: float) -> Ahead | None:
        """Those that were there before it, and when they ended; None where that is no longer known."""
        if not arrival.ahead:
            return Ahead(0, ())
        found: list[float] = []
        ends = self._ends.get(arrival.server, ())
        for end in reversed(ends):
            if end.event < arrival.event:
                break
            if end.arrived < arrival.event:
                found.append(end.at_s - sent_s)
        else:
            if len(ends) == MAX_REMEMBERED:
                return None
        return Ahead(arrival.ahead, tuple(reversed(found)))
