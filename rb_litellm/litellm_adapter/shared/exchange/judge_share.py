"""How good judges are, as all workers have learned it together, under the runtime's lock."""

from __future__ import annotations

from threading import RLock

from rb_litellm.core.best_of.discernment import PickBook
from rb_litellm.core.cascade.judge_rates import JudgeBook
from rb_litellm.core.grade_sums import OF_JUDGES, Grades
from rb_litellm.core.shared_grades import SharedGrades


class GuardedJudges:
    """Of one worker. `lock` guards the books, too."""

    def __init__(self, lock: RLock) -> None:
        self.on = False
        """Whether any selector may have requests answered more than once."""
        self._lock = lock
        self._sums = SharedGrades(OF_JUDGES, self._take)
        self.rates = JudgeBook(self._sums)
        """How good judges are at single answers,"""
        self.picks = PickBook(self._sums)
        """and at several."""

    def graded(self, call_id: str, grade: float) -> None:
        """A user has graded the answer of a call, in [0, 1]; another worker may have had it judged."""
        with self._lock:
            if self.on:
                self._sums.graded(call_id, grade)

    def tell(self) -> Grades:
        """What others do not know yet; it is told again until `hear` was called with it."""
        with self._lock:
            return self._sums.tell()

    def hear(self, told: Grades, answer: Grades) -> None:
        """What was told has arrived, and this is what all workers have."""
        with self._lock:
            self._sums.hear(told, answer)

    def _take(self, call_id: str, grade: float) -> bool:
        return self.rates.graded(call_id, grade) or self.picks.graded(call_id, grade)
