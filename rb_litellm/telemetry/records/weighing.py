"""The terms and weights of a score, in every form in which a decision's record shows them.

Most requests are decided under the operator's settings, so the same few weights recur: their names, figures
and text are made once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from rb_litellm.core.decision.breakdown import ScoreBreakdown, ScoreTerm
from rb_litellm.core.types import FloatArray

_SCORE_SCALE = 1e4
_SCALE = (1e4, 1e1, 1e4, 1e4, 1e6, 1e4, 1e10, _SCORE_SCALE)
"""What the fields of a prediction and the score are multiplied by before they are rounded: 4 decimals for
quality and seconds, 1 for tokens, 6 for seconds per token, 10 for USD."""


@dataclass(frozen=True, slots=True, eq=False)
class Weighing:
    """The terms of a score and their weights. All decisions with the same weights share it, read-only."""

    names: tuple[str, ...]
    weights: tuple[float, ...]
    rounded: Mapping[str, float]
    """Weights by name, rounded."""
    words: str
    """The weights as text."""

    def figures(self, breakdown: ScoreBreakdown, rows: Sequence[int]) -> list[list[float]]:
        """The prediction, score and points of each term for each row, rounded.

        All are in one table and computed in place: on so few figures numpy's calls cost more than the
        arithmetic.
        """
        p, t = breakdown.predictions, breakdown.predictions.times
        columns = [p.quality, p.output_tokens, t.wait_s, t.ttft_s, t.tpot_s, t.e2e_s, p.cost_usd]
        columns += [breakdown.scores, *[term.value for term in breakdown.terms]]
        table: FloatArray = np.concatenate(columns).reshape(len(columns), -1).take(rows, axis=1)
        factor, scale = _rounding(self, len(rows))
        table *= factor
        np.rint(table, out=table)
        table /= scale
        figures: list[list[float]] = table.T.tolist()
        return figures


def weighing_of(terms: Sequence[ScoreTerm]) -> Weighing:
    """The names and weights of these terms."""
    return _weighing(tuple([(term.name, term.weight) for term in terms]))


@lru_cache(maxsize=256)
def _weighing(terms: tuple[tuple[str, float], ...]) -> Weighing:
    return Weighing(
        names=tuple([name for name, _ in terms]),
        weights=tuple([weight for _, weight in terms]),
        rounded={name: round(weight, 4) for name, weight in terms},
        words=", ".join(f"{name} x {weight:.2f}" for name, weight in terms),
    )


@lru_cache(maxsize=256)
def _rounding(weighing: Weighing, rows: int) -> tuple[FloatArray, FloatArray]:
    """(columns, rows) factors to multiply figures by before rounding, and to divide by after it.

    They have the full shape, because broadcasting one of two small arrays takes numpy three times as long.
    """
    factor = [*_SCALE, *[_SCORE_SCALE * weight for weight in weighing.weights]]
    scale = [*_SCALE, *[_SCORE_SCALE for _ in weighing.weights]]
    full = len(factor), rows
    return np.repeat(factor, rows).reshape(full), np.repeat(scale, rows).reshape(full)
