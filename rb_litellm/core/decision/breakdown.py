"""The score breakdown: everything that one request was decided by, for all N candidates.

The arrays are those that the decision was made from, not copies: reading them costs nothing, and keeping them
keeps N numbers per column in memory. Whoever records a decision takes what it needs from its breakdown at
once and lets it go. Nobody writes to a breakdown. Its parts are not frozen, because a frozen object takes
five times as long to make, and a decision makes a dozen.

    for row in breakdown.ranked()[:5]:          # candidates by falling score, those filtered out last
        deployment = assignment.deployments[row]
        breakdown.prediction(row)               # quality, tokens, wait, TTFT, TPOT, E2E, cost
        {t.name: t.points[row] for t in breakdown.terms}                # the summands of its score
        [f.name for f in breakdown.filter_results if not f.passed[row]] # the filters that it failed
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from rb_litellm.core.best_of.candidate import Samples
from rb_litellm.core.cascade.candidate import Compound
from rb_litellm.core.latency.forecast import LatencyForecast
from rb_litellm.core.types import NOTHING_SENT, BoolArray, FloatArray, IntArray, Prediction, SentBefore


def all_of(mask: BoolArray | FloatArray) -> bool:
    """Whether all are set (not zero); several times quicker than `mask.all()` on short masks."""
    return int(np.count_nonzero(mask)) == mask.size


@dataclass(slots=True)
class Predictions:
    """What is expected of one request on each of N deployments; every array has shape (N,)."""

    quality: FloatArray
    """In [0, 1]."""
    output_tokens: FloatArray
    times: LatencyForecast
    """Seconds."""
    cost_usd: FloatArray

    def as_seen(self, proxy_s: float) -> Predictions:
        """The same with the times as the client sees them, which limits are about."""
        times = self.times.as_seen(proxy_s)
        if times is self.times:
            return self
        return Predictions(self.quality, self.output_tokens, times, self.cost_usd)

    def at(self, row: int) -> Prediction:
        """The predictions for one deployment as numbers."""
        times = self.times
        return Prediction(
            self.quality.item(row),
            self.output_tokens.item(row),
            times.wait_s.item(row),
            times.ttft_s.item(row),
            times.tpot_s.item(row),
            times.e2e_s.item(row),
            self.cost_usd.item(row),
        )


@dataclass(slots=True)
class ScoreTerm:
    """One summand of the score."""

    name: str
    """`quality`, `latency`, `cost`, and `slo` or `switch` where they apply."""
    weight: float
    value: FloatArray
    """(N,) before the weight; higher is better."""

    @property
    def points(self) -> FloatArray:
        """(N,) what this term adds to the score."""
        return self.weight * self.value


@dataclass(slots=True)
class FilterResult:
    """Which candidates passed one named filter, and what each of them reached."""

    name: str
    """`ttft`, `tpot`, `e2e`, `quality`, `budget`, `affordable`, ..."""
    passed: BoolArray
    """(N,)"""
    limit: float
    """The limit that was asked for: seconds, quality or USD."""
    compute_level: Callable[[], FloatArray]
    """Computes `level` when it is asked for, which is seldom."""

    @property
    def level(self) -> FloatArray:
        """(N,) what each candidate reaches: P(latency <= limit) for latencies, else the predicted figure."""
        return self.compute_level()


@dataclass(slots=True)
class ScoreBreakdown:
    """See the module's docstring. Every array has shape (N,), in the order of `Assignment.deployments`."""

    predictions: Predictions
    offered: BoolArray
    """Deployments that this request may go to; other requests of its batch may have more."""
    allowed: BoolArray
    """Those of them that passed the filters."""
    terms: tuple[ScoreTerm, ...]
    scores: FloatArray
    """Sum of the terms; -inf where not allowed."""
    compute_filter_results: Callable[[], tuple[FilterResult, ...]] = field(default=tuple)
    """Computes `filter_results`."""
    relaxed: tuple[str, ...] = field(default=())
    """Names of the limits that no candidate met and that were therefore loosened."""
    limits: Mapping[str, float] = field(default_factory=dict)
    """The limits of the filters, by name and in their order; empty where none is set."""
    failed: bool = False
    """Whether a candidate may have failed a filter; if none has, `filter_results` need not be computed."""

    @property
    def filter_results(self) -> tuple[FilterResult, ...]:
        """Which candidates passed each filter."""
        return self.compute_filter_results()

    def ranked(self) -> IntArray:
        """Rows of the offered candidates, the best score first, those that a filter removed last."""
        order: IntArray = (-self.scores).argsort(kind="stable")
        return order if all_of(self.offered) else order[self.offered[order]]

    def failing(self) -> list[FilterResult]:
        """The filters that some candidate did not pass: usually none."""
        return [v for v in self.filter_results if not all_of(v.passed)] if self.failed else []

    def prediction(self, row: int) -> Prediction:
        """What was predicted for the request on one deployment."""
        return self.predictions.at(row)


@dataclass(slots=True)
class Decision:
    """The chosen candidate and what it was chosen by."""

    index: int
    """Row of the chosen deployment among the N that were offered."""
    score: float
    prediction: Prediction
    candidates: int
    """Deployments that this request could have gone to."""
    in_flight: float
    """Open attempts that it meets there, including those placed before it in its batch."""
    pending_prefill_tokens: float
    prefill_tokens: float
    """Tokens of its own input that the deployment has to compute: those that are not cached there."""
    sent_before: SentBefore = field(default=NOTHING_SENT, kw_only=True)
    """The beginning of its prompt that was sent there before,"""
    saved_tokens: float = field(default=0.0, kw_only=True)
    """and the tokens that need no prefill therefore."""
    join_steps: float | None = field(default=None, kw_only=True)
    """Of a step, what it waits for the present one of a running batch."""
    compute_breakdown: Callable[[], ScoreBreakdown]
    """Computes `breakdown` when it is asked for: when the request is on its way already."""
    explored: bool = False
    """It was chosen to learn about it, not because it scored best."""
    affordable_tokens: float | None = None
    """Output tokens that the budget pays for there; None without a budget, inf where they are free."""
    cascade: Compound | None = None
    """What follows where a judge calls its answer poor; None for a request that is answered once."""
    best_of: Samples | None = None
    """How many answers it is asked for, of which a judge picks one; None for one answer."""

    @property
    def expected(self) -> Prediction:
        """What is expected of the request, all of a cascade or of several answers together."""
        if self.best_of is not None:
            return self.best_of.expected()
        return self.prediction if self.cascade is None else self.cascade.expected(self.prediction)

    @property
    def answers(self) -> int:
        """How many answers one call asks for on our behalf."""
        return 1 if self.best_of is None else self.best_of.n

    @property
    def breakdown(self) -> ScoreBreakdown:
        """All that it was chosen by."""
        return self.compute_breakdown()


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is sent nowhere."""

    reason: Literal["slo", "budget", "load"]
    """No candidate meets the limits; the budget pays for none; or every queue is too long."""
    breakdown: ScoreBreakdown
    """No candidate is allowed in it."""
    needed: Mapping[str, float]
    """The limits that could be met, each taken by itself: seconds, quality or USD by the limit's name."""
    retry_after_s: float | None = None
    """When the request may succeed; None where waiting will not help."""
