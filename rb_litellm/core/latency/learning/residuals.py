"""The distribution of measured / predicted latency per tier: it turns a forecast into P(latency <= limit).

A forecast is an expectation, a service level speaks of a tail. The ratio of measured to predicted time has
much the same distribution whatever the request. So past ratios give an empirical distribution F, and

    P(latency <= limit) = F(limit / forecast)

One F is kept per tier and kind of latency, as a histogram with bins of equal width in the logarithm, 5% each
(as in DDSketch, https://arxiv.org/abs/1908.10693): its size is bounded, it is cheap to update, and it is read
for all candidates at once. Each new measurement takes 0.1% of the weight of all earlier ones, so that F
follows the present model. And what is old counts less beside what is new: by half for each ten minutes in
which nothing was measured, down to the weight of a few measurements. Without a new one nothing changes.

Before anything is measured, F is a log-normal with median one and a generous spread, which a few dozen
measurements outweigh.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from rb_litellm.core.latency.learning.evidence import taught_by
from rb_litellm.core.types import FloatArray, IntArray, Outcome

LatencyKind = Literal["ttft", "tpot", "e2e"]
"""Kinds of latency. E2E is compared with the prediction at the predicted length, so its ratio includes the
error of the length."""

KINDS: dict[LatencyKind, int] = {"ttft": 0, "tpot": 1, "e2e": 2}
_PRIOR_SPREAD = {"ttft": 0.6, "tpot": 0.35, "e2e": 0.7}
"""Standard deviation of the log ratio before measurements."""
_PRIOR_WEIGHT = 12.0
"""The prior counts for this many measurements."""
_KEPT = 1.0 - 1.0 / 1000.0
"""Share of its weight that a measurement keeps when another of its tier is counted."""
_FRESH_S, _HALF_LIFE_S = 60.0, 600.0
"""Of the weight of all that was measured before a silence longer than the first of these."""
_LEAST_WEIGHT = 12.0
"""What a silence leaves."""
_REACH = math.log(32.0)
"""Ratios beyond a factor of 32 are counted as 32."""
_BINS = 140
_WIDTH = 2.0 * _REACH / _BINS
_EDGES = np.linspace(-_REACH, _REACH, _BINS + 1)
_MAX_FOUND = 16
"""Sets of limits whose longest forecasts are cached for one set of deployments."""


class Residuals:
    """Distributions of measured / predicted for a growing list of tiers, by the tiers' rows."""

    def __init__(self) -> None:
        self._weights: FloatArray = np.zeros((0, len(KINDS), _BINS))
        self._below: FloatArray = np.zeros((0, len(KINDS), _BINS + 1))
        self._seen_s: FloatArray = np.zeros((0, len(KINDS)))
        """When each was measured last; -inf for never."""
        self._stale: set[tuple[int, int]] = set()
        """Tiers and kinds that were measured since their cumulative shares were computed."""
        self.changes = 0
        """Number of ratios counted so far."""

    def __len__(self) -> int:
        return len(self._weights)

    def learn(self, tier_row: int, outcome: Outcome) -> None:
        """Learn from a closed attempt; skips failed ones and those without predictions."""
        predicted = outcome.predicted
        taught = taught_by(outcome)
        if predicted is None or outcome.error is not None or not taught.times:
            return
        if outcome.ttft_s is not None:
            self.observe(tier_row, "ttft", predicted.ttft_s, outcome.ttft_s, outcome.at_s)
        if outcome.tpot_s is not None:
            self.observe(tier_row, "tpot", predicted.tpot_s, outcome.tpot_s, outcome.at_s)
        if outcome.output_tokens is not None and taught.length:
            self.observe(tier_row, "e2e", predicted.e2e_s, outcome.open_s, outcome.at_s)

    def observe(
        self,
        tier_row: int,
        kind: LatencyKind,
        predicted_s: float,
        measured_s: float,
        now: float | None = None,
    ) -> None:
        """Count one ratio, measured at `now` in s; skips times that are not positive and finite."""
        if not (0.0 < predicted_s < math.inf and 0.0 < measured_s < math.inf):
            return
        self._reach_row(tier_row)
        ratio = min(max(math.log(measured_s) - math.log(predicted_s), -_REACH), _REACH)
        column = KINDS[kind]
        weights = self._weights[tier_row, column]
        weights *= _KEPT if now is None else _KEPT * self._kept(tier_row, column, now)
        weights[min(int((ratio + _REACH) / _WIDTH), _BINS - 1)] += 1.0
        self._stale.add((tier_row, column))
        self.changes += 1

    def probabilities(
        self,
        tables: IntArray,
        kinds: Sequence[LatencyKind],
        predicted_s: FloatArray,
        limits_s: Sequence[float],
    ) -> FloatArray:
        """(K, N) P(latency <= limit) of K kinds for forecasts (K, N) and limits (K,), read by `tables`.

        It never rises with the forecast and never falls with the limit. A limit of zero or less is never met;
        a forecast of zero meets any other limit.
        """
        limits = np.array([[max(limit, 1e-300)] for limit in limits_s])
        place = (np.log(limits / np.maximum(predicted_s, 1e-9)) + _REACH) / _WIDTH
        place = np.minimum(np.maximum(place, 0.0), float(_BINS))
        left = np.minimum(place.astype(np.int64), _BINS - 1)
        at = tables[[KINDS[kind] for kind in kinds]] + left
        below = self._shares().ravel()
        low = below[at]
        found: FloatArray = low + (place - left) * (below[at + 1] - low)
        return found

    def tables(self, tier_rows: IntArray) -> IntArray:
        """Where the distribution of each kind begins (K, N) for deployments of `tier_rows` (N,)."""
        if len(tier_rows):
            self._reach_row(int(tier_rows.max()))
        begins: IntArray = (tier_rows * len(KINDS) + np.arange(len(KINDS))[:, None]) * (_BINS + 1)
        return begins

    def quantiles(self, tier_rows: IntArray, kinds: Sequence[LatencyKind], share: float) -> FloatArray:
        """(K, N) quantiles of measured / predicted for K kinds, on deployments of `tier_rows` (N,).

        `share` of the measurements lie below; it is above 0 and at most 1.
        """
        if len(tier_rows):
            self._reach_row(int(tier_rows.max()))
        # A fleet has few tiers, however many the worker knows.
        tiers, of = np.unique(tier_rows, return_inverse=True)
        below = self._shares()[tiers]
        right = np.minimum(np.count_nonzero(below < share, axis=-1), _BINS)[..., None]
        low = np.take_along_axis(below, right - 1, axis=-1)
        high = np.take_along_axis(below, right, axis=-1)
        edges = (right - 1 + (share - low) / (high - low)) * _WIDTH - _REACH
        ratios: FloatArray = np.exp(edges[of[None], [[KINDS[kind]] for kind in kinds], 0])
        return ratios

    def _kept(self, tier_row: int, kind: int, now: float) -> float:
        """What the time since the measurement before leaves of its weight."""
        seen_s = float(self._seen_s[tier_row, kind])
        silent_s = now - seen_s
        self._seen_s[tier_row, kind] = max(now, seen_s)
        if not _FRESH_S < silent_s < math.inf:
            return 1.0
        weight = float(self._weights[tier_row, kind].sum())
        kept: float = 2.0 ** -((silent_s - _FRESH_S) / _HALF_LIFE_S)
        return min(max(kept, _LEAST_WEIGHT / weight), 1.0)

    def _shares(self) -> FloatArray:
        """(tiers, K, bins + 1) share of ratios below each edge; computed when a request with limits asks."""
        for tier_row, kind in self._stale:
            below = self._below[tier_row, kind]
            np.cumsum(self._weights[tier_row, kind], out=below[1:])
            below /= below[-1]
        self._stale.clear()
        return self._below

    def _reach_row(self, row: int) -> None:
        missing = row + 1 - len(self)
        if missing > 0:
            self._weights = np.concatenate([self._weights, np.repeat(_PRIOR[None], missing, axis=0)])
            never = np.full((missing, len(KINDS)), -np.inf)
            self._seen_s = np.concatenate([self._seen_s, never])
            below = np.concatenate([np.zeros((len(KINDS), 1)), np.cumsum(_PRIOR, axis=-1)], axis=-1)
            below /= below[:, -1:]
            self._below = np.concatenate([self._below, np.repeat(below[None], missing, axis=0)])


