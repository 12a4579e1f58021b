"""Ridge regression of many outputs on sparse n-grams, labels missing anywhere, by conjugate gradients.

Only products with the sparse matrix are needed, so the cost grows with the text and not with its square.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from rb_litellm.predictors.reading.lexicon import Floats

STEPS = 40
TOLERANCE = 1e-3


def ridge(matrix: Any, targets: Floats, known: Floats, penalty: Floats) -> Floats:
    """Weights (F, K) minimising sum of known (matrix W - targets)^2 + penalty_k |W_k|^2.

    `matrix` is a SciPy CSR matrix (P, F); targets and known (P, K), known 0 or 1; penalty (K,) > 0.
    """
    rows = RidgeRows.of(matrix, targets, known)
    return conjugate_gradients(rows.right(), rows.pull, penalty)


@dataclass(frozen=True)
class RidgeRows:
    """Some rows of a regression: what they add to its normal equations is a sum over rows."""

    matrix: Any
    """SciPy CSR (R, F)"""
    transposed: Any
    targets: Floats
    """(R, K)"""
    known: Floats

    @classmethod
    def of(cls, matrix: Any, targets: Floats, known: Floats) -> RidgeRows:
        """These rows."""
        return cls(matrix, matrix.T.tocsr(), targets, known)

    def right(self) -> Floats:
        """Their part in the right side, (F, K)."""
        return np.asarray(self.transposed @ (self.targets * self.known), dtype=np.float32)

    def pull(self, direction: Floats) -> Floats:
        """Their part in the product of the left side and a direction (F, K)."""
        return np.asarray(self.transposed @ (self.known * (self.matrix @ direction)), dtype=np.float32)


def conjugate_gradients(right: Floats, pull: Callable[[Floats], Floats], penalty: Floats) -> Floats:
    """Weights (F, K) with pull(W) + penalty W = right, each of the K systems for itself."""
    residual = right
    weights = np.zeros_like(residual)
    direction = residual.copy()
    power = np.sum(residual**2, axis=0)
    enough = power * TOLERANCE**2
    for _ in range(STEPS):
        if np.all(power <= enough):
            break
        pulled = pull(direction) + penalty * direction
        step = power / np.maximum(np.sum(direction * pulled, axis=0), 1e-20)
        weights += step * direction
        residual = residual - step * pulled
        before, power = power, np.sum(residual**2, axis=0)
        direction = residual + (power / np.maximum(before, 1e-20)) * direction
    return weights
