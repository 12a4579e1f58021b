"""How long ago something was of which LiteLLM tells the time of day alone, also where that was set since."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

SET_S = 0.5
"""A clock that is off by more than that was set; what it drifts by is less."""
REMEMBERED_S = 900.0
"""For so long after that there may be requests from before it."""


class WallClock:
    """`wall` gives Unix time in s, `steady` time in s that only advances."""

    def __init__(
        self, wall: Callable[[], float] = time.time, steady: Callable[[], float] = time.perf_counter
    ) -> None:
        self._wall = wall
        self._steady = steady
        self._ahead_s = self._before_s = wall() - steady()
        """The time of day before the steady one: now, and before it was set last."""
        self._set_s = -math.inf

    def age_s(self, at_s: float) -> float:
        """Seconds since `at_s`, never less than 0.

        What came before the clock was set is seen by its age, which is absurd by one of both times of day.
        """
        now_s = self._steady()
        ahead_s = self._wall() - now_s
        if abs(ahead_s - self._ahead_s) > SET_S:
            self._before_s, self._set_s = self._ahead_s, now_s
        self._ahead_s = ahead_s
        age_s = now_s + ahead_s - at_s
        if now_s - self._set_s < REMEMBERED_S:
            as_before_s = now_s + self._before_s - at_s
            if age_s < 0.0 or 0.0 <= as_before_s < age_s:
                age_s = as_before_s
        return max(age_s, 0.0)
