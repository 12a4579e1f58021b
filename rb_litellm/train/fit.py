"""Fit a predictor: a linear reading of n-grams, boosted trees over it, and weights for what they are worth.

Every figure that judges (weights of the blend, shrinkage, spread of lengths, metrics of the model card) is
taken from prompts that the trees judging them had not seen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from rb_litellm.core.types import BoolArray, FloatArray, IntArray
from rb_litellm.predictors import lexicon
from rb_litellm.predictors.blend import Blend
from rb_litellm.predictors.encoder import Encoder, clip, standard
from rb_litellm.predictors.lexicon import Floats
from rb_litellm.predictors.model import LEVELS, mean_of_quantiles
from rb_litellm.predictors.structure import structure
from rb_litellm.train.boosting import Trees, boost
from rb_litellm.train.dataset import DataError, Dataset
from rb_litellm.train.linear import ridge
from rb_litellm.train.weights import choose_weights

FOLDS = 4
MIN_PROMPTS = 20
"""Fewer leave nothing to learn from and nothing to judge by."""
MIN_SEEN = 2
"""Prompts that an n-gram must occur in."""
MIN_OF_KIND = 10
MAX_KINDS = 32
"""Tasks that are told apart; the smallest are one kind."""
KIND_PENALTY = 1.2
LABEL_PENALTY = 20.0
_PRIOR_ROWS = 5.0
"""The mean deviation of a kind starts as that of so many prompts without any."""


@dataclass(frozen=True)
class Fitted:
    """A predictor's contents, and what it predicted for prompts it had not seen."""

    meta: dict[str, Any]
    encoder: bytes
    booster: bytes
    unseen_quality: FloatArray
    """(P, M) out of fold, NaN for models without labels."""
    unseen_length_quantiles: FloatArray
    """(P, M, Q) out of fold."""


@dataclass(frozen=True)
class _Targets:
    """What is learned of P prompts: C kinds and O outputs, as deviations in units of their spread."""

    outputs: IntArray
    labels: FloatArray
    known: BoolArray
    offset: FloatArray
    scale: FloatArray
    kinds: FloatArray
    """(P, C) 0 or 1."""

    @property
    def deviations(self) -> FloatArray:
        """(P, O), 0 where not known."""
        return np.where(self.known, self.labels - self.offset, 0.0)

    @property
    def every(self) -> FloatArray:
        """(P, C + O): kinds, then deviations in units of their spread."""
        return np.concatenate([self.kinds, self.deviations / self.scale], axis=1)

    @property
    def every_known(self) -> BoolArray:
        """(P, C + O)"""
        return np.concatenate([np.ones_like(self.kinds, dtype=np.bool_), self.known], axis=1)


def fit(data: Dataset, seed: int = 0, progress: Callable[[int, int], None] = lambda done, of: None) -> Fitted:
    """Train on all prompts of `data`; the same data and seed give the same predictor.

    `progress` is told how many of how many fits are done.

    Raises:
        DataError: too few prompts.
    """
    if len(data.prompts) < MIN_PROMPTS:
        raise DataError(f"{len(data.prompts)} different prompts; needed are at least {MIN_PROMPTS}")
    steps = 2 * FOLDS + 2
    targets = _targets(data)
    fold = np.random.default_rng(seed).permutation(len(data.prompts)) % FOLDS
    encoder, features, familiarity = _encode(data, targets, fold, lambda done: progress(done, steps))

    unseen = np.zeros_like(targets.every)
    rounds = []
    trees = Trees(targets.kinds.shape[1], seed)
    for k in range(FOLDS):
        train, test = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
        booster, best = boost(features, targets.every, targets.every_known, train, trees, stop_on=test)
        rounds.append(best)
        raw = booster.inplace_predict(features[test], iteration_range=(0, best), validate_features=False)
        unseen[test] = np.asarray(raw).reshape(len(test), -1)
        progress(FOLDS + 2 + k, steps)
    every = np.arange(len(features))
    booster, _ = boost(
        features, targets.every, targets.every_known, every, trees, rounds=max(int(np.mean(rounds)), 1)
    )
    progress(steps, steps)

    blend = choose_weights(
        _plain_blend(targets, len(data.models), familiarity), unseen, targets.labels, targets.known
    )
    return _fitted(data, targets, blend, encoder, bytes(booster.save_raw("ubj")), unseen, familiarity)


