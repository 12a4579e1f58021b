"""How good a judge is, learned from what it says and from users' grades of the answers that it accepted.

Grades come for answers that clients have seen, and the first answers among these are those that were
accepted. So right answers that were called poor are never seen, and no rate can be counted directly. But with
A the share that the judge accepts, G the share of right ones among those accepted, and q the mean quality
predicted of all that it was shown:

    P(accepted | right) = A G / q          P(accepted | wrong) = A (1 - G) / (1 - q)

Both shares are pulled towards what the stated rates say of them, as if PRIOR answers had been counted. All
that is counted are sums that workers add up; of a sum as many count as `OF_JUDGES` says, and the newest
displace the older ones evenly. No rate leaves [LEAST, MOST].
"""

from __future__ import annotations

from collections import OrderedDict

from rb_litellm.core.grade_sums import LEAST as LEAST_SUM
from rb_litellm.core.grade_sums import OF_JUDGES, GradeSum, sum_name
from rb_litellm.core.shared_grades import SharedGrades

PRIOR = 50.0
LEAST, MOST = 0.02, 0.98
_EDGE = 0.02
"""A mean quality nearer to 0 or 1 says nothing of one of the two rates."""


class JudgeRates:
    """Of one judge, by its name. Not thread-safe."""

    def __init__(
        self, stated_right: float, stated_wrong: float, sums: SharedGrades | None = None, name: str = ""
    ) -> None:
        self._stated_right = stated_right
        self._stated_wrong = stated_wrong
        self._sums = SharedGrades(OF_JUDGES) if sums is None else sums
        # Where two say different things of one judge, each means other answers.
        stated = f"{stated_right:g} {stated_wrong:g}"
        self._judged, self._graded = sum_name(f"judged {stated}", name), sum_name(f"graded {stated}", name)

    def judged(self, quality: float, accepted: bool) -> None:
        """It was shown an answer of which this quality was predicted."""
        self._sums.add(self._judged, GradeSum(1.0, float(accepted), quality))

    def graded(self, grade: float) -> None:
        """A user has graded an answer that it accepted, in [0, 1]."""
        self._sums.add(self._graded, GradeSum(1.0, grade, 0.0))

    def rates(self) -> tuple[float, float]:
        """P(accepted | right) and P(accepted | wrong)."""
        judged, graded = self._sums.of(self._judged), self._sums.of(self._graded)
        if judged.weight < LEAST_SUM:
            return self._stated_right, self._stated_wrong
        quality = min(max(judged.expected / judged.weight, _EDGE), 1.0 - _EDGE)
        right, wrong = self._stated_right * quality, self._stated_wrong * (1.0 - quality)
        expected = right + wrong
        accepted = (judged.scored + PRIOR * expected) / (judged.weight + PRIOR)
        good = (graded.scored + PRIOR * right / expected) / (graded.weight + PRIOR)
        return (
            min(max(accepted * good / quality, LEAST), MOST),
            min(max(accepted * (1.0 - good) / (1.0 - quality), LEAST), MOST),
        )


MAX_JUDGES = 64
"""Judges of which something is learned; the one that was longest without use is forgotten."""
MAX_ACCEPTED = 4096
"""Accepted answers that may still be graded; the oldest is forgotten."""


class JudgeBook:
    """The judges of one worker. Not thread-safe."""

    def __init__(self, sums: SharedGrades | None = None) -> None:
        self._sums = SharedGrades(OF_JUDGES) if sums is None else sums
        self._judges: OrderedDict[tuple[str, float, float], JudgeRates] = OrderedDict()
        self._accepted: OrderedDict[str, JudgeRates] = OrderedDict()

    def of(self, name: str, stated_right: float, stated_wrong: float) -> JudgeRates:
        """What is known of this judge."""
        key = (name, stated_right, stated_wrong)
        if key not in self._judges:
            self._judges[key] = JudgeRates(stated_right, stated_wrong, self._sums, name)
        found = self._judges[key]
        self._judges.move_to_end(key)
        if len(self._judges) > MAX_JUDGES:
            self._judges.popitem(last=False)
        return found

    def judged(self, rates: JudgeRates, call_id: str, quality: float, accepted: bool) -> None:
        """A judge has given its verdict on the answer of a call."""
        rates.judged(quality, accepted)
        if accepted:
            self._accepted[call_id] = rates
            if len(self._accepted) > MAX_ACCEPTED:
                self._accepted.popitem(last=False)

    def graded(self, call_id: str, grade: float) -> bool:
        """A user has graded the answer of a call; only the first grade of one that was accepted counts.

        False for any other.
        """
        rates = self._accepted.pop(call_id, None)
        if rates is not None:
            rates.graded(grade)
        return rates is not None
