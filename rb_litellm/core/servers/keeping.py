"""How much a server keeps of what it was sent, and for how long, learned from what it tells and from TTFT.

What was sent to a server is known, what it still has cached is not: its cache may be small, or off, and what
was not used for long has made room for others (least recently used first, in vLLM, SGLang and llama.cpp). Of
each request with such a beginning:

- the server tells how many tokens it had cached (`usage`): their share of those sent before is measured;
- or it tells nothing. Then TTFT says whether the beginning was prefilled: with f the TTFT expected for the
  whole prompt and c for what is left of it where all of the beginning is cached, the share is
  (f - TTFT) / (f - c), rounded to 0 or 1. It is asked only where f - c is a third of f at least, so that it
  stands out. Of an answer in one piece the whole time is taken for TTFT.

Shares are kept by age, the time since the beginning was sent there last, in octaves of seconds:

    kept of an octave = (GUESSES * GUESS + sum of shares) / (GUESSES + number)

made never to rise with age by isotonic regression (pool adjacent violators, Ayer et al. 1955,
https://doi.org/10.1214/aoms/1177728423). All sums fade by 2% with each request. So what is seen at one age
counts for others as far as the order says something of them: what was cached after a minute would have been
after a second. The start at three quarters is a guess: all engines of today cache by default, and a new
conversation is not evicted at once.
"""

from __future__ import annotations

import numpy as np

from rb_litellm.core.types import FloatArray, IntArray, Outcome

AGES = 11
"""Octaves of age: below 2 s, below 4 s, ... below 1,024 s, and older."""
_OLDEST_S = 2.0 ** (AGES - 1)
GUESS = 0.75
_GUESSES = 0.35
"""What the guess counts for in each octave; about four requests in all of them."""
_FADES = 0.98
_STANDS_OUT = 1.0 / 3.0
_LEAST_TOKENS = 64.0
"""About one block; less is not kept as a block by anybody."""


class Keeping:
    """Of a growing number of deployments, by the learner's rows."""

    def __init__(self) -> None:
        self._kept: FloatArray = np.zeros((0, AGES))
        self._asked: FloatArray = np.zeros((0, AGES))
        self._share: FloatArray = np.zeros((0, AGES))
        self._tells: set[int] = set()

    def add(self) -> None:
        """Add a deployment of which nothing is known."""
        nothing = np.zeros((1, AGES))
        self._kept, self._asked = np.append(self._kept, nothing, 0), np.append(self._asked, nothing, 0)
        self._share = np.append(self._share, nothing + GUESS, 0)

    def forget(self, row: int) -> None:
        """Its deployment is gone: the row is as when it was added."""
        self._kept[row] = self._asked[row] = 0.0
        self._share[row] = GUESS
        self._tells.discard(row)

    def share(self, rows: IntArray, ago_s: FloatArray | float) -> FloatArray:
        """(n,) of the tokens that were sent `ago_s` (n,) before, how many these rows still have."""
        if isinstance(ago_s, float):
            return self._share[:, _octave_of(ago_s)].take(rows)
        share: FloatArray = self._share[rows, _octaves(ago_s)]
        return share

    def told(self, row: int, outcome: Outcome) -> None:
        """An answer is complete; it may say how much of its prompt was cached."""
        if outcome.cached_tokens is None:
            return
        self._tells.add(row)
        before = outcome.sent_before
        if before.tokens >= _LEAST_TOKENS:
            self._learn(row, before.ago_s, min(outcome.cached_tokens / before.tokens, 1.0))

    def timed(self, row: int, outcome: Outcome, measured_s: float, full_s: float, cached_s: float) -> Outcome:
        """A first token has come, or a whole answer: the outcome with the prefill that its time speaks for.

        In place of `measured_s`, `full_s` was expected if nothing were cached, and `cached_s` if all were
        that was sent before.
        """
        before = outcome.sent_before
        whole_s = full_s - cached_s
        if before.tokens < _LEAST_TOKENS or whole_s < _STANDS_OUT * full_s:
            return outcome
        cached = full_s - measured_s > 0.5 * whole_s
        if row not in self._tells:
            self._learn(row, before.ago_s, float(cached))
        prompt = outcome.input_tokens + outcome.saved_tokens
        return outcome._replace(input_tokens=round(prompt - before.tokens * cached))

    def _learn(self, row: int, ago_s: float, share: float) -> None:
        kept, asked = self._kept[row], self._asked[row]
        kept *= _FADES
        asked *= _FADES
        octave = _octave_of(ago_s)
        kept[octave] += share
        asked[octave] += 1.0
        self._share[row] = _never_rising(_GUESSES * GUESS + kept, _GUESSES + asked)


def _octave_of(ago_s: float) -> int:
    return int(np.log2(min(max(ago_s, 1.0), _OLDEST_S)))


def _octaves(ago_s: FloatArray) -> IntArray:
    # `np.clip` takes several times as long.
    octaves: IntArray = np.log2(np.minimum(np.maximum(ago_s, 1.0), _OLDEST_S)).astype(np.int64)
    return octaves


def _never_rising(sums: FloatArray, weights: FloatArray) -> FloatArray:
    """(n,) the means of the closest sequence that never rises, by weighted least squares."""
    pools: list[tuple[float, float, int]] = []
    for total, weight in zip(sums.tolist(), weights.tolist(), strict=True):
        size = 1
        while pools and total * pools[-1][1] >= pools[-1][0] * weight:
            before = pools.pop()
            total, weight, size = total + before[0], weight + before[1], size + before[2]
        pools.append((total, weight, size))
    return np.repeat([total / weight for total, weight, _ in pools], [size for *_, size in pools])
