"""Everything that one request was decided by, for all N candidates: what explains a decision.

The arrays are those that the decision itself was made from, not copies: reading them costs nothing and
keeping them keeps N numbers a column alive. Whoever records a decision takes from its ballot what is
wanted while the decision is fresh, and lets it go. Nobody writes to one; its parts are not frozen only
because a frozen object takes five times as long to make, and a decision makes a dozen.

    for row in ballot.ranked()[:5]:             # candidates by falling score, those left out last
        deployment = assignment.deployments[row]
        ballot.prediction(row)                  # quality, tokens, wait, TTFT, TPOT, E2E, cost
        {t.name: t.points[row] for t in ballot.terms}       # what its score is the sum of
        [v.name for v in ballot.verdicts if not v.passed[row]]      # what it failed on
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from rb_litellm.core.latency import LatencyForecast
from rb_litellm.core.types import BoolArray, FloatArray, IntArray, Prediction


def all_of(mask: BoolArray | FloatArray) -> bool:
    """Whether all are set (or not zero): several times quicker than `mask.all()` where masks are short."""
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
    """`quality`, `latency`, `cost`; further ones such as `slo` or `affinity` where they are on."""
    weight: float
    value: FloatArray
    """(N,) before the weight; higher is better."""

    @property
    def points(self) -> FloatArray:
        """(N,) what it adds to the score."""
        return self.weight * self.value


@dataclass(slots=True)
class FilterResult:
    """What one named filter said of each candidate."""

    name: str
    """`ttft`, `tpot`, `e2e`, `quality`, `budget`, `affordable`, ..."""
    passed: BoolArray
    """(N,)"""
    limit: float
    """What was asked: seconds, quality or USD."""
    compute_level: Callable[[], FloatArray]
    """Works out `level`: of the many that are judged, few are asked."""

    @property
    def level(self) -> FloatArray:
        """(N,) what each candidate reaches: P(latency <= limit) for latencies, else the predicted figure."""
        return self.compute_level()


@dataclass(slots=True)
class ScoreBreakdown:
    """See the module. Every array has shape (N,), in the order of `Assignment.deployments`."""

    predictions: Predictions
    offered: BoolArray
    """Deployments that this request could have gone to; others of its batch may have had more."""
    allowed: BoolArray
    """Those of them that the filters left."""
    terms: tuple[ScoreTerm, ...]
    scores: FloatArray
    """Sum of the terms; -inf where not allowed."""
    compute_filter_results: Callable[[], tuple[FilterResult, ...]] = field(default=tuple)
    """Works out `verdicts`."""
    relaxed: tuple[str, ...] = field(default=())
    """Names of the limits that no candidate met and that were therefore loosened."""
    limits: Mapping[str, float] = field(default_factory=dict)
    """What the filters ask, by name and in their order; empty where none is set."""
    failed: bool = False
    """Whether a candidate may have failed a filter. Seldom; without it nobody needs the verdicts."""

    @property
    def filter_results(self) -> tuple[FilterResult, ...]:
        """What each filter said of each candidate."""
        return self.compute_filter_results()

    def ranked(self) -> IntArray:
        """Rows of the offered candidates, the best score first; those that a filter removed come last."""
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
    """Attempts that it meets there, those placed before it in its batch included."""
    pending_prefill_tokens: float
    prefill_tokens: float
    """Tokens of its own input that the deployment has to compute: those that it has not cached."""
    breakdown: ScoreBreakdown
    explored: bool = False
    """It was chosen to learn about it, and not as the best."""
    affordable_tokens: float | None = None
    """Output tokens that the request's budget pays for there; None without a budget, inf where free."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A request that is sent nowhere, and why."""

    reason: Literal["slo", "budget", "load"]
    """No candidate keeps its limits; none can be paid; or every queue is too long."""
    breakdown: ScoreBreakdown
    """Without any allowed candidate."""
    needed: Mapping[str, float]
    """The limits that could be kept, each by itself: s, quality or USD by the limit's name."""
    retry_after_s: float | None = None
    """When it may go through; None where waiting will not help."""
