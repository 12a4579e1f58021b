"""What each owner (a key, a team, a model name) adds up in periods of one length, over all workers.

Each worker adds up its own and tells the sum to Redis, where the workers exchange their loads by it; it reads
the sum over all at the same time, FLUSH_S apart and off the requests' path. A sum that is told twice counts
once, so that a timeout counts nothing twice, and what a worker has added outlives it. Without Redis, or while
it is away, own sums and what was last read of the others count. Periods are UTC's. A clock that is set back
finds the sums of the period as they were left.

Bounded: MAX_OWNERS owners, the one unused longest is dropped, and as many sums of periods that were left;
MAX_TOLD owners in a flush.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from threading import RLock
from typing import Protocol

FLUSH_S = 1.0
MAX_OWNERS = 1024
MAX_TOLD = 64


class Tally(Protocol):
    """Sums of the fleet, by name."""

    async def tell(self, name: str, origin: str, amount: float, ttl_s: float) -> float:
        """Leave this worker's own sum; the sum over all workers."""
        ...


@dataclass(slots=True)
class _Owner:
    period: int
    number: int
    """Part of the name under which its sum is told: one that was dropped and comes back starts another."""
    before: float
    """The sum over all workers of the period before."""
    own: float = 0.0
    others: float = 0.0
    told: float = -1.0
    """Own sum as last told; -1 where it never was."""
    asked: bool = True
    """Whether somebody has asked since it was last told."""


class FleetSums:
    """Of one worker. `lock` guards it; `what` names it in Redis; `wall` gives Unix time in s."""

    def __init__(
        self, lock: RLock, what: str, period_s: float, wall: Callable[[], float] = time.time
    ) -> None:
        self._lock = lock
        self._what = what
        self._period_s = period_s
        self._wall = wall
        self._owners: OrderedDict[str, _Owner] = OrderedDict()
        self._left: OrderedDict[tuple[str, int], _Owner] = OrderedDict()
        self._flushing: asyncio.Task[None] | None = None
        self._made = 0

    def sum(self, owner: str) -> float:
        """The owner's sum of this period, as far as is known here."""
        with self._lock:
            its = self._asked(owner)
            return its.own + its.others

    def recent(self, owner: str) -> float:
        """About the owner's sum over the last `period_s`, wherever a period begins.

        It is that of this period, and of the one before the share that lies within `period_s`, as if it had
        been added evenly.
        """
        gone = self._wall() / self._period_s % 1.0
        with self._lock:
            its = self._asked(owner)
            return its.own + its.others + (1.0 - gone) * its.before

    def add(self, owner: str, amount: float) -> None:
        """Add to the owner's sum."""
        with self._lock:
            self._of(owner).own += amount

    def flush(self, tally: Tally, origin: str, failed: Callable[[Exception], None]) -> None:
        """Tell and read what is due, in the background of the running loop; one flush at a time."""
        if self._flushing is None or self._flushing.done():
            with self._lock:
                due = any(its.asked or its.own != its.told for its in self._owners.values())
            if due:
                self._flushing = asyncio.get_running_loop().create_task(self._flush(tally, origin, failed))

    async def _flush(self, tally: Tally, origin: str, failed: Callable[[Exception], None]) -> None:
        try:
            await self.exchange(tally, origin)
        except Exception as error:  # noqa: BLE001  routing goes on by what is known here
            failed(error)

    async def exchange(self, tally: Tally, origin: str) -> None:
        """Tell this worker's sums and read those of all, for the owners used last.

        Raises:
            OSError and the store's own errors: what was not told is told the next time.
        """
        with self._lock:
            due = [
                (name, its, its.period, its.own)
                for name, its in list(self._owners.items())[-MAX_TOLD:]
                if its.asked or its.own != its.told
            ]
        for name, its, period, own in due:
            told_as = f"{self._what}:{name}:{period}"
            total = await tally.tell(told_as, f"{origin}/{its.number}", own, 2.0 * self._period_s)
            with self._lock:
                its.others, its.told, its.asked = max(total - own, 0.0), own, False

    def _asked(self, owner: str) -> _Owner:
        its = self._of(owner)
        its.asked = True
        return its

    def _of(self, owner: str) -> _Owner:
        period = int(self._wall() // self._period_s)
        its = self._owners.get(owner)
        if its is None or its.period != period:
            if its is not None:
                self._leave(owner, its)
            left = self._left.pop((owner, period), None)
            its = self._owners[owner] = left or self._begun(period, its)
        self._owners.move_to_end(owner)
        if len(self._owners) > MAX_OWNERS:
            self._owners.popitem(last=False)
        return its

    def _leave(self, owner: str, its: _Owner) -> None:
        self._left[owner, its.period] = its
        if len(self._left) > MAX_OWNERS:
            self._left.popitem(last=False)

    def _begun(self, period: int, last: _Owner | None) -> _Owner:
        before = last.own + last.others if last is not None and last.period == period - 1 else 0.0
        self._made += 1
        return _Owner(period, self._made, before)
