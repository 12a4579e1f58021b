"""One score per candidate over quality, latency and cost: the joint decision.

    absolute    s = w_q * q + w_l * 0.32 * ln(1000 s / T) + w_c * 0.25 * ln(10 USD / cost)
    paper       s = w_q * q + w_l * (1 - T / max T) + w_c * (1 - cost / max cost)

The second is the score of RouteBalance (https://arxiv.org/abs/2606.17949), a weighted sum of normalised
criteria (simple additive weighting in decision analysis); its maxima are over the candidates of the same
request. One candidate that nobody would choose, believed slow for example, makes all other differences small
there, and so changes the order of the others. In the first form, in use if nothing else is set, a candidate's
score depends on itself alone (a weighted product of criteria, in logs): the order of two never depends on a
third, and as in the second form only ratios of times and of costs count. Its two slopes are those with which
it chooses as the paper's form does on the paper's cluster.

The weights sum to one. T is the predicted E2E plus, beyond the paper, what the requests already there lose
because of this one (`burden` in `latency`). Higher is better. All functions take arrays whose last axis is
the N candidates, so the same code scores one request (N,) and a batch (R, N).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from rb_litellm.core.compiled.in_use import IN_USE, Loops
from rb_litellm.core.decision.breakdown import Predictions, ScoreTerm, all_of
from rb_litellm.core.latency.forecast import LatencyForecast
from rb_litellm.core.types import BoolArray, FloatArray

QualityNorm = Literal["raw", "minmax", "scaled"]
Norm = Literal["absolute", "paper"]
"""How latency and cost become terms: each by itself, or relative to the largest of the candidates."""

_LATENCY_SLOPE, _COST_SLOPE = 0.32, 0.25
"""Score, before the weight, of a factor of e in latency and in cost."""
_LATENCY_NOUGHT_S, _COST_NOUGHT_USD = 1000.0, 10.0
"""Where the terms are zero: only differences count, and these keep usual ones positive."""
_LEAST_S, _LEAST_USD = 1e-3, 1e-6
"""A millisecond and a thousandth of a tenth of a cent more or less make no difference."""
LATENCY_SCALE = _LATENCY_SLOPE, _LATENCY_NOUGHT_S, _LEAST_S
COST_SCALE = _COST_SLOPE, _COST_NOUGHT_USD, _LEAST_USD

_SUM_TOLERANCE = 1e-6


@dataclass(frozen=True, slots=True)
class Weights:
    """Weights of quality, latency and cost; not negative, and their sum is one."""

    quality: float
    latency: float
    cost: float

    def __post_init__(self) -> None:
        for name, value in (("quality", self.quality), ("latency", self.latency), ("cost", self.cost)):
            if not 0.0 <= value <= 1.0:
                raise ValueError(f"weights.{name} is {value!r}; allowed is a number from 0 to 1")
        total = self.quality + self.latency + self.cost
        if abs(total - 1.0) > _SUM_TOLERANCE:
            raise ValueError(
                f"weights sum to {total:g} (quality {self.quality:g}, latency {self.latency:g}, "
                f"cost {self.cost:g}); they must sum to 1"
            )


PRESETS: dict[str, Weights] = {
    "balanced": Weights(1 / 3, 1 / 3, 1 / 3),
    "quality": Weights(0.66, 0.17, 0.17),
    "latency": Weights(0.15, 0.7, 0.15),
    "cost": Weights(0.13, 0.13, 0.74),
    "cheapest": Weights(0.0, 0.2, 0.8),
    "standard": Weights(0.58, 0.27, 0.15),
}
"""`balanced` is the paper's. For the next three the paper says which weight goes towards 1, not how far.
With a latency weight of 0.8, quality did not matter: all requests went to the fastest model while it had
room. `cheapest` is ours, for routing by price alone: the lowest price, then the quickest server. So is
`standard`: with short queues it gives up at most 2% of quality, time or cost against LiteLLM's own
strategies, where a third each gives up a tenth of the quality of random choice for a quick and cheap answer.
"""
STANDARD = "standard"
"""The preset that is in force where no weights are set."""


def normalise_quality(quality: FloatArray, allowed: BoolArray, norm: QualityNorm) -> FloatArray:
    """Bring quality (..., N) to the scale that the weight applies to.

    `raw` keeps the prediction; `minmax` maps the candidates of a request to [0, 1]; `scaled` divides by the
    best candidate's quality, as latency and cost are divided by the largest. Only `allowed` entries count.
    """
    if norm == "raw":
        return quality
    best: FloatArray = np.max(quality, axis=-1, keepdims=True, where=allowed, initial=0.0)
    result: FloatArray = np.zeros_like(quality)
    if norm == "scaled":
        return np.divide(quality, best, out=result, where=best > 0.0)
    worst: FloatArray = np.min(quality, axis=-1, keepdims=True, where=allowed, initial=np.inf)
    spread = best - worst
    # Candidates of equal quality must have equal scores: a spread of zero scores zero.
    return np.divide(quality - worst, spread, out=result, where=spread > 1e-12)


def saving(amount: FloatArray, allowed: BoolArray) -> FloatArray:
    """1 - amount / max amount over the allowed candidates (..., N); zero where all amounts are zero."""
    if amount.ndim == 1:
        compared = amount if all_of(allowed) else amount[allowed]
        most = compared.item(compared.argmax()) if compared.size else 0.0
        return np.zeros_like(amount) if most <= 0.0 else 1.0 - amount / most
    counted = True if all_of(allowed) else allowed
    largest = np.maximum.reduce(amount, axis=-1, keepdims=True, where=counted, initial=0.0)
    if all_of(largest):
        saved: FloatArray = 1.0 - amount / largest
    else:
        saved = (largest > 0.0) - amount / np.where(largest > 0.0, largest, np.inf)
    return saved


def worth(amount: FloatArray, slope: float, nought: float, least: float) -> FloatArray:
    """slope * ln(nought / amount): whoever takes half as much gains the same, whatever others take."""
    gained: FloatArray = slope * (math.log(nought) - np.log(amount + least))
    return gained


def worth_of_times(times: LatencyForecast) -> FloatArray:
    """What the times of a request are worth, before the weight; by a compiled loop where there is one."""
    scale = LATENCY_SCALE
    amount, more = times.e2e_s, times.burden_s
    if times.failures_s is not None:
        # Added in the order of `priced_s`.
        amount, more = amount + more, times.failures_s
    if IN_USE.loops is None or isinstance(more, float) or more.ndim != 1:
        return worth(times.priced_s, *scale)
    return IN_USE.either(
        lambda loops: _worth_by_loops(loops, amount, more, scale), lambda: worth(times.priced_s, *scale)
    )


def _worth_by_loops(
    loops: Loops, amount: FloatArray, more: FloatArray, scale: tuple[float, float, float]
) -> FloatArray:
    value = np.empty(amount.size)
    loops.worth_of(amount, np.ascontiguousarray(more, dtype=np.float64), *scale, value)
    return value


class Objective(ABC):
    """Turns predictions into the terms whose sum is a candidate's score.

    Only `allowed` candidates count in comparisons. Arrays have shape (..., N), for one request or a batch.
    """

    __slots__ = ()

    @property
    def relative(self) -> bool:
        """Whether a candidate's terms depend on which others are compared."""
        return False

    @property
    def plain_weights(self) -> Weights | None:
        """The weights where quality counts as it is, and times and costs by their `worth`; None elsewhere."""
        return None

    @abstractmethod
    def static_terms(
        self, quality: FloatArray, cost_usd: FloatArray, allowed: BoolArray
    ) -> tuple[ScoreTerm, ScoreTerm]:
        """The terms of quality and cost, which do not depend on load."""

    @abstractmethod
    def latency(self, times: LatencyForecast, allowed: BoolArray) -> ScoreTerm:
        """The term of latency, which changes with every request that is placed."""

    def latency_of_two(
        self, kept: LatencyForecast, escalated: LatencyForecast, share: FloatArray, allowed: BoolArray
    ) -> ScoreTerm:
        """The term of latency where the times are `escalated` in a share (N,) of the cases, else `kept`."""
        return self.latency(_between(kept, escalated, share), allowed)

    def terms(self, predictions: Predictions, allowed: BoolArray) -> tuple[ScoreTerm, ScoreTerm, ScoreTerm]:
        """All terms of the score."""
        quality, cost = self.static_terms(predictions.quality, predictions.cost_usd, allowed)
        return quality, self.latency(predictions.times, allowed), cost


