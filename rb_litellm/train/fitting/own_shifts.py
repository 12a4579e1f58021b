"""How far the default predictor is off for the models of one's own answers, by kind of prompt.

A model's log odds are off by one figure for all prompts and one for each kind:

    log odds = default's log odds + b0 + sum over kinds k of P(k | prompt) * bk,    each b ~ N(0, width^2)

The b are the mode of their posterior. The width is the one under which the answers of all models are the
likeliest (empirical Bayes: Efron, Morris, 1973; the likelihood by Laplace's approximation). A handful of
answers that say what the default predictor says leaves it as it is; many that do not move it as far as they
say.
"""

from __future__ import annotations

import numpy as np

from rb_litellm.core.types import BoolArray, FloatArray

WIDTHS = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2)
_STEPS = 30
_FARTHEST_STEP = 1.0
_EDGE = 1e-4
_LEAST_CURVATURE = 1e-3


def fit_shifts(told: FloatArray, quality: FloatArray, kinds: FloatArray) -> FloatArray:
    """Shifts of log odds (M, K), for qualities `told` (P, M) of prompts of `kinds` (P, K) that were `quality`
    (P, M), NaN where nobody graded; 0 for a model without grades."""
    bounded = np.clip(told, _EDGE, 1.0 - _EDGE)
    odds = np.log(bounded / (1.0 - bounded))
    causes = np.concatenate([np.ones((len(kinds), 1)), kinds], axis=1)
    graded = np.isfinite(quality)
    found = [_of_all(odds, np.where(graded, quality, 0.0), graded, causes, width) for width in WIDTHS]
    shifts, _ = max(found, key=lambda one: one[1])
    return shifts[:, :1] + shifts[:, 1:]


def _of_all(
    odds: FloatArray, quality: FloatArray, graded: BoolArray, causes: FloatArray, width: float
) -> tuple[FloatArray, float]:
    """Shifts (M, 1 + K) under one width, and the logarithm of the answers' likelihood."""
    shifts, likelihood = np.zeros((odds.shape[1], causes.shape[1])), 0.0
    for model, rows in enumerate(graded.T):
        if rows.any():
            shifts[model], own = _of_model(odds[rows, model], quality[rows, model], causes[rows], width)
            likelihood += own
    return shifts, likelihood


def _of_model(
    odds: FloatArray, quality: FloatArray, causes: FloatArray, width: float
) -> tuple[FloatArray, float]:
    """The mode (1 + K,) by Newton's method, and the logarithm of the likelihood."""
    precision = np.full(causes.shape[1], width**-2)
    shifts = np.zeros(causes.shape[1])
    for _ in range(_STEPS):
        right = _right(odds + causes @ shifts)
        pull = causes.T @ (quality - right) - precision * shifts
        step = np.clip(
            np.linalg.solve(_curvature(right, causes, precision), pull), -_FARTHEST_STEP, _FARTHEST_STEP
        )
        shifts += step
        if np.abs(step).max() < 1e-6:
            break
    right = _right(odds + causes @ shifts)
    fitted = float((quality * np.log(right) + (1.0 - quality) * np.log(1.0 - right)).sum())
    prior = 0.5 * float(np.log(precision).sum() - (precision * shifts**2).sum())
    _, volume = np.linalg.slogdet(_curvature(right, causes, precision))
    return shifts, fitted + prior - 0.5 * float(volume)


def _right(odds: FloatArray) -> FloatArray:
    return np.asarray(np.clip(1.0 / (1.0 + np.exp(-odds)), 1e-9, 1.0 - 1e-9))


def _curvature(right: FloatArray, causes: FloatArray, precision: FloatArray) -> FloatArray:
    weights = np.maximum(right * (1.0 - right), _LEAST_CURVATURE)
    return np.asarray((causes.T * weights) @ causes + np.diag(precision))
