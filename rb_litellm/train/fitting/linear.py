"""Ridge regression of many outputs on sparse n-grams, labels missing anywhere, by conjugate gradients.

Only products with the sparse matrix are needed, so the cost grows with the text and not with its square.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rb_litellm.predictors.reading.lexicon import Floats

STEPS = 40
TOLERANCE = 1e-3


def ridge(matrix: Any, targets: Floats, known: Floats, penalty: Floats) -> Floats:
    """Weights (F, K) minimising sum of known (matrix W - targets)^2 + penalty_k |W_k|^2.

    `matrix` is a SciPy CSR matrix (P, F); targets and known (P, K), known 0 or 1; penalty (K,) > 0.
    """
    transposed = matrix.T.tocsr()
    residual = np.asarray(transposed @ (targets * known), dtype=np.float32)
    weights = np.zeros_like(residual)
    direction = residual.copy()
    power = np.sum(residual**2, axis=0)
    enough = power * TOLERANCE**2
    for _ in range(STEPS):
        if np.all(power <= enough):
            break
        pulled = (
            np.asarray(transposed @ (known * (matrix @ direction)), dtype=np.float32) + penalty * direction
        )
        step = power / np.maximum(np.sum(direction * pulled, axis=0), 1e-20)
        weights += step * direction
        residual -= step * pulled
        before, power = power, np.sum(residual**2, axis=0)
        direction = residual + (power / np.maximum(before, 1e-20)) * direction
    return weights
