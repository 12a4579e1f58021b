"""Which share of the time of answers goes into the prompts of others.

An answer is held up by each prompt that is prefilled while it is written. Its time per token is therefore not
the time of a decode step, and what waits for decode steps, as a queue does whose own prompts are counted by
themselves, would wait for too long by it. So for each deployment the share is learned of the time from the
first token to the end that its engine spent on prompts:

    share = sum(prefill_s * tokens prefilled meanwhile) / sum(time from the first token to the end)

where prefill_s is what a token of the deployment's own prompts takes on average, each prompt by itself: short
ones take little (see `forecast`). All sums fade with each further answer. A worker among several sees its own
prompts alone and takes those of the others to be alike: they are as many more as more requests of others ran
beside the answer.
"""

from __future__ import annotations

import numpy as np

from rb_litellm.core.latency.forecast import DeploymentCoefficients, effective_tokens
from rb_litellm.core.types import FloatArray, IntArray, Outcome

_KEPT = 0.97
"""Of the sums, with each further answer: the last few dozen answers count."""
_MOST = 0.9
"""Of the time of one answer that is put down to prompts at most."""
_LEAST_SEEN = 0.1
"""A worker that has sent less of what ran beside an answer counts as if it had sent so much."""


class PrefillShare:
    """Of a growing number of deployments, by rows from 0."""

    def __init__(self) -> None:
        self._prefill_s: FloatArray = np.zeros(0)
        self._written_s: FloatArray = np.zeros(0)
        self._prompts: FloatArray = np.zeros((0, 2))
        """(N, 2) tokens of prompts, and how many of them are effective."""

    def add(self) -> None:
        """Add a deployment of which nothing is known."""
        self._prefill_s = np.append(self._prefill_s, 0.0)
        self._written_s = np.append(self._written_s, 1e-9)
        self._prompts = np.append(self._prompts, np.zeros((1, 2)), 0)

    def forget(self, row: int) -> None:
        """Its deployment is gone: the row is as when it was added."""
        self._prefill_s[row], self._written_s[row] = 0.0, 1e-9
        self._prompts[row] = 0.0

    def of(self, rows: IntArray) -> FloatArray:
        """(K,) shares of these rows (K,); 0 where nothing is known."""
        share: FloatArray = self._prefill_s[rows] / self._written_s[rows]
        return share

    def assume(self, row: int, share: float) -> None:
        """Start from what another worker has measured, as if by one answer of a second."""
        self._prefill_s[row], self._written_s[row] = min(share, _MOST), 1.0

    def observe(self, row: int, outcome: Outcome, beside: float, engine: DeploymentCoefficients) -> None:
        """Learn from an answer that was written `beside` so many others; one whose first token was not seen
        is skipped."""
        met, tpot_s = outcome.prefilled, outcome.tpot_s
        if met is None or tpot_s is None or not outcome.output_tokens:
            return
        written_s = (outcome.output_tokens - 1) * tpot_s
        seen = max(min(met.beside / beside, 1.0), _LEAST_SEEN) if beside > 0.0 else 1.0
        prompts, tokens = self._prompts[row], outcome.input_tokens
        prompts *= _KEPT
        prompts += tokens, effective_tokens(tokens, engine.ridge_tokens)
        its_s = engine.prefill_s_per_token * (prompts[1] / max(prompts[0], 1.0))
        prefill_s = min(met.tokens * its_s, met.within_s) / seen
        self._prefill_s[row] = _KEPT * self._prefill_s[row] + min(prefill_s, _MOST * written_s)
        self._written_s[row] = _KEPT * self._written_s[row] + written_s
