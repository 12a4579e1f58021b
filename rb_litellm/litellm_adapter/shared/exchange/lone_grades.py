"""Users' grades of a worker that shares them with nobody: they are summed up, and fade, in its own memory."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from rb_litellm.core.grade_sums import FadingSums, Grades
from rb_litellm.predictors.ability_learning import AbilityLearning

FADE_EVERY_S = 60.0


class LoneGrades:
    """In place of a store. `wall` gives Unix time."""

    def __init__(self, learning: AbilityLearning, wall: Callable[[], float] = time.time) -> None:
        self._learning = learning
        self._wall = wall
        self._sums = FadingSums()
        self._done_s = -math.inf

    def settle(self) -> None:
        """Add up what came since the last time. Cheap."""
        if not self._learning.on:
            return
        now, told = self._wall(), self._learning.tell()
        if told or now - self._done_s >= FADE_EVERY_S:
            self._done_s = now
            self._sums.add(told.sums, now)
            self._learning.hear(told, Grades(self._sums.read(now)))
