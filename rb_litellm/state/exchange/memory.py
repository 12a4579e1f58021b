"""Gauges in this process: for one worker without Redis, for the simulator's workers, and for tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import monotonic

from rb_litellm.core.grade_sums import MAX_NAMES, FadingSums, Grades
from rb_litellm.state.exchange.gauges import StoredGauge
from rb_litellm.state.exchange.store import MAX_LEARNED, MAX_PEERS


class MemoryStore:
    """A dictionary with expiry. `clock` gives monotonic seconds."""

    kind = "memory"

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._learned: dict[str, bytes] = {}
        self._learned_until_s = 0.0
        self._sums = FadingSums()
        self._grades: dict[str, float] = {}
        self._gauges: dict[str, tuple[bytes, float, float]] = {}

    async def exchange(self, origin: str, payload: bytes, ttl_s: float) -> list[StoredGauge]:
        """Write `origin`'s gauge and read those of all others."""
        now = self._clock()
        self._gauges[origin] = (payload, now, now + ttl_s)
        return [stored for stored in await self.read() if stored.origin != origin][:MAX_PEERS]

    async def share_learned(self, told: Mapping[str, bytes], ttl_s: float) -> dict[str, bytes]:
        """Leave what this worker has learned, and get what all have."""
        now = self._clock()
        if now > self._learned_until_s or len(self._learned) > MAX_LEARNED:
            self._learned.clear()
        self._learned.update(told)
        self._learned_until_s = now + ttl_s
        return dict(self._learned)

    async def share_grades(self, told: Grades) -> Grades:
        """Add to the sums of grades and to the grades of unknown calls, and get all."""
        now = self._clock()
        self._sums.add(told.sums, now)
        for call_id in told.known:
            self._grades.pop(call_id, None)
        for call_id, score in told.unknown.items():
            if len(self._grades) < MAX_NAMES:
                self._grades[call_id] = score
        return Grades(self._sums.read(now), dict(self._grades))

    async def remove(self, origin: str) -> None:
        """Remove `origin`'s gauge."""
        self._gauges.pop(origin, None)

    async def read(self) -> list[StoredGauge]:
        """All gauges that have not expired."""
        now = self._clock()
        self._gauges = {o: g for o, g in self._gauges.items() if g[2] > now}
        return [StoredGauge(o, now - written, payload) for o, (payload, written, _) in self._gauges.items()]

    async def close(self) -> None:
        """Nothing to close."""
