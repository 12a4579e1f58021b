"""How far a server is within its present step, as the streams that it writes show.

Every running sequence gets its next token at the end of a step, and a request joins the batch there. So the
latest chunk of any stream from a server says when a step ended, and the time of a step how much is left of
the present one:

    left = 1 - frac((now - latest chunk + on the way) / step)

Where no stream is written, or none has moved for two steps, half a step is left on average. On the way are
the chunk, and the request that is about to be sent: together about 2 ms in a network of one's own. What it
is beyond that, the learned TTFT makes good, but for requests that come at the very end of a step.
"""

from __future__ import annotations

import numpy as np

from rb_litellm.core.types import FloatArray

_ON_THE_WAY_S = 0.002
_FRESH_STEPS = 2.0


def steps_left(usual: FloatArray, step_s: FloatArray, since_s: FloatArray) -> FloatArray:
    """(N,) of a step, what is left of the present one on each server.

    `usual` (N,) is what is left on average, 0 where nobody waits for a step; `step_s` (N,) the time of a step
    at its load; `since_s` (N,) the time since the latest chunk from there, inf where there is none.
    """
    steps = (since_s + _ON_THE_WAY_S) / step_s
    known = (steps < _FRESH_STEPS) & (usual > 0.0)
    left: FloatArray = np.where(known, 1.0 - np.mod(np.where(known, steps, 0.0), 1.0), usual)
    return left
