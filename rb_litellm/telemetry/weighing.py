"""What a score is the sum of, in every shape in which a decision's record tells it.

Most requests are decided under the settings of the operator, so the same few weights are told again and
again: their names, their figures and the words for them are made once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from rb_litellm.core.breakdown import ScoreBreakdown, ScoreTerm
from rb_litellm.core.types import FloatArray

_SCORE_SCALE = 1e4
_SCALE = (1e4, 1e1, 1e4, 1e4, 1e6, 1e4, 1e10, _SCORE_SCALE)
"""What the fields of a prediction and the score are multiplied by before they are rounded: 4 decimals for
quality and seconds, 1 for tokens, 6 for seconds per token, 10 for USD."""


@dataclass(frozen=True, slots=True, eq=False)
class Weighing:
    """The terms of a score and what each weighs. Shared by all that were decided so: nobody writes to it."""

    names: tuple[str, ...]
    weights: tuple[float, ...]
    told: Mapping[str, float]
    """Weights by name, rounded,"""
    words: str
    """and for people."""

    def figures(self, breakdown: ScoreBreakdown, rows: Sequence[int]) -> list[list[float]]:
        """Of each row its prediction, its score and the points of each term, rounded.

        All in one table and in place: a call of numpy's takes longer than its work on so few figures.
        """
        p, t = breakdown.predictions, breakdown.predictions.times
        columns = [p.quality, p.output_tokens, t.wait_s, t.ttft_s, t.tpot_s, t.e2e_s, p.cost_usd]
        columns += [breakdown.scores, *[term.value for term in breakdown.terms]]
        table: FloatArray = np.concatenate(columns).reshape(len(columns), -1).take(rows, axis=1)
        factor, scale = _rounding(self, len(rows))
        table *= factor
        np.rint(table, out=table)
        table /= scale
        told: list[list[float]] = table.T.tolist()
        return told


def weighing_of(terms: Sequence[ScoreTerm]) -> Weighing:
    """How these terms are weighed."""
    return _weighing(tuple([(term.name, term.weight) for term in terms]))


@lru_cache(maxsize=256)
def _weighing(terms: tuple[tuple[str, float], ...]) -> Weighing:
    return Weighing(
        names=tuple([name for name, _ in terms]),
        weights=tuple([weight for _, weight in terms]),
        told={name: round(weight, 4) for name, weight in terms},
        words=", ".join(f"{name} x {weight:.2f}" for name, weight in terms),
    )


@lru_cache(maxsize=256)
def _rounding(weighing: Weighing, rows: int) -> tuple[FloatArray, FloatArray]:
    """(columns, rows) what figures are multiplied by before they are rounded, and divided by after it.

    In full: numpy takes thrice as long where it has to stretch one of two small arrays.
    """
    factor = [*_SCALE, *[_SCORE_SCALE * weight for weight in weighing.weights]]
    scale = [*_SCALE, *[_SCORE_SCALE for _ in weighing.weights]]
    full = len(factor), rows
    return np.repeat(factor, rows).reshape(full), np.repeat(scale, rows).reshape(full)
