"""How long to wait between exchanges: short while load changes, longer in a large fleet and in an outage.

What an exchange costs the store, and the bytes that leave it, grow with the rows in it. So workers of a large
fleet exchange less often: all of them together hear at most ROWS_PER_S rows a second, as long as the pause
that this takes is at most MAX_FLEET_PAUSE_S.
"""

from __future__ import annotations

from random import Random

MIN_PAUSE_S = 0.1
"""At most ten round trips a second, whatever is configured."""
MAX_PAUSE_S = 3.0
"""Upper bound of the backoff: a failing store is tried at least this often."""
ROWS_PER_S = 160_000.0
"""64 workers on 1,000 deployments: 0.4 s, about 4 MB/s out of the store."""
MAX_FLEET_PAUSE_S = 1.0


def pauses_s(
    interval_s: float, failures: int, random: Random, rows: int = 0, ttl_s: float = 5.0
) -> tuple[float, float]:
    """Seconds from the start of one exchange to the start of the next, if load has changed and if it has not.

    They are half the interval and the whole interval, or longer where the workers of the fleet together hear
    many `rows` in one exchange each; shortened by random jitter, so that workers that start together do not
    stay in step. After `failures` in a row both double with each failure.
    """
    if failures:
        pause = min(interval_s * 2.0 ** min(failures, 10), MAX_PAUSE_S) * random.uniform(0.7, 1.0)
        return pause, pause
    jitter = random.uniform(0.8, 1.0)
    # A load that is told so seldom must not expire between two exchanges.
    fleet_s = min(rows / ROWS_PER_S, MAX_FLEET_PAUSE_S, ttl_s / 4.0)
    soonest, latest = max(interval_s / 2.0, fleet_s) * jitter, max(interval_s, fleet_s) * jitter
    return max(soonest, MIN_PAUSE_S), max(latest, MIN_PAUSE_S)
