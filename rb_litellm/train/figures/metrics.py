"""How far predictions are from what was measured, model by model. NaN rows are left out."""

from __future__ import annotations

import numpy as np

from rb_litellm.core.types import FloatArray

BINS = 10


def r2(truth: FloatArray, predicted: FloatArray) -> float | None:
    """Share of the variance of `truth` (P,) that is explained; None where there is none."""
    spread = float(np.sum((truth - truth.mean()) ** 2)) if truth.size else 0.0
    return 1.0 - float(np.sum((truth - predicted) ** 2)) / spread if spread > 0.0 else None


def mae(truth: FloatArray, predicted: FloatArray | float) -> float:
    """Mean absolute error."""
    return float(np.mean(np.abs(truth - predicted)))


def calibration_error(truth: FloatArray, predicted: FloatArray) -> float:
    """Expected calibration error: mean gap of truth and prediction in BINS groups of equal size."""
    order = np.argsort(predicted, kind="stable")
    groups = [group for group in np.array_split(order, BINS) if group.size]
    gaps = [abs(float(truth[g].mean() - predicted[g].mean())) * g.size for g in groups]
    return sum(gaps) / max(truth.size, 1)


def pinball(truth: FloatArray, quantiles: FloatArray, levels: tuple[float, ...]) -> float:
    """Mean pinball loss of quantiles (P, Q) or (Q,) over rows and levels."""
    error = truth[:, None] - quantiles
    level = np.array(levels)
    return float(np.mean(np.maximum(level * error, (level - 1.0) * error)))


def coverage(truth: FloatArray, low: FloatArray, high: FloatArray) -> float:
    """Share of `truth` within [low, high]."""
    return float(np.mean((truth >= low) & (truth <= high)))
