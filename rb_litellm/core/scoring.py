"""One score per candidate over quality, latency and cost: the heart of the joint decision.

    s = w_q * q + w_l * (1 - T / max T) + w_c * (1 - cost / max cost)

with weights that sum to one and maxima over the candidates of the same request (RouteBalance,
arXiv 2606.17949). T is the predicted E2E and, beyond the paper, what the requests already there lose by
this one (`burden` in `latency`). Higher is better. All functions take arrays whose last axis is the N
candidates, so one request (N,) and a batch (R, N) are scored by the same code.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from rb_litellm.core.breakdown import Predictions, ScoreTerm, all_of
from rb_litellm.core.latency import LatencyForecast
from rb_litellm.core.types import BoolArray, FloatArray

QualityNorm = Literal["raw", "minmax", "scaled"]

_SUM_TOLERANCE = 1e-6


@dataclass(frozen=True, slots=True)
class Weights:
    """What a request is worth in quality, latency and cost; non-negative, summing to one."""

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
    "quality": Weights(0.8, 0.1, 0.1),
    "latency": Weights(0.15, 0.7, 0.15),
    "cost": Weights(0.1, 0.1, 0.8),
    "cheapest": Weights(0.0, 0.2, 0.8),
}
"""`balanced` is the paper's; of the next three its authors say which weight goes towards 1, not how far. With
0.8 for latency quality had no say: all went to the one fastest model for as long as that had room. `cheapest`
is ours, for those who would route by price alone: the lowest price there is, then the quickest server.
"""


def normalise_quality(quality: FloatArray, allowed: BoolArray, norm: QualityNorm) -> FloatArray:
    """Bring quality (..., N) to the scale that the weight applies to.

    `raw` keeps the prediction as it is; `minmax` stretches the candidates of a request over [0, 1];
    `scaled` divides by the best candidate's, as latency and cost are. Only `allowed` entries count.
    """
    if norm == "raw":
        return quality
    best: FloatArray = np.max(quality, axis=-1, keepdims=True, where=allowed, initial=0.0)
    result: FloatArray = np.zeros_like(quality)
    if norm == "scaled":
        return np.divide(quality, best, out=result, where=best > 0.0)
    worst: FloatArray = np.min(quality, axis=-1, keepdims=True, where=allowed, initial=np.inf)
    spread = best - worst
    # Candidates that are all alike in quality must not differ in score: a spread of zero scores zero.
    return np.divide(quality - worst, spread, out=result, where=spread > 1e-12)


def saving(amount: FloatArray, allowed: BoolArray) -> FloatArray:
    """1 - amount / max amount over the allowed candidates (..., N); zero where every amount is zero."""
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


class Objective(ABC):
    """What a request is after: turns predictions into the terms whose sum is a candidate's score.

    Only `allowed` candidates count in any comparison. Arrays (..., N): of one request, or of a batch.
    """

    __slots__ = ()

    @abstractmethod
    def static_terms(
        self, quality: FloatArray, cost_usd: FloatArray, allowed: BoolArray
    ) -> tuple[ScoreTerm, ScoreTerm]:
        """The terms of quality and cost: what is placed before a request changes neither."""

    @abstractmethod
    def latency(self, times: LatencyForecast, allowed: BoolArray) -> ScoreTerm:
        """The term of latency, which is another after every request that is placed."""

    def terms(self, predictions: Predictions, allowed: BoolArray) -> tuple[ScoreTerm, ScoreTerm, ScoreTerm]:
        """All terms of the score."""
        quality, cost = self.static_terms(predictions.quality, predictions.cost_usd, allowed)
        return quality, self.latency(predictions.times, allowed), cost


@dataclass(frozen=True, slots=True)
class JointScore(Objective):
    """The score above: each term is relative to the candidates of the same request."""

    weights: Weights
    quality_norm: QualityNorm = "raw"

    def static_terms(
        self, quality: FloatArray, cost_usd: FloatArray, allowed: BoolArray
    ) -> tuple[ScoreTerm, ScoreTerm]:
        """Quality as normalised, and what is saved of the largest cost."""
        return (
            ScoreTerm(
                "quality", self.weights.quality, normalise_quality(quality, allowed, self.quality_norm)
            ),
            ScoreTerm("cost", self.weights.cost, saving(cost_usd, allowed)),
        )

    def latency(self, times: LatencyForecast, allowed: BoolArray) -> ScoreTerm:
        """What is saved of the largest latency."""
        return ScoreTerm("latency", self.weights.latency, saving(times.priced_s, allowed))


@dataclass(frozen=True, slots=True)
class Priced(Objective):
    """What an answer is worth less what it takes, in US dollars.

        s = usd_per_quality * q - usd_per_second * T - cost

    A candidate's score depends on nobody else's: which of two is better does not change when a third
    joins the set, as it may where the largest latency or cost of the set is the measure. In return somebody
    has to say what quality and time are worth, and scores are comparable within one pair of prices only.
    """

    usd_per_quality: float
    """What an answer of quality 1 is worth above one of quality 0."""
    usd_per_second: float
    """What waiting for the whole answer costs."""

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
        """Two sums of money; nothing is compared with other candidates."""
        return ScoreTerm("quality", self.usd_per_quality, quality), ScoreTerm("cost", 1.0, -cost_usd)

    def latency(self, times: LatencyForecast, allowed: BoolArray) -> ScoreTerm:
        """The third."""
        return ScoreTerm("latency", self.usd_per_second, -times.priced_s)


BALANCED = JointScore(PRESETS["balanced"])


def total(terms: Sequence[ScoreTerm], allowed: BoolArray) -> FloatArray:
    """Score of every candidate (..., N), the sum of its terms; -inf where it is not allowed."""
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
) -> FloatArray:
    """The joint score of every candidate (..., N); -inf where it is not allowed.

    `quality` in [0, 1], `e2e_s` in seconds, `cost_usd` in US dollars, all of shape (..., N).
    """
    objective = JointScore(weights, quality_norm)
    of_quality, of_cost = objective.static_terms(quality, cost_usd, allowed)
    of_latency = ScoreTerm("latency", weights.latency, saving(e2e_s, allowed))
    return total((of_quality, of_latency, of_cost), allowed)
