"""Service level objectives of one request: which candidates meet them, and what to do when none does.

A candidate meets a latency limit when P(latency <= limit) >= theta, a chance constraint. The probability
comes from the residuals of its tier, because a forecast is an expectation and about half of all requests are
slower. Quality and cost are compared as predicted. Modes:

- `strict`: only candidates that meet every limit; the request is refused if there are none.
- `tiered`: if no candidate meets all limits, they are loosened step by step in the order of `relax`
  (lexicographically: the first limit goes through all its steps before the second is touched). After the last
  step the candidates that miss by least are taken. A limit that is not in `relax` is never given up. A
  loosened E2E limit is compared with E2E plus the burden on others (see `latency`): a limit that is lost
  anyway is no reason to crowd the fastest servers and make others miss theirs.
- `prefer`: no candidate is removed. Each loses `penalty` points of score for a limit that it misses entirely,
  and a part of it for a near miss (a soft constraint).

All functions are pure and work on N candidates at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from math import inf
from typing import Literal, Protocol

import numpy as np

from rb_litellm.core.decision.breakdown import FilterResult, Predictions, ScoreTerm, all_of
from rb_litellm.core.latency.forecast import LatencyForecast
from rb_litellm.core.types import BoolArray, FloatArray

Latency = Literal["ttft", "tpot", "e2e"]
LimitName = Literal["ttft", "tpot", "e2e", "quality", "budget"]
Mode = Literal["strict", "tiered", "prefer"]

RELAX: tuple[LimitName, ...] = ("tpot", "ttft", "e2e", "quality", "budget")
"""Default order: what a reader notices least is loosened first."""
STEPS = (1.25, 1.5, 2.0)
"""Default steps: the multiples of a limit that are tried in turn."""

_SHORTEST_S = 0.001


class LatencyErrors(Protocol):
    """The distribution of errors of latency forecasts for N deployments."""

    def probabilities(
        self, kinds: Sequence[Latency], predicted_s: FloatArray, limits_s: Sequence[float]
    ) -> FloatArray:
        """(K, N) P(latency <= limit) of K kinds for forecasts (K, N) and limits (K,)."""

    def longest(self, kinds: tuple[Latency, ...], limits_s: tuple[float, ...], share: float) -> FloatArray:
        """(K, N) the longest forecasts of K kinds for which P(latency <= limit) is at least `share`."""

    def attainable(self, kind: Latency, predicted_s: FloatArray, share: float) -> FloatArray:
        """(N,) the limit in s that `share` of the requests with these forecasts meet."""


@dataclass(frozen=True, slots=True)
class Slo:
    """The limits of a request; None where it sets none of a kind."""

    ttft_s: float | None = None
    tpot_s: float | None = None
    e2e_s: float | None = None
    quality_min: float | None = None
    max_cost_usd: float | None = None
    """Limit on the expected cost. The true cost is bounded by lowering `max_tokens` (see `budget`)."""
    theta: float = 0.9
    mode: Mode = "tiered"
    relax: tuple[LimitName, ...] = RELAX
    steps: tuple[float, ...] = STEPS
    penalty: float = 1.0
    latencies: tuple[tuple[Latency, ...], tuple[float, ...]] = field(init=False, repr=False, compare=False)
    """The limited kinds of latency and their limits in s, computed once."""
    limits: Mapping[str, float] = field(init=False, repr=False, compare=False)
    """All limits by name."""

    def __post_init__(self) -> None:
        times: dict[Latency, float | None] = {"ttft": self.ttft_s, "tpot": self.tpot_s, "e2e": self.e2e_s}
        limited = {kind: limit for kind, limit in times.items() if limit is not None}
        rest = {"quality": self.quality_min, "budget": self.max_cost_usd}
        limits = {name: limit for name, limit in rest.items() if limit is not None}
        object.__setattr__(self, "latencies", (tuple(limited), tuple(limited.values())))
        object.__setattr__(self, "limits", {**limited, **limits})

    @property
    def asks(self) -> bool:
        """Whether any limit is set."""
        return bool(self.limits)

    def after(self, waited_s: float) -> Slo:
        """What is left of the limits for a request that has waited; those on TTFT and E2E run meanwhile."""
        ttft_s, e2e_s = (limit and max(limit - waited_s, _SHORTEST_S) for limit in (self.ttft_s, self.e2e_s))
        return replace(self, ttft_s=ttft_s, e2e_s=e2e_s)

    @property
    def patience_s(self) -> float:
        """The longest that a request can wait and still keep its limits, on an infinitely fast server."""
        return min((limit for limit in (self.ttft_s, self.e2e_s) if limit is not None), default=inf)


@dataclass(slots=True)
class SloResult:
    """The candidates that the limits of a request leave."""

    allowed: BoolArray
    """(N,) False everywhere if the request must be refused."""
    filter_results: tuple[FilterResult, ...]
    relaxed: tuple[str, ...] = ()
    penalty: ScoreTerm | None = None
    """In mode `prefer`, the score term of the misses."""


def apply_slo(
    slo: Slo, predictions: Predictions, offered: BoolArray, latency_errors: LatencyErrors
) -> SloResult:
    """Check the offered candidates (N,) against the request's limits."""
    said = filter_results(slo, predictions, latency_errors)
    if slo.mode == "prefer":
        missed = np.zeros(offered.size)
        for check in _checks(slo, predictions, latency_errors):
            missed += check.misses()
        return SloResult(offered, said, penalty=ScoreTerm("slo", slo.penalty, -missed))
    kept = offered.copy()
    for result in said:
        kept &= result.passed
    if slo.mode == "strict" or np.count_nonzero(kept):
        return SloResult(kept, said)
    return _relaxed(slo, _checks(slo, predictions, latency_errors), said, offered)


