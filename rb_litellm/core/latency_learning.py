"""Learn the latency coefficients of deployments from what is measured on them, starting from priors.

Two speeds, which is partial pooling in its simplest form. The *shape* (idle time and its growth with
load or prompt length) is learned slowly, by recursive least squares over all deployments of a tier:
they run one model on one hardware. The *scale* of each deployment against its tier is learned
fast, as a clipped moving average of log ratios, so that a deployment that turns three times slower
is priced so within a few dozen of its own requests and one odd measurement moves nothing much.
How far a difference within a tier is believed is said in `pooling`.
TTFT and TPOT are learned separately: a deployment can be slow to start and quick to write.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from rb_litellm.core.latency import LatencyCoefficients, LatencyPrior
from rb_litellm.core.pooling import pooled
from rb_litellm.core.types import FloatArray, IntArray, Outcome

_CLIP = math.log(4.0)
"""One measurement counts for at most a factor of four: outliers are heard, not believed."""
_GAIN_FLOOR = 0.12
_SHRINK = 0.002
"""Pull of a deployment's scale back to its tier's, per measurement."""
_FORGETTING = 0.998
_BOUNDS = (0.05, 50.0)
"""Learned figures stay within these multiples of the prior."""
_MAX_SCALE = math.log(200.0)


class _Line:
    """Recursive least squares of y = a + b * x with forgetting, started at a prior (a, b > 0)."""

    def __init__(self, intercept: float, slope: float, x_unit: float) -> None:
        self._prior = np.array([intercept, slope * x_unit])
        self._x_unit = x_unit
        self._weights = self._prior.copy()
        # Relative trust: the prior weighs as much as a few measurements with its own size of error.
        self._covariance = np.diag(np.square(np.maximum(self._prior, intercept * 0.05)))
        self._noise = (0.5 * intercept) ** 2

    def observe(self, x: float, y: float) -> None:
        features = np.array([1.0, x / self._x_unit])
        expected = float(features @ self._weights)
        y = min(max(y, expected / 4.0), expected * 4.0)
        spread = self._covariance @ features
        gain = spread / (self._noise * _FORGETTING + float(features @ spread))
        self._weights = self._weights + gain * (y - expected)
        covariance = (self._covariance - np.outer(gain, spread)) / _FORGETTING
        # Forgetting without new information would let the covariance grow without end.
        limit = np.square(np.maximum(self._prior, self._prior[0] * 0.05))
        shrink = np.sqrt(np.minimum(1.0, limit / np.maximum(np.diag(covariance), 1e-300)))
        self._covariance = covariance * np.outer(shrink, shrink)
        low = np.array([self._prior[0] * _BOUNDS[0], 0.0])
        self._weights = np.clip(self._weights, low, np.maximum(self._prior, low + 1e-12) * _BOUNDS[1])

    @property
    def intercept(self) -> float:
        return float(self._weights[0])

    @property
    def slope(self) -> float:
        return float(self._weights[1]) / self._x_unit

    def at(self, x: float) -> float:
        return self.intercept + self.slope * x


@dataclass(slots=True)
class _Tier:
    tpot: _Line
    ttft: _Line
    rows: list[int] = field(default_factory=list)


class LatencyLearner:
    """Latency coefficients of a growing list of deployments, kept current by `observe`.

    Rows are those of the caller's deployment index. Bounded by the number of deployments.
    """

    def __init__(self) -> None:
        self._tiers: dict[str, _Tier] = {}
        self._tier_of: list[str] = []
        self._tier_rows: dict[str, int] = {}
        self._measured_tpot: IntArray = np.zeros(0, dtype=np.int64)
        self._measured_ttft: IntArray = np.zeros(0, dtype=np.int64)
        self._log_tpot: FloatArray = np.zeros(0)
        self._log_ttft: FloatArray = np.zeros(0)
        self.coefficients = LatencyCoefficients.from_priors([])

    def __len__(self) -> int:
        return len(self._tier_of)

    def tier_row(self, row: int) -> int:
        """The number of the tier of the deployment at `row`: tiers count from 0 as they are met."""
        return self._tier_rows[self._tier_of[row]]

    def add(self, tier: str, prior: LatencyPrior) -> int:
        """Add the next deployment, of the given tier, and return its row.

        The first deployment of a tier sets the tier's prior; later ones start from what the tier
        has learned.
        """
        row = len(self._tier_of)
        if tier not in self._tiers:
            self._tier_rows[tier] = len(self._tiers)
            self._tiers[tier] = _Tier(
                tpot=_Line(prior.tpot_s, prior.tpot_s_per_running, x_unit=16.0),
                ttft=_Line(prior.ttft_s, prior.prefill_s_per_token, x_unit=1000.0),
            )
        self._tiers[tier].rows.append(row)
        self._tier_of.append(tier)
        self._measured_tpot = np.append(self._measured_tpot, 0)
        self._measured_ttft = np.append(self._measured_ttft, 0)
        self._log_tpot = np.append(self._log_tpot, 0.0)
        self._log_ttft = np.append(self._log_ttft, 0.0)
        c = self.coefficients
        self.coefficients = LatencyCoefficients(
            np.append(c.tpot_s, 0.0),
            np.append(c.tpot_s_per_running, 0.0),
            np.append(c.ttft_s, 0.0),
            np.append(c.prefill_s_per_token, 0.0),
            np.append(c.slots, prior.slots),
        )
        self._refresh(self._tiers[tier])
        return row

    def observe(self, row: int, outcome: Outcome) -> None:
        """Learn from one closed attempt on the deployment at `row`; failures teach nothing here."""
        if outcome.error is not None:
            return
        tier = self._tiers[self._tier_of[row]]
        slots = float(self.coefficients.slots[row])
        if outcome.tpot_s is not None and outcome.tpot_s > 0.0:
            load = min(outcome.in_flight, slots - 1.0)
            self._measured_tpot[row] += 1
            _learn(tier.tpot, self._log_tpot, row, load, outcome.tpot_s, int(self._measured_tpot[row]))
        # A request that had to queue says nothing of prefill: its TTFT is mostly other people's decoding.
        if outcome.ttft_s is not None and outcome.ttft_s > 0.0 and outcome.in_flight < slots:
            tokens = outcome.pending_prefill_tokens + outcome.input_tokens
            self._measured_ttft[row] += 1
            _learn(tier.ttft, self._log_ttft, row, tokens, outcome.ttft_s, int(self._measured_ttft[row]))
        self._refresh(tier)

    def _refresh(self, tier: _Tier) -> None:
        rows = np.array(tier.rows)
        tpot_scale = np.exp(pooled(self._log_tpot[rows], self._measured_tpot[rows]))
        ttft_scale = np.exp(pooled(self._log_ttft[rows], self._measured_ttft[rows]))
        c = self.coefficients
        c.tpot_s[rows] = tier.tpot.intercept * tpot_scale
        c.tpot_s_per_running[rows] = tier.tpot.slope * tpot_scale
        c.ttft_s[rows] = tier.ttft.intercept * ttft_scale
        c.prefill_s_per_token[rows] = tier.ttft.slope * ttft_scale


def _learn(line: _Line, log_scale: FloatArray, row: int, x: float, measured: float, count: int) -> None:
    scale = math.exp(log_scale[row])
    line.observe(x, measured / scale)
    residual = math.log(measured / (line.at(x) * scale))
    gain = max(_GAIN_FLOOR, 1.0 / (count + 3.0))
    step = gain * min(max(residual, -_CLIP), _CLIP)
    log_scale[row] = min(max((log_scale[row] + step) * (1.0 - _SHRINK), -_MAX_SCALE), _MAX_SCALE)
