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
from rb_litellm.core.best_of.rule import BestOfRule, any_right
from rb_litellm.core.decision.breakdown import ScoreBreakdown
from rb_litellm.core.decision.scoring import Objective, total
from rb_litellm.core.latency.forecast import LatencyCoefficients, LatencyForecast, load_part, times_of
from rb_litellm.core.limits.filters import Limits
from rb_litellm.core.limits.slo import LatencyErrors
from rb_litellm.core.types import BoolArray, FloatArray, InstanceState, IntArray

MODELS = 4
"""Models that may be asked for several answers."""


def best_samples(
    rule: BestOfRule,
    objective: Objective,
    breakdown: ScoreBreakdown,
    models: IntArray,
    takes_n: BoolArray,
    coefficients: LatencyCoefficients,
    state: InstanceState,
    input_tokens: float,
    prefill_tokens: FloatArray,
    output_usd: FloatArray,
    priced_usd: FloatArray,
    slowdown: FloatArray | None = None,
    limits: Limits | None = None,
    latency_errors: LatencyErrors | None = None,
    proxy_s: float = 0.0,
) -> Samples | None:
    """The deployment and n of the best score; None where there is none that keeps the limits.

    `models` (N,) numbers the model of each deployment, `takes_n` (N,) says who can be asked for several
    answers, `priced_usd` (N,) is what one answer of each costs with what is lost by failing.
    """
    predictions = breakdown.predictions
    rows, n = _offered(rule, breakdown, models, takes_n, coefficients.slots)
    if not rows.size:
        return None
    one, tokens = predictions.quality[rows], predictions.output_tokens[rows]
    longest = rule.longest(tokens, n)
    verdict_usd = rule.verdict_usd(input_tokens, tokens, n)
    further_usd = (n - 1) * tokens * output_usd[rows]
    its = coefficients.take(rows)
    if slowdown is not None:
        its = its.slowed(slowdown[rows])
    times = _times(breakdown, its, state.take(rows), rows, n, tokens, longest, prefill_tokens[rows])
    whole = LatencyForecast(
        times.wait_s, times.ttft_s, times.tpot_s, times.e2e_s + rule.judge_s, times.burden_s, times.failures_s
    )
    quality = rule.quality(one, n)
    scores = _scores(objective, breakdown, quality, priced_usd, rows, further_usd + verdict_usd, whole)
    usd = predictions.cost_usd[rows]
    if limits is not None:
        most_usd = usd + (n * longest - tokens) * output_usd[rows] + verdict_usd
        kept = _kept(limits, quality, most_usd, whole, rows, latency_errors, proxy_s)
        scores = np.where(kept, scores, -np.inf)
    best = int(scores.argmax())
    if not np.isfinite(scores[best]):
        return None
    call = predictions.at(rows.item(best))._replace(
        wait_s=times.wait_s.item(best),
        ttft_s=times.ttft_s.item(best),
        tpot_s=times.tpot_s.item(best),
        e2e_s=times.e2e_s.item(best),
        cost_usd=usd.item(best) + further_usd.item(best),
    )
    return Samples(
        rows.item(best),
        n.item(best),
        scores.item(best),
        one.item(best),
        any_right(one[best : best + 1], n[best : best + 1], rule.correlation).item(),
        call,
        quality.item(best),
        call.cost_usd + verdict_usd.item(best),
        whole.e2e_s.item(best),
    )


def _offered(
    rule: BestOfRule, breakdown: ScoreBreakdown, models: IntArray, takes_n: BoolArray, slots: FloatArray
) -> tuple[IntArray, IntArray]:
    """(K,) rows of the deployments, and how many answers of each."""
    ranked: list[int] = (-breakdown.scores).argsort(kind="stable").tolist()
    model_of, takes = models.tolist(), takes_n.tolist()
    best: dict[int, int] = {}
    for row in ranked[: int(np.count_nonzero(breakdown.allowed))]:
        if takes[row]:
            best.setdefault(model_of[row], row)
            if len(best) == MODELS:
                break
    pairs = [(row, n) for row in best.values() for n in rule.choices if n <= slots.item(row)]
    rows, counts = zip(*pairs, strict=True) if pairs else ((), ())
    return np.array(rows, dtype=np.int64), np.array(counts, dtype=np.int64)


def _times(
    breakdown: ScoreBreakdown,
    coefficients: LatencyCoefficients,
    state: InstanceState,
    rows: IntArray,
    n: IntArray,
    tokens: FloatArray,
    longest: FloatArray,
    prefill_tokens: FloatArray,
) -> LatencyForecast:
    """(K,) the times of the last of n answers, which are computed from one prefill and run side by side."""
    c = coefficients
    beside = (
        state.in_flight + (n - 1),
        state.pending_prefill_tokens,
        state.pending_decode_tokens + (n - 1) * tokens,
    )
    parts = load_part(c.per_load, beside, np.minimum, np.maximum)
    wait_s, ttft_s, tpot_s, e2e_s, _ = times_of(
        np.stack((*parts, c.prefill_s_per_token)), prefill_tokens, longest
    )
    # Its siblings are no others whom it slows down; each slows the others down as one answer does.
    running = np.minimum(state.in_flight, c.slots)
    growth = c.tpot_s_per_running * (1.0 - c.prefill_share)
    decoding_s = growth * np.minimum(running * tokens, state.pending_decode_tokens)
    one = breakdown.predictions.times
    burden_s = np.broadcast_to(one.burden_s, one.e2e_s.shape)[rows] + (n - 1) * decoding_s
    failing = one.failures_s
    return LatencyForecast(
        wait_s, ttft_s, tpot_s, e2e_s, burden_s, None if failing is None else failing[rows]
    )


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
