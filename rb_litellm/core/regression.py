"""A small online regression for times: recursive least squares with forgetting, robust, started at a prior.

What counts is the error relative to the time expected: ten milliseconds are much on an idle server and
nothing on a full one. So every measurement is divided by its expectation before it is learned
from, and one that is far off counts as no more than one and a half standard errors (Huber, 1964).

Two or three coefficients in plain Python floats: several times quicker than NumPy at this size.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

_SPREAD = 0.3
"""Standard error of one measurement, relative to its expectation."""
_CLIP = 1.5 * _SPREAD
_FORGETTING = 0.998
_LEAST, _MOST = 0.05, 50.0
"""Learned figures stay within these multiples of the prior;"""
_GROWTH = 0.5
"""a slope whose prior is small or zero may still reach this share of the first coefficient's prior."""
_DOUBT = 0.05
"""Least standard error of a coefficient at the start, as a share of the first one's prior."""


class Regression:
    """y = w . x for features x >= 0 with x[0] = 1; w[0] stays positive, the others at least zero.

    `prior` are the weights at the start; each is trusted as much as a few measurements that err by its
    own size. Features should be scaled so that 1 is a usual value.
    """

    __slots__ = ("_covariance", "_doubt", "_high", "_low", "weights")

    def __init__(self, prior: Sequence[float]) -> None:
        first = prior[0]
        self.weights = list(prior)
        self._doubt = [max(w, first * _DOUBT) ** 2 for w in prior]
        self._covariance = [
            [v if i == j else 0.0 for j in range(len(prior))] for i, v in enumerate(self._doubt)
        ]
        self._low = [first * _LEAST, *(0.0 for _ in prior[1:])]
        self._high = [first * _MOST, *(max(w * _MOST, first * _GROWTH) for w in prior[1:])]

    def at(self, features: Sequence[float]) -> float:
        """The expected y."""
        return sum(w * x for w, x in zip(self.weights, features, strict=True))

    def observe(self, features: Sequence[float], y: float) -> None:
        """Learn from one measurement y > 0."""
        expected = self.at(features)
        error = min(max(math.log(y / expected), -_CLIP), _CLIP)
        relative = [x / expected for x in features]
        rows = self._covariance
        spread = [sum(c * x for c, x in zip(row, relative, strict=True)) for row in rows]
        total = _SPREAD * _SPREAD * _FORGETTING + sum(s * x for s, x in zip(spread, relative, strict=True))
        for i, s in enumerate(spread):
            weight = self.weights[i] + s / total * error
            self.weights[i] = min(max(weight, self._low[i]), self._high[i])
            row = rows[i]
            for j, t in enumerate(spread):
                row[j] = (row[j] - s * t / total) / _FORGETTING
        # Forgetting without new information would let the covariance grow without end.
        for i, most in enumerate(self._doubt):
            if rows[i][i] > most:
                shrink = math.sqrt(most / rows[i][i])
                for j in range(len(rows)):
                    rows[i][j] *= shrink
                    rows[j][i] *= shrink
