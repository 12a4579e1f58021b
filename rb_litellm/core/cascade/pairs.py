"""Cascades as candidates of one request: a few pairs of deployments, scored beside single ones.

Of each model its best deployment stands for it. First stages are the MODELS models of the best score, second
ones those of the highest quality: at most MODELS squared pairs, whatever the number of deployments. A pair
is a candidate where either deployment by itself keeps every limit of the request, and both with the judge
between them, one after the other, keep those on time and cost: the worst case, not the expected one.
"""

from __future__ import annotations

import numpy as np

from rb_litellm.core.cascade.candidate import Compound
from rb_litellm.core.cascade.figures import PairFigures, pair_figures
from rb_litellm.core.cascade.rule import CascadeRule
from rb_litellm.core.decision.breakdown import Predictions, ScoreBreakdown
from rb_litellm.core.decision.scoring import Objective, total
from rb_litellm.core.latency.forecast import LatencyForecast
from rb_litellm.core.limits.filters import Limits
from rb_litellm.core.limits.slo import LatencyErrors
from rb_litellm.core.types import BoolArray, FloatArray, IntArray


def best_compound(
    rule: CascadeRule,
    objective: Objective,
    breakdown: ScoreBreakdown,
    models: IntArray,
    input_tokens: float,
    priced_usd: FloatArray,
    limits: Limits | None = None,
    latency_errors: LatencyErrors | None = None,
    proxy_s: float = 0.0,
) -> Compound | None:
    """The pair of the best score; None where there is none that keeps the limits.

    `models` (N,) numbers the model of each deployment, `priced_usd` (N,) is what each is expected to cost
    with what is lost by failing.
    """
    predictions = breakdown.predictions
    its = pair_figures(rule, breakdown, models, input_tokens, priced_usd)
    if its is not None and limits is not None:
        its = its.where(_kept(rule, its, predictions, limits, latency_errors, proxy_s))
    if its is None or not its.first.size:
        return None
    scores = _scores(objective, breakdown, its, priced_usd)
    best = int(scores.argmax())
    i, j, escalated = its.first.item(best), its.second.item(best), its.escalated.item(best)
    usd, e2e_s = predictions.cost_usd, predictions.times.e2e_s
    return Compound(
        i,
        j,
        scores.item(best),
        escalated,
        its.quality.item(best),
        usd.item(i) + its.verdict_usd.item(best) + escalated * usd.item(j),
        e2e_s.item(i) + rule.judge_s + escalated * e2e_s.item(j),
    )


def _scores(
    objective: Objective, breakdown: ScoreBreakdown, its: PairFigures, priced_usd: FloatArray
) -> FloatArray:
    """(K,) on the same scale as those of single answers."""
    singles, times = 0, breakdown.predictions.times
    quality, usd, escalated = its.quality, its.priced_usd, its.escalated
    kept, both = _times(its, times.failures_s)
    allowed = np.ones(its.first.size, dtype=np.bool_)
    if objective.relative:
        # Their scores depend on who is compared: each single one as a pair that is never escalated.
        singles = breakdown.scores.size
        quality = np.concatenate([breakdown.predictions.quality, quality])
        usd = np.concatenate([priced_usd, usd])
        escalated = np.concatenate([np.zeros(singles), escalated])
        allowed = np.concatenate([breakdown.allowed, allowed])
        kept, both = _beside(times, kept), _beside(times, both)
    of_quality, of_cost = objective.static_terms(quality, usd, allowed)
    latency = objective.latency_of_two(kept, both, escalated, allowed)
    scores = total((of_quality, latency, of_cost), allowed)[singles:]
    for term in breakdown.terms[3:]:
        scores = scores + term.points[its.first]
    return scores


def _times(its: PairFigures, failing: FloatArray | None) -> tuple[LatencyForecast, LatencyForecast]:
    """The times of the pairs where the first answer is kept, and where the second model answers as well."""
    kept_s, both_s, in_kept_s, in_both_s = its.kept_s, its.both_s, None, None
    if failing is not None:
        in_kept_s = failing[its.first]
        in_both_s = in_kept_s + failing[its.second]
    return (
        LatencyForecast(kept_s, kept_s, kept_s, kept_s, its.kept_burden_s, in_kept_s),
        LatencyForecast(both_s, both_s, both_s, both_s, its.both_burden_s, in_both_s),
    )


def _beside(alone: LatencyForecast, pairs: LatencyForecast) -> LatencyForecast:
    """The priced times of single answers, and then those of pairs."""
    priced_s = np.concatenate([alone.priced_s, pairs.priced_s])
    return LatencyForecast(priced_s, priced_s, priced_s, priced_s)


def _kept(
    rule: CascadeRule,
    its: PairFigures,
    predictions: Predictions,
    limits: Limits,
    latency_errors: LatencyErrors | None,
    proxy_s: float,
) -> BoolArray:
    """(K,) whether both stages with the judge between them keep the limits on quality, cost and time."""
    usd, first, second = predictions.cost_usd, its.first, its.second
    kept = limits.allows(usd[first] + its.verdict_usd + usd[second], its.quality)
    slo = limits.slo
    if slo is None:
        return kept
    kinds, limits_s = slo.latencies
    if kinds and latency_errors is not None:
        times = predictions.times.as_seen()
        before_s = times.e2e_s[first] + rule.judge_s + proxy_s
        for kind, longest in zip(kinds, latency_errors.longest(kinds, limits_s, slo.theta), strict=True):
            if kind != "tpot":
                then_s = times.ttft_s if kind == "ttft" else times.e2e_s
                kept &= before_s + then_s[second] <= np.minimum(longest[first], longest[second])
    return kept
