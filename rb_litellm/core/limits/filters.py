"""All filters that may take candidates away from a request, in order: admission, budget, service levels.

A request that sets none of them does not come here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np

from rb_litellm.core.decision.breakdown import FilterResult, Predictions, ScoreTerm
from rb_litellm.core.latency.forecast import LatencyForecast
from rb_litellm.core.limits.admission import Admission
from rb_litellm.core.limits.budget import Budget, Payable
from rb_litellm.core.limits.slo import (
    LatencyErrors,
    Slo,
    all_meet_latency_limits,
    all_meet_static_limits,
    apply_slo,
    filter_results,
    needed,
)
from rb_litellm.core.types import BoolArray, FloatArray

MAX_RETRY_AFTER_S = 120.0
"""Upper bound of `Retry-After`: the forecast does not reach further."""


class Limits(NamedTuple):
    """The limits of a request; None where it sets none of a kind."""

    slo: Slo | None = None
    budget: Budget | None = None
    admission: Admission | None = None

    def by_name(self) -> dict[str, float]:
        """The limit of each filter, in the order in which they apply."""
        asked: dict[str, float] = {}
        if self.admission is not None:
            asked["wait"] = self.admission.max_wait_s
        if self.budget is not None:
            asked["affordable"] = self.budget.max_cost_usd
        if self.slo is not None:
            asked.update(self.slo.limits)
        return asked

    def allows(self, usd: FloatArray, quality: FloatArray) -> BoolArray:
        """(K,) whether answers of this cost (K,) and quality (K,) keep the limits on these two."""
        kept = np.ones(usd.size, dtype=np.bool_)
        if self.budget is not None:
            kept &= usd <= self.budget.max_cost_usd
        if self.slo is not None and self.slo.max_cost_usd is not None:
            kept &= usd <= self.slo.max_cost_usd
        if self.slo is not None and self.slo.quality_min is not None:
            kept &= quality >= self.slo.quality_min
        return kept


@dataclass(slots=True)
class Filtered:
    """What the filters left, or why they refused the request."""

    allowed: BoolArray
    compute_filter_results: Callable[[], tuple[FilterResult, ...]] = tuple
    """Computes which candidates passed each filter."""
    failed: bool = False
    """Whether any candidate, offered or not, fails a filter."""
    relaxed: tuple[str, ...] = ()
    penalty: ScoreTerm | None = None
    affordable_tokens: FloatArray | None = None
    refused: Literal["slo", "budget", "load"] | None = None
    needed: Mapping[str, float] = field(default_factory=dict)
    retry_after_s: float | None = None


def static_limits_met(limits: Limits, payable: Payable | None, least_quality: float, most_usd: float) -> bool:
    """Whether candidates of at least this quality and at most this cost meet all limits but those on time.

    No placement changes the answer, so it is computed before any. It is always False in mode `prefer`, where
    near misses count too.
    """
    if payable is not None and not payable.everywhere:
        return False
    slo = limits.slo
    return slo is None or (slo.mode != "prefer" and all_meet_static_limits(slo, least_quality, most_usd))


def apply(
    limits: Limits,
    predictions: Predictions,
    idle: Callable[[], Predictions],
    offered: BoolArray,
    payable: Payable | None,
    latency_errors: LatencyErrors,
    static_limits_met: bool,
) -> Filtered:
    """Filter the offered candidates (N,).

    `idle` predicts as if nothing else were running. `payable` is what the budget pays for, if one is set.
    `static_limits_met` is the result of the function of that name.
    """
    if not (static_limits_met and _all_meet_time_limits(limits, predictions.times, latency_errors)):
        return _apply_in_order(limits, predictions, idle, offered, payable, latency_errors)
    # The usual case: everybody passes, and the results are computed only if somebody asks for them.
    tokens = None if payable is None else payable.tokens
    return Filtered(
        offered,
        partial(_filter_results, limits, predictions, payable, latency_errors),
        affordable_tokens=tokens,
    )


def _all_meet_time_limits(limits: Limits, times: LatencyForecast, latency_errors: LatencyErrors) -> bool:
    if limits.admission is not None:
        longest = times.wait_s.item(times.wait_s.argmax())
        if not longest <= limits.admission.max_wait_s:
            return False
    return limits.slo is None or all_meet_latency_limits(limits.slo, times, latency_errors)


def _filter_results(
    limits: Limits, predictions: Predictions, payable: Payable | None, latency_errors: LatencyErrors
) -> tuple[FilterResult, ...]:
    """Which of the N candidates pass each filter."""
    said: list[FilterResult] = []
    if limits.admission is not None:
        said.append(_wait_result(limits.admission, predictions))
    if limits.budget is not None and payable is not None:
        said.append(_budget_result(limits.budget, payable))
    if limits.slo is not None:
        said += filter_results(limits.slo, predictions, latency_errors)
    return tuple(said)


def _wait_result(admission: Admission, predictions: Predictions) -> FilterResult:
    wait = predictions.times.wait_s
    return FilterResult("wait", wait <= admission.max_wait_s, admission.max_wait_s, lambda: wait)


def _budget_result(budget: Budget, payable: Payable) -> FilterResult:
    return FilterResult("affordable", payable.passed, budget.max_cost_usd, lambda: payable.least_usd)


def _apply_in_order(
    limits: Limits,
    predictions: Predictions,
    idle: Callable[[], Predictions],
    offered: BoolArray,
    payable: Payable | None,
    latency_errors: LatencyErrors,
) -> Filtered:
    allowed = offered
    said: list[FilterResult] = []
    tokens: FloatArray | None = None

    def filtered(**found: Any) -> Filtered:
        return Filtered(allowed, partial(tuple, said), failed=True, **found)

    if limits.admission is not None:
        wait = predictions.times.wait_s
        said.append(_wait_result(limits.admission, predictions))
        allowed = offered & said[-1].passed
        drain = None if np.count_nonzero(allowed) else limits.admission.drain_s(wait, offered)
        if drain is not None:
            least = {"wait": float(wait[offered].min())}
            return filtered(refused="load", needed=least, retry_after_s=_bounded(drain))
    if limits.budget is not None and payable is not None:
        tokens = payable.tokens
        said.append(_budget_result(limits.budget, payable))
        allowed = allowed & payable.passed
        if not np.count_nonzero(allowed):
            return filtered(refused="budget", needed={"budget": float(payable.least_usd[offered].min())})
    if limits.slo is None or not limits.slo.asks:
        return filtered(affordable_tokens=tokens)
    before, result = allowed, apply_slo(limits.slo, predictions, allowed, latency_errors)
    allowed = result.allowed
    said += result.filter_results
    if not np.count_nonzero(allowed):
        return filtered(
            refused="slo",
            needed=needed(limits.slo, predictions, before, latency_errors),
            retry_after_s=_retry_after_s(limits.slo, predictions, idle(), before, latency_errors),
        )
    return filtered(relaxed=result.relaxed, penalty=result.penalty, affordable_tokens=tokens)


def _retry_after_s(
    slo: Slo, predictions: Predictions, idle: Predictions, allowed: BoolArray, latency_errors: LatencyErrors
) -> float | None:
    """Seconds until the first candidate has worked off its load, if load is what fails the request."""
    without_load = apply_slo(slo, idle, allowed, latency_errors).allowed
    if not without_load.any():
        return None
    extra = predictions.times.e2e_s - idle.times.e2e_s
    return _bounded(float(extra[without_load].min()))


def _bounded(seconds: float) -> float:
    return float(np.clip(seconds, 1.0, MAX_RETRY_AFTER_S))
