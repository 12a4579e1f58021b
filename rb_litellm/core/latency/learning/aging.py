"""Beliefs that age: what a forecast is worth when nothing was measured for a while.

A deployment that was slow once gets no requests, so nothing corrects that it is believed slow. Here the log
level x of a time is taken as a random walk around a habit m, the level that it had on average over the last
half hour of evidence (an Ornstein-Uhlenbeck process). After dt seconds without evidence

    forecast     m + (x - m) * 2^-(dt - 60 s) / 300 s        unchanged for the first minute
    optimism     max(0, x - m) + 0.35 * sqrt(dt / 60 s)      how much lower it may well be by now
    gain         P / (P + R), P = 0.2^2 * dt / 60 s, R = 0.3^2     of the next measurement

The habit m itself goes back to the prior with the same half-life, so that what was slow from its first day is
found out to be quick. Where deployments of the same tier have evidence of the last minute, m is their present
median level. One that was never measured is as its tier, or its prior, says. All times in s on one monotonic
clock.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from rb_litellm.core.types import FloatArray, IntArray

FRESH_S = 60.0
"""Evidence of this age is as good as new."""
HALF_LIFE_S = 300.0
"""Of the difference between a belief and the habit, beyond that."""
_HABIT_S = 1800.0
"""Time over which the habit is averaged,"""
_PRIOR_S = 60.0
"""and for which the prior counts in it."""
_LONGEST_STEP_S = 300.0
"""One measurement speaks for at most this time before it,"""
_FIRST_STEP_S = 10.0
"""and the first one for this."""
_WALK = 0.35
"""Optimism after a minute, in log."""
_UNTRIED = 0.5
"""Optimism about a deployment that was never measured, in log: a factor of 1.6."""
_WALK_VARIANCE, _NOISE_VARIANCE = 0.2**2 / 60.0, 0.3**2
_MOST = math.log(200.0)


class Aging:
    """For two kinds of time (TTFT and TPOT) of a growing number of deployments; arrays are (2, N)."""

    def __init__(self) -> None:
        self.seen_s: FloatArray = np.zeros((2, 0))
        """When each was measured last; -inf for never."""
        self.habit: FloatArray = np.zeros((2, 0))
        """Log level over the last half hour of evidence."""
        self._prior: FloatArray = np.zeros((2, 0))
        self._habit_s: FloatArray = np.zeros((2, 0))
        self._added_s: FloatArray = np.zeros(0)

    def add(self, level: FloatArray, now: float) -> None:
        """Add a deployment whose log levels (2,) are taken to be these."""
        self._prior = np.append(self._prior, level[:, None], axis=1)
        self.seen_s = np.append(self.seen_s, np.full((2, 1), -np.inf), axis=1)
        self.habit = np.append(self.habit, level[:, None], axis=1)
        self._habit_s = np.append(self._habit_s, np.zeros((2, 1)), axis=1)
        self._added_s = np.append(self._added_s, now)

    def anew(self, row: int, level: FloatArray, now: float) -> None:
        """The row is another deployment's, whose log levels (2,) are taken to be these."""
        self._prior[:, row] = self.habit[:, row] = level
        self.seen_s[:, row], self._habit_s[:, row], self._added_s[row] = -np.inf, 0.0, now

    def walked(self, kind: int, row: int, now: float) -> float:
        """P of above: the variance that a log level has gained since it was measured."""
        return _WALK_VARIANCE * self._since_s(kind, row, now)

    def gain(self, kind: int, row: int, now: float) -> float:
        """Least weight of a measurement that comes now."""
        walked = self.walked(kind, row, now)
        return walked / (walked + _NOISE_VARIANCE)

    def measured(self, kind: int, row: int, level: float, now: float) -> None:
        """A measurement has come, by which the log level is this."""
        step_s = _FIRST_STEP_S
        if self.seen_s[kind, row] != -np.inf:
            step_s = min(self._since_s(kind, row, now), _LONGEST_STEP_S)
        self._habit_s[kind, row] = min(self._habit_s[kind, row] + step_s, _HABIT_S)
        share = step_s / (_PRIOR_S + self._habit_s[kind, row])
        self.habit[kind, row] += share * (level - self.habit[kind, row])
        self.seen_s[kind, row] = now

    def adopt(self, row: int, habit: FloatArray, seen_s: float) -> None:
        """Another worker has measured it, last at `seen_s`; `habit` (2,) is what it found."""
        self.habit[:, row] = habit
        self._habit_s[:, row] = np.maximum(self._habit_s[:, row], _PRIOR_S)
        self.seen_s[:, row] = seen_s

    def goal(self, now: float) -> FloatArray:
        """(2, N) log levels to which beliefs without evidence go."""
        silent_s = np.where(np.isfinite(self.seen_s), now - self.seen_s, 0.0)
        kept = np.exp2(-np.maximum(silent_s - FRESH_S, 0.0) / HALF_LIFE_S)
        level: FloatArray = self._prior + (self.habit - self._prior) * kept
        return level

    def as_fresh_ones(
        self, goal: FloatArray, believed: FloatArray, tiers: Iterable[IntArray], now: float
    ) -> FloatArray:
        """`goal` (2, N), changed in place: where rows of a tier have evidence of the last minute, its other
        rows go to the median of what is believed (2, N) of these. `tiers` are their rows."""
        fresh = self.seen_s > now - FRESH_S
        if fresh.all() or not fresh.any():
            return goal
        for rows in tiers:
            for kind in range(len(goal)):
                its = fresh[kind, rows]
                if its.any() and not its.all():
                    goal[kind, rows[~its]] = float(np.median(believed[kind, rows[its]]))
        return goal

    def drift(self, level: FloatArray, goal: FloatArray, now: float) -> FloatArray:
        """(2, N) what age adds to these log levels (2, N), on their way to `goal`."""
        # What was never measured has no belief of its own to leave.
        silent_s = np.where(np.isfinite(self.seen_s), now - self.seen_s, 0.0)
        gone = 1.0 - np.exp2(-np.maximum(silent_s - FRESH_S, 0.0) / HALF_LIFE_S)
        moved: FloatArray = (goal - level) * gone
        return moved

    def optimism(self, level: FloatArray, goal: FloatArray, rows: IntArray, now: float) -> FloatArray:
        """(2, n) how far below these log levels (2, n) of `rows` the truth may well be; never negative."""
        seen_s = self.seen_s[:, rows]
        never = np.isneginf(seen_s)
        silent_s = np.maximum(now - np.where(never, self._added_s[rows], seen_s), 0.0)
        hoped = np.maximum(level - goal, 0.0) + _WALK * np.sqrt(silent_s / 60.0) + _UNTRIED * never
        return np.minimum(hoped, _MOST)

    def _since_s(self, kind: int, row: int, now: float) -> float:
        before = self.seen_s[kind, row]
        return max(now - float(before), 0.0) if before != -np.inf else 0.0
