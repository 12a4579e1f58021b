"""The horizon of an agent's loop: a choice is priced for this call and for those that come after it.

Where a call goes its loop stays, as long as staying is best. So what counts of a candidate is the mean over
this call, which computes what is not cached there, and h calls to come, which find it cached:

    T = (T now + h * T then) / (1 + h)        and the same for the cost

`T now` is forecast by the present load, with all that is lost of the cache; both hold for this call alone.
`T then` is forecast by the load that lasts (`lasting_load`), without the loop itself where it is. With h = 0
nothing but this call counts. What h is says `loop_lengths`.

Forecasts err, and the best of several looks better than it is (winner's curse). A loop leaves its server
only for one that is better by more than the best of N equal ones would look by chance alone: the times of all
others count for exp(error * sqrt(2 ln N)) as much, with the spread of log forecast errors that was measured.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from rb_litellm.core.latency.forecast import LatencyForecast
from rb_litellm.core.servers.threads import ExpectedCalls
from rb_litellm.core.types import FloatArray, InstanceState

GROWTH = 0.1
"""Growth of log time with each further request that a server has on average, with long contexts: a guess.
What the latency model may learn of it is bounded by what servers with short contexts show."""


@dataclass(slots=True)
class Horizon:
    """What of the following calls of a loop is known on N deployments; every array has shape (N,)."""

    further: float
    """What the calls count for that come after this one, h."""
    cached_tokens: FloatArray
    """Tokens of a prompt like this one that they find cached there."""
    load: InstanceState
    """That they meet there, on average, the loop's own calls left aside."""
    pace: FloatArray
    """Times as they are for long, over those of this moment."""
    growth: FloatArray
    """GROWTH of servers; 0 of hosted APIs, which show none."""
    home: int | None
    """Where the loop is; None for nowhere yet."""
    error: float
    """Spread of the forecasts, in log."""
    expected: ExpectedCalls
    thread: str
    """Name of the loop,"""
    input_tokens: float
    """the length of this prompt, and"""
    tools: bool
    """whether it brings tools along."""
    takes_s: FloatArray | None = None
    """What such a call takes there; filled in by the decision."""

    def mean(self, now: FloatArray, then: FloatArray) -> FloatArray:
        """(N,) the mean over all calls of what this one is `now` and the others `then`."""
        of_all: FloatArray = (now + self.further * then) / (1.0 + self.further)
        return of_all

    def priced(self, now: LatencyForecast, then: LatencyForecast) -> LatencyForecast:
        """The times as the score is to count them; those that are no part of it stay as they are now."""
        # Where the loop is not yet, it is going to make its own calls slower, and those of others everywhere.
        slower = self.growth * self.expected.share(then.e2e_s.item(then.e2e_s.argmin()))
        if self.home is not None:
            slower[self.home] = 0.0
        takes_s = self.takes_s = then.e2e_s * self.pace * np.exp(slower)
        others_s = then.burden_s + self.growth * self.load.in_flight * takes_s
        e2e_s, burden_s = self.mean(now.e2e_s, takes_s), self.mean(now.burdens_s, others_s)
        failures_s = now.failures_s
        if self.home is not None and self.error > 0.0:
            harder = np.full(e2e_s.size, math.exp(self.error * math.sqrt(2.0 * math.log(e2e_s.size))))
            harder[self.home] = 1.0
            e2e_s, burden_s = e2e_s * harder, burden_s * harder
            failures_s = None if failures_s is None else failures_s * harder
        return LatencyForecast(now.wait_s, now.ttft_s, now.tpot_s, e2e_s, burden_s, failures_s)
