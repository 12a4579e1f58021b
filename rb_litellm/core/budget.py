"""A request's budget: what of it each candidate's input takes, and how long an answer the rest affords.

The expected cost is one limit among others (`slo`). What holds the budget whatever the answer's length
is the clamp: `max_tokens` of the chosen deployment is set to what can be paid there. A candidate on which
not even the shortest valid answer can be paid is never used, in any mode.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rb_litellm.core.types import FloatArray

_FREE_USD = 1e-15
"""A price per token below this is none."""


@dataclass(frozen=True, slots=True)
class Budget:
    """At most so many USD for one request."""

    max_cost_usd: float
    input_tokens: float
    """The most that the input may be charged as: an upper estimate, tools and images included."""
    min_output_tokens: int = 1
    """The shortest output limit with which the request is valid: above a thinking budget, for one."""

    def affordable_tokens(self, input_usd: FloatArray, output_usd: FloatArray) -> FloatArray:
        """(N,) output tokens that the budget pays for at these prices per token (N,).

        Infinite where they are free, negative where the input alone is too dear.
        """
        left = self.max_cost_usd - self.input_tokens * input_usd
        free = output_usd < _FREE_USD
        # Rounding must not take away a token that is paid for to the last fraction of a cent.
        tokens = np.floor(left / np.maximum(output_usd, _FREE_USD) * (1.0 + 1e-12))
        if not np.count_nonzero(free):
            return tokens
        return np.where(free, np.where(left >= 0.0, np.inf, -1.0), tokens)