def _targets(data: Dataset) -> _Targets:
    labels = np.concatenate([data.quality, np.log(np.maximum(data.output_tokens, 1.0))], axis=1)
    outputs = np.flatnonzero(np.isfinite(labels).any(axis=0))
    labels = labels[:, outputs]
    known = np.isfinite(labels)
    offset = column_means(labels, known)
    deviations = np.where(known, labels - offset, 0.0)
    # All outputs are learned by the same trees: on one scale.
    scale = np.sqrt(np.sum(deviations**2, axis=0) / np.maximum(known.sum(axis=0), 1)) + 1e-6
    return _Targets(outputs, labels, known, offset, scale, _kinds(data.tasks))


def _kinds(tasks: Sequence[str]) -> FloatArray:
    """Tasks as (P, C) zeros and ones; C is 0 where there are not two to tell apart."""
    often = [t for t, n in Counter(tasks).most_common(MAX_KINDS - 1) if t and n >= MIN_OF_KIND]
    if len(often) < 2:
        return np.zeros((len(tasks), 0))
    at = {task: n for n, task in enumerate(sorted(often))}
    column = np.array([at.get(task, len(at)) for task in tasks])
    kinds: FloatArray = np.eye(len(at) + 1)[column][:, : int(column.max()) + 1]
    return kinds


def _encode(
    data: Dataset, targets: _Targets, fold: IntArray, progress: Callable[[int], None]
) -> tuple[Encoder, Floats, Floats]:
    """The encoder of all prompts, and features as prompts have them that it was not fitted on."""
    texts = [clip(prompt.text) for prompt in data.prompts]
    contents = [text.encode("utf-8", "replace") for text in texts]
    plain, bag = structure(data.prompts, texts, contents), lexicon.bags(contents)
    seen = np.bincount(bag.bucket, minlength=lexicon.WIDTH)
    rarity = np.log((1.0 + len(texts)) / (1.0 + seen)) + 1.0
    idf = np.where(seen >= MIN_SEEN, rarity, 0.0).astype(np.float16).astype(np.float32)
    centre, spread = plain.mean(axis=0), plain.std(axis=0) + np.float32(1e-3)
    entries = (lexicon.weigh(bag, idf), bag.bucket, bag.begins)
    grams = sparse.csr_matrix(entries, shape=(len(texts), lexicon.WIDTH))
    matrix = sparse.hstack([grams, sparse.csr_matrix(standard(plain, centre, spread))], format="csr")
    wanted, known = targets.every.astype(np.float32), targets.every_known.astype(np.float32)
    kinds = targets.kinds.shape[1]
    wanted[:, :kinds] -= wanted[:, :kinds].mean(axis=0)
    penalty = np.full(wanted.shape[1], LABEL_PENALTY, dtype=np.float32)
    penalty[:kinds] = KIND_PENALTY
    read = np.zeros_like(wanted)
    for k in range(FOLDS):
        train, test = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
        read[test] = matrix[test] @ ridge(matrix[train], wanted[train], known[train], penalty)
        progress(k + 1)
    table = ridge(matrix, wanted, known, penalty)
    progress(FOLDS + 1)
    encoder = Encoder(idf, centre, spread, table[: lexicon.WIDTH], table[lexicon.WIDTH :])
    # An n-gram of one prompt only is unknown when that prompt is new: count it so here too.
    familiar = lexicon.familiarity(bag, np.where(seen > MIN_SEEN, idf, 0.0).astype(np.float32))
    return encoder, np.concatenate([plain, read], axis=1), familiar


