"""Where a request goes instead of to the best, among those that are as good in all but load.

Shares that an operator has set, hosted deployments that show no load, and other workers that would choose
the same one at the same moment are reasons for it.
"""

from __future__ import annotations

from random import Random

import numpy as np

from rb_litellm.core.decision.batch import BatchRequest, Fleet
from rb_litellm.core.decision.best import TIE, best_row
from rb_litellm.core.decision.breakdown import ScoreBreakdown
from rb_litellm.core.decision.sampling import CandidateSampling
from rb_litellm.core.decision.shares import Shares, choose
from rb_litellm.core.types import BoolArray, FloatArray, IntArray

_EQUAL = 0.05
"""Difference of log E2E with which the odds of an equal fall by a factor of e."""


def instead(
    best: int,
    request: BatchRequest,
    breakdown: ScoreBreakdown,
    prefill_tokens: FloatArray,
    fleet: Fleet,
    random: Random,
) -> int:
    """Where the request goes instead of to the best, among those that are as good in all but load."""
    if request.shares is not None:
        shared = _share(best, request.shares, breakdown, prefill_tokens, fleet, random)
        if shared is not None:
            return shared
    if fleet.twins is not None and fleet.twins[best] >= 0:
        return _shared(best, fleet.twins, breakdown, fleet.state.in_flight, random)
    if fleet.sampling is not None:
        return _best_of_sample(best, fleet.sampling, breakdown, prefill_tokens, fleet, random)
    return best


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
