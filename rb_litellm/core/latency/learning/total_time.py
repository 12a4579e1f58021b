"""What total times of answers in one piece say of TTFT and of time per token: a Kalman filter of two numbers.

The state is the pair of log scales (TPOT, TTFT), of a tier against its prior or of a deployment against its
tier. A total T = TTFT + (L - 1) * TPOT of which the tokens are the share e measures, to first order,
e * log scale of TPOT + (1 - e) * log scale of TTFT. One total cannot tell which of the two was wrong; the
covariance remembers that, and totals of other lengths settle it. A stream measures both by themselves.

Nor can it tell whether a tier or its deployment was wrong. There the larger variance says: a prior may be far
off, while the deployments of a tier are much alike.
"""

from __future__ import annotations

OF_TIER, OF_DEPLOYMENT = 1.0**2, 0.25**2
"""Variances of each log scale at the start."""
_NOISE = 0.3**2
"""Variance of the log of a total around its expectation,"""
_NOISE_ALONE = 0.3**2
"""and of a time that was measured by itself."""
_STEP = 0.0015
"""Variance that each log scale gains between two answers: they are never known for good."""


class TotalTime:
    """The covariance of two log scales. Kinds are 0 for TPOT and 1 for TTFT."""

    __slots__ = ("_both", "_of", "_start")

    def __init__(self, start: float) -> None:
        self._start = start
        self._of = [start, start]
        self._both = 0.0

    def measured(self, kind: int) -> None:
        """A time of this kind was measured by itself."""
        known = _NOISE_ALONE / (self._of[kind] + _NOISE_ALONE)
        self._of[kind] = self._of[kind] * known + _STEP
        self._both *= known

    def variance(self, share: float) -> float:
        """Of the log of a total of which `share` are the tokens."""
        rest = 1.0 - share
        return share * share * self._of[0] + 2.0 * share * rest * self._both + rest * rest * self._of[1]

    def observe(
        self,
        share: float,
        error: float,
        walked: float,
        doubt: float = 0.0,
        at_load: tuple[float, float] = (0.0, 0.0),
    ) -> tuple[float, float]:
        """How far both log scales are to be moved for a total that was off by `error`, in log.

        `share` of the total are the tokens. `walked` is the variance that a silence before it has added,
        `doubt` that of what else may have been off. `at_load` are those of both times at the load of this
        total alone: a server that has been seen full is not known idle.
        """
        grown, most = _STEP + walked, max(self._start, walked)
        tpot, ttft = min(self._of[0] + grown, most), min(self._of[1] + grown, most)
        both = self._both
        rest = 1.0 - share
        of_tpot = share * tpot + rest * both
        of_ttft = share * both + rest * ttft
        here_tpot, here_ttft = share * at_load[0], rest * at_load[1]
        spread = share * (of_tpot + here_tpot) + rest * (of_ttft + here_ttft) + _NOISE + doubt
        self._of = [tpot - of_tpot * of_tpot / spread, ttft - of_ttft * of_ttft / spread]
        self._both = both - of_tpot * of_ttft / spread
        return (of_tpot + here_tpot) / spread * error, (of_ttft + here_ttft) / spread * error
