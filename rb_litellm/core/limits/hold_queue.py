"""A bounded queue of requests that no server has room for yet: who waits, in what order, and how long.

Order: by priority, then fair between owners by tokens, then the earliest deadline first (EDF) of one owner.
Fairness is that of virtual token counters (VTC, Sheng et al., OSDI 2024, https://arxiv.org/abs/2401.00588):
each owner has a counter of the tokens that it was served, the lowest one is next, and an owner that comes
back is lifted to the lowest of those that wait, so that nobody saves up. Between two owners that both wait,
the served tokens differ by no more than the two largest requests among theirs.

Priority alone would starve. So at least one of OLDEST_EVERY requests that leave to be served is the one that
has waited longest, whatever its priority and owner: nobody is passed by more than OLDEST_EVERY times the
number of those that came before.

At its bound the queue is shared too: a newcomer takes the place of the last request of the owner that holds
most places, among the least important ones, where the newcomer is more important or its owner holds at least
two places fewer (the longest queue drops).
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

OLDEST_EVERY = 8
MAX_COUNTERS = 1024
"""Owners whose counter is kept while none of their requests waits; the one unused longest is forgotten."""
_SMOOTHING = 0.2
_LONGEST_GAP_S = 60.0


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """One request that waits. Two are never equal."""

    owner: str
    priority: int
    """0 is the most important."""
    tokens: float
    """That it will take of a server, as far as known; at least 1."""
    deadline_s: float
    number: int
    """In the order of coming."""


class Entered(NamedTuple):
    """What became of a request that wanted to wait."""

    held: Held | None
    """None: there is no place for it."""
    displaced: Held | None = None
    """Who had to leave for it."""


@dataclass(slots=True)
class _Level:
    """Requests of one priority: of each owner by deadline."""

    owners: dict[str, list[tuple[float, int, Held]]] = field(default_factory=dict)


class HoldQueue:
    """See the module. Times are seconds of one clock, passed in.

    A request that enters leaves exactly once: it is served, displaced, expired or cancelled.
    """

    def __init__(self) -> None:
        self._held: OrderedDict[int, Held] = OrderedDict()
        """In the order of coming."""
        self._levels: dict[int, _Level] = {}
        self._served: OrderedDict[str, float] = OrderedDict()
        """Tokens served by owner."""
        self._floor = 0.0
        """The counter of whoever was served last, before that."""
        self._next = 0
        self._since_oldest = 0
        self._gap_s: float | None = None
        self._served_at_s: float | None = None

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, held: Held) -> bool:
        return self._held.get(held.number) is held

    def __iter__(self) -> Iterator[Held]:
        """Those that wait, in the order of coming."""
        return iter(self._held.values())

    def enter(
        self, owner: str, priority: int, tokens: float, deadline_s: float, now: float, most: int
    ) -> Entered:
        """Let a request wait if fewer than `most` do, or in the place of one that has less right to it."""
        if deadline_s <= now or most < 1:
            return Entered(None)
        displaced = None
        if len(self._held) >= most:
            displaced = self._least_entitled(owner, priority)
            if displaced is None:
                return Entered(None)
            self.leave(displaced)
        level = self._levels.setdefault(priority, _Level())
        if not self._waits(owner):
            self._lift(owner)
        held = Held(owner, priority, max(tokens, 1.0), deadline_s, self._next)
        self._next += 1
        heapq.heappush(level.owners.setdefault(owner, []), (deadline_s, held.number, held))
        self._held[held.number] = held
        return Entered(held, displaced)

    def first(self, passed: frozenset[int] = frozenset()) -> Held | None:
        """Who is to be served next, but for those whose `number` is in `passed`; None if nobody is left."""
        if self._since_oldest >= OLDEST_EVERY - 1:
            # Whoever cannot be served now is passed by whatever the order.
            oldest = next((held for n, held in self._held.items() if n not in passed), None)
            if oldest is not None:
                return oldest
        for priority in sorted(self._levels):
            owners = self._levels[priority].owners
            for owner in sorted(owners, key=lambda name: (self._counter(name), owners[name][0][1])):
                ready = (
                    [entry for entry in owners[owner] if entry[1] not in passed] if passed else owners[owner]
                )
                if ready:
                    return (min(ready) if passed else ready[0])[2]
        return None

    def serve(self, held: Held, now: float) -> None:
        """It leaves, for a server has room; its tokens count for its owner. Nothing if it has left before."""
        if held not in self:
            return
        oldest = next(iter(self._held.values()))
        self._since_oldest = 0 if held is oldest else self._since_oldest + 1
        self._floor = max(self._floor, self._counter(held.owner))
        self._served[held.owner] = self._counter(held.owner) + held.tokens
        self._served.move_to_end(held.owner)
        if self._served_at_s is not None:
            gap = min(max(now - self._served_at_s, 0.0), _LONGEST_GAP_S)
            self._gap_s = gap if self._gap_s is None else self._gap_s + _SMOOTHING * (gap - self._gap_s)
        self._served_at_s = now
        self.leave(held)

    def leave(self, held: Held) -> bool:
        """It leaves unserved, for its client has left or its time is over; False if it has left before."""
        if held not in self:
            return False
        del self._held[held.number]
        level = self._levels[held.priority]
        entries = level.owners[held.owner]
        if entries[0][2] is held:
            heapq.heappop(entries)
        else:
            entries.remove((held.deadline_s, held.number, held))
            heapq.heapify(entries)
        if not entries:
            del level.owners[held.owner]
            if not level.owners:
                del self._levels[held.priority]
            self._forget_counters()
        if not self._held:
            self._served_at_s = None
        return True

    def expired(self, now: float) -> list[Held]:
        """Those whose deadline has passed; they leave."""
        late = [held for held in self._held.values() if held.deadline_s <= now]
        for held in late:
            self.leave(held)
        return late

    def position(self, held: Held) -> int:
        """Its place in the order, 1 for the next, if all requests were of one size and nobody came."""
        before = sum(
            len(entries)
            for priority, level in self._levels.items()
            if priority < held.priority
            for entries in level.owners.values()
        )
        owners = self._levels[held.priority].owners
        own = sum(entry[:2] < (held.deadline_s, held.number) for entry in owners[held.owner])
        mine = (self._counter(held.owner), owners[held.owner][0][1])
        for owner, entries in owners.items():
            if owner != held.owner:
                sooner = (self._counter(owner), entries[0][1]) < mine
                before += min(len(entries), own + sooner)
        return before + own + 1

    def wait_s(self, position: int) -> float | None:
        """How long whoever stands there will wait, by the latest gaps between those served; None: unknown."""
        return None if self._gap_s is None else self._gap_s * position

    def _counter(self, owner: str) -> float:
        return self._served.get(owner, self._floor)

    def _waits(self, owner: str) -> bool:
        return any(owner in level.owners for level in self._levels.values())

    def _lift(self, owner: str) -> None:
        waiting = {name for level in self._levels.values() for name in level.owners}
        lowest = min((self._counter(name) for name in waiting), default=self._floor)
        self._served[owner] = max(self._counter(owner), lowest)

    def _forget_counters(self) -> None:
        if len(self._served) <= MAX_COUNTERS:
            return
        for owner in [name for name in self._served if not self._waits(name)]:
            del self._served[owner]
            if len(self._served) <= MAX_COUNTERS:
                return

    def _least_entitled(self, owner: str, priority: int) -> Held | None:
        """Who leaves for a newcomer: the last one of the least important that hold most places."""
        least = max(self._levels)
        owners = self._levels[least].owners
        most = max(owners, key=lambda name: (len(owners[name]), self._counter(name)))
        if priority > least:
            return None
        if priority == least and len(owners.get(owner, ())) > len(owners[most]) - 2:
            return None
        return max(owners[most])[2]
