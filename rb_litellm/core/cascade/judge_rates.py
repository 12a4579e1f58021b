"""How good a judge is, learned from what it says and from users' grades of the answers that it accepted.

Grades come for answers that clients have seen, and the first answers among these are those that were
accepted. So right answers that were called poor are never seen, and no rate can be counted directly. But with
A the share that the judge accepts, G the share of right ones among those accepted, and q the mean quality
predicted of all that it was shown:

    P(accepted | right) = A G / q          P(accepted | wrong) = A (1 - G) / (1 - q)

Both shares are pulled towards what the stated rates say of them, as if PRIOR answers had been counted. Old
verdicts fade: each one makes those before it count less by FORGET. No rate leaves [LEAST, MOST].
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

PRIOR = 50.0
FORGET = 1.0 / 1000.0
LEAST, MOST = 0.02, 0.98
_EDGE = 0.02
"""A mean quality nearer to 0 or 1 says nothing of one of the two rates."""


@dataclass(slots=True)
class JudgeRates:
    """Of one judge. Not thread-safe."""

    stated_right: float
    stated_wrong: float
    _judged: float = 0.0
    _accepted: float = 0.0
    _quality: float = 0.0
    _graded: float = 0.0
    _good: float = 0.0

    def judged(self, quality: float, accepted: bool) -> None:
        """It was shown an answer of which this quality was predicted."""
        kept = 1.0 - FORGET
        self._judged = self._judged * kept + 1.0
        self._accepted = self._accepted * kept + accepted
        self._quality = self._quality * kept + quality

    def graded(self, grade: float) -> None:
        """A user has graded an answer that it accepted, in [0, 1]."""
        kept = 1.0 - FORGET
        self._graded = self._graded * kept + 1.0
        self._good = self._good * kept + grade

    def rates(self) -> tuple[float, float]:
        """P(accepted | right) and P(accepted | wrong)."""
        if not self._judged:
            return self.stated_right, self.stated_wrong
        quality = min(max(self._quality / self._judged, _EDGE), 1.0 - _EDGE)
        right, wrong = self.stated_right * quality, self.stated_wrong * (1.0 - quality)
        expected = right + wrong
        accepted = (self._accepted + PRIOR * expected) / (self._judged + PRIOR)
        good = (self._good + PRIOR * right / expected) / (self._graded + PRIOR)
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

    def __init__(self) -> None:
        self._judges: OrderedDict[tuple[str, float, float], JudgeRates] = OrderedDict()
        self._accepted: OrderedDict[str, JudgeRates] = OrderedDict()

    def of(self, model: str, stated_right: float, stated_wrong: float) -> JudgeRates:
        """What is known of this judge."""
        name = (model, stated_right, stated_wrong)
        found = self._judges.setdefault(name, JudgeRates(stated_right, stated_wrong))
        self._judges.move_to_end(name)
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

    def graded(self, call_id: str, grade: float) -> None:
        """A user has graded the answer of a call; only the first grade of one that was accepted counts."""
        rates = self._accepted.pop(call_id, None)
        if rates is not None:
            rates.graded(grade)
