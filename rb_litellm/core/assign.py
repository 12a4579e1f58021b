"""Assign a batch of requests to deployments, longest expected answer first.

Each request is scored against the load that includes those assigned before it, otherwise
concurrent requests would herd onto the one instance that looked best to all of them. Long answers
go first because a misplaced long answer costs most (longest-processing-time-first scheduling).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isfinite
from random import Random

import numpy as np

from rb_litellm.core.batch import Bid, Lot, Prices, longest_first, lots
from rb_litellm.core.breakdown import Ballot, Decision, Predictions, Refusal, Term, all_of
from rb_litellm.core.exploration import drawn_latency, explores, longest_ago
from rb_litellm.core.filters import Filtered, apply
from rb_litellm.core.latency import Conditions, LatencyCoefficients
from rb_litellm.core.sampling import Crowd
from rb_litellm.core.slo import Odds
from rb_litellm.core.types import BoolArray, FloatArray, InstanceState, IntArray

_TIE = 1e-9


@dataclass(slots=True)
class Fleet:
    """The N deployments a batch is assigned to; every array has shape (N,)."""

    coefficients: LatencyCoefficients
    state: InstanceState
    """Changed in place: each assigned request is added before the next is scored."""
    prices: Prices
    last_chosen_s: FloatArray
    """When each was last chosen, on the caller's clock; -inf for never."""
    slowdown: FloatArray | None = None
    measured: IntArray | None = None
    """Answers whose latency was measured; needed where a bid explores."""
    odds: Odds | None = None
    """Needed where a bid has limits."""
    crowd: Crowd | None = None
    """Who else sends here by old news of the load; None for nobody."""


def assign(bids: Sequence[Bid], fleet: Fleet, now: float, random: Random) -> list[Decision | Refusal]:
    """Choose a deployment for every bid, or refuse it by its own limits; in the order of `bids`.

    Ties in the score go to the shortest queue, then to the least recently chosen, then to `random`.
    `fleet.state` and `fleet.last_chosen_s` are updated with what was assigned.

    Raises:
        ValueError: a bid allows no deployment at all.
    """
    weighed = lots(bids, fleet.prices)
    conditions = Conditions(fleet.coefficients, fleet.state, fleet.slowdown)
    decisions: dict[int, Decision | Refusal] = {}
    for position in longest_first(bids):
        decisions[position] = _place(weighed[position], fleet, conditions, now, random)
    return [decisions[position] for position in range(len(bids))]


def _place(lot: Lot, fleet: Fleet, conditions: Conditions, now: float, random: Random) -> Decision | Refusal:
    bid = lot.bid
    prefill_tokens = _prefill_tokens(bid, fleet)
    predictions = _predict(lot, conditions, prefill_tokens)
    filtered = _filter(lot, fleet, predictions, prefill_tokens)
    allowed = filtered.allowed
    # Scaled by all candidates offered: a filter that leaves the best one in changes nothing.
    latency = bid.objective.latency(predictions.times, bid.allowed)
    scores = lot.points + latency.points
    further = _further_terms(bid, filtered)
    for term in further:
        scores += term.points
    if not all_of(allowed):
        scores = np.where(allowed, scores, -np.inf)
    terms = (lot.quality, latency, lot.cost, *further)
    ballot = Ballot(predictions, bid.allowed, allowed, terms, scores, filtered.judged, filtered.relaxed)
    if bid.limits is not None:
        ballot.limits, ballot.failed = bid.limits.by_name(), filtered.failed
    if filtered.refused is not None:
        return Refusal(filtered.refused, ballot, filtered.needed, filtered.retry_after_s)
    explored = _explore(lot, fleet, predictions, allowed, now, random)
    if explored is not None:
        chosen = explored
    else:
        chosen = _best(scores, fleet, random)
        if fleet.crowd is not None:
            chosen = _apart(chosen, fleet.crowd, ballot, prefill_tokens, fleet, random)
    affordable = filtered.affordable_tokens
    decision = Decision(
        index=chosen,
        score=scores.item(chosen),
        prediction=predictions.at(chosen),
        candidates=int(np.count_nonzero(bid.allowed)),
        in_flight=fleet.state.in_flight.item(chosen),
        pending_prefill_tokens=fleet.state.pending_prefill_tokens.item(chosen),
        prefill_tokens=prefill_tokens.item(chosen),
        ballot=ballot,
        explored=explored is not None,
        affordable_tokens=None if affordable is None else affordable.item(chosen),
    )
    conditions.join(chosen, decision.prefill_tokens, decision.prediction.output_tokens)
    fleet.last_chosen_s[chosen] = now
    return decision


