"""Which two deployments may answer a request one after the other, and what is expected of each pair.

By a compiled loop where there is one, else by NumPy, with the same figures to the last bit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rb_litellm.core.cascade.rule import CascadeRule
from rb_litellm.core.compiled.in_use import IN_USE, Loops
from rb_litellm.core.decision.breakdown import ScoreBreakdown
from rb_litellm.core.types import BoolArray, FloatArray, IntArray

MODELS = 4
"""Models that may answer first, and as many that may answer then."""
_FIGURES = 8


@dataclass(slots=True)
class PairFigures:
    """Of K pairs; every array has shape (K,)."""

    first: IntArray
    second: IntArray
    escalated: FloatArray
    """Probability that the second one answers as well."""
    quality: FloatArray
    verdict_usd: FloatArray
    priced_usd: FloatArray
    """Both stages and the judge, with what is lost by failing."""
    kept_s: FloatArray
    """The times where the first answer is kept,"""
    both_s: FloatArray
    """and where the second model answers as well."""
    kept_burden_s: FloatArray
    both_burden_s: FloatArray

    def where(self, kept: BoolArray) -> PairFigures:
        """Some of them."""
        return PairFigures(*(getattr(self, name)[kept] for name in self.__dataclass_fields__))


def pair_figures(
    rule: CascadeRule,
    breakdown: ScoreBreakdown,
    models: IntArray,
    input_tokens: float,
    priced_usd: FloatArray,
) -> PairFigures | None:
    """Of all that are offered: of each model the best deployment stands for it, the MODELS of the best score
    may answer first, those of the highest quality then. None where there are no two.

    `models` (N,) numbers the model of each deployment.
    """
    given = rule, breakdown, models, input_tokens, priced_usd
    return IN_USE.either(lambda loops: _by_loops(loops, *given), lambda: _by_numpy(*given))


def _by_loops(
    loops: Loops,
    rule: CascadeRule,
    breakdown: ScoreBreakdown,
    models: IntArray,
    input_tokens: float,
    priced_usd: FloatArray,
) -> PairFigures | None:
    predictions, room = breakdown.predictions, MODELS * MODELS
    first, second = np.empty(room, np.int64), np.empty(room, np.int64)
    found = np.empty((_FIGURES, room))
    count = loops.pair_figures(
        breakdown.scores,
        breakdown.allowed,
        models,
        predictions.quality,
        predictions.output_tokens,
        priced_usd,
        predictions.times.e2e_s,
        np.ascontiguousarray(predictions.times.burdens_s),
        rule.accepts_right,
        rule.accepts_wrong,
        rule.dependence,
        rule.judge_s,
        rule.judge_usd,
        rule.judge_usd_per_token,
        rule.judge_most_tokens,
        float(input_tokens),
        np.empty(models.item(models.argmax()) + 1, np.int64),
        MODELS,
        first,
        second,
        found,
    )
    return PairFigures(first[:count], second[:count], *found[:, :count]) if count else None


def _by_numpy(
    rule: CascadeRule,
    breakdown: ScoreBreakdown,
    models: IntArray,
    input_tokens: float,
    priced_usd: FloatArray,
) -> PairFigures | None:
    first, second = _offered(breakdown, models)
    if not first.size:
        return None
    predictions = breakdown.predictions
    burden_s = predictions.times.burdens_s
    quality, e2e_s = predictions.quality, predictions.times.e2e_s
    one = quality[first]
    share = rule.escalated(one)
    verdict_usd = rule.verdict_usd(input_tokens, predictions.output_tokens[first])
    kept_s, kept_burden_s = e2e_s[first] + rule.judge_s, burden_s[first]
    return PairFigures(
        first,
        second,
        share,
        rule.quality(one, quality[second]),
        verdict_usd,
        priced_usd[first] + verdict_usd + share * priced_usd[second],
        kept_s,
        kept_s + e2e_s[second],
        kept_burden_s,
        kept_burden_s + burden_s[second],
    )


def _offered(breakdown: ScoreBreakdown, models: IntArray) -> tuple[IntArray, IntArray]:
    """(K,) rows of the first and of the second stage of each pair."""
    ranked: list[int] = (-breakdown.scores).argsort(kind="stable").tolist()
    model_of, quality = models.tolist(), breakdown.predictions.quality
    best: dict[int, int] = {}
    for row in ranked[: int(np.count_nonzero(breakdown.allowed))]:
        best.setdefault(model_of[row], row)
    its = [*best.values()]
    able = sorted(its, key=lambda row: -quality.item(row))[:MODELS]
    apart = [(i, j) for i in its[:MODELS] for j in able if i != j]
    first, second = zip(*apart, strict=True) if apart else ((), ())
    return np.array(first, dtype=np.int64), np.array(second, dtype=np.int64)
