"""What a token costs, out of what calls cost."""

from __future__ import annotations

import numpy as np
from scipy.optimize import nnls

from rb_litellm.core.types import FloatArray

_ROUNDS = 30
_LEANING = 0.01
"""Weight, relative to all calls, of taking both prices as one where the calls do not tell them apart."""
_SCALE = 0.05
"""Relative error of a call's cost from which it speaks less and less."""


def fitted_prices(
    input_tokens: FloatArray, output_tokens: FloatArray, cost_usd: FloatArray
) -> tuple[float, float]:
    """USD per (input, output) token that explain most of the logged costs; zero where most calls were free.

    Least squares of relative errors, weighed anew in each round by Cauchy's weights: calls whose cost is
    another matter (of another model, free, a mistake) lose theirs.
    """
    known = np.isfinite(cost_usd)
    paid = known & (cost_usd > 0.0)
    if 2 * paid.sum() <= known.sum():
        return 0.0, 0.0
    cost = cost_usd[paid]
    # Per unit of cost, scaled so that both columns are of the size of one.
    rows = np.stack([input_tokens[paid], output_tokens[paid]], axis=1) / cost[:, None]
    unit = np.maximum(np.median(rows, axis=0), 1e-30)
    rows /= unit
    total = rows.sum(axis=1)
    typical = np.median(1.0 / np.maximum(total, 1e-30))
    weights = _weights(typical * total - 1.0)
    prices = np.zeros(2)
    for _ in range(_ROUNDS):
        last = prices
        root = np.sqrt(weights)
        lean = _LEANING * np.sqrt(weights.sum()) * np.array([[1.0, -1.0]]) / unit * unit.min()
        prices, _ = nnls(np.vstack([rows * root[:, None], lean]), np.append(root, 0.0))
        errors = rows @ prices - 1.0
        weights = _weights(errors)
        if np.allclose(prices, last, rtol=1e-6):
            break
    input_usd, output_usd = prices / unit
    return float(input_usd), float(output_usd)


def _weights(errors: FloatArray) -> FloatArray:
    # The scale follows the spread, so that the first rounds, still far off, lose no call that is right.
    scale = max(_SCALE, 1.5 * float(np.median(np.abs(errors))))
    return np.asarray(1.0 / (1.0 + (errors / scale) ** 2))
