"""A budget in US dollars for a day and a rate for a minute, that all workers of a machine share by a file.

What something may cost is reserved before it is begun and settled after: what was reserved and never settled
counts as spent, so that a worker that dies spends too little rather than too much.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # Windows: there is one worker.
    fcntl = None  # type: ignore[assignment]

DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class DailyBudget:
    """See the module. `wall` gives Unix time in s; days are UTC's."""

    path: Path
    usd_per_day: float
    per_minute: int
    wall: Callable[[], float] = time.time

    def begin(self) -> bool:
        """Count one more of this minute; False where the minute is full or the day's money spent."""
        with self._state() as state:
            if state["asked"] >= self.per_minute or state["usd"] >= self.usd_per_day:
                return False
            state["asked"] += 1
            return True

    def reserve(self, usd: float) -> bool:
        """Set this much aside; False where the day's rest does not hold it."""
        with self._state() as state:
            if state["usd"] + usd > self.usd_per_day:
                return False
            state["usd"] += usd
            return True

    def settle(self, reserved_usd: float, spent_usd: float) -> None:
        """Of what was reserved, this much was spent."""
        with self._state() as state:
            state["usd"] = max(state["usd"] - reserved_usd, 0.0) + spent_usd

    def spent(self) -> float:
        """What is spent or reserved today."""
        with self._state() as state:
            return float(state["usd"])

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
        day, minute = int(now // DAY_S), int(now // 60.0)
        try:
            held = json.loads(content or b"{}")
            same_day, same_minute = held.get("day") == day, held.get("minute") == minute
            usd = float(held["usd"]) if same_day else 0.0
            asked = int(held["asked"]) if same_minute else 0
        except (ValueError, KeyError, TypeError, AttributeError):
            # A file that somebody has damaged: today's money counts as spent.
            usd, asked = self.usd_per_day, 0
        return {"day": day, "usd": usd, "minute": minute, "asked": asked}
