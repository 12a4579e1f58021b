"""Sums of grades that workers add up, and what shift of a model's ability users' grades ask for.

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
from hashlib import blake2b
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


class SumRule(NamedTuple):
    """One kind of sums: how much and how long they count, and what the store calls them."""

    most: float
    """See MOST."""
    half_life_s: float
    grades_ttl_s: float
    """A grade of a call that no worker knows is kept so long."""
    sums: str
    grades: str
    exchanges: str
    """The last exchange of each worker,"""
    came: str
    """and when each grade came."""


OF_ABILITIES = SumRule(
    MOST, HALF_LIFE_S, GRADES_TTL_S, "grade_sums", "grades", "grade_exchanges", "grades_came"
)
OF_JUDGES = SumRule(
    1000.0, HALF_LIFE_S, 60.0, "judge_sums", "judge_grades", "judge_exchanges", "judge_grades_came"
)
"""A grade waits for six exchanges: most are of calls that nobody judged."""


class GradeSum(NamedTuple):
    """Grades of one model at one kind of prompt."""

    weight: float
    """Number of grades; a grade of a prompt that may be of several kinds counts for each in part."""
    scored: float
    """Sum of the grades, each in [0, 1]."""
    expected: float
    """Sum of the qualities that were predicted for these answers."""

    def plus(self, other: GradeSum, most: float = MOST) -> GradeSum:
        """Both together, of `most` grades at most."""
        both = GradeSum(
            self.weight + other.weight, self.scored + other.scored, self.expected + other.expected
        )
        return both.times(most / both.weight) if both.weight > most else both

    def times(self, share: float) -> GradeSum:
        """The same mean grade with a share of the weight."""
        return GradeSum(self.weight * share, self.scored * share, self.expected * share)

    def faded(self, seconds: float) -> GradeSum:
        """What remains after so long."""
        return self.times(0.5 ** (max(seconds, 0.0) / HALF_LIFE_S))

    def sound(self, most: float = MOST) -> bool:
        """Whether it can be a sum of grades."""
        return (
            all(map(math.isfinite, self))
            and 0.0 <= self.weight <= most * 1.001
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
    worker: str = ""
    """Who tells,"""
    number: int = 0
    """and in which of its exchanges: one without an answer is told again as it was, and counts once."""

    def __bool__(self) -> bool:
        """Whether anything is told."""
        return bool(self.sums or self.unknown or self.known)


class FadingSums:
    """Sums by name, which fade with time; what the stores of all kinds keep. `now_s` is Unix time."""

    def __init__(self, rule: SumRule = OF_ABILITIES) -> None:
        self._rule = rule
        self._held: dict[str, tuple[GradeSum, float]] = {}

    def add(self, told: Mapping[str, GradeSum], now_s: float) -> None:
        """Add to each name; names beyond MAX_NAMES are left out."""
        for name, one in told.items():
            held, at_s = self._held.get(name, (GradeSum(0.0, 0.0, 0.0), now_s))
            if name in self._held or len(self._held) < MAX_NAMES:
                self._held[name] = (held.faded(now_s - at_s).plus(one, self._rule.most), now_s)

    def read(self, now_s: float) -> dict[str, GradeSum]:
        """All sums as they are now; what has faded is dropped."""
        faded = {name: (held.faded(now_s - at_s), now_s) for name, (held, at_s) in self._held.items()}
        self._held = {name: (one, now_s) for name, (one, _) in faded.items() if one.weight >= LEAST}
        return {name: one for name, (one, _) in self._held.items()}


def sum_name(kind: str, model: str) -> str:
    """What workers call a model's sum of a kind; long names end in a digest of the whole."""
    name = f"{kind}|{model}"
    if len(name) <= MAX_NAME:
        return name
    return f"{name[: MAX_NAME - 17]}~{blake2b(name.encode('utf-8', 'replace'), digest_size=8).hexdigest()}"
