"""How much of a prompt a hosted API writes into its cache, which may cost more than reading it as usual.

Anthropic's API, for one, caches what a request marks, and charges a quarter more for tokens that it writes.
Whether a request marks anything is the client's matter, so it is learned from usage. Of each prompt with n
tokens, of which c were cached and w were written:

    share = (2 * share of all deployments + sum of w / (n - c)) / (2 + number)

Both sums fade by 5% with each answer. Until somebody has written anything, nothing is.
"""

from __future__ import annotations

import numpy as np

from rb_litellm.core.types import FloatArray, IntArray, Outcome

_GUESSES = 2.0
_FADES = 0.95


class CacheWrites:
    """Of a growing number of deployments, by the learner's rows."""

    def __init__(self) -> None:
        self._written: FloatArray = np.zeros(0)
        self._asked: FloatArray = np.zeros(0)
        self._any = False

    def add(self) -> None:
        """Add a deployment of which nothing is known."""
        self._written, self._asked = np.append(self._written, 0.0), np.append(self._asked, 0.0)

    def forget(self, row: int) -> None:
        """Its deployment is gone: the row is as when it was added."""
        self._written[row] = self._asked[row] = 0.0
        self._any = bool(self._asked.any())

    def told(self, row: int, outcome: Outcome) -> None:
        """An answer is complete; it may say how much of its prompt was written."""
        written = outcome.written_tokens or 0  # Who says nothing has written nothing.
        if not written and not self._any:
            return
        prompt = outcome.input_tokens + outcome.saved_tokens
        new = max(prompt - (outcome.cached_tokens or 0), 1.0)
        self._written[row] = self._written[row] * _FADES + min(written / new, 1.0)
        self._asked[row] = self._asked[row] * _FADES + 1.0
        self._any = True

    def share(self, rows: IntArray) -> FloatArray | None:
        """(n,) of the tokens that are not cached, how many these rows write; None while nobody writes any."""
        if not self._any:
            return None
        of_all = float(self._written.sum() / self._asked.sum())
        share: FloatArray = (_GUESSES * of_all + self._written[rows]) / (_GUESSES + self._asked[rows])
        return share
