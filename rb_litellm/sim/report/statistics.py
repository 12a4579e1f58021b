"""What several seeds say together: the median with the smallest and the largest.

Of five runs the range covers the true median with probability 1 - 2 / 2^5 = 0.94 whatever the
distribution (the sign test's interval), which with so few runs no formula for means can promise.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from rb_litellm.sim.results import RunResult


@dataclass(frozen=True, slots=True)
class Spread:
    """Median and range over seeds."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        """Of one value per seed, at least one."""
        array = np.array(list(values), dtype=np.float64)
        return cls(float(np.median(array)), float(array.min()), float(array.max()))

    def text(self, digits: int = 2) -> str:
        """`2.63 [2.60, 2.71]`; the median alone where nothing varies."""
        if f"{self.low:.{digits}f}" == f"{self.high:.{digits}f}":
            return f"{self.median:.{digits}f}"
        return f"{self.median:.{digits}f} [{self.low:.{digits}f}, {self.high:.{digits}f}]"


def spread(results: Sequence[RunResult], figure: str) -> Spread:
    """A figure of `RunResult.as_json` over runs that differ in their seeds."""
    return Spread.of(result.figure(figure) for result in results)


def ratio(results: Sequence[RunResult], base: Sequence[RunResult], figure: str) -> Spread:
    """The figure over that of the base run with the same seed, which met the same arrivals.

    Raises:
        KeyError: the base lacks a seed.
    """
    by_seed = {result.seed: result.figure(figure) for result in base}
    return Spread.of(result.figure(figure) / by_seed[result.seed] for result in results)


def difference(results: Sequence[RunResult], base: Sequence[RunResult], figure: str) -> Spread:
    """The figure minus that of the base run with the same seed.

    Raises:
        KeyError: the base lacks a seed.
    """
    by_seed = {result.seed: result.figure(figure) for result in base}
    return Spread.of(result.figure(figure) - by_seed[result.seed] for result in results)