@dataclass(slots=True)
class FleetResiduals:
    """The residual distributions of N deployments, by their tiers."""

    residuals: Residuals
    tier_rows: IntArray
    """(N,)"""
    tables: IntArray
    """(K, N) where each deployment's distributions begin."""
    _found: dict[tuple[tuple[LatencyKind, ...], tuple[float, ...], float], FloatArray] = field(
        default_factory=dict, init=False, repr=False
    )
    _found_at: int = field(default=0, init=False, repr=False)
    """The residuals' `changes` when `_found` was computed."""

    @classmethod
    def of(cls, residuals: Residuals, tier_rows: IntArray) -> FleetResiduals:
        """The residuals of N deployments of these tiers (N,)."""
        return cls(residuals, tier_rows, residuals.tables(tier_rows))

    def probabilities(
        self, kinds: Sequence[LatencyKind], predicted_s: FloatArray, limits_s: Sequence[float]
    ) -> FloatArray:
        """(K, N) P(latency <= limit) of K kinds for forecasts (K, N) and limits (K,)."""
        return self.residuals.probabilities(self.tables, kinds, predicted_s, limits_s)

    def attainable(self, kind: LatencyKind, predicted_s: FloatArray, share: float) -> FloatArray:
        """(N,) the limit in s that `share` of the requests with these forecasts (N,) meet."""
        (ratios,) = self.residuals.quantiles(self.tier_rows, (kind,), share)
        limits: FloatArray = predicted_s * ratios
        return limits

    def longest(
        self, kinds: tuple[LatencyKind, ...], limits_s: tuple[float, ...], share: float
    ) -> FloatArray:
        """(K, N) the longest forecasts of K kinds for which P(latency <= limit) is at least `share`.

        Many requests have the same limits, so results are cached until something is measured.
        """
        if self._found_at != self.residuals.changes or len(self._found) >= _MAX_FOUND:
            self._found.clear()
            self._found_at = self.residuals.changes
        key = kinds, limits_s, share
        found = self._found.get(key)
        if found is None:
            # A limit of zero or less is never met.
            limits = np.array([[limit if limit > 0.0 else -math.inf] for limit in limits_s])
            found = self._found[key] = limits / self.residuals.quantiles(self.tier_rows, kinds, share)
        return found


def _prior() -> FloatArray:
    """Weights (K, bins) of a log-normal ratio with median one."""
    rows = []
    for kind in KINDS:
        scale = _PRIOR_SPREAD[kind] * math.sqrt(2.0)
        below = np.array([0.5 * (1.0 + math.erf(edge / scale)) for edge in _EDGES])
        rows.append(np.diff(below) * _PRIOR_WEIGHT)
    return np.array(rows)


_PRIOR = _prior()
