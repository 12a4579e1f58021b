"""How long to wait between exchanges: often while load changes, seldom while the store fails."""

from __future__ import annotations

from random import Random

MIN_PAUSE_S = 0.1
"""Ten round trips a second at most, whatever is configured."""
MAX_PAUSE_S = 3.0
"""A store that fails is tried again at least this often."""


def pause_s(interval_s: float, changed: bool, failures: int, random: Random) -> float:
    """Seconds from the beginning of one exchange to that of the next.

    Half the interval when the load has changed since the last one, doubling with each of `failures`
    in a row, with jitter so that workers that start together do not stay together.
    """
    if failures:
        return min(interval_s * 2.0 ** min(failures, 10), MAX_PAUSE_S) * random.uniform(0.7, 1.0)
    pause = interval_s / 2.0 if changed else interval_s
    return max(pause * random.uniform(0.9, 1.1), MIN_PAUSE_S)
