"""What the requests of a key, a team or a model name have cost today, over all workers.

Each worker adds up its own and tells the sum to Redis, where the workers exchange their loads by it; it reads
the sum over all at the same time, FLUSH_S apart and off the requests' path. A sum that is told twice counts
once, so that a timeout counts nothing twice, and what a worker has spent outlives it. Without Redis, or while
it is away, own requests and what was last read of the others count. Days are UTC's.

Bounded: MAX_OWNERS owners, the one unused longest is dropped; MAX_OPEN attempts; MAX_TOLD owners in a flush.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from threading import RLock
from typing import Protocol

from rb_litellm.core.types import Outcome

FLUSH_S = 1.0
MAX_OWNERS = 1024
MAX_OPEN = 8192
MAX_TOLD = 64
_DAY_S = 86_400.0


class Tally(Protocol):
    """Sums of the fleet, by name."""

    async def tell(self, name: str, origin: str, amount: float, ttl_s: float) -> float:
        """Leave this worker's own sum; the sum over all workers."""
        ...


@dataclass(slots=True)
class _Owner:
    day: int
    number: int
    """Part of the name under which its sum is told: one that was dropped and comes back starts another."""
    own_usd: float = 0.0
    others_usd: float = 0.0
    told_usd: float = -1.0
    """Own sum as last told; -1 where it never was."""
    asked: bool = True
    """Whether somebody has asked since it was last told."""


class DaySpend:
    """Of one worker. `lock` guards it; `wall` gives Unix time in s."""

    def __init__(self, lock: RLock, wall: Callable[[], float] = time.time) -> None:
        self._lock = lock
        self._wall = wall
        self._owners: OrderedDict[str, _Owner] = OrderedDict()
        self._open: OrderedDict[Hashable, str] = OrderedDict()
        self._flushing: asyncio.Task[None] | None = None
        self._made = 0

    def spent_usd(self, owner: str) -> float:
        """What its requests have cost today, as far as is known here."""
        with self._lock:
            its = self._of(owner)
            its.asked = True
            return its.own_usd + its.others_usd

    def sent(self, owner: str, call_id: str, attempt: int) -> None:
        """An attempt of the owner was sent; its end is awaited."""
        with self._lock:
            self._open[call_id, attempt] = owner
            if len(self._open) > MAX_OPEN:
                self._open.popitem(last=False)

    def finished(self, outcome: Outcome) -> None:
        """An attempt is over."""
        with self._lock:
            owner = self._open.pop((outcome.call_id, outcome.attempt), None)
            if owner is not None and outcome.cost_usd is not None and outcome.cost_usd > 0.0:
                self._of(owner).own_usd += outcome.cost_usd

    def flush(self, tally: Tally, origin: str, failed: Callable[[Exception], None]) -> None:
        """Tell and read what is due, in the background of the running loop; one flush at a time."""
        if self._flushing is None or self._flushing.done():
            with self._lock:
                due = any(its.asked or its.own_usd != its.told_usd for its in self._owners.values())
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
                (name, its, its.day, its.own_usd)
                for name, its in list(self._owners.items())[-MAX_TOLD:]
                if its.asked or its.own_usd != its.told_usd
            ]
        for name, its, day, own_usd in due:
            total = await tally.tell(f"usd:{name}:{day}", f"{origin}/{its.number}", own_usd, 2.0 * _DAY_S)
            with self._lock:
                if its.day == day:
                    its.others_usd, its.told_usd, its.asked = max(total - own_usd, 0.0), own_usd, False

    def _of(self, owner: str) -> _Owner:
        day = int(self._wall() // _DAY_S)
        its = self._owners.get(owner)
        if its is None or its.day != day:
            self._made += 1
            its = self._owners[owner] = _Owner(day, self._made)
        self._owners.move_to_end(owner)
        if len(self._owners) > MAX_OWNERS:
            self._owners.popitem(last=False)
        return its