def _further_terms(bid: Bid, filtered: Filtered) -> list[Term]:
    """Terms beside those of the objective: most requests have none."""
    further = [] if filtered.penalty is None else [filtered.penalty]
    if bid.held is not None and bid.held.switches is not None:
        further.append(Term("switch", -bid.held.rule.switch_cost, bid.held.switches))
    return further


def _explore(
    lot: Lot, fleet: Fleet, predictions: Predictions, allowed: BoolArray, now: float, random: Random
) -> int | None:
    """Where to look, for a request that is one of the share that looks; never one with a strict SLO."""
    bid = lot.bid
    rule = bid.exploration
    if rule is None or not explores(rule, random):
        return None
    if bid.limits is not None and bid.limits.slo is not None and bid.limits.slo.mode == "strict":
        return None
    if rule.method == "epsilon" or fleet.measured is None:
        return longest_ago(fleet.last_chosen_s, allowed)
    times = predictions.times
    drawn = drawn_latency(times.e2e_s, fleet.measured, fleet.last_chosen_s, now, random)
    imagined = bid.objective.latency(replace(times, e2e_s=drawn), bid.allowed)
    return _best(np.where(allowed, lot.points + imagined.points, -np.inf), fleet, random)


def _prefill_tokens(bid: Bid, fleet: Fleet) -> FloatArray:
    if bid.held is None:
        return np.full(bid.allowed.size, bid.input_tokens)
    return bid.held.tokens_to_prefill(
        bid.input_tokens, fleet.coefficients.prefill_s_per_token, fleet.state.in_flight, bid.allowed
    )


def _predict(lot: Lot, conditions: Conditions, prefill_tokens: FloatArray) -> Predictions:
    bid = lot.bid
    times = conditions.forecast(prefill_tokens, bid.output_tokens)
    return Predictions(bid.quality, bid.output_tokens, times, lot.cost_usd)


def _filter(lot: Lot, fleet: Fleet, predictions: Predictions, prefill_tokens: FloatArray) -> Filtered:
    bid = lot.bid
    if bid.limits is None:
        return Filtered(bid.allowed)
    if fleet.odds is None:
        raise ValueError("a bid has limits, and the fleet no odds to hold them against")

    def idle() -> Predictions:
        nothing = InstanceState.idle(bid.allowed.size)
        return _predict(lot, Conditions(fleet.coefficients, nothing, fleet.slowdown), prefill_tokens)

    return apply(bid.limits, predictions, idle, bid.allowed, lot.payable, fleet.odds, lot.rest_kept)


def _apart(
    best: int, crowd: Crowd, ballot: Ballot, prefill_tokens: FloatArray, fleet: Fleet, random: Random
) -> int:
    """The best of those of `best`'s kind that this decision looks at."""
    quality, cost = ballot.predictions.quality, ballot.predictions.cost_usd
    alike = ballot.allowed & (crowd.tiers == crowd.tiers[best])
    # Where a prompt is probably cached, or something costs less, is a difference that load does not make.
    for figure in (quality, cost, prefill_tokens):
        alike &= figure == figure[best]
    passed_over = crowd.passed_over(alike, random)
    if not passed_over.size:
        return best
    scores = np.where(alike, ballot.scores, -np.inf)
    scores[passed_over] = -np.inf
    return _best(scores, fleet, random)


def _best(scores: FloatArray, fleet: Fleet, random: Random) -> int:
    best = int(scores.argmax())
    top = scores.item(best)
    if not isfinite(top):
        raise ValueError("no deployment is allowed for this request, or its predictions are not finite")
    (tied,) = (scores >= top - _TIE).nonzero()
    for key in (fleet.state.in_flight, fleet.last_chosen_s):
        if tied.size == 1:
            break
        values = key[tied]
        tied = tied[values == values[values.argmin()]]
    return tied.item(0 if tied.size == 1 else random.randrange(tied.size))
