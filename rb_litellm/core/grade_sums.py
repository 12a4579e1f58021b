"""What users' grades say of a model at a kind of prompt: sums that workers add up, and what shift they ask.

Grades are compared with what was predicted of the same answers. The model's ability at that kind is off by a
shift on the logit scale; its prior is normal around 0, its likelihood that of so many grades at the mean
prediction, and its estimate the mode of the posterior (a one-parameter logistic model, as in item response
theory). Few grades move little, many grades bring the prediction to the measured mean, and never by more than
MAX_SHIFT. Grades fade by half in HALF_LIFE_S and count for MOST at most, so that a model that has changed is
learned anew, and one that nobody grades goes back to what was known of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from rb_litellm.core.types import FloatArray

HALF_LIFE_S = 14 * 86_400.0
MOST = 300.0
"""Grades that one sum counts for at most: the newest displace the older ones evenly."""
LEAST = 0.01
"""A sum of fewer grades is dropped."""
MAX_NAMES = 1024
"""Sums that are kept; further names are not taken up."""
MAX_NAME = 128
"""Characters of a name."""
PRIOR_SPREAD = 0.6
"""Standard deviation of the shift before any grade: about 0.15 of quality in the middle of the scale."""
MAX_SHIFT = 1.5
GRADES_TTL_S = 600.0
"""A grade of a call that no worker knows is kept this long after the last one that came."""
SUMS_TTL_S = 90 * 86_400.0
"""Sums are kept this long after the last exchange."""
_STEPS = 25


class GradeSum(NamedTuple):
    """Grades of one model at one kind of prompt."""

    weight: float
    """Number of grades; a grade of a prompt that may be of several kinds counts for each in part."""
    scored: float
    """Sum of the grades, each in [0, 1]."""
    expected: float
    """Sum of the qualities that were predicted for these answers."""

    def plus(self, other: GradeSum) -> GradeSum:
        """Both together, at most MOST."""
        both = GradeSum(*(a + b for a, b in zip(self, other, strict=True)))
        return both.times(MOST / both.weight) if both.weight > MOST else both

    def times(self, share: float) -> GradeSum:
        """The same mean grade with a share of the weight."""
        return GradeSum(self.weight * share, self.scored * share, self.expected * share)

    def faded(self, seconds: float) -> GradeSum:
        """What remains after so long."""
        return self.times(0.5 ** (max(seconds, 0.0) / HALF_LIFE_S))

    def sound(self) -> bool:
        """Whether it can be a sum of grades."""
        return (
            all(map(math.isfinite, self))
            and 0.0 <= self.weight <= MOST * 1.001
            and 0.0 <= self.scored <= self.weight * 1.001
            and 0.0 <= self.expected <= self.weight * 1.001
        )

    def shift(self) -> float:
        """The shift of ability, on the logit scale, within MAX_SHIFT."""
        return float(shifts([self])[0])


def shifts(sums: Sequence[GradeSum]) -> FloatArray:
    """(S,) the shift of ability that each sum asks for, on the logit scale, within MAX_SHIFT."""
    weight, scored, expected = np.array(sums, dtype=np.float64).reshape(-1, 3).T
    some = np.maximum(weight, LEAST)
    grade = np.clip(scored / some, 0.0, 1.0)
    predicted = np.clip(expected / some, 0.02, 0.98)
    base = np.log(predicted / (1.0 - predicted))
    found, precision = np.zeros(len(some)), PRIOR_SPREAD**-2
    for _ in range(_STEPS):
        at = 1.0 / (1.0 + np.exp(-base - found))
        slope = weight * (grade - at) - found * precision
        # The posterior is log-concave: bounded Newton steps find its mode.
        step = np.clip(slope / (weight * at * (1.0 - at) + precision), -1.0, 1.0)
        found += step
        if not (np.abs(step) > 1e-9).any():
            break
    bounded: FloatArray = np.clip(found, -MAX_SHIFT, MAX_SHIFT)
    return np.where(weight < LEAST, 0.0, bounded)


@dataclass(frozen=True, slots=True)
class Grades:
    """What workers tell each other, or hear."""

    sums: Mapping[str, GradeSum] = field(default_factory=dict)
    """By the name of model and kind."""
    unknown: Mapping[str, float] = field(default_factory=dict)
    """Grades by call id, of calls that the worker that was told does not know."""
    known: Sequence[str] = ()
    """Calls whose grades, told as unknown by others, were taken up here."""


class FadingSums:
    """Sums by name, which fade with time; what the stores of all kinds keep. `now_s` is Unix time."""

    def __init__(self) -> None:
        self._held: dict[str, tuple[GradeSum, float]] = {}

    def add(self, told: Mapping[str, GradeSum], now_s: float) -> None:
        """Add to each name; names beyond MAX_NAMES are left out."""
        for name, one in told.items():
            held, at_s = self._held.get(name, (GradeSum(0.0, 0.0, 0.0), now_s))
            if name in self._held or len(self._held) < MAX_NAMES:
                self._held[name] = (held.faded(now_s - at_s).plus(one), now_s)

    def read(self, now_s: float) -> dict[str, GradeSum]:
        """All sums as they are now; what has faded is dropped."""
        faded = {name: (held.faded(now_s - at_s), now_s) for name, (held, at_s) in self._held.items()}
        self._held = {name: (one, now_s) for name, (one, _) in faded.items() if one.weight >= LEAST}
        return {name: one for name, (one, _) in self._held.items()}
