"""What a served request says of each number of slots, as a plain loop that numba compiles.

What it computes is said where NumPy does it: in `servers.slots` and `servers.queueing`. It is the same but
for the last bit of logarithms and exponentials.
"""

from __future__ import annotations

import math

import numpy as np

from rb_litellm.core.servers.slots import (
    IMPOSSIBLE,
    KEPT,
    LATE,
    LATE_S,
    LEAST_S,
    MOST,
    QUICK,
    QUICKER_MOST,
    QUICKER_STEP,
    TIED,
)
from rb_litellm.core.types import FloatArray


def weigh_slots(
    slots: FloatArray,
    ends_s: FloatArray,
    requests: FloatArray,
    share: float,
    measured_s: float,
    in_one_piece: bool,
    expected_s: FloatArray,
    variance: float,
    waited_s: FloatArray,
    quicker: FloatArray,
    doubt: FloatArray,
    evidence: FloatArray,
) -> int:
    """Weigh in one request for each number of slots (C,), and return which is best.

    `ends_s` (E,) begins with 0 and ends with inf. Filled in is `waited_s`, changed are the last three.
    """
    last = ends_s.size - 1
    said, most = np.empty(slots.size), -math.inf
    for c in range(slots.size):
        before = min(share * max(requests[c] / share - slots[c] + 1.0, 0.0), float(last))
        whole = int(before + 1e-9)
        waited = ends_s[whole]
        if whole < last - 1:
            waited += max(before - whole, 0.0) * (ends_s[whole + 1] - ends_s[whole])
        waited_s[c] = waited
        earliest = waited * (1.0 - LATE) - LATE_S
        expected = expected_s[c] * math.exp(quicker[c])
        least = max(measured_s - waited, LEAST_S)
        if not in_one_piece:
            latest = max(measured_s - max(earliest, 0.0), LEAST_S)
            x = math.log(min(max(expected, least), latest) / expected)
        elif measured_s - waited > 0.0:
            x = math.log(least / expected)
        else:
            x = QUICK
        spread = variance + doubt[c]
        found, gain = -IMPOSSIBLE, 0.0
        if measured_s > earliest:
            found, gain = -math.log1p(x * x / spread), doubt[c] / spread
        quicker[c] = min(quicker[c] + gain * min(max(x, -1.0), 1.0), 0.0)
        doubt[c] = min(doubt[c] * (1.0 - gain) + QUICKER_STEP, QUICKER_MOST)
        most = max(most, found)
        said[c] = found
    best_of_all = -math.inf
    for c in range(slots.size):
        evidence[c] = evidence[c] * KEPT + max(said[c] - most, -IMPOSSIBLE)
        best_of_all = max(best_of_all, evidence[c])
    best = 0
    for c in range(slots.size):
        evidence[c] = max(evidence[c] - best_of_all, -MOST)
        if evidence[c] > -TIED:
            best = c
    return best
