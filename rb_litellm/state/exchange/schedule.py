"""How long to wait between exchanges: short while load changes, exponential backoff while the store fails."""

from __future__ import annotations

from random import Random

MIN_PAUSE_S = 0.1
"""At most ten round trips a second, whatever is configured."""
MAX_PAUSE_S = 3.0
"""Upper bound of the backoff: a failing store is tried at least this often."""


def pauses_s(interval_s: float, failures: int, random: Random) -> tuple[float, float]:
    """Seconds from the start of one exchange to the start of the next, if load has changed and if it has not.

    They are half the interval and the whole interval, shortened by random jitter so that workers that start
    together do not stay in step. After `failures` in a row both double with each failure.
    """
    if failures:
        pause = min(interval_s * 2.0 ** min(failures, 10), MAX_PAUSE_S) * random.uniform(0.7, 1.0)
        return pause, pause
    jitter = random.uniform(0.8, 1.0)
    return max(interval_s / 2.0 * jitter, MIN_PAUSE_S), max(interval_s * jitter, MIN_PAUSE_S)