def _plain_blend(targets: _Targets, models: int, familiarity: Floats) -> Blend:
    """A blend that believes everything; the weights are chosen later."""
    counts = targets.kinds.T @ targets.known
    return Blend(
        qualities=int(np.sum(targets.outputs < models)),
        offset=targets.offset,
        scale=targets.scale,
        log_prior=np.log(np.maximum(targets.kinds.mean(axis=0), 1e-9)),
        kind_deviation=(targets.kinds.T @ targets.deviations) / (counts + _PRIOR_ROWS),
        own_common=1.0,
        own_differences=1.0,
        own_lengths=1.0,
        worth=np.ones(len(targets.outputs)),
        familiar=float(np.quantile(familiarity, 0.05)),
    )


def _fitted(
    data: Dataset,
    targets: _Targets,
    blend: Blend,
    encoder: Encoder,
    booster: bytes,
    unseen: FloatArray,
    familiarity: Floats,
) -> Fitted:
    count = len(data.models)
    outputs = np.full((len(unseen), 2 * count), np.nan)
    outputs[:, targets.outputs] = blend.outputs(unseen, familiarity)
    quality, log_lengths = np.clip(outputs[:, :count], 0.0, 1.0), outputs[:, count:]
    residuals = _quantiles(np.log(np.maximum(data.output_tokens, 1.0)) - log_lengths)
    quantiles = np.exp(log_lengths[:, :, None] + residuals)
    meta = {
        "models": list(data.models),
        "mean_quality": _listed(_nan_mean(data.quality)),
        "mean_output_tokens": _listed(_nan_mean(data.output_tokens)),
        "length_quantiles": [_listed(row) for row in _quantiles(data.output_tokens)],
        "length_residuals": [_listed(row) for row in residuals],
        "length_mean_factor": _mean_factor(data.output_tokens, quantiles).tolist(),
        "confidence": _confidence(data.quality, quality).tolist(),
        "outputs": targets.outputs.tolist(),
        "blend": blend.as_json(),
    }
    return Fitted(meta, encoder.to_bytes(), booster, quality, quantiles)


def _mean_factor(tokens: FloatArray, quantiles: FloatArray) -> FloatArray:
    """What brings the means of the predicted distributions to the measured mean, (M,)."""
    told = mean_of_quantiles(quantiles)
    known = np.isfinite(tokens) & np.isfinite(told)
    measured = np.where(known, tokens, 0.0).sum(axis=0)
    factor = measured / np.maximum(np.where(known, told, 0.0).sum(axis=0), 1e-9)
    return np.where(known.any(axis=0), np.clip(factor, 0.5, 2.0), 1.0)


def _confidence(truth: FloatArray, predicted: FloatArray) -> FloatArray:
    """Correlation of unseen predictions with the truth, at least 0, (M,)."""
    result = np.zeros(truth.shape[1])
    for j in range(truth.shape[1]):
        rows = np.isfinite(truth[:, j]) & np.isfinite(predicted[:, j])
        if rows.sum() > 2 and truth[rows, j].std() > 1e-9 and predicted[rows, j].std() > 1e-9:
            result[j] = max(float(np.corrcoef(truth[rows, j], predicted[rows, j])[0, 1]), 0.0)
    return result


def _quantiles(values: FloatArray) -> FloatArray:
    """Quantiles at LEVELS of each column of (P, M), NaN left out: (M, Q), NaN for an empty column."""
    result = np.full((values.shape[1], len(LEVELS)), np.nan)
    for j, column in enumerate(values.T):
        if np.isfinite(column).any():
            result[j] = np.quantile(column[np.isfinite(column)], LEVELS)
    return result


def column_means(labels: FloatArray, known: BoolArray) -> FloatArray:
    """Mean of what is known of each column."""
    means: FloatArray = np.where(known, labels, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    return means


def _nan_mean(values: FloatArray) -> FloatArray:
    known = np.isfinite(values)
    return np.where(known.any(axis=0), column_means(values, known), np.nan)


def _listed(values: FloatArray) -> list[float | None]:
    return [float(value) if np.isfinite(value) else None for value in values]
