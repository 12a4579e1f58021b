"""One request of which more is to be known than quality, cost and time: limits, room, what is cached of it.

Those that explore are placed here, too, and all whose score compares the candidates with each other.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np

from rb_litellm.core.best_of.candidate import Samples
from rb_litellm.core.best_of.figures import SampleSetting
from rb_litellm.core.best_of.samples import best_samples
from rb_litellm.core.cascade.candidate import Compound
from rb_litellm.core.cascade.pairs import best_compound
from rb_litellm.core.compiled.forecaster import batch_forecaster
from rb_litellm.core.decision.alike import instead
from rb_litellm.core.decision.batch import BatchRequest, Fleet, PrescoredRequest
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
from rb_litellm.core.decision.exploring.trying import explore, hopeful, recovers, to_inform
from rb_litellm.core.decision.horizon import Horizon
from rb_litellm.core.latency.forecast import BatchForecaster, LatencyForecast
from rb_litellm.core.limits.capacity import Room
from rb_litellm.core.limits.filters import Filtered, apply
from rb_litellm.core.types import NOTHING_SENT, BoolArray, FloatArray, InstanceState, SentBefore


def place(
    prescored: PrescoredRequest,
    fleet: Fleet,
    forecaster: BatchForecaster,
    has_room: bool,
    looks: bool | None,
    now: float,
    random: Random,
) -> Decision | Refusal:
    """The choice for a request, or why there is none; `looks` as in `explore`.

    `has_room` says that all its candidates have room, so that none need be looked for.
    """
    request = prescored.request
    prefill_tokens = _prefill_tokens(request, fleet)
    predictions = _predict(prescored, forecaster, prefill_tokens)
    if (failing := fleet.prices.failing) is not None:
        predictions.times.failures_s = failing.seconds(request.allowed, request.retries)
    filtered = _filter(prescored, fleet, predictions, prefill_tokens)
    allowed = filtered.allowed
    if fleet.room is not None and not (has_room or fleet.room.suffices(1, _tokens(request))):
        allowed = _with_room(fleet.room, request, filtered)
    quality, cost, points = prescored.quality, prescored.cost, prescored.points
    compared = request.allowed
    if filtered.failed and request.objective.relative and np.count_nonzero(allowed):
        # Relative to those that the filters left: one that this request cannot use must not scale the others.
        compared = allowed
        quality, cost = request.objective.static_terms(request.quality, prescored.priced_usd, compared)
        points = quality.points + cost.points
    times = predictions.times
    if request.horizon is not None:
        times = request.horizon.priced(times, _later(request, request.horizon, fleet))
    latency = request.objective.latency(times, compared)
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
        explored = explore(prescored, fleet, breakdown, allowed, looks, now, random)
    cascade = best_of = None
    if explored is not None:
        chosen = explored
    else:
        chosen = best_row(scores, fleet.state.in_flight, fleet.last_chosen_s, random)
        least = scores.item(chosen) + TIE
        cascade = _cascade(prescored, fleet, breakdown, filtered)
        if cascade is not None and cascade.score > least:
            chosen, least = cascade.first, cascade.score
        else:
            cascade = None
        best_of = _best_of(prescored, fleet, forecaster, breakdown, filtered, prefill_tokens)
        if best_of is not None and best_of.score > least:
            chosen, cascade = best_of.row, None
        else:
            best_of = None
        others = breakdown if best_of is None else _giving(best_of.n, breakdown, fleet)
        chosen = instead(chosen, request, others, prefill_tokens, fleet, random)
    affordable = filtered.affordable_tokens
    decision = Decision(
        index=chosen,
        score=scores.item(chosen),
        prediction=predictions.at(chosen) if best_of is None else best_of.call,
        candidates=int(np.count_nonzero(request.allowed)),
        in_flight=fleet.state.in_flight.item(chosen),
        pending_prefill_tokens=fleet.state.pending_prefill_tokens.item(chosen),
        prefill_tokens=prefill_tokens.item(chosen),
        sent_before=_sent_before(request, chosen),
        saved_tokens=request.input_tokens - prefill_tokens.item(chosen),
        join_steps=fleet.coefficients.join_steps.item(chosen),
        compute_breakdown=lambda: breakdown,
        explored=explored is not None,
        affordable_tokens=None if affordable is None else affordable.item(chosen),
        cascade=cascade,
        best_of=best_of,
    )
    output_tokens, answers = decision.prediction.output_tokens, decision.answers
    for row in fleet.together(chosen):
        forecaster.join(row, decision.prefill_tokens, output_tokens)
        for _ in range(answers - 1):
            forecaster.join(row, 0.0, output_tokens)
    its = fleet.levels_of(chosen)
    fleet.last_chosen_s[its] = now
    if fleet.room is not None:
        fleet.room.take(its, request.input_tokens + answers * output_tokens)
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


def _best_of(
    prescored: PrescoredRequest,
    fleet: Fleet,
    forecaster: BatchForecaster,
    breakdown: ScoreBreakdown,
    filtered: Filtered,
    prefill_tokens: FloatArray,
) -> Samples | None:
    """The best that one model can do in several answers, where the request may have that; as with cascades,
    none where limits had to be loosened."""
    request = prescored.request
    if request.best_of is None or filtered.relaxed or filtered.penalty is not None:
        return None
    if fleet.models is None or fleet.takes_n is None:
        raise ValueError("a request may have several answers, and nobody says which deployments give them")
    return best_samples(
        request.best_of,
        request.objective,
        breakdown,
        SampleSetting(
            fleet.models,
            fleet.takes_n,
            forecaster.coefficients,
            fleet.state,
            request.input_tokens,
            prefill_tokens,
            fleet.prices.output_usd,
        ),
        prescored.priced_usd,
        request.limits,
        fleet.latency_errors,
        request.proxy_s,
    )


def _giving(answers: int, breakdown: ScoreBreakdown, fleet: Fleet) -> ScoreBreakdown:
    """With those alone allowed that can be asked for so many answers."""
    gives = breakdown.allowed & (fleet.coefficients.slots >= answers)
    return replace(breakdown, allowed=gives if fleet.takes_n is None else gives & fleet.takes_n)


def _further_terms(request: BatchRequest, filtered: Filtered) -> list[ScoreTerm]:
    """Score terms beside those of the objective; most requests have none."""
    further = [] if filtered.penalty is None else [filtered.penalty]
    if request.cached_prefix is not None and request.cached_prefix.model_switch is not None:
        further.append(
            ScoreTerm("switch", -request.cached_prefix.rule.switch_cost, request.cached_prefix.model_switch)
        )
    return further


def _prefill_tokens(request: BatchRequest, fleet: Fleet) -> FloatArray:
    if request.cached_prefix is None:
        return np.full(request.allowed.size, request.input_tokens)
    return request.cached_prefix.tokens_to_prefill(
        request.input_tokens, fleet.coefficients.prefill_s_per_token, fleet.state.in_flight, request.allowed
    )


def _later(request: BatchRequest, horizon: Horizon, fleet: Fleet) -> LatencyForecast:
    """What the following calls of a loop will take."""
    forecaster = batch_forecaster(fleet.coefficients.at_any_moment(), horizon.load, fleet.slowdown)
    new_tokens = np.maximum(request.input_tokens - horizon.cached_tokens, 1.0)
    return forecaster.forecast(new_tokens, request.output_tokens)


def _sent_before(request: BatchRequest, row: int) -> SentBefore:
    prefix = request.cached_prefix
    if prefix is None or prefix.seen_tokens is None or prefix.seen_s is None:
        return NOTHING_SENT
    return SentBefore(min(prefix.seen_tokens.item(row), request.input_tokens), prefix.seen_s.item(row))


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


def _tokens(request: BatchRequest) -> FloatArray:
    """(N,) of prompt and answer together."""
    return request.output_tokens + request.input_tokens


def _with_room(room: Room, request: BatchRequest, filtered: Filtered) -> BoolArray:
    """The candidates that the filters left and that have room, while some have; the others are told of."""
    tokens = _tokens(request)
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
