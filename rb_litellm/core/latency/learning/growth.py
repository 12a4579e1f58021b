"""How much longer a request takes beside others: what may be learned of it, by the slots of its server.

Growth is a straight line that is learned at low loads and read at high ones. A small error per request, times
hundreds of slots, would be a large one. So what is bounded is the time of a full batch, in idle ones:

    growth per running request <= min(3, 8 / (c - 1))                 c slots
    its standard error before anything is measured: 1 / (c - 1)

At most 9 for a full server, then, of however many slots. A GPU with hundreds of them is bound by memory, and
a token of a full batch takes about twice as long. A processor with two is bound by arithmetic: k tokens at
once take k times as long, and for llama.cpp, whose kernel for a single token is its best one, two take three
times as long. So one more request may add three idle times and no more.
"""

from __future__ import annotations

import numpy as np

from rb_litellm.core.types import FloatArray

_MOST_OF_ONE = 3.0
_MOST_OF_ALL = 8.0
_DOUBT_OF_ALL = 1.0


def most_growth(slots: FloatArray) -> FloatArray:
    """(N,) what one more running request may add to a time, as a share of the idle one; 0 for `inf` slots."""
    found: FloatArray = np.minimum(_MOST_OF_ALL / np.maximum(slots - 1.0, 1.0), _MOST_OF_ONE)
    return found


def doubted_growth(slots: float) -> float:
    """The standard error of that share before anything is measured."""
    return _DOUBT_OF_ALL / max(slots - 1.0, 1.0)
