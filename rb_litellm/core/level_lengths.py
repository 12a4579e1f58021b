"""How long the answers of each level of reasoning effort are, against what was predicted of them.

Predictors know models, hardly their levels of effort; what an operator states of a level is one mean. So
the lengths of each level are corrected by a factor of its own, the ratio of all tokens that its answers had
to all that were predicted, each answer making the older ones count less by FORGET:

    factor = (written + PRIOR * mean) / (predicted + PRIOR * mean),   mean = predicted / answers

PRIOR answers as predicted are added, so that the first few long ones move little. What is predicted counts as
it was before the correction: else a correction would correct itself.

Answers in agents' loops are learned of in the same way, by the name of the model and `in loops`: they are
calls of tools, far shorter than what models write to people.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rb_litellm.core.types import BoolArray, FloatArray, Level

PRIOR = 5.0
FORGET = 1.0 / 200.0
MOST = 20.0
"""No factor is above it, or below its inverse."""
MAX_LEVELS = 1024
"""Levels of models that are learned of; the one that was longest without an answer is forgotten."""


@dataclass(slots=True)
class _Sums:
    answers: float = 0.0
    written: float = 0.0
    predicted: float = 0.0
    factor: float = 1.0

    def add(self, written: float, predicted: float) -> None:
        kept = 1.0 - FORGET
        self.answers = self.answers * kept + 1.0
        self.written = self.written * kept + written
        self.predicted = self.predicted * kept + predicted
        prior = PRIOR * self.predicted / self.answers
        ratio = (self.written + prior) / (self.predicted + prior)
        self.factor = min(max(ratio, 1.0 / MOST), MOST)


class LevelLengths:
    """By name of model and level. Not thread-safe."""

    def __init__(self) -> None:
        self._sums: OrderedDict[str, _Sums] = OrderedDict()

    def learn(self, level: Level, output_tokens: float) -> None:
        """An answer at this level has so many tokens."""
        if level.output_tokens <= 0.0 or output_tokens <= 0.0:
            return
        sums = self._sums.setdefault(level.name, _Sums())
        self._sums.move_to_end(level.name)
        sums.add(output_tokens, level.output_tokens)
        if len(self._sums) > MAX_LEVELS:
            self._sums.popitem(last=False)

    def factors(self, names: Sequence[str]) -> FloatArray | None:
        """(N,) what the predicted lengths of these levels are to be multiplied by; None for nothing."""
        if not self._sums:
            return None
        known = self._sums
        return np.array([its.factor if (its := known.get(name)) is not None else 1.0 for name in names])

    def corrected(
        self, output_tokens: FloatArray, names: Sequence[str], limits: Sequence[int | None], rows: BoolArray
    ) -> FloatArray:
        """Predicted lengths (R, N) with what answers of these levels (N,) have taught, of the requests that
        are True in `rows` (R,), each within its limit on output tokens."""
        factors = self.factors(names)
        if factors is None:
            return output_tokens
        most = np.array([[np.inf if limit is None else float(limit)] for limit in limits])
        learned = np.minimum(output_tokens * factors, np.maximum(most, output_tokens))
        return np.where(rows[:, None], learned, output_tokens)

    def report(self) -> dict[str, tuple[float, float]]:
        """For people: the factor of each level and how many answers it is of, old ones counting less."""
        return {name: (its.factor, its.answers) for name, its in self._sums.items()}
