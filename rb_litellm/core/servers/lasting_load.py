"""The load of servers that lasts: what the calls of an agent's loop after this one will meet.

Requests in flight come and go within seconds, and the next call of a loop comes seconds later: it meets the
mean load of the servers, not the present one. The mean is taken over time, with a time constant of MEAN_S:

    mean = mean + (1 - exp(-t / MEAN_S)) * (load - mean)        t seconds after it was looked at last

A loop that begins or moves adds its share of a request in flight to where it goes, at once, and takes it from
where it was. Else all loops of a busy server would leave it before the mean shows that the first ones have.
"""

from __future__ import annotations

import math

import numpy as np

from rb_litellm.core.types import FloatArray, InstanceState, IntArray

MEAN_S = 30.0
"""About as long as ten calls of an agent."""


class LastingLoad:
    """Mean load of a growing number of deployments, by the index's rows. Guard with the caller's lock."""

    def __init__(self) -> None:
        self._mean: FloatArray = np.zeros((3, 0))
        """(3, rows) requests in flight, tokens to prefill and to decode."""
        self._log_pace: FloatArray = np.zeros(0)
        """Log of time per token, by the learner's rows."""
        self._seen_s = -math.inf

    def see(self, state: InstanceState, tpot_s: FloatArray, now: float) -> None:
        """Look at the present load of all deployments, and at the time per token of all engines."""
        # `np.stack` takes several times as long.
        load = np.concatenate((state.in_flight, state.pending_prefill_tokens, state.pending_decode_tokens))
        load = load.reshape(3, -1)
        missing = load.shape[1] - self._mean.shape[1]
        if missing > 0:
            self._mean = np.concatenate((self._mean, load[:, -missing:]), axis=1)
        log_pace = np.log(tpot_s)
        missing = log_pace.size - self._log_pace.size
        if missing > 0:
            self._log_pace = np.concatenate((self._log_pace, log_pace[-missing:]))
        newest = 1.0 - math.exp(-max(now - self._seen_s, 0.0) / MEAN_S)
        for mean, latest in ((self._mean, load), (self._log_pace, log_pace)):
            latest -= mean
            latest *= newest
            mean += latest
        self._seen_s = max(now, self._seen_s)

    def renew(self, pace_row: int, tpot_s: float) -> None:
        """This row is another engine's from now on."""
        if pace_row < self._log_pace.size:
            self._log_pace[pace_row] = math.log(tpot_s)

    def of(self, rows: IntArray) -> InstanceState:
        """The mean load of these rows (n,), a copy."""
        # Each in one piece, as compiled loops take it.
        return InstanceState(*self._mean.take(rows, axis=1))

    def pace(self, pace_rows: IntArray, tpot_s: FloatArray) -> FloatArray:
        """(n,) how much longer a token takes on these engines on average than it does now, `tpot_s`."""
        longer: FloatArray = np.exp(self._log_pace[pace_rows]) / tpot_s[pace_rows]
        return longer

    def add(self, row: int, share: float) -> None:
        """From now on one more request is at `row` for this share of the time; a negative share: one less.

        It is taken to be like those that are there.
        """
        if row < self._mean.shape[1]:
            requests = self._mean.item(0, row)
            self._mean[0, row] = max(requests + share, 0.0)
            if requests > 0.0:
                self._mean[1:, row] *= self._mean[0, row] / requests
