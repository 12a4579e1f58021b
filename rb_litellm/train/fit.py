"""Fit a predictor: boosted trees on deviations from each model's mean, shrunk to what they are worth.

Every figure that the predictor keeps of itself (shrinkage, spread of lengths, metrics of the model card)
is taken from prompts that the trees judging them had not seen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xgboost

from rb_litellm.core.types import BoolArray, FloatArray, IntArray
from rb_litellm.predictors.features import featurise
from rb_litellm.predictors.model import LEVELS
from rb_litellm.train.dataset import DataError, Dataset

FOLDS = 4
MIN_PROMPTS = 20
"""Fewer leave nothing to learn from and nothing to judge by."""
ROUNDS = 400
PATIENCE = 15
"""Rounds without a better loss on the unseen fold before boosting stops."""
_TREES: dict[str, Any] = {
    "max_depth": 5,
    "eta": 0.1,
    "subsample": 0.7,
    "colsample_bytree": 0.4,
    "min_child_weight": 5.0,
    "lambda": 5.0,
    "tree_method": "hist",
    "nthread": 2,
    "base_score": 0.0,
    "disable_default_eval_metric": True,
}


@dataclass(frozen=True)
class Fitted:
    """A predictor's contents, and what it predicted for prompts it had not seen."""

    meta: dict[str, Any]
    booster: bytes
    unseen_quality: FloatArray
    """(P, M) out of fold, NaN for models without labels."""
    unseen_length_quantiles: FloatArray
    """(P, M, Q) out of fold."""


def fit(data: Dataset, seed: int = 0, progress: Callable[[int, int], None] = lambda done, of: None) -> Fitted:
    """Train on all prompts of `data`; the same data and seed give the same predictor.

    `progress` is told how many of how many fits are done.

    Raises:
        DataError: too few prompts.
    """
    if len(data.prompts) < MIN_PROMPTS:
        raise DataError(f"{len(data.prompts)} different prompts; needed are at least {MIN_PROMPTS}")
    count = len(data.models)
    labels = np.concatenate([data.quality, np.log(np.maximum(data.output_tokens, 1.0))], axis=1)
    taught = np.flatnonzero(np.isfinite(labels).any(axis=0))
    labels = labels[:, taught]
    known = np.isfinite(labels)
    means = _column_means(labels, known)
    deviations = np.where(known, labels - means, 0.0)
    # Both kinds of label are learned by the same trees: on one scale.
    scale = np.sqrt(np.sum(deviations**2, axis=0) / np.maximum(known.sum(axis=0), 1)) + 1e-6
    features = featurise(data.prompts)
    fold = np.random.default_rng(seed).permutation(len(data.prompts)) % FOLDS

    unseen = np.zeros_like(labels)
    rounds = []
    for k in range(FOLDS):
        train, test = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
        booster = _boost(features, deviations / scale, known, train, seed, stop_on=test)
        rounds.append(booster.best_iteration + 1)
        unseen[test] = _raw(booster, features[test], booster.best_iteration + 1) * scale
        progress(k + 1, FOLDS + 1)
    worth = _worth(unseen, deviations, known)
    unseen = means + worth * unseen
    booster = _boost(
        features, deviations / scale, known, np.arange(len(features)), seed, rounds=int(np.mean(rounds))
    )
    progress(FOLDS + 1, FOLDS + 1)

    outputs = np.full((len(labels), 2 * count), np.nan)
    outputs[:, taught] = unseen
    quality, log_lengths = np.clip(outputs[:, :count], 0.0, 1.0), outputs[:, count:]
    residuals = _quantiles(np.log(np.maximum(data.output_tokens, 1.0)) - log_lengths)
    meta = {
        "models": list(data.models),
        "mean_quality": _listed(_nan_mean(data.quality)),
        "mean_output_tokens": _listed(_nan_mean(data.output_tokens)),
        "length_quantiles": [_listed(row) for row in _quantiles(data.output_tokens)],
        "length_residuals": [_listed(row) for row in residuals],
        "outputs": taught.tolist(),
        "offset": means.tolist(),
        "scale": (worth * scale).tolist(),
    }
    quantiles = np.exp(log_lengths[:, :, None] + residuals)
    return Fitted(meta, bytes(booster.save_raw("ubj")), quality, quantiles)


