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

from rb_litellm.core.affinity import Held
from rb_litellm.core.ballot import Ballot, Decision, Predictions, Refusal, Term, all_of
from rb_litellm.core.crowd import Crowd
from rb_litellm.core.exploration import ExplorationRule, drawn_latency, explores, longest_ago
from rb_litellm.core.filters import Filtered, Limits, apply
from rb_litellm.core.latency import LatencyCoefficients, forecast
from rb_litellm.core.scoring import BALANCED, Objective, total
from rb_litellm.core.slo import Odds
from rb_litellm.core.types import BoolArray, FloatArray, InstanceState, IntArray

_TIE = 1e-9


@dataclass(slots=True)
class Bid:
    """One request of a batch with what is predicted for it on each of N deployments."""

    input_tokens: float
    quality: FloatArray
    """(N,) in [0, 1]."""
    output_tokens: FloatArray
    """(N,) expected."""
    allowed: BoolArray
    """(N,) deployments that may serve it; at least one."""
    objective: Objective = BALANCED
    limits: Limits | None = None
    """Service levels, budget, admission; None costs nothing."""
    held: Held | None = None
    """What is probably cached of its prompt, where affinity is on."""
    exploration: ExplorationRule | None = None
    """How it may be sent where little is known; None for never."""


@dataclass(slots=True)
class Fleet:
    """The N deployments a batch is assigned to; every array has shape (N,)."""

    coefficients: LatencyCoefficients
    state: InstanceState
    """Changed in place: each assigned request is added before the next is scored."""
    input_usd_per_token: FloatArray
    output_usd_per_token: FloatArray
    last_chosen_s: FloatArray
    """When each was last chosen, on the caller's clock; -inf for never."""
    slowdown: FloatArray | None = None
    price_known: BoolArray | None = None
    """Where False, the prices above are guesses, and a request with a budget does not go there."""
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
    decisions: list[Decision | Refusal | None] = [None] * len(bids)
    for position in longest_first(bids):
        bid = bids[position]
        decisions[position] = _place(bid, fleet, now, random)
    return [decision for decision in decisions if decision is not None]


def longest_first(bids: Sequence[Bid]) -> list[int]:
    """Positions of the bids by falling expected output length (mean over what each may use)."""
    if len(bids) == 1:
        return [0]
    lengths = [
        float((bid.output_tokens if all_of(bid.allowed) else bid.output_tokens[bid.allowed]).mean())
        for bid in bids
    ]
    return sorted(range(len(bids)), key=lambda i: -lengths[i])


def _place(bid: Bid, fleet: Fleet, now: float, random: Random) -> Decision | Refusal:
    prefill_tokens = _prefill_tokens(bid, fleet)
    predictions = _predict(bid, fleet, fleet.state, prefill_tokens)
    if bid.limits is None:
        filtered, allowed = _UNFILTERED, bid.allowed
    else:
        filtered = _filter(bid, bid.limits, fleet, predictions, prefill_tokens)
        allowed = filtered.allowed
    # Scaled by all candidates offered: a filter that leaves the best one in changes nothing.
    terms = bid.objective.terms(predictions, bid.allowed)
    if filtered.penalty is not None:
        terms = (*terms, filtered.penalty)
    if bid.held is not None and bid.held.switches is not None:
        terms = (*terms, Term("switch", -bid.held.rule.switch_cost, bid.held.switches))
    scores = total(terms, allowed)
    ballot = Ballot(predictions, bid.allowed, allowed, terms, scores, filtered.verdicts, filtered.relaxed)
    if filtered.refused is not None:
        return Refusal(filtered.refused, ballot, filtered.needed, filtered.retry_after_s)
    explored = _explore(bid, fleet, predictions, allowed, now, random)
    if explored is not None:
        chosen = explored
    else:
        chosen = _best(scores, fleet, random)
        if fleet.crowd is not None:
            chosen = _apart(chosen, fleet.crowd, ballot, prefill_tokens, fleet, random)
    affordable = filtered.affordable_tokens
    decision = Decision(
        index=chosen,
        score=float(scores[chosen]),
        prediction=predictions.at(chosen),
        candidates=int(np.count_nonzero(bid.allowed)),
        in_flight=float(fleet.state.in_flight[chosen]),
        pending_prefill_tokens=float(fleet.state.pending_prefill_tokens[chosen]),
        prefill_tokens=float(prefill_tokens[chosen]),
        ballot=ballot,
        explored=explored is not None,
        affordable_tokens=None if affordable is None else float(affordable[chosen]),
    )
    fleet.state.in_flight[chosen] += 1.0
    fleet.state.pending_prefill_tokens[chosen] += prefill_tokens[chosen]
    fleet.state.pending_decode_tokens[chosen] += bid.output_tokens[chosen]
    fleet.last_chosen_s[chosen] = now
    return decision


_UNFILTERED = Filtered(np.zeros(0, dtype=np.bool_))


def _explore(
    bid: Bid, fleet: Fleet, predictions: Predictions, allowed: BoolArray, now: float, random: Random
) -> int | None:
    """Where to look, for a request that is one of the share that looks; never one with a strict SLO."""
    rule = bid.exploration
    if rule is None or not explores(rule, random):
        return None
    if bid.limits is not None and bid.limits.slo is not None and bid.limits.slo.mode == "strict":
        return None
    if rule.method == "epsilon" or fleet.measured is None:
        return longest_ago(fleet.last_chosen_s, allowed)
    times = predictions.times
    drawn = drawn_latency(times.e2e_s, fleet.measured, fleet.last_chosen_s, now, random)
    imagined = replace(predictions, times=replace(times, e2e_s=drawn))
    return _best(total(bid.objective.terms(imagined, bid.allowed), allowed), fleet, random)


def _prefill_tokens(bid: Bid, fleet: Fleet) -> FloatArray:
    if bid.held is None:
        return np.full(bid.allowed.size, bid.input_tokens)
    return bid.held.tokens_to_prefill(
        bid.input_tokens, fleet.coefficients.prefill_s_per_token, fleet.state.in_flight, bid.allowed
    )


def _predict(bid: Bid, fleet: Fleet, state: InstanceState, prefill_tokens: FloatArray) -> Predictions:
    return Predictions(
        quality=bid.quality,
        output_tokens=bid.output_tokens,
        times=forecast(fleet.coefficients, state, prefill_tokens, bid.output_tokens, fleet.slowdown),
        cost_usd=bid.input_tokens * fleet.input_usd_per_token
        + bid.output_tokens * fleet.output_usd_per_token,
    )


def _filter(
    bid: Bid, limits: Limits, fleet: Fleet, predictions: Predictions, prefill_tokens: FloatArray
) -> Filtered:
    if fleet.odds is None:
        raise ValueError("a bid has limits, and the fleet no odds to hold them against")
    return apply(
        limits,
        predictions,
        lambda: _predict(bid, fleet, InstanceState.idle(bid.allowed.size), prefill_tokens),
        bid.allowed,
        fleet.input_usd_per_token,
        fleet.output_usd_per_token,
        fleet.price_known,
        fleet.odds,
    )


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
    top = float(scores[scores.argmax()])
    if not isfinite(top):
        raise ValueError("no deployment is allowed for this request, or its predictions are not finite")
    (tied,) = (scores >= top - _TIE).nonzero()
    for key in (fleet.state.in_flight, fleet.last_chosen_s):
        if tied.size == 1:
            break
        values = key[tied]
        tied = tied[values == values.min()]
    return int(tied[0] if tied.size == 1 else tied[random.randrange(tied.size)])
