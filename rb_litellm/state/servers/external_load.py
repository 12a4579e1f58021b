"""External load: requests that do not pass through here. It is what a server reports less what we sent there.

Requests on their way make both sides inexact. So the difference is smoothed (EWMA) before it is cut off at
zero, and it counts for less the older it is.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rb_litellm.core.types import FloatArray, InstanceState
from rb_litellm.state.servers.metrics import ServerLoad

_GAIN = 0.5
"""Weight of the latest difference in the moving average."""
_FADE_INTERVALS = 3.0
"""A difference counts for nothing after this many intervals without an update."""
_TOKENS = 128.0
"""Pending output tokens assumed per external request where no request of our own shows how many."""


class ExternalLoad:
    """External requests per row of the index. It grows with the rows that are updated."""

    def __init__(self, interval_s: float = 5.0) -> None:
        self.interval_s = interval_s
        """Time between updates of a server."""
        self._difference: FloatArray = np.zeros(0)
        self._updated_s: FloatArray = np.zeros(0)

    def update(self, rows: Sequence[int], load: ServerLoad, known: float, now: float) -> None:
        """Take in a server's report. `rows` are its deployments, `known` our open attempts on all of them."""
        missing = max(rows) + 1 - self._updated_s.size
        if missing > 0:
            self._difference = np.concatenate([self._difference, np.zeros(missing)])
            self._updated_s = np.concatenate([self._updated_s, np.full(missing, -np.inf)])
        latest = load.running + load.waiting - known
        for row in rows:
            forgotten = now - self._updated_s[row] > _FADE_INTERVALS * self.interval_s
            gain = 1.0 if forgotten else _GAIN
            self._difference[row] += gain * (latest - self._difference[row])
            self._updated_s[row] = now

    def requests(self, now: float, rows: int) -> FloatArray:
        """External requests (rows,) at `now`, faded by age."""
        known_rows = min(rows, self._updated_s.size)
        age = (now - self._updated_s[:known_rows]) / self.interval_s
        weight = np.clip((_FADE_INTERVALS - age) / (_FADE_INTERVALS - 1.0), 0.0, 1.0)
        found = np.zeros(rows)
        found[:known_rows] = np.maximum(self._difference[:known_rows], 0.0) * weight
        return found

    def add_to(self, state: InstanceState, now: float) -> InstanceState:
        """The state with external requests added, each with as many pending tokens as ours have there."""
        if not self._updated_s.size:
            return state
        external = self.requests(now, state.in_flight.size)
        each = np.where(
            state.in_flight > 0.0, state.pending_decode_tokens / np.maximum(state.in_flight, 1.0), _TOKENS
        )
        return InstanceState(
            state.in_flight + external,
            state.pending_prefill_tokens,
            state.pending_decode_tokens + external * each,
        )
