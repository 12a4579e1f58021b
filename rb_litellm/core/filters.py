"""All that may take candidates away from a request, in order: admission, budget, service levels.

A request that sets none of them never comes here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np

from rb_litellm.core.admission import Admission
from rb_litellm.core.breakdown import FilterResult, Predictions, ScoreTerm
from rb_litellm.core.budget import Budget, Payable
from rb_litellm.core.latency import LatencyForecast
from rb_litellm.core.slo import (
    Odds,
    Slo,
    all_keep_latencies,
    all_keep_the_rest,
    filter_results,
    judge,
    needed,
)
from rb_litellm.core.types import BoolArray, FloatArray

MAX_RETRY_AFTER_S = 120.0
"""A client is not told to stay away for longer: the forecast does not reach that far."""


class Limits(NamedTuple):
    """What a request sets; None sets nothing."""

    slo: Slo | None = None
    budget: Budget | None = None
    admission: Admission | None = None

    def by_name(self) -> dict[str, float]:
        """What each filter asks, in the order in which they are asked."""
        asked: dict[str, float] = {}
        if self.admission is not None:
            asked["wait"] = self.admission.max_wait_s
        if self.budget is not None:
            asked["affordable"] = self.budget.max_cost_usd
        if self.slo is not None:
            asked.update(self.slo.limits)
        return asked


@dataclass(slots=True)
class Filtered:
    """What the filters left, or why they left nothing."""

    allowed: BoolArray
    judged: Callable[[], tuple[FilterResult, ...]] = tuple
    """Works out what each filter said of each candidate."""
    failed: bool = False
    """Whether any candidate, offered or not, fails a filter."""
    relaxed: tuple[str, ...] = ()
    penalty: ScoreTerm | None = None
    affordable_tokens: FloatArray | None = None
    refused: Literal["slo", "budget", "load"] | None = None
    needed: Mapping[str, float] = field(default_factory=dict)
    retry_after_s: float | None = None


def rest_kept(limits: Limits, payable: Payable | None, least_quality: float, most_usd: float) -> bool:
    """Whether candidates of at least this quality and at most this cost pass all but the limits on time.

    Of what no placement changes, so that it can be told before any. Never of a request that prefers: its
    near misses count too.
    """
    if payable is not None and not payable.everywhere:
        return False
    slo = limits.slo
    return slo is None or (slo.mode != "prefer" and all_keep_the_rest(slo, least_quality, most_usd))


def apply(
    limits: Limits,
    predictions: Predictions,
    idle: Callable[[], Predictions],
    offered: BoolArray,
    payable: Payable | None,
    odds: Odds,
    rest_kept: bool,
) -> Filtered:
    """Filter the offered candidates (N,); `idle` makes the predictions as if nothing else were running.

    `payable` is what the budget pays for, if one is set; `rest_kept` is what the function of that name tells.
    """
    if not (rest_kept and _all_in_time(limits, predictions.times, odds)):
        return _one_by_one(limits, predictions, idle, offered, payable, odds)
    # So it nearly always is; whoever wants verdicts all the same has them worked out.
    tokens = None if payable is None else payable.tokens
    return Filtered(
        offered, partial(_filter_results, limits, predictions, payable, odds), affordable_tokens=tokens
    )


def _all_in_time(limits: Limits, times: LatencyForecast, odds: Odds) -> bool:
    if limits.admission is not None:
        longest = times.wait_s.item(times.wait_s.argmax())
        if not longest <= limits.admission.max_wait_s:
            return False
    return limits.slo is None or all_keep_latencies(limits.slo, times, odds)


def _filter_results(
    limits: Limits, predictions: Predictions, payable: Payable | None, odds: Odds
) -> tuple[FilterResult, ...]:
    """What every filter says of each candidate (N,)."""
    said: list[FilterResult] = []
    if limits.admission is not None:
        said.append(_soon_enough(limits.admission, predictions))
    if limits.budget is not None and payable is not None:
        said.append(_affordable(limits.budget, payable))
    if limits.slo is not None:
        said += filter_results(limits.slo, predictions, odds)
    return tuple(said)


def _soon_enough(admission: Admission, predictions: Predictions) -> FilterResult:
    wait = predictions.times.wait_s
    return FilterResult("wait", wait <= admission.max_wait_s, admission.max_wait_s, lambda: wait)


def _affordable(budget: Budget, payable: Payable) -> FilterResult:
    return FilterResult("affordable", payable.passed, budget.max_cost_usd, lambda: payable.least_usd)


def _one_by_one(
    limits: Limits,
    predictions: Predictions,
    idle: Callable[[], Predictions],
    offered: BoolArray,
    payable: Payable | None,
    odds: Odds,
) -> Filtered:
    allowed = offered
    said: list[FilterResult] = []
    tokens: FloatArray | None = None

    def filtered(**found: Any) -> Filtered:
        return Filtered(allowed, partial(tuple, said), failed=True, **found)

    if limits.admission is not None:
        wait = predictions.times.wait_s
        said.append(_soon_enough(limits.admission, predictions))
        allowed = offered & said[-1].passed
        drain = None if np.count_nonzero(allowed) else limits.admission.drain_s(wait, offered)
        if drain is not None:
            least = {"wait": float(wait[offered].min())}
            return filtered(refused="load", needed=least, retry_after_s=_bounded(drain))
    if limits.budget is not None and payable is not None:
        tokens = payable.tokens
        said.append(_affordable(limits.budget, payable))
        allowed = allowed & payable.passed
        if not np.count_nonzero(allowed):
            return filtered(refused="budget", needed={"budget": float(payable.least_usd[offered].min())})
    if limits.slo is None or not limits.slo.asks:
        return filtered(affordable_tokens=tokens)
    before, judged = allowed, judge(limits.slo, predictions, allowed, odds)
    allowed = judged.allowed
    said += judged.filter_results
    if not np.count_nonzero(allowed):
        return filtered(
            refused="slo",
            needed=needed(limits.slo, predictions, before, odds),
            retry_after_s=_when_idle_would_do(limits.slo, predictions, idle(), before, odds),
        )
    return filtered(relaxed=judged.relaxed, penalty=judged.penalty, affordable_tokens=tokens)


def _when_idle_would_do(
    slo: Slo, predictions: Predictions, idle: Predictions, allowed: BoolArray, odds: Odds
) -> float | None:
    """Seconds until the soonest candidate is rid of its load, if its load is what fails the request."""
    without_load = judge(slo, idle, allowed, odds).allowed
    if not without_load.any():
        return None
    extra = predictions.times.e2e_s - idle.times.e2e_s
    return _bounded(float(extra[without_load].min()))


def _bounded(seconds: float) -> float:
    return float(np.clip(seconds, 1.0, MAX_RETRY_AFTER_S))
