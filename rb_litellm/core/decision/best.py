"""The best of N scores, and how ties are broken.

Ties in the score go to the shortest queue, then to the least recently chosen deployment, then to chance.
"""

from __future__ import annotations

from math import isfinite
from random import Random

import numpy as np

from rb_litellm.core.compiled.in_use import IN_USE, Loops
from rb_litellm.core.types import FloatArray, IntArray

TIE = 1e-9
"""Scores that differ by no more are equal."""
_NONE = "no deployment is allowed for this request, or its predictions are not finite"


def best_row(scores: FloatArray, in_flight: FloatArray, last_chosen_s: FloatArray, random: Random) -> int:
    """The row with the highest score; by a compiled loop where there is one.

    Raises:
        ValueError: the highest score is not finite.
    """
    row = IN_USE.either(
        lambda loops: best_by_loops(loops, scores, in_flight, last_chosen_s, random),
        lambda: best_by_numpy(scores, in_flight, last_chosen_s, random),
    )
    if row is None:
        raise ValueError(_NONE)
    return row


def best_by_numpy(
    scores: FloatArray, in_flight: FloatArray, last_chosen_s: FloatArray, random: Random
) -> int | None:
    """`best_row` where there is none; None instead of the error."""
    best = int(scores.argmax())
    top = scores.item(best)
    if not isfinite(top):
        return None
    (tied,) = (scores >= top - TIE).nonzero()
    for key in (in_flight, last_chosen_s):
        if tied.size == 1:
            break
        values = key[tied]
        tied = tied[values == values[values.argmin()]]
    return tied.item(0 if tied.size == 1 else random.randrange(tied.size))


def best_by_loops(
    loops: Loops, scores: FloatArray, in_flight: FloatArray, last_chosen_s: FloatArray, random: Random
) -> int | None:
    """`best_row` by the loop; None instead of the error."""
    tied = np.empty(scores.size, dtype=np.int64)
    count = loops.best_of(scores, in_flight, last_chosen_s, TIE, tied)
    return one_of(tied, count, random) if count else None


def one_of(tied: IntArray, count: int, random: Random) -> int:
    """One of the first `count` of these rows, by chance.

    Raises:
        ValueError: there is none.
    """
    if not count:
        raise ValueError(_NONE)
    return tied.item(0 if count == 1 else random.randrange(count))
