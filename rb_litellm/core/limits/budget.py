"""A request's budget: how much of it each candidate's input takes, and how long an answer the rest pays for.

    affordable output tokens = floor((budget - input tokens * input price) / output price)

The expected cost is a limit like the others (see `slo`), and an answer may turn out longer than expected. So
`max_tokens` is lowered to the affordable tokens of the chosen deployment, which bounds the true cost. A
candidate on which the budget does not pay for the shortest valid answer is never used, in any mode.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rb_litellm.core.types import BoolArray, FloatArray

_FREE_USD = 1e-15
"""A lower price per token counts as free."""


class Budget(NamedTuple):
    """The most that one request may cost."""

    max_cost_usd: float
    input_tokens: float
    """An upper estimate of the tokens that are charged for the input, including tools and images."""
    min_output_tokens: int = 1
    """The smallest `max_tokens` with which the request is valid, such as one above a thinking budget."""


@dataclass(slots=True)
class Payable:
    """What a budget pays for on each of N candidates; every array has shape (N,)."""

    tokens: FloatArray
    """Output tokens: infinite where they are free, negative where the input alone costs too much."""
    passed: BoolArray
    """Whether they suffice for the shortest valid answer."""
    least_usd: FloatArray
    """Cost of the shortest valid answer."""
    everywhere: bool
    """Whether every candidate passes."""


def payable(
    budgets: Sequence[Budget], input_usd: FloatArray, output_usd: FloatArray, price_known: BoolArray | None
) -> list[Payable]:
    """What each budget pays for at these prices per token (N,).

    `price_known` (N,) is False where a price is a guess; nothing is affordable there. None if all are known.
    """
    # Plain numbers for a single budget, columns (R, 1) for R of them.
    figures = budgets[0] if len(budgets) == 1 else np.array(budgets, dtype=np.float64).T[:, :, None]
    most_usd, input_tokens, least_tokens = figures
    charged = input_tokens * input_usd
    left = most_usd - charged
    # Rounding must not take away a token that the budget pays for exactly.
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
