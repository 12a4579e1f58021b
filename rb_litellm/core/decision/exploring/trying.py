"""Requests that do not go to the best deployment, to learn of another: when, and where to.

Shares of the requests explore; a deployment that may have recovered is tried; and a request that would be
refused for its latency may go and see whether it need be.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np

from rb_litellm.core.decision.batch import BatchRequest, Fleet, PrescoredRequest
from rb_litellm.core.decision.best import best_row
from rb_litellm.core.decision.breakdown import ScoreBreakdown
from rb_litellm.core.decision.exploring.exploration import (
    ExplorationRule,
    explores,
    least_recently_chosen,
    sampled_latency,
)
from rb_litellm.core.decision.exploring.trials import FleetTrials
from rb_litellm.core.limits.slo import time_s
from rb_litellm.core.types import BoolArray, FloatArray


def explore(
    prescored: PrescoredRequest,
    fleet: Fleet,
    breakdown: ScoreBreakdown,
    allowed: BoolArray,
    looks: bool | None,
    now: float,
    random: Random,
) -> int | None:
    """The deployment to try, if this request is one of the exploring share; never with a strict SLO.

    `looks` is what `may_look` said of it, None where it was not asked.
    """
    request, predictions = prescored.request, breakdown.predictions
    rule = request.exploration
    if rule is None:
        return None
    if rule.method == "recovery":
        looks = may_look(request, fleet.trials, now) if looks is None else looks
        return _trial(request, rule, fleet, breakdown, now) if looks else None
    if not explores(rule, random):
        return None
    if request.limits is not None and request.limits.slo is not None and request.limits.slo.mode == "strict":
        return None
    if rule.method == "epsilon" or fleet.measured is None:
        return least_recently_chosen(fleet.last_chosen_s, allowed)
    times = predictions.times
    drawn = sampled_latency(times.e2e_s, fleet.measured, fleet.last_chosen_s, now, random)
    sampled = request.objective.latency(replace(times, e2e_s=drawn), request.allowed)
    return best_row(
        np.where(allowed, prescored.points + sampled.points, -np.inf),
        fleet.state.in_flight,
        fleet.last_chosen_s,
        random,
    )


def recovers(request: BatchRequest) -> bool:
    """Whether the request may be used to see if a deployment has recovered."""
    return request.exploration is not None and request.exploration.method == "recovery"


def may_look(request: BatchRequest, trials: FleetTrials | None, now: float) -> bool:
    """Whether it is to be seen if a trial is due with this request. Ask once for each, in their order."""
    if trials is None or request.exploration is None or request.exploration.method != "recovery":
        return False
    trials.trials.asked(request.exploration.share)
    return trials.trials.to_look(now)


def _trial(
    request: BatchRequest, rule: ExplorationRule, fleet: Fleet, breakdown: ScoreBreakdown, now: float
) -> int | None:
    """The deployment that is to be tried with this request, if one is: see `trials`."""
    if fleet.trials is None:
        return None
    limits, allowed = request.limits, breakdown.allowed
    if limits is not None and limits.slo is not None and limits.slo.mode == "strict":
        return None
    best = int(breakdown.scores.argmax())
    times = breakdown.predictions.times
    expected_s = times.as_seen().e2e_s
    due = fleet.trials.due(now) & allowed & (expected_s <= expected_s[best] + rule.max_loss_s)
    due[best] = False
    if not np.count_nonzero(due):
        return None
    hoped = due.copy()
    hoped[best] = True  # It may be better than is known as well, and is no longer known when all are new.
    imagined = request.objective.latency(fleet.trials.hopeful(times, hoped, now), allowed)
    present = next(term for term in breakdown.terms if term.name == "latency")
    scores = breakdown.scores - present.points + imagined.points
    found = int(np.where(due, scores, -np.inf).argmax())
    if scores[found] <= scores[best]:
        return None
    fleet.trials.trials.sent(int(fleet.trials.rows[found]), now)
    return found


def hopeful(
    request: BatchRequest, trials: FleetTrials, breakdown: ScoreBreakdown, now: float
) -> tuple[BoolArray, FloatArray]:
    """Candidates (N,) that may well keep the limits of a request that is refused; their hoped E2E in s."""
    allowed = request.allowed.copy()
    times = trials.hopeful(breakdown.predictions.times, allowed, now).as_seen(request.proxy_s)
    if request.limits is None or request.limits.budget is not None:
        allowed[:] = False  # What the budget pays for there was not worked out.
    for result in breakdown.filter_results:
        if result.name in ("ttft", "tpot", "e2e"):
            allowed &= time_s(times, result.name) <= result.limit  # type: ignore[arg-type]
        else:
            allowed &= result.passed
    return allowed, times.e2e_s


def to_inform(trials: FleetTrials, hopeful: BoolArray, e2e_s: FloatArray, now: float) -> int | None:
    """Where to send a request that would be refused for its latency, to learn whether it need be."""
    due = trials.due_to_inform(now) & hopeful
    if not np.count_nonzero(due):
        return None
    found = int(np.where(due, e2e_s, np.inf).argmin())
    trials.trials.sent(int(trials.rows[found]), now, informing=True)
    return found
