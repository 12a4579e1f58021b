"""Who was served on a server before an attempt, and when these ended: what tells a queue from a slow server.

Requests sent within a tenth of a second of each other come to a server in any order: each has a connection
of its own. So of those that were sent long before an attempt all count, and of those sent together with
it the ones that began before it did.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, deque
from collections.abc import Container
from operator import itemgetter
from typing import NamedTuple, TypeVar

from rb_litellm.core.servers.together import TOGETHER_S
from rb_litellm.core.types import Ahead, Company

MAX_REMEMBERED = 256
"""Arrivals, beginnings and ends that are remembered of a server. An attempt that has seen more of them come
and go tells nothing."""
_T = TypeVar("_T")


class Arrival(NamedTuple):
    """An attempt's place in its server's order of sending."""

    server: int
    event: int
    """Number of the event that it is; ends are events too."""
    at_s: float
    ahead: int
    """Open attempts that were sent well before it; one for several answers counts as so many,"""
    answers: int = 1
    """and for how many it is."""
    together: int = 0
    """Open attempts that were sent shortly before it, counted likewise."""


_Begun = tuple[int, float, float, int]
"""An attempt's event, when it was sent, the latest time at which it or any that began before was sent, and
for how many answers it is."""
_Sent = tuple[int, float, int]
"""An attempt's event, the latest time at which it or any before was sent, and how many answers were asked for
by then."""
_End = tuple[int, int, float, float, int, float]
"""The end's event; of the attempt its event and when it was sent; when it ended, with how many answers; and
the latest of all these times so far."""


class Departures:
    """Of the servers that one worker sends to. The ledger's lock guards it."""

    def __init__(self) -> None:
        self._open: Counter[int] = Counter()
        self._latest: dict[int, deque[Arrival]] = {}
        """Open attempts that were sent within TOGETHER_S."""
        self._sent: dict[int, deque[_Sent]] = {}
        self._begun: dict[int, deque[_Begun]] = {}
        self._ends: dict[int, deque[_End]] = {}
        self._events = 0

    def arrived(self, server: int, now: float, answers: int = 1) -> Arrival:
        """An attempt for so many answers is sent to a server."""
        self._events += 1
        latest = _of(self._latest, server)
        while latest and latest[0].at_s < now - TOGETHER_S:
            latest.popleft()
        together = sum(other.answers for other in latest)
        arrival = Arrival(server, self._events, now, self._open[server] - together, answers, together)
        latest.append(arrival)
        sent = _of(self._sent, server)
        latest_s, so_far = (max(sent[-1][1], now), sent[-1][2]) if sent else (now, 0)
        sent.append((self._events, latest_s, so_far + answers))
        self._open[server] += answers
        return arrival

    def begun(self, arrival: Arrival) -> None:
        """The first token of an attempt has come; told once, and at its end if not before."""
        begun = _of(self._begun, arrival.server)
        latest_s = max(begun[-1][2], arrival.at_s) if begun else arrival.at_s
        begun.append((arrival.event, arrival.at_s, latest_s, arrival.answers))

    def ended(self, arrival: Arrival, now: float) -> None:
        """An attempt is over."""
        self._events += 1
        self._open[arrival.server] -= arrival.answers
        latest = _of(self._latest, arrival.server)
        if arrival in latest:
            latest.remove(arrival)
        ends = _of(self._ends, arrival.server)
        latest_s = max(now, arrival.at_s, ends[-1][5] if ends else now)
        ends.append((self._events, arrival.event, arrival.at_s, now, arrival.answers, latest_s))

    def forget(self, kept: Container[int]) -> None:
        """Servers other than these, on which nothing is open, are gone."""
        for its in (self._open, self._latest, self._sent, self._begun, self._ends):
            for server in [server for server in its if server not in kept]:
                del its[server]

    def ahead(self, arrival: Arrival, sent_s: float) -> Ahead | None:
        """Those that were served before it, and when they ended; None where that is no longer known."""
        together = self._together(arrival)
        own, before_s = arrival.event, arrival.at_s - TOGETHER_S
        found: list[float] = []
        ends = _of(self._ends, arrival.server)
        for event, other, other_s, end_s, answers, latest_s in reversed(ends):
            if event > own:
                if other in together or other_s < before_s:
                    found += [end_s - sent_s] * answers
            elif latest_s - arrival.at_s < -TOGETHER_S:
                break
            else:
                together.pop(other, None)  # It was over when this one was sent.
        if not arrival.ahead and not together:
            return Ahead(0, ())
        if len(ends) == MAX_REMEMBERED and ends[0][0] > own:
            return None
        return Ahead(arrival.ahead + sum(together.values()), tuple(reversed(found)))

    def company(self, arrival: Arrival) -> Company | None:
        """Who was sent together with it; None for nobody, or where that is no longer known."""
        sent = self._sent.get(arrival.server, ())
        own = bisect_left(sent, arrival.event, key=itemgetter(0))
        if own == len(sent) or sent[own][0] != arrival.event:
            return None
        last = bisect_right(sent, arrival.at_s + TOGETHER_S, lo=own + 1, key=itemgetter(1)) - 1
        together = arrival.together + sent[last][2] - sent[own][2]
        return Company(together, arrival.ahead, arrival.ahead + arrival.together) if together else None

    def _together(self, arrival: Arrival) -> dict[int, int]:
        """Answers, by event, of those that were sent together with it and began before it."""
        own, at_s = arrival.event, arrival.at_s
        near: dict[int, int] = {}
        # Asked at every first token and end: from the latest back to where all were sent long before it.
        for event, other_s, latest_s, answers in reversed(self._begun.get(arrival.server, ())):
            if event == own:
                near.clear()
            elif latest_s - at_s < -TOGETHER_S:
                break
            elif -TOGETHER_S <= other_s - at_s <= TOGETHER_S:
                near[event] = answers
        return near


def _of(servers: dict[int, deque[_T]], server: int) -> deque[_T]:
    found = servers.get(server)
    if found is None:
        found = servers[server] = deque(maxlen=MAX_REMEMBERED)
    return found
