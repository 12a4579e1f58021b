"""Assign a batch of requests to deployments: greedy list scheduling, longest expected answer first.

The order is that of longest-processing-time-first scheduling (LPT; Graham, Bounds on Multiprocessing Timing
Anomalies, 1969): a misplaced long answer costs most, so it is placed while the choice is still free. Each
request is scored against the load that includes those placed before it, as in RouteBalance
(https://arxiv.org/abs/2606.17949). Otherwise all requests of a batch would go to the one deployment that
looked best to each of them (herding).
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import numpy as np

from rb_litellm.core.cascade.candidate import Compound
from rb_litellm.core.cascade.pairs import best_compound
from rb_litellm.core.compiled.forecaster import batch_forecaster
from rb_litellm.core.decision.batch import BatchRequest, Fleet, PrescoredRequest, longest_first, prescore
from rb_litellm.core.decision.best import TIE, best_row
from rb_litellm.core.decision.breakdown import (
    Decision,
    FilterResult,
    Predictions,
    Refusal,
    ScoreBreakdown,
    ScoreTerm,
    all_of,
)
from rb_litellm.core.decision.sampling import CandidateSampling
from rb_litellm.core.decision.shares import Shares, choose
from rb_litellm.core.decision.trying import explore, hopeful, recovers, to_inform
from rb_litellm.core.latency.forecast import BatchForecaster
from rb_litellm.core.limits.capacity import Room
from rb_litellm.core.limits.filters import Filtered, apply
from rb_litellm.core.types import BoolArray, FloatArray, InstanceState, IntArray

_EQUAL = 0.05
"""Difference of log E2E with which the odds of an equal fall by a factor of e."""


def assign(
    requests: Sequence[BatchRequest], fleet: Fleet, now: float, random: Random
) -> list[Decision | Refusal]:
    """Choose a deployment for each request, or refuse it by its own limits; in the order of `requests`.

    Ties in the score go to the shortest queue, then to the least recently chosen deployment, then to
    `random`. `fleet.state` and `fleet.last_chosen_s` are updated with what was assigned.

    Raises:
        ValueError: a request allows no deployment at all.
    """
    prescored = prescore(requests, fleet.prices)
    forecaster = batch_forecaster(fleet.coefficients, fleet.state, fleet.slowdown)
    decisions: dict[int, Decision | Refusal] = {}
    for position in longest_first(requests):
        decisions[position] = _place(prescored[position], fleet, forecaster, now, random)
    return [decisions[position] for position in range(len(requests))]


def _place(
    prescored: PrescoredRequest, fleet: Fleet, forecaster: BatchForecaster, now: float, random: Random
) -> Decision | Refusal:
    request = prescored.request
    prefill_tokens = _prefill_tokens(request, fleet)
    predictions = _predict(prescored, forecaster, prefill_tokens)
    if (failing := fleet.prices.failing) is not None:
        predictions.times.failures_s = failing.seconds(request.allowed, request.retries)
    filtered = _filter(prescored, fleet, predictions, prefill_tokens)
    allowed = filtered.allowed
    if fleet.room is not None:
        allowed = _with_room(fleet.room, request, filtered)
    quality, cost, points = prescored.quality, prescored.cost, prescored.points
    compared = request.allowed
    if filtered.failed and request.objective.relative and np.count_nonzero(allowed):
        # Relative to those that the filters left: one that this request cannot use must not scale the others.
        compared = allowed
        quality, cost = request.objective.static_terms(request.quality, prescored.priced_usd, compared)
        points = quality.points + cost.points
    latency = request.objective.latency(predictions.times, compared)
    scores = points + latency.points
    further = _further_terms(request, filtered)
    for term in further:
        scores += term.points
    if not all_of(allowed):
        scores = np.where(allowed, scores, -np.inf)
    terms = (quality, latency, cost, *further)
    breakdown = ScoreBreakdown(
        predictions,
        request.allowed,
        allowed,
        terms,
        scores,
        filtered.compute_filter_results,
        filtered.relaxed,
    )
    breakdown.failed = filtered.failed
    if request.limits is not None:
        breakdown.limits = request.limits.by_name()
    informing = None
    if filtered.refused is not None:
        retry_after_s = filtered.retry_after_s
        if filtered.refused == "slo" and fleet.trials is not None and recovers(request):
            hoped = hopeful(request, fleet.trials, breakdown, now)
            informing = to_inform(fleet.trials, *hoped, now)
            if informing is None and retry_after_s is None:
                retry_after_s = fleet.trials.next_s(hoped[0], now)
        if informing is None:
            return Refusal(filtered.refused, breakdown, filtered.needed, retry_after_s)
    explored = informing
    if explored is None:
        explored = explore(prescored, fleet, breakdown, allowed, now, random)
    cascade = None
    if explored is not None:
        chosen = explored
    else:
        chosen = best_row(scores, fleet.state.in_flight, fleet.last_chosen_s, random)
        cascade = _cascade(prescored, fleet, breakdown, filtered)
        if cascade is not None and cascade.score > scores.item(chosen) + TIE:
            chosen = cascade.first
        else:
            cascade = None
        shared = (
            None
            if request.shares is None
            else _share(chosen, request.shares, breakdown, prefill_tokens, fleet, random)
        )
        if shared is not None:
            chosen = shared
        elif fleet.twins is not None and fleet.twins[chosen] >= 0:
            chosen = _shared(chosen, fleet.twins, breakdown, fleet.state.in_flight, random)
        elif fleet.sampling is not None:
            chosen = _best_of_sample(chosen, fleet.sampling, breakdown, prefill_tokens, fleet, random)
    affordable = filtered.affordable_tokens
    decision = Decision(
        index=chosen,
        score=scores.item(chosen),
        prediction=predictions.at(chosen),
        candidates=int(np.count_nonzero(request.allowed)),
        in_flight=fleet.state.in_flight.item(chosen),
        pending_prefill_tokens=fleet.state.pending_prefill_tokens.item(chosen),
        prefill_tokens=prefill_tokens.item(chosen),
        seen_tokens=_seen_tokens(request, chosen),
        saved_tokens=request.input_tokens - prefill_tokens.item(chosen),
        breakdown=breakdown,
        explored=explored is not None,
        affordable_tokens=None if affordable is None else affordable.item(chosen),
        cascade=cascade,
    )
    together = [chosen]
    if fleet.servers is not None:
        together = np.flatnonzero(fleet.servers == fleet.servers[chosen]).tolist()
    for row in together:
        forecaster.join(row, decision.prefill_tokens, decision.prediction.output_tokens)
    its = chosen if fleet.levels is None else fleet.levels == fleet.levels[chosen]
    fleet.last_chosen_s[its] = now
    if fleet.room is not None:
        fleet.room.take(its, request.input_tokens + decision.prediction.output_tokens)
    return decision


def _cascade(
    prescored: PrescoredRequest, fleet: Fleet, breakdown: ScoreBreakdown, filtered: Filtered
) -> Compound | None:
    """The best that two models can do one after the other, where the request may have that.

    Where limits had to be loosened, or misses are priced, one answer is late enough.
    """
    request = prescored.request
    if request.cascade is None or filtered.relaxed or filtered.penalty is not None:
        return None
    if fleet.models is None:
        raise ValueError("a request may cascade, and the fleet has no models to tell stages apart by")
    return best_compound(
        request.cascade,
        request.objective,
        breakdown,
        fleet.models,
        request.input_tokens,
        prescored.priced_usd,
        request.limits,
        fleet.latency_errors,
        request.proxy_s,
    )


def _further_terms(request: BatchRequest, filtered: Filtered) -> list[ScoreTerm]:
    """Score terms beside those of the objective; most requests have none."""
    further = [] if filtered.penalty is None else [filtered.penalty]
    if request.cached_prefix is not None and request.cached_prefix.model_switch is not None:
        further.append(
            ScoreTerm("switch", -request.cached_prefix.rule.switch_cost, request.cached_prefix.model_switch)
        )
    return further


def _shared(
    best: int, twins: IntArray, breakdown: ScoreBreakdown, in_flight: FloatArray, random: Random
) -> int:
    """One of the hosted deployments of `best`'s model, the likelier the nearer it comes to it.

    A hosted API shows no load until it refuses, so the quickest of equals would get everything. The odds of
    one that is slower fall by e with each twentieth, and with what it has to do.
    """
    p = breakdown.predictions
    alike = breakdown.allowed & (twins == twins[best])
    alike &= (p.quality == p.quality[best]) & (p.cost_usd == p.cost_usd[best])
    (rows,) = alike.nonzero()
    if rows.size < 2:
        return best
    expected_s = p.times.as_seen().e2e_s
    slower = np.log(expected_s[rows] / expected_s[best])
    odds = np.exp(-np.maximum(slower, 0.0) / _EQUAL) / np.square(1.0 + in_flight[rows])
    drawn = int(np.searchsorted(odds.cumsum(), random.random() * odds.sum()))
    # Among those that are as quick, the shortest queue has been found already.
    return best if slower[drawn] <= TIE else int(rows[drawn])


def _prefill_tokens(request: BatchRequest, fleet: Fleet) -> FloatArray:
    if request.cached_prefix is None:
        return np.full(request.allowed.size, request.input_tokens)
    return request.cached_prefix.tokens_to_prefill(
        request.input_tokens, fleet.coefficients.prefill_s_per_token, fleet.state.in_flight, request.allowed
    )


def _seen_tokens(request: BatchRequest, row: int) -> float:
    if request.cached_prefix is None or request.cached_prefix.seen_tokens is None:
        return 0.0
    return min(request.cached_prefix.seen_tokens.item(row), request.input_tokens)


def _predict(
    prescored: PrescoredRequest, forecaster: BatchForecaster, prefill_tokens: FloatArray
) -> Predictions:
    request = prescored.request
    times = forecaster.forecast(prefill_tokens, request.output_tokens)
    return Predictions(request.quality, request.output_tokens, times, prescored.cost_usd)


def _filter(
    prescored: PrescoredRequest, fleet: Fleet, predictions: Predictions, prefill_tokens: FloatArray
) -> Filtered:
    request = prescored.request
    if request.limits is None:
        return Filtered(request.allowed)
    if fleet.latency_errors is None:
        raise ValueError("a request has limits, but the fleet has no latency_errors to check them with")

    failures_s = predictions.times.failures_s

    def idle() -> Predictions:
        nothing = InstanceState.idle(request.allowed.size)
        forecaster = batch_forecaster(fleet.coefficients, nothing, fleet.slowdown)
        found = _predict(prescored, forecaster, prefill_tokens)
        found.times.failures_s = failures_s
        return found.as_seen(request.proxy_s)

    return apply(
        request.limits,
        predictions.as_seen(request.proxy_s),
        idle,
        request.allowed,
        prescored.payable,
        fleet.latency_errors,
        prescored.static_limits_met,
    )


def _with_room(room: Room, request: BatchRequest, filtered: Filtered) -> BoolArray:
    """The candidates that the filters left and that have room, while some have; the others are told of."""
    tokens = request.output_tokens + request.input_tokens
    allowed = filtered.allowed
    left = room.left(allowed, tokens)
    if left is not allowed and np.count_nonzero(left) < np.count_nonzero(allowed):
        # Worked out now: whoever asks finds the room changed.
        used, before = room.used(tokens), filtered.compute_filter_results
        passed = left | ~allowed
        filtered.compute_filter_results = lambda: (
            *before(),
            FilterResult("capacity", passed, 1.0, lambda: used),
        )
        filtered.failed = True
    return left


def _alike(best: int, breakdown: ScoreBreakdown, prefill_tokens: FloatArray) -> BoolArray:
    """(N,) the allowed candidates that differ from `best` by no more than load makes them."""
    quality, cost = breakdown.predictions.quality, breakdown.predictions.cost_usd
    alike: BoolArray = breakdown.allowed.copy()
    # Where a prompt is probably cached, or something costs less, is a difference that load does not make.
    for figure in (quality, cost, prefill_tokens):
        alike &= figure == figure[best]
    return alike


def _share(
    best: int,
    shares: Shares,
    breakdown: ScoreBreakdown,
    prefill_tokens: FloatArray,
    fleet: Fleet,
    random: Random,
) -> int | None:
    if fleet.credit is None:
        raise ValueError("a request has shares, and the fleet no credit to keep them by")
    alike = _alike(best, breakdown, prefill_tokens)
    return choose(best, shares, fleet.credit, alike, breakdown.predictions.times.as_seen().e2e_s, random)


def _best_of_sample(
    best: int,
    sampling: CandidateSampling,
    breakdown: ScoreBreakdown,
    prefill_tokens: FloatArray,
    fleet: Fleet,
    random: Random,
) -> int:
    """The best of a sample of the candidates that differ from `best` by their load alone."""
    alike = _alike(best, breakdown, prefill_tokens) & (sampling.tiers == sampling.tiers[best])
    left_out = sampling.left_out(alike, random)
    if not left_out.size:
        return best
    scores = np.where(alike, breakdown.scores, -np.inf)
    scores[left_out] = -np.inf
    return best_row(scores, fleet.state.in_flight, fleet.last_chosen_s, random)
