"""Which calls of a deployment its model answered, and which streams tell when their first token came.

Between the answers that a model wrote stand others: mocked, given by a guardrail or a cache that the log does
not tell, timed by a clock that was set. And what LiteLLM logs as the first token is one only if the stream
was passed on as it came: a provider or a proxy that buffers sends everything at the end, a header may count
as a token.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rb_litellm.core.types import BoolArray, FloatArray
from rb_litellm.fitting.load import Timings

FASTEST_S_PER_TOKEN = 1e-4
"""Nothing writes 10,000 tokens a second for one request."""
FASTEST_S = 1e-3
"""No first token comes sooner over a network from a model."""
_PASSING_S, _PASSING_S_PER_TOKEN = 0.003, 1e-4
"""A stream whose tokens came within so little, and so little for each, was held back or is none."""
_LONG = 8
_GAP = np.log(4.0)
"""Two populations lie at least so far apart, in the logarithm of the time per token."""
_SMALLEST = 0.05
"""Share of the calls from which some are a population of their own."""
_WRITING_S_PER_TOKEN = 1e-3
"""Slower is a model that writes: of two populations the one that does, where the other does not."""


def believed(calls: Timings) -> Timings:
    """The same calls; those whose first token cannot be believed are taken as answers in one piece."""
    steps = calls.output_tokens - 1.0
    writing = calls.e2e_s - calls.ttft_s
    with np.errstate(invalid="ignore"):
        doubted = (calls.ttft_s < FASTEST_S) | (
            (steps >= _LONG) & (writing < _PASSING_S + _PASSING_S_PER_TOKEN * steps)
        )
        # Of the streams left, one may have been held back up to almost its end.
        pace = writing / np.maximum(steps, 1.0)
        usual = (
            np.nanmedian(np.where(doubted | (steps < _LONG), np.nan, pace))
            if _any(~doubted, pace)
            else np.nan
        )
        doubted |= (steps >= _LONG) & (pace < usual / 10.0)
    return replace(calls, ttft_s=np.where(doubted, np.nan, calls.ttft_s))


def _any(chosen: BoolArray, values: FloatArray) -> bool:
    return bool((chosen & np.isfinite(values)).any())


def written(calls: Timings) -> BoolArray:
    """Which calls a model answered: by what is possible at all, and where there are two populations the
    slower.

    All or none of one population, so that what is left is no half of it.
    """
    possible: BoolArray = calls.e2e_s >= FASTEST_S + FASTEST_S_PER_TOKEN * calls.output_tokens
    if not possible.any():
        return possible
    pace = np.log(calls.e2e_s / (calls.output_tokens + 10.0))
    ordered = np.sort(pace[possible])
    smallest = max(2, int(np.ceil(_SMALLEST * ordered.size)))
    if ordered.size < 2 * smallest:
        return possible
    gaps = np.diff(ordered)[smallest - 1 : ordered.size - smallest]
    widest = int(np.argmax(gaps))
    if gaps[widest] < _GAP:
        return possible
    edge = ordered[smallest - 1 + widest] + gaps[widest] / 2.0
    slow: BoolArray = possible & (pace > edge)
    quick: BoolArray = possible & ~slow
    if np.exp(np.median(pace[quick])) < _WRITING_S_PER_TOKEN or slow.sum() >= quick.sum():
        return slow
    return quick