def _boost(
    features: npt.NDArray[np.float32],
    targets: FloatArray,
    known: BoolArray,
    rows: IntArray,
    seed: int,
    stop_on: IntArray | None = None,
    rounds: int = ROUNDS,
) -> xgboost.Booster:
    """Trees for all columns at once; labels that are not known pull nowhere."""
    weights = known[rows].astype(np.float64)

    def objective(raw: npt.NDArray[np.float32], data: xgboost.DMatrix) -> tuple[FloatArray, FloatArray]:
        del data
        return weights * (raw.reshape(weights.shape) - targets[rows]), weights

    settings = {**_TREES, "seed": seed, "num_target": targets.shape[1]}
    matrix = xgboost.DMatrix(features[rows], targets[rows])
    if stop_on is None:
        return xgboost.train(settings, matrix, num_boost_round=rounds, obj=objective)
    unseen = known[stop_on]

    def loss(raw: npt.NDArray[np.float32], data: xgboost.DMatrix) -> tuple[str, float]:
        del data
        errors = raw.reshape(unseen.shape) - targets[stop_on]
        return "mse", float(np.mean(errors[unseen] ** 2)) if unseen.any() else 0.0

    watched = xgboost.DMatrix(features[stop_on], targets[stop_on])
    return xgboost.train(
        settings,
        matrix,
        num_boost_round=rounds,
        obj=objective,
        custom_metric=loss,
        evals=[(watched, "unseen")],
        early_stopping_rounds=PATIENCE,
        verbose_eval=False,
    )


def _raw(booster: xgboost.Booster, features: npt.NDArray[np.float32], rounds: int) -> FloatArray:
    raw = booster.inplace_predict(features, iteration_range=(0, rounds), validate_features=False)
    return np.asarray(raw, dtype=np.float64).reshape(len(features), -1)


def _worth(unseen: FloatArray, truth: FloatArray, known: BoolArray) -> FloatArray:
    """Factor in [0, 1] on each column's deviations that served best on unseen prompts, (C,).

    The slope through the origin of truth on prediction, less one standard error: where prompts tell
    nothing of a model, its mean is what remains.
    """
    power = np.sum(np.where(known, unseen**2, 0.0), axis=0)
    slope = np.sum(np.where(known, unseen * truth, 0.0), axis=0) / np.maximum(power, 1e-12)
    residual = np.where(known, (truth - slope * unseen) ** 2, 0.0).sum(axis=0)
    error = np.sqrt(residual / np.maximum(known.sum(axis=0) - 1, 1) / np.maximum(power, 1e-12))
    worth: FloatArray = np.clip(slope - error, 0.0, 1.0)
    return worth


def _quantiles(values: FloatArray) -> FloatArray:
    """Quantiles at LEVELS of each column of (P, M), NaN left out: (M, Q), NaN for an empty column."""
    result = np.full((values.shape[1], len(LEVELS)), np.nan)
    for j, column in enumerate(values.T):
        if np.isfinite(column).any():
            result[j] = np.quantile(column[np.isfinite(column)], LEVELS)
    return result


def _column_means(labels: FloatArray, known: BoolArray) -> FloatArray:
    means: FloatArray = np.where(known, labels, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    return means


def _nan_mean(values: FloatArray) -> FloatArray:
    known = np.isfinite(values)
    return np.where(known.any(axis=0), _column_means(values, known), np.nan)


def _listed(values: FloatArray) -> list[float | None]:
    return [float(value) if np.isfinite(value) else None for value in values]
