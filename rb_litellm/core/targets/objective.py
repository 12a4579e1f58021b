"""The score of one request under targets: what is maximised, less the price of what counts against a bound.

    s = q  -  price_c * cost / C  -  price_l * P(E2E > L)  +  price_q * q / Q  -  0.02 * ln T

C, L and Q are the bounds on the mean cost, on the 95th percentile of E2E and on the mean quality; this is
the Lagrangian of "the highest mean quality under these three", in which each request may be decided by
itself. With `maximise: speed` the first term is -0.32 ln T, with `saving` -cost over a scale. T is E2E and
what others lose by this request, as in `scoring`; the last term sends a request to the quickest of equals.

P(E2E > L) is a logistic curve over the logarithm of the forecast, as wide as forecasts with a predicted
output length are wrong. Where it is off, the price is steered all the same by who was late in fact.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from rb_litellm.core.decision.breakdown import ScoreTerm
from rb_litellm.core.decision.scoring import Objective
from rb_litellm.core.latency.forecast import LatencyForecast
from rb_litellm.core.targets.stated import Targets
from rb_litellm.core.types import BoolArray, FloatArray

SPREAD = 0.3
"""Scale of the logistic curve: the log of measured over forecast E2E deviates by half a unit or so."""
_EQUALS = 0.02
"""Slope of ln T beside everything else."""
_SPEED = 0.32
_LEAST_S = 1e-3


def late(e2e_s: FloatArray | float, limit_s: float) -> FloatArray:
    """P(E2E > limit) of forecasts (...,)."""
    distance = (math.log(limit_s) - np.log(np.maximum(e2e_s, _LEAST_S))) / SPREAD
    share: FloatArray = 1.0 / (1.0 + np.exp(np.minimum(distance, 60.0)))
    return share


@dataclass(frozen=True, slots=True)
class Targeted(Objective):
    """See the module's docstring. Prices are those of the bounds in `targets`; 0 where none is set."""

    targets: Targets
    price_of_cost: float = 0.0
    price_of_late: float = 0.0
    price_of_quality: float = 0.0
    usd_scale: float = 1e-3
    """What a cost is divided by where no bound on it says."""

    def static_terms(
        self, quality: FloatArray, cost_usd: FloatArray, allowed: BoolArray
    ) -> tuple[ScoreTerm, ScoreTerm]:
        """Quality at its weight, and what the cost takes off."""
        targets = self.targets
        least = 0.0 if targets.quality_min is None else self.price_of_quality / targets.quality_min
        scale = self.usd_scale if targets.cost_usd_per_1k is None else targets.cost_usd_per_1k / 1000.0
        return (
            ScoreTerm("quality", least + (targets.maximise == "quality"), quality),
            ScoreTerm("cost", self.price_of_cost + (targets.maximise == "saving"), -cost_usd / scale),
        )

    def latency(self, times: LatencyForecast, allowed: BoolArray) -> ScoreTerm:
        """What the probability to be late takes off, and the time itself."""
        slope = _SPEED if self.targets.maximise == "speed" else _EQUALS
        priced_s = times.priced_s
        value = -slope * np.log(priced_s + _LEAST_S)
        if self.targets.e2e_p95_s is not None and self.price_of_late > 0.0:
            value = value - self.price_of_late * late(priced_s, self.targets.e2e_p95_s)
        return ScoreTerm("latency", 1.0, value)

    def latency_of_two(
        self, kept: LatencyForecast, escalated: LatencyForecast, share: FloatArray, allowed: BoolArray
    ) -> ScoreTerm:
        """The mean of both: who is late in one case of three is not late by a third."""
        first, then = self.latency(kept, allowed).value, self.latency(escalated, allowed).value
        return ScoreTerm("latency", 1.0, first + share * (then - first))