def filter_results(
    slo: Slo, predictions: Predictions, latency_errors: LatencyErrors
) -> tuple[FilterResult, ...]:
    """Which candidates meet each limit that is set."""
    said: list[FilterResult] = []
    kinds, limits = slo.latencies
    if kinds:
        # Comparing with the longest forecast that meets a limit is far quicker than computing probabilities.
        longest = latency_errors.longest(kinds, limits, slo.theta)
        for kind, limit, most in zip(kinds, limits, longest, strict=True):
            forecast_s = time_s(predictions.times, kind)
            level = partial(_probability, latency_errors, kind, forecast_s, limit)
            said.append(FilterResult(kind, forecast_s <= most, limit, level))
    quality, cost = predictions.quality, predictions.cost_usd
    if slo.quality_min is not None:
        said.append(FilterResult("quality", quality >= slo.quality_min, slo.quality_min, lambda: quality))
    if slo.max_cost_usd is not None:
        said.append(FilterResult("budget", cost <= slo.max_cost_usd, slo.max_cost_usd, lambda: cost))
    return tuple(said)


def all_meet_latency_limits(slo: Slo, times: LatencyForecast, latency_errors: LatencyErrors) -> bool:
    """Whether all N candidates meet the limits on latency; far quicker than `filter_results`."""
    kinds, limits = slo.latencies
    if not kinds:
        return True
    forecasts_s = np.concatenate([time_s(times, kind) for kind in kinds]).reshape(len(kinds), -1)
    return all_of(forecasts_s <= latency_errors.longest(kinds, limits, slo.theta))


def all_meet_static_limits(slo: Slo, least_quality: float, most_usd: float) -> bool:
    """Whether candidates of at least this quality and at most this cost meet the limits on both."""
    return (slo.quality_min is None or least_quality >= slo.quality_min) and (
        slo.max_cost_usd is None or most_usd <= slo.max_cost_usd
    )


def needed(
    slo: Slo, predictions: Predictions, offered: BoolArray, latency_errors: LatencyErrors
) -> dict[str, float]:
    """The limits that the best offered candidate could meet, each taken by itself: s, quality or USD."""
    best: dict[str, float] = {}
    for check in _checks(slo, predictions, latency_errors):
        within = check.attainable()[offered]
        if within.size:
            best[check.name] = float(within.max() if check.name == "quality" else within.min())
    return best


def time_s(times: LatencyForecast, kind: Latency) -> FloatArray:
    """(N,) the forecasts of one kind."""
    return times.ttft_s if kind == "ttft" else times.tpot_s if kind == "tpot" else times.e2e_s


def _probability(
    latency_errors: LatencyErrors, kind: Latency, time_s: FloatArray, limit_s: float
) -> FloatArray:
    (probability,) = latency_errors.probabilities([kind], time_s[None], [limit_s])
    return np.asarray(probability)


