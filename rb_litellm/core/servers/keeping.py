"""How much a server keeps of what it was sent, learned from what it tells and from TTFT.

What was sent to a server is known, what it still has cached is not: its cache may be small, or off. Of each
request with such a beginning, with s tokens sent before:

- the server tells how many tokens it had cached (`usage`): their share of s is measured;
- or it tells nothing. Then TTFT says whether the beginning was prefilled: with f the TTFT expected for the
  whole prompt and p the prefill time per token, the share is (f - TTFT) / (p * s), rounded to 0 or 1. It is
  asked only where p * s is a third of f at least, so that it stands out.

    kept = (1.5 + sum of shares) / (2 + number)        both sums fade by 5% with each request

The start at three quarters is a guess: all engines of today cache by default, and a new conversation is not
evicted at once.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rb_litellm.core.types import FloatArray, IntArray, Outcome

_GUESS, _GUESSES = 1.5, 2.0
_FADES = 0.95
_STANDS_OUT = 1.0 / 3.0
_LEAST_TOKENS = 64.0
"""About one block; less is not kept as a block by anybody."""


class Keeping:
    """Of a growing number of deployments, by the learner's rows."""

    def __init__(self) -> None:
        self._kept: FloatArray = np.zeros(0)
        self._asked: FloatArray = np.zeros(0)
        self._tells: set[int] = set()

    def add(self) -> None:
        """Add a deployment of which nothing is known."""
        self._kept, self._asked = np.append(self._kept, 0.0), np.append(self._asked, 0.0)

    def share(self, rows: IntArray) -> FloatArray:
        """(n,) of the tokens that were sent before, how many of these rows still have."""
        share: FloatArray = (_GUESS + self._kept[rows]) / (_GUESSES + self._asked[rows])
        return share

    def told(self, row: int, outcome: Outcome) -> None:
        """An answer is complete; it may say how much of its prompt was cached."""
        if outcome.cached_tokens is None:
            return
        self._tells.add(row)
        if outcome.seen_tokens >= _LEAST_TOKENS:
            self._learn(row, min(outcome.cached_tokens / outcome.seen_tokens, 1.0))

    def timed(self, row: int, outcome: Outcome, full_s: float, prefill_s_per_token: float) -> Outcome:
        """A first token has come: the outcome with as many tokens to prefill as its TTFT speaks for.

        `full_s` is the TTFT that was expected if nothing were cached.
        """
        whole_s = prefill_s_per_token * outcome.seen_tokens
        if outcome.ttft_s is None or outcome.seen_tokens < _LEAST_TOKENS or whole_s < _STANDS_OUT * full_s:
            return outcome
        cached = full_s - outcome.ttft_s > 0.5 * whole_s
        if row not in self._tells:
            self._learn(row, float(cached))
        prompt = outcome.input_tokens + outcome.saved_tokens
        return replace(outcome, input_tokens=round(prompt - outcome.seen_tokens * cached))

    def _learn(self, row: int, share: float) -> None:
        self._kept[row] = self._kept[row] * _FADES + share
        self._asked[row] = self._asked[row] * _FADES + 1.0
