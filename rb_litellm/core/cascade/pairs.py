"""Cascades as candidates of one request: a few pairs of deployments, scored beside single ones.

Of each model its best deployment stands for it. First stages are the MODELS models of the best score, second
ones those of the highest quality: at most MODELS squared pairs, whatever the number of deployments. A pair
is a candidate where either deployment by itself keeps every limit of the request, and both with the judge
between them, one after the other, keep those on time and cost: the worst case, not the expected one.
"""

from __future__ import annotations

import numpy as np

from rb_litellm.core.cascade.candidate import Compound
from rb_litellm.core.cascade.rule import CascadeRule
from rb_litellm.core.decision.breakdown import Predictions, ScoreBreakdown
from rb_litellm.core.decision.scoring import Objective, total
from rb_litellm.core.latency.forecast import LatencyForecast
from rb_litellm.core.limits.filters import Limits
from rb_litellm.core.limits.slo import LatencyErrors
from rb_litellm.core.types import BoolArray, FloatArray, IntArray

MODELS = 4
"""Models that may answer first, and as many that may answer then."""


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
    quality, usd = predictions.quality, predictions.cost_usd
    first, second = _pairs(breakdown, models)
    verdict_usd = rule.verdict_usd(input_tokens, predictions.output_tokens[first])
    if limits is not None and first.size:
        kept = _kept(rule, first, second, verdict_usd, predictions, limits, latency_errors, proxy_s)
        first, second, verdict_usd = first[kept], second[kept], verdict_usd[kept]
    if not first.size:
        return None
    share = rule.escalated(quality[first])
    together = rule.quality(quality[first], quality[second])
    priced = priced_usd[first] + verdict_usd + share * priced_usd[second]
    judge_s = np.full(first.size, rule.judge_s)
    allowed = np.ones(first.size, dtype=np.bool_)
    singles = 0
    if objective.relative:
        # Their scores depend on who is compared: each single one as a pair that is never escalated.
        singles = models.size
        every, nothing = np.arange(singles), np.zeros(singles)
        scored = np.concatenate([every, first]), np.concatenate([every, second])
        judge_s, share_of = np.concatenate([nothing, judge_s]), np.concatenate([nothing, share])
        qualities, prices = np.concatenate([quality, together]), np.concatenate([priced_usd, priced])
        allowed = np.concatenate([breakdown.allowed, allowed])
    else:
        scored, share_of, qualities, prices = (first, second), share, together, priced
    kept_s, escalated_s = _times(predictions.times, *scored, judge_s)
    of_quality, of_cost = objective.static_terms(qualities, prices, allowed)
    latency = objective.latency_of_two(kept_s, escalated_s, share_of, allowed)
    scores = total((of_quality, latency, of_cost), allowed)[singles:]
    for term in breakdown.terms[3:]:
        scores = scores + term.points[first]
    best = int(scores.argmax())
    i, j = first.item(best), second.item(best)
    escalated = share.item(best)
    e2e_s = predictions.times.e2e_s
    return Compound(
        i,
        j,
        scores.item(best),
        escalated,
        together.item(best),
        usd.item(i) + verdict_usd.item(best) + escalated * usd.item(j),
        e2e_s.item(i) + rule.judge_s + escalated * e2e_s.item(j),
    )


def _pairs(breakdown: ScoreBreakdown, models: IntArray) -> tuple[IntArray, IntArray]:
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


def _times(
    times: LatencyForecast, first: IntArray, second: IntArray, judge_s: FloatArray
) -> tuple[LatencyForecast, LatencyForecast]:
    """The times of the pairs where the first answer is kept, and where the second model answers as well."""

    def forecast(e2e_s: FloatArray, burden_s: FloatArray, failures_s: FloatArray | None) -> LatencyForecast:
        return LatencyForecast(times.wait_s[first], e2e_s, times.tpot_s[first], e2e_s, burden_s, failures_s)

    burden_s = np.broadcast_to(times.burden_s, times.e2e_s.shape)
    failing, alone_s = times.failures_s, times.e2e_s[first] + judge_s
    return (
        forecast(alone_s, burden_s[first], None if failing is None else failing[first]),
        forecast(
            alone_s + times.e2e_s[second],
            burden_s[first] + burden_s[second],
            None if failing is None else failing[first] + failing[second],
        ),
    )


def _kept(
    rule: CascadeRule,
    first: IntArray,
    second: IntArray,
    verdict_usd: FloatArray,
    predictions: Predictions,
    limits: Limits,
    latency_errors: LatencyErrors | None,
    proxy_s: float,
) -> BoolArray:
    """(K,) whether both stages with the judge between them keep the limits on quality, cost and time."""
    usd, quality = predictions.cost_usd, predictions.quality
    most_usd = usd[first] + verdict_usd + usd[second]
    kept = limits.allows(most_usd, rule.quality(quality[first], quality[second]))
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
