"""A budget in US dollars for a day and a rate for a minute, that all workers share.

By Redis for the whole fleet, where workers exchange their loads by it; else by a file, for the workers of one
machine. What something may cost is reserved before it is begun and settled after: what was reserved and never
settled counts as spent, so that a worker that dies spends too little rather than too much. Without an answer
of Redis nothing is begun.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from rb_litellm.state.exchange.redis.sums import RedisSums

try:
    import fcntl
except ImportError:  # Windows: there is one worker.
    fcntl = None  # type: ignore[assignment]

DAY_S = 86_400.0
MINUTE_S = 60.0
_KEPT_DAYS = 7
"""Days other than the present one whose spending a file keeps, for a clock that is set back."""


class Budget(Protocol):
    """See the module. Days and minutes are UTC's."""

    async def begin(self) -> bool:
        """Count one more of this minute; False where the minute is full."""
        ...

    async def reserve(self, usd: float) -> bool:
        """Set this much aside; False where the day's rest does not hold it, or it is no amount."""
        ...

    async def settle(self, reserved_usd: float, spent_usd: float) -> None:
        """Of what was reserved, this much was spent."""
        ...


@dataclass(frozen=True, slots=True)
class FleetBudget:
    """By Redis: one sum for each day and for each minute. `wall` gives Unix time in s."""

    sums: RedisSums
    name: str
    usd_per_day: float
    per_minute: int
    wall: Callable[[], float] = time.time

    async def begin(self) -> bool:
        """Count one more of this minute; False where the minute is full."""
        minute = int(self.wall() // MINUTE_S)
        return await self.sums.add(f"{self.name}:asked:{minute}", 1.0, self.per_minute, 2.0 * MINUTE_S)

    async def reserve(self, usd: float) -> bool:
        """Set this much aside; False where the day's rest does not hold it, or it is no amount."""
        return _is_amount(usd) and await self.sums.add(self._day, usd, self.usd_per_day, 2.0 * DAY_S)

    async def settle(self, reserved_usd: float, spent_usd: float) -> None:
        """Of what was reserved, this much was spent."""
        await self.sums.add(self._day, spent_usd - reserved_usd, None, 2.0 * DAY_S)

    @property
    def _day(self) -> str:
        return f"{self.name}:usd:{int(self.wall() // DAY_S)}"


@dataclass(frozen=True, slots=True)
class FileBudget:
    """By a file, which is locked meanwhile. `wall` gives Unix time in s."""

    path: Path
    usd_per_day: float
    per_minute: int
    wall: Callable[[], float] = time.time

    async def begin(self) -> bool:
        """Count one more of this minute; False where the minute is full or the day's money spent."""
        return await asyncio.to_thread(self._begin)

    async def reserve(self, usd: float) -> bool:
        """Set this much aside; False where the day's rest does not hold it, or it is no amount."""
        return _is_amount(usd) and await asyncio.to_thread(self._reserve, usd)

    async def settle(self, reserved_usd: float, spent_usd: float) -> None:
        """Of what was reserved, this much was spent."""
        await asyncio.to_thread(self._settle, reserved_usd, spent_usd)

    def spent(self) -> float:
        """What is spent or reserved today."""
        with self._state() as state:
            return float(state["usd"])

    def _begin(self) -> bool:
        with self._state() as state:
            if state["asked"] >= self.per_minute or state["usd"] >= self.usd_per_day:
                return False
            state["asked"] += 1
            return True

    def _reserve(self, usd: float) -> bool:
        with self._state() as state:
            if state["usd"] + usd > self.usd_per_day:
                return False
            state["usd"] += usd
            return True

    def _settle(self, reserved_usd: float, spent_usd: float) -> None:
        with self._state() as state:
            state["usd"] = max(state["usd"] - reserved_usd, 0.0) + spent_usd

    @contextmanager
    def _state(self) -> Iterator[dict[str, Any]]:
        file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o640)
        try:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX)
            state = self._now(os.read(file, 4096))
            before = dict(state)
            yield state
            if state != before or not os.fstat(file).st_size:
                content = json.dumps(state).encode()
                os.pwrite(file, content, 0)
                os.ftruncate(file, len(content))
        finally:
            os.close(file)

    def _now(self, content: bytes) -> dict[str, Any]:
        """The state as it is today and in this minute."""
        now = self.wall()
        day, minute = int(now // DAY_S), int(now // MINUTE_S)
        try:
            held = json.loads(content or b"{}")
            same_day, same_minute = held.get("day") == day, held.get("minute") == minute
            earlier = {of: float(usd) for of, usd in held.get("earlier", {}).items()}
            if "day" in held and not same_day:
                earlier[str(held["day"])] = float(held["usd"])
            usd = float(held["usd"]) if same_day else earlier.pop(str(day), 0.0)
            asked = int(held["asked"]) if same_minute else 0
            if not _is_amount(usd):
                raise ValueError("no amount")
        except (ValueError, KeyError, TypeError, AttributeError):
            # A file that somebody has damaged: today's money counts as spent.
            usd, asked, earlier = self.usd_per_day, 0, {}
        kept = dict(list(earlier.items())[-_KEPT_DAYS:])
        return {"day": day, "usd": usd, "minute": minute, "asked": asked, "earlier": kept}


def _is_amount(usd: float) -> bool:
    return math.isfinite(usd) and usd >= 0.0
