"""How long to wait between exchanges: often while load changes, seldom while the store fails."""

from __future__ import annotations

from random import Random

MIN_PAUSE_S = 0.1
"""Ten round trips a second at most, whatever is configured."""
MAX_PAUSE_S = 3.0
"""A store that fails is tried again at least this often."""


def pauses_s(interval_s: float, failures: int, random: Random) -> tuple[float, float]:
    """Seconds from the beginning of one exchange to that of the next: if the load has changed, and if not.

    At most half the interval and the whole of it; jitter shortens them, so that workers that start together
    do not stay together. After `failures` in a row both are longer, doubling with each.
    """
    if failures:
        pause = min(interval_s * 2.0 ** min(failures, 10), MAX_PAUSE_S) * random.uniform(0.7, 1.0)
        return pause, pause
    jitter = random.uniform(0.8, 1.0)
    return max(interval_s / 2.0 * jitter, MIN_PAUSE_S), max(interval_s * jitter, MIN_PAUSE_S)
