"""What deployments with limits got in the last minute, told to the other workers under the runtime's lock."""

from __future__ import annotations

from collections.abc import Mapping
from threading import RLock

from rb_litellm.core.limits.capacity import Usage


class GuardedUsage:
    """The usage for the exchange of gauges, which runs beside the picks."""

    def __init__(self, usage: Usage, lock: RLock) -> None:
        self._usage = usage
        self._lock = lock

    def recent(self, now: float) -> Mapping[int, tuple[float, float]]:
        """Requests and tokens sent from here in the last minute, by row of the index."""
        with self._lock:
            return self._usage.recent(now)
