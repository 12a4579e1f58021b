"""A small online regression for times: recursive least squares (RLS) with forgetting, made robust.

What counts is the error relative to the expected time: ten milliseconds are much on an idle server and
nothing on a full one. So with prediction p = w . x, the features x / p, and the error log(y / p) clipped to
1.5 of its own standard errors s (Huber, Robust Estimation of a Location Parameter, 1964), each measurement y
updates

    s^2 = lambda * sigma^2 + x'^T P x'                 x' = x / p,  sigma = 0.3
    g = P x' / s^2
    w = w + g * error                                  P = (P - g (P x')^T) / lambda

as in Haykin, Adaptive Filter Theory, chapter on RLS. With that alone p would change by k * error of itself,
with k = x'^T P x' / s^2. Downwards that goes too far, past y if k is near 1: there exp(k * error) - 1 is
taken for k * error, so that log p changes by k * error. Upwards the less is the more robust. lambda = 0.998
forgets with a memory of about 500 measurements. P starts at the squares of the prior's errors, so that a few
measurements that err by such an error move it: the first ones may move it far, for s is large then, and later
ones little. P never grows beyond its start, because without new information forgetting would let it grow
without bound (estimator wind-up).

Two or three coefficients in plain Python floats are several times quicker than NumPy at this size.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import mul

_SPREAD = 0.3
"""Standard error of one measurement, relative to its expectation."""
_CLIP = 1.5
"""Standard errors for which one measurement counts at most,"""
_DOWN = math.log(4.0)
"""and the log error, in size, that it may count for downwards."""
_FORGETTING = 0.998
_LEAST, _MOST = 0.01, 50.0
"""Coefficients stay within these multiples of their prior."""
_GROWTH = 0.5
"""A slope whose prior is small or zero may still reach this share of the first coefficient's prior; and more
only where `doubt` says so."""
_ANEW = 2.0**2
_DOUBT = 0.05
"""Least standard error of a coefficient at the start, as a share of the first coefficient's prior."""


class Regression:
    """y = w . x for features x >= 0 with x[0] = 1. w[0] stays positive, the other weights are never negative.

    `prior` holds the weights at the start, `errors` their standard errors as multiples of their sizes, all 1
    where none are given. One above 1 is so upwards alone: downwards a weight's error is its size at most.
    Scale the features so that 1 is a usual value.
    """

    __slots__ = ("_covariance", "_doubt", "_low", "_prior", "_share", "_upwards", "usual_most", "weights")

    def __init__(self, prior: Sequence[float], errors: Sequence[float] | None = None) -> None:
        first = prior[0]
        self._prior = tuple(prior)
        self.weights = list(prior)
        self._share = [0.0] * len(prior)
        """What each weight may reach, besides, as a share of the first one."""
        sizes = prior if errors is None else [w * e for w, e in zip(prior, errors, strict=True)]
        self._doubt = [max(size, first * _DOUBT) ** 2 for size in sizes]
        self._covariance = [
            [v if i == j else 0.0 for j in range(len(prior))] for i, v in enumerate(self._doubt)
        ]
        self._upwards = [i for i, error in enumerate(errors or ()) if error > 1.0]
        """Those whose error is larger than their size: downwards it is no larger."""
        self._low = [first * _LEAST, *(0.0 for _ in prior[1:])]
        self.usual_most = [first * _MOST, *(max(w * _MOST, first * _GROWTH) for w in prior[1:])]
        """What each weight may reach where `doubt` says no more."""

    def at(self, features: Sequence[float]) -> float:
        """The expected y."""
        expected: float = sum(map(mul, self.weights, features))
        return expected

    def doubt(self, index: int, doubt: float, most: float) -> bool:
        """Give a slope's prior another standard error, and let the slope reach another size.

        Both are shares of the first coefficient; less than at the start they never are. Where the error is at
        least twice as large as before, nothing is known any more of how what was measured is to be parted
        between the two: they are to be learned anew, and the answer is True.
        """
        first = max(self.weights[0], self._prior[0])
        variance = max(self._prior[index], first * _DOUBT, first * doubt) ** 2
        anew = variance >= _ANEW * self._doubt[index]
        if anew:
            self._doubt[0] = max(self._doubt[0], first * first)
            for i, own in ((0, self._doubt[0]), (index, variance)):
                for j, row in enumerate(self._covariance):
                    self._covariance[i][j] = row[i] = 0.0
                self._covariance[i][i] = own
        self._doubt[index], self._share[index] = variance, most
        self._keep_within()
        return anew

    def observe(self, features: Sequence[float], y: float, known: float = 0.0) -> None:
        """Learn from one measurement y > 0, of which `known` comes on top of w . x and is no part of it."""
        expected = self.at(features) + known
        rows = self._covariance
        reach = [1.0] * len(rows)
        relative = [x / expected for x in features]
        if y < expected:
            # Many times its prior a coefficient may be, and less than nothing never.
            for i in self._upwards:
                reach[i] = min(1.0, self.weights[i] / max(math.sqrt(rows[i][i]), 1e-300))
                relative[i] = reach[i] * features[i] / expected
        spread = [sum(map(mul, row, relative)) for row in rows]
        total = _SPREAD * _SPREAD * _FORGETTING + sum(map(mul, spread, relative))
        clip = _CLIP * math.sqrt(total)
        error = min(max(math.log(y / expected), -min(clip, _DOWN)), clip)
        if error < 0.0:
            # Steps are linear, and this one ends where a share of the log error would.
            learned = 1.0 - _SPREAD * _SPREAD * _FORGETTING / total
            error = math.expm1(learned * error) / learned
        for i, s in enumerate(spread):
            self.weights[i] += reach[i] * s / total * error
            rows[i] = [(c - s * t / total) / _FORGETTING for c, t in zip(rows[i], spread, strict=True)]
        self._keep_within()

    def variance(self, features: Sequence[float]) -> float:
        """Of the expected y, relative to it squared."""
        expected = self.at(features)
        spread = (sum(map(mul, row, features)) for row in self._covariance)
        found: float = sum(map(mul, features, spread))
        return found / (expected * expected)

    def _keep_within(self) -> None:
        rows, weights = self._covariance, self.weights
        for i, (low, usual, share) in enumerate(zip(self._low, self.usual_most, self._share, strict=True)):
            weights[i] = min(max(weights[i], low), max(usual, share * weights[0]))
        # Forgetting without new information would let the covariance grow without bound.
        for i, most in enumerate(self._doubt):
            if rows[i][i] > most:
                shrink = math.sqrt(most / rows[i][i])
                for j in range(len(rows)):
                    rows[i][j] *= shrink
                    rows[j][i] *= shrink
