"""Quotas of hosted APIs: what is left of them, and what that makes a deployment's time.

A hosted API does not slow down as it fills, it refuses: the growth with load that a server shows by itself
has to be known beforehand here. Two things tell it. Answers carry `x-ratelimit-remaining-*` headers, which
speak for all who share the quota. And a refusal (429) says that the requests of the last minute were too
many. Use of a quota counts from FREE on:

    factor = 1 + STEEP * ((use - FREE) / (1 - FREE))^2        for use > FREE

so that equals share before either is refused. A limit that a refusal told grows by a tenth each minute
without another: it was that of a moment. Rates are this worker's own, of about the last minute.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from rb_litellm.core.types import FloatArray, IntArray

FREE = 0.6
"""Use of a quota up to which it does not matter."""
STEEP = 4.0
_MOST = 20.0
_MEMORY_S = 30.0
"""Time constant of the request rate."""
_SAFETY = 0.9
"""Share of the rate that was refused that is taken for the limit."""
_GROWTH_S = 600.0
"""In this time a limit that was told by a refusal doubles."""
_TOLD_S = 60.0
"""What headers said is gone by for this long."""
_PAIRS = (("limit-requests", "remaining-requests"), ("limit-tokens", "remaining-tokens"))
REMAINING = tuple(remaining for _, remaining in _PAIRS)
"""Ends of the names of headers that say what is left of a quota."""


class Quotas:
    """Of a growing number of deployments, by the learner's rows."""

    def __init__(self) -> None:
        self._rate: list[float] = []
        self._rate_s: list[float] = []
        self._limit: FloatArray = np.zeros(0)
        self._limit_s: FloatArray = np.zeros(0)
        self._used: FloatArray = np.zeros(0)
        self._used_s: FloatArray = np.zeros(0)
        self.any_known = False
        """Whether there is anything to look at."""

    def add(self) -> None:
        """Add a deployment without a known quota."""
        self._rate.append(0.0)
        self._rate_s.append(0.0)
        self._limit = np.append(self._limit, np.inf)
        self._limit_s = np.append(self._limit_s, 0.0)
        self._used = np.append(self._used, 0.0)
        self._used_s = np.append(self._used_s, -np.inf)

    def forget(self, row: int) -> None:
        """Its deployment is gone: the row is as when it was added."""
        self._rate[row] = self._rate_s[row] = 0.0
        self._limit[row], self._limit_s[row] = np.inf, 0.0
        self._used[row], self._used_s[row] = 0.0, -np.inf

    def sent(self, row: int, now: float) -> None:
        """A request goes there."""
        self._rate[row] = self._faded(row, now) + 1.0
        self._rate_s[row] = now

    def refused(self, row: int, now: float) -> None:
        """A request there was refused with 429."""
        limit = max(_SAFETY * self._faded(row, now), 0.5)
        self._limit[row] = min(limit, self._grown(row, now))
        self._limit_s[row] = now
        self.any_known = True

    def told(self, row: int, headers: Mapping[str, object], now: float) -> None:
        """An answer there came with these headers."""
        uses = [
            1.0 - remaining / limit
            for limit, remaining in ((_figure(headers, a), _figure(headers, b)) for a, b in _PAIRS)
            if limit is not None and remaining is not None and limit > 0.0
        ]
        if uses:
            self._used[row] = min(max(max(uses), 0.0), 1.0)
            self._used_s[row] = now
            self.any_known = True

    def factor(self, rows: IntArray, now: float) -> FloatArray:
        """(n,) on the times of these rows; at least 1."""
        its = rows
        rate = np.array([self._faded(row, now) for row in its.tolist()])
        limit = self._limit[its] * np.exp2((now - self._limit_s[its]) / _GROWTH_S)
        told = np.where(now - self._used_s[its] < _TOLD_S, self._used[its], 0.0)
        use = np.maximum(rate / limit, told)
        over = np.maximum(use - FREE, 0.0) / (1.0 - FREE)
        factor: FloatArray = np.minimum(1.0 + STEEP * over * over, _MOST)
        return factor

    def _faded(self, row: int, now: float) -> float:
        return self._rate[row] * math.exp(-max(now - self._rate_s[row], 0.0) / _MEMORY_S)

    def _grown(self, row: int, now: float) -> float:
        limit = float(self._limit[row])
        return limit if math.isinf(limit) else limit * 2.0 ** ((now - float(self._limit_s[row])) / _GROWTH_S)


def _figure(headers: Mapping[str, object], name: str) -> float | None:
    for prefix in ("x-ratelimit-", "llm_provider-x-ratelimit-"):
        value = headers.get(prefix + name)
        try:
            figure = float(str(value)) if value is not None else math.nan
        except ValueError:
            continue
        if math.isfinite(figure):
            return figure
    return None
