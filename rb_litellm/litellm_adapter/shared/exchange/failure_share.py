"""What this worker has seen of deployments that fail, told to the other workers under the runtime's lock."""

from __future__ import annotations

from collections.abc import Mapping
from threading import RLock

from rb_litellm.balancing.beliefs import Beliefs
from rb_litellm.core.types import Seen


class GuardedFailures:
    """The outages for the exchange of gauges, which runs beside the picks."""

    def __init__(self, beliefs: Beliefs, lock: RLock) -> None:
        self._beliefs = beliefs
        self._lock = lock

    def told(self, now: float) -> Mapping[int, Seen]:
        """By row of the index, with times as minus their ages."""
        with self._lock:
            return self._beliefs.failing(now)
