"""Best of n as candidates of one request: few deployments, each at few n, scored beside single answers.

Of each model its best deployment that can be asked for several answers stands for it; the MODELS models of
the best score count. None is asked for more answers than it runs at once: some servers refuse that. A
candidate is one where the deployment by itself keeps every limit of the request, and where all its answers
and the judge, one after the other, keep those on time and cost: the longest expected answer n times, not the
mean.
"""

from __future__ import annotations

import numpy as np

from rb_litellm.core.best_of.candidate import Samples
from rb_litellm.core.best_of.figures import SampleFigures, SampleSetting
from rb_litellm.core.best_of.rule import BestOfRule
from rb_litellm.core.decision.breakdown import ScoreBreakdown
from rb_litellm.core.decision.scoring import Objective, total
from rb_litellm.core.latency.forecast import LatencyForecast
from rb_litellm.core.limits.filters import Limits
from rb_litellm.core.limits.slo import LatencyErrors
from rb_litellm.core.types import BoolArray, FloatArray, IntArray


def best_samples(
    rule: BestOfRule,
    objective: Objective,
    breakdown: ScoreBreakdown,
    setting: SampleSetting,
    priced_usd: FloatArray,
    limits: Limits | None = None,
    latency_errors: LatencyErrors | None = None,
    proxy_s: float = 0.0,
) -> Samples | None:
    """The deployment and n of the best score; None where there is none that keeps the limits.

    `priced_usd` (N,) is what one answer of each costs with what is lost by failing.
    """
    its = setting.figures(rule, breakdown)
    if its is None:
        return None
    predictions, rows = breakdown.predictions, its.rows
    failing = predictions.times.failures_s
    whole = LatencyForecast(
        its.wait_s,
        its.ttft_s,
        its.tpot_s,
        its.e2e_s + rule.judge_s,
        its.burden_s,
        None if failing is None else failing[rows],
    )
    scores = _scores(
        objective, breakdown, its.quality, priced_usd, rows, its.further_usd + its.verdict_usd, whole
    )
    if limits is not None:
        most_usd = _most_usd(its, breakdown, setting.output_usd)
        kept = _kept(limits, its.quality, most_usd, whole, rows, latency_errors, proxy_s)
        scores = np.where(kept, scores, -np.inf)
    best = int(scores.argmax())
    if not np.isfinite(scores[best]):
        return None
    row = rows.item(best)
    call = predictions.at(row)
    call = call._replace(
        wait_s=its.wait_s.item(best),
        ttft_s=its.ttft_s.item(best),
        tpot_s=its.tpot_s.item(best),
        e2e_s=its.e2e_s.item(best),
        cost_usd=call.cost_usd + its.further_usd.item(best),
    )
    return Samples(
        row,
        its.n.item(best),
        scores.item(best),
        call.quality,
        its.any_right.item(best),
        call,
        its.quality.item(best),
        call.cost_usd + its.verdict_usd.item(best),
        whole.e2e_s.item(best),
    )


def _most_usd(its: SampleFigures, breakdown: ScoreBreakdown, output_usd: FloatArray) -> FloatArray:
    """(K,) what all answers and the judge cost where each answer is as long as the longest."""
    predictions, rows = breakdown.predictions, its.rows
    more_tokens = its.n * its.longest - predictions.output_tokens[rows]
    most_usd: FloatArray = predictions.cost_usd[rows] + more_tokens * output_usd[rows] + its.verdict_usd
    return most_usd


def _scores(
    objective: Objective,
    breakdown: ScoreBreakdown,
    quality: FloatArray,
    priced_usd: FloatArray,
    rows: IntArray,
    further_usd: FloatArray,
    times: LatencyForecast,
) -> FloatArray:
    """(K,) on the same scale as those of single answers."""
    usd, allowed, singles = priced_usd[rows] + further_usd, np.ones(rows.size, dtype=np.bool_), 0
    if objective.relative:
        # Their scores depend on who is compared.
        singles, alone = breakdown.scores.size, breakdown.predictions.times
        quality = np.concatenate([breakdown.predictions.quality, quality])
        usd = np.concatenate([priced_usd, usd])
        allowed = np.concatenate([breakdown.allowed, allowed])
        priced_s = np.concatenate([alone.priced_s, times.priced_s])
        times = LatencyForecast(priced_s, priced_s, priced_s, priced_s)
    of_quality, of_cost = objective.static_terms(quality, usd, allowed)
    scores = total((of_quality, objective.latency(times, allowed), of_cost), allowed)[singles:]
    for term in breakdown.terms[3:]:
        scores = scores + term.points[rows]
    return scores


def _kept(
    limits: Limits,
    quality: FloatArray,
    most_usd: FloatArray,
    times: LatencyForecast,
    rows: IntArray,
    latency_errors: LatencyErrors | None,
    proxy_s: float,
) -> BoolArray:
    """(K,) whether all answers with the judge's verdict keep the limits on quality, cost and time."""
    kept, slo = limits.allows(most_usd, quality), limits.slo
    if slo is None:
        return kept
    kinds, limits_s = slo.latencies
    if kinds and latency_errors is not None:
        seen = times.as_seen(proxy_s)
        for kind, longest in zip(kinds, latency_errors.longest(kinds, limits_s, slo.theta), strict=True):
            # No token is seen before all answers are there and judged.
            kept &= (seen.tpot_s if kind == "tpot" else seen.e2e_s) <= longest[rows]
    return kept
