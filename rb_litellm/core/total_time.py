"""What total times of answers in one piece say of TTFT and of time per token: a Kalman filter of two numbers.

The state is the pair of log scales of one deployment (TPOT, TTFT). A total T = TTFT + (L - 1) * TPOT of which
the tokens are the share e measures, to first order, e * log scale of TPOT + (1 - e) * log scale of TTFT. One
total cannot tell which of the two was wrong; the covariance remembers that, and totals of other lengths
settle it. A stream measures both by themselves.
"""

from __future__ import annotations

_START = 0.25**2
"""Variance of each log scale at the start."""
_NOISE = 0.3**2
"""Variance of the log of a total around its expectation,"""
_NOISE_ALONE = 0.3**2
"""and of a time that was measured by itself."""
_STEP = 0.0015
"""Variance that each log scale gains between two answers: they are never known for good."""


class TotalTime:
    """The covariance of one deployment's two log scales. Kinds are 0 for TPOT and 1 for TTFT."""

    __slots__ = ("_both", "_of")

    def __init__(self) -> None:
        self._of = [_START, _START]
        self._both = 0.0

    def measured(self, kind: int) -> None:
        """A time of this kind was measured by itself."""
        known = _NOISE_ALONE / (self._of[kind] + _NOISE_ALONE)
        self._of[kind] = self._of[kind] * known + _STEP
        self._both *= known

    def observe(self, share: float, error: float, walked: float) -> tuple[float, float]:
        """How far both log scales are to be moved for a total that was off by `error`, in log.

        `share` of the total are the tokens. `walked`, in [0, 1], says how little is known after a silence.
        """
        grown = _STEP + walked * _START
        tpot, ttft = min(self._of[0] + grown, _START), min(self._of[1] + grown, _START)
        both = self._both
        rest = 1.0 - share
        of_tpot = share * tpot + rest * both
        of_ttft = share * both + rest * ttft
        spread = share * of_tpot + rest * of_ttft + _NOISE
        self._of = [tpot - of_tpot * of_tpot / spread, ttft - of_ttft * of_ttft / spread]
        self._both = both - of_tpot * of_ttft / spread
        return of_tpot / spread * error, of_ttft / spread * error
