"""How often a judge knows the right answers among several, learned from users' grades of what it picked.

Of an answer that it picked, the expected grade is g = q + d (p - q): q for one answer, p that any of those
shown is right, both as predicted. So d is the slope of g - q over p - q, by least squares through the origin,
pulled towards what its stated or learned rates say as if PRIOR picks among answers of which half are right
had been graded. Both sums are added up by all workers, as those of `judge_rates`.
"""

from __future__ import annotations

from collections import OrderedDict

from rb_litellm.core.grade_sums import OF_JUDGES, GradeSum, sum_name
from rb_litellm.core.shared_grades import SharedGrades

PRIOR = 50.0
MOST = 0.98
_USUAL = 0.15
"""p - q where half of the answers are right, with the usual correlation and three of them."""
MAX_JUDGES = 64
"""Judges of which something is learned; the one that was longest without use is forgotten."""
MAX_PICKED = 4096
"""Picked answers that may still be graded; the oldest is forgotten."""


class Discernment:
    """Of one judge, by its name. Not thread-safe."""

    def __init__(self, sums: SharedGrades | None = None, name: str = "") -> None:
        self._sums = SharedGrades(OF_JUDGES) if sums is None else sums
        self._gained, self._possible = sum_name("gained", name), sum_name("possible", name)

    def graded(self, one: float, any_right: float, grade: float) -> None:
        """A user has graded an answer that it picked, in [0, 1]."""
        possible = max(any_right - one, 0.0)
        self._sums.add(self._gained, GradeSum(1.0, possible * grade, possible * one))
        self._sums.add(self._possible, GradeSum(1.0, possible * possible, 0.0))

    def share(self, stated: float) -> float:
        """How often it knows which are right, in [0, 1], given what its rates say."""
        gained, possible = self._sums.of(self._gained), self._sums.of(self._possible)
        prior = PRIOR * _USUAL**2
        found = (prior * stated + gained.scored - gained.expected) / (prior + possible.scored)
        return min(max(found, 0.0), max(MOST, stated))


class PickBook:
    """The judges of one worker, and the picks that may be graded. Not thread-safe."""

    def __init__(self, sums: SharedGrades | None = None) -> None:
        self._sums = SharedGrades(OF_JUDGES) if sums is None else sums
        self._judges: OrderedDict[str, Discernment] = OrderedDict()
        self._picked: OrderedDict[str, tuple[Discernment, float, float]] = OrderedDict()

    def of(self, name: str) -> Discernment:
        """What is known of this judge."""
        if name not in self._judges:
            self._judges[name] = Discernment(self._sums, name)
        found = self._judges[name]
        self._judges.move_to_end(name)
        if len(self._judges) > MAX_JUDGES:
            self._judges.popitem(last=False)
        return found

    def picked(self, its: Discernment, call_id: str, one: float, any_right: float) -> None:
        """It has picked the answer that the client of this call gets."""
        self._picked[call_id] = its, one, any_right
        if len(self._picked) > MAX_PICKED:
            self._picked.popitem(last=False)

    def graded(self, call_id: str, grade: float) -> bool:
        """A user has graded the answer of a call; only the first grade of a picked one counts.

        False for any other.
        """
        found = self._picked.pop(call_id, None)
        if found is not None:
            its, one, any_right = found
            its.graded(one, any_right, grade)
        return found is not None