def _relaxed(
    slo: Slo, checks: Sequence[_Check], filter_results: tuple[FilterResult, ...], offered: BoolArray
) -> SloResult:
    by_name = {check.name: check for check in checks}
    allowed = offered.copy()
    for result in filter_results:
        if result.name not in slo.relax:
            allowed &= result.passed
    if not allowed.any():
        return SloResult(allowed, filter_results)
    # `depth` is how far down the list of (limit, step) pairs a candidate has to go.
    depth = np.zeros(offered.size)
    stride = len(slo.steps) + 2.0
    for position, name in enumerate(slo.relax):
        if name in by_name:
            steps = _steps_needed(by_name[name], slo.steps)
            depth = np.where(steps > 0.0, position * stride + steps, depth)
    least = depth[allowed].min()
    allowed &= depth <= least + 1e-9
    loosened = tuple(v.name for v in filter_results if not v.passed[allowed].all())
    return SloResult(allowed, filter_results, relaxed=loosened)


def _steps_needed(check: _Check, steps: Sequence[float]) -> FloatArray:
    """(N,) 0 where the limit is met, k where its k-th step is met; beyond the last step, more by the miss."""
    needed = np.zeros(check.predicted.size)
    missed = check.misses()
    for step in steps:
        needed = np.where(missed > 0.0, needed + 1.0, needed)
        missed = np.where(missed > 0.0, check.misses_loosened(step), missed)
    return np.where(missed > 0.0, needed + 1.0 + missed, needed)


class _Check(Protocol):
    """One limit over N candidates."""

    @property
    def name(self) -> LimitName: ...

    @property
    def predicted(self) -> FloatArray: ...

    def misses(self) -> FloatArray:
        """(N,) how far the limit is missed: 0 where it is met, at most 1."""

    def misses_loosened(self, step: float) -> FloatArray:
        """(N,) the same for the limit loosened by the factor `step`."""

    def attainable(self) -> FloatArray:
        """(N,) the limit that each candidate would meet."""


def _checks(slo: Slo, predictions: Predictions, latency_errors: LatencyErrors) -> list[_Check]:
    checks: list[_Check] = []
    for name, limit in zip(*slo.latencies, strict=True):
        predicted = time_s(predictions.times, name)
        shared = predictions.times.priced_s if name == "e2e" else predicted
        checks.append(_LatencyCheck(name, limit, predicted, shared, slo.theta, latency_errors))
    if slo.quality_min is not None:
        checks.append(_QualityCheck("quality", slo.quality_min, predictions.quality))
    if slo.max_cost_usd is not None:
        checks.append(_CostCheck("budget", slo.max_cost_usd, predictions.cost_usd))
    return checks


@dataclass(frozen=True, slots=True)
class _LatencyCheck:
    name: Latency
    limit: float
    predicted: FloatArray
    shared: FloatArray
    """What a loosened limit is compared with: the same time, for E2E with the burden on others."""
    theta: float
    latency_errors: LatencyErrors

    def misses(self) -> FloatArray:
        return self._short(self.predicted, 1.0)

    def misses_loosened(self, step: float) -> FloatArray:
        return self._short(self.shared, step)

    def _short(self, time_s: FloatArray, step: float) -> FloatArray:
        probability = _probability(self.latency_errors, self.name, time_s, self.limit * step)
        return np.where(probability >= self.theta, 0.0, 1.0 - probability / self.theta)

    def attainable(self) -> FloatArray:
        return self.latency_errors.attainable(self.name, self.predicted, self.theta)


@dataclass(frozen=True, slots=True)
class _QualityCheck:
    name: LimitName
    limit: float
    predicted: FloatArray

    def misses(self) -> FloatArray:
        return self.misses_loosened(1.0)

    def misses_loosened(self, step: float) -> FloatArray:
        reached = np.minimum(self.predicted * step, self.limit)
        return 1.0 - reached / self.limit if self.limit > 0.0 else np.zeros_like(reached)

    def attainable(self) -> FloatArray:
        return self.predicted


@dataclass(frozen=True, slots=True)
class _CostCheck:
    name: LimitName
    limit: float
    predicted: FloatArray

    def misses(self) -> FloatArray:
        return self.misses_loosened(1.0)

    def misses_loosened(self, step: float) -> FloatArray:
        over = self.predicted > self.limit * step
        return np.where(over, 1.0 - self.limit * step / np.where(over, self.predicted, 1.0), 0.0)

    def attainable(self) -> FloatArray:
        return self.predicted