def _between(kept: LatencyForecast, escalated: LatencyForecast, share: FloatArray) -> LatencyForecast:
    """The mean of the priced time over both cases."""
    mean_s = kept.priced_s + share * (escalated.priced_s - kept.priced_s)
    return LatencyForecast(kept.wait_s, mean_s, kept.tpot_s, mean_s)


@dataclass(frozen=True, slots=True)
class JointScore(Objective):
    """The score in the module's docstring, in either form."""

    weights: Weights
    quality_norm: QualityNorm = "raw"
    norm: Norm = "absolute"

    @property
    def relative(self) -> bool:
        """Whether a candidate's terms depend on which others are compared."""
        return self.norm == "paper" or self.quality_norm != "raw"

    @property
    def plain_weights(self) -> Weights | None:
        """The weights where quality counts as it is, and times and costs by their `worth`; None elsewhere."""
        return None if self.relative else self.weights

    def static_terms(
        self, quality: FloatArray, cost_usd: FloatArray, allowed: BoolArray
    ) -> tuple[ScoreTerm, ScoreTerm]:
        """The normalised quality, and what a low cost is worth."""
        saved = saving(cost_usd, allowed) if self.norm == "paper" else worth(cost_usd, *COST_SCALE)
        return (
            ScoreTerm(
                "quality", self.weights.quality, normalise_quality(quality, allowed, self.quality_norm)
            ),
            ScoreTerm("cost", self.weights.cost, saved),
        )

    def latency(self, times: LatencyForecast, allowed: BoolArray) -> ScoreTerm:
        """What a low latency is worth."""
        saved = saving(times.priced_s, allowed) if self.norm == "paper" else worth_of_times(times)
        return ScoreTerm("latency", self.weights.latency, saved)


