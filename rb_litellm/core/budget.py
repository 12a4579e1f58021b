"""A request's budget: what of it each candidate's input takes, and how long an answer the rest affords.

The expected cost is one limit among others (`slo`). What holds the budget whatever the answer's length
is the clamp: `max_tokens` of the chosen deployment is set to what can be paid there. A candidate on which
not even the shortest valid answer can be paid is never used, in any mode.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rb_litellm.core.types import BoolArray, FloatArray

_FREE_USD = 1e-15
"""A price per token below this is none."""


class Budget(NamedTuple):
    """At most so many USD for one request."""

    max_cost_usd: float
    input_tokens: float
    """The most that the input may be charged as: an upper estimate, tools and images included."""
    min_output_tokens: int = 1
    """The shortest output limit with which the request is valid: above a thinking budget, for one."""


@dataclass(slots=True)
class Payable:
    """What a budget pays for on each of N candidates; every array has shape (N,)."""

    tokens: FloatArray
    """Output tokens: infinite where they are free, negative where the input alone is too dear."""
    passed: BoolArray
    """Whether they make an answer."""
    least_usd: FloatArray
    """What the shortest answer costs."""
    everywhere: bool
    """Whether every candidate passes."""


def payable(
    budgets: Sequence[Budget], input_usd: FloatArray, output_usd: FloatArray, price_known: BoolArray | None
) -> list[Payable]:
    """What each budget pays for at these prices per token (N,).

    Nothing where they are guesses, which `price_known` (N,) tells; None if none is.
    """
    # In plain numbers for a single budget, in columns (R, 1) for R of them.
    figures = budgets[0] if len(budgets) == 1 else np.array(budgets, dtype=np.float64).T[:, :, None]
    most_usd, input_tokens, least_tokens = figures
    charged = input_tokens * input_usd
    left = most_usd - charged
    # Rounding must not take away a token that is paid for to the last fraction of a cent.
    tokens = np.floor(left / np.maximum(output_usd, _FREE_USD) * (1.0 + 1e-12))
    free = output_usd < _FREE_USD
    if np.count_nonzero(free):
        tokens = np.where(free, np.where(left >= 0.0, np.inf, -1.0), tokens)
    if price_known is not None:
        tokens = np.where(price_known, tokens, -1.0)
    passed = tokens >= least_tokens
    least_usd = charged + least_tokens * output_usd
    if len(budgets) == 1:
        return [Payable(tokens, passed, least_usd, int(np.count_nonzero(passed)) == passed.size)]
    everywhere: list[bool] = np.logical_and.reduce(passed, axis=1).tolist()
    return [*map(Payable, tokens, passed, least_usd, everywhere)]
