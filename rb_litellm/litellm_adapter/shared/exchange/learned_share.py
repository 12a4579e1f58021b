"""What this worker has learned, as it is told to others, and what they have told: between beliefs and store.

Clocks of workers differ, so that what is told says how long ago by the wall clock, and what is heard is put
on this worker's own clock.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from threading import RLock

from rb_litellm.balancing.beliefs import Beliefs
from rb_litellm.core.latency.learning.learned import LearnedTimes


class GuardedLearned:
    """Of one worker. `lock` guards its beliefs; `clock` is theirs, `wall` everybody's."""

    def __init__(
        self,
        beliefs: Beliefs,
        lock: RLock,
        clock: Callable[[], float],
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._beliefs = beliefs
        self._lock = lock
        self._clock = clock
        self._wall = wall
        self._told_s = -float("inf")

    def tell(self) -> Mapping[str, bytes]:
        """What was learned here since it was last told, by name."""
        with self._lock:
            now = self._clock()
            ahead_s = self._wall() - now
            learned = self._beliefs.learned(self._told_s)
            self._told_s = now
        return {
            name: times._replace(seen_s=round(times.seen_s + ahead_s, 1)).encoded()
            for name, times in learned.items()
        }

    def hear(self, learned: Mapping[str, bytes]) -> None:
        """All that workers have told."""
        now = self._clock()
        ahead_s = self._wall() - now
        found: dict[str, LearnedTimes] = {}
        for name, payload in learned.items():
            times = LearnedTimes.decoded(payload)
            if times is not None:
                found[name] = times._replace(seen_s=min(times.seen_s - ahead_s, now))
        with self._lock:
            self._beliefs.adopt(found)