@dataclass(frozen=True, slots=True)
class Priced(Objective):
    """The net value of an answer in US dollars.

        s = usd_per_quality * q - usd_per_second * T - cost

    A candidate's score does not depend on the other candidates. So the order of two does not change when a
    third joins them (no rank reversal), as it may where terms are divided by the largest of the set. In
    return, somebody has to say what quality and time are worth, and scores are comparable at the same prices
    only.
    """

    usd_per_quality: float
    """Value of an answer of quality 1 over one of quality 0."""
    usd_per_second: float
    """Cost of a second of waiting for the whole answer."""

    def __post_init__(self) -> None:
        for name, value in (
            ("usd_per_quality", self.usd_per_quality),
            ("usd_per_second", self.usd_per_second),
        ):
            if not 0.0 <= value < math.inf:
                raise ValueError(f"prices.{name} is {value!r}; allowed is a number from 0 up, in USD")

    def static_terms(
        self, quality: FloatArray, cost_usd: FloatArray, allowed: BoolArray
    ) -> tuple[ScoreTerm, ScoreTerm]:
        """The value of the quality and the cost, in USD."""
        return ScoreTerm("quality", self.usd_per_quality, quality), ScoreTerm("cost", 1.0, -cost_usd)

    def latency(self, times: LatencyForecast, allowed: BoolArray) -> ScoreTerm:
        """The cost of the time, in USD."""
        return ScoreTerm("latency", self.usd_per_second, -times.priced_s)


BALANCED = JointScore(PRESETS["balanced"])


def total(terms: Sequence[ScoreTerm], allowed: BoolArray) -> FloatArray:
    """Score (..., N) of every candidate: the sum of its terms, or -inf where it is not allowed."""
    points = terms[0].points
    for term in terms[1:]:
        points = points + term.points
    return points if all_of(allowed) else np.where(allowed, points, -np.inf)


def score(
    quality: FloatArray,
    e2e_s: FloatArray,
    cost_usd: FloatArray,
    allowed: BoolArray,
    weights: Weights,
    quality_norm: QualityNorm = "raw",
    norm: Norm = "paper",
) -> FloatArray:
    """Joint score (..., N) of every candidate, or -inf where it is not allowed; in the paper's form if not
    told otherwise.

    `quality` in [0, 1], `e2e_s` in seconds, `cost_usd` in US dollars, all of shape (..., N).
    """
    objective = JointScore(weights, quality_norm, norm)
    of_quality, of_cost = objective.static_terms(quality, cost_usd, allowed)
    of_latency = objective.latency(LatencyForecast(e2e_s, e2e_s, e2e_s, e2e_s), allowed)
    return total((of_quality, of_latency, of_cost), allowed)
