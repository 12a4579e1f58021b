"""Fit a predictor: a linear model of n-grams, boosted trees over it, and weights for what they are worth.

Every figure that judges (weights of the blend, shrinkage, spread of lengths, metrics of the model card) is
taken from prompts that the trees judging them had not seen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rb_litellm.core.types import FloatArray, IntArray
from rb_litellm.predictors.reading import lexicon
from rb_litellm.predictors.reading.encoder import Encoder
from rb_litellm.predictors.reading.lexicon import Floats
from rb_litellm.predictors.trained.blend import Blend
from rb_litellm.predictors.trained.model import LEVELS, mean_of_quantiles
from rb_litellm.spread.where import HERE, Where
from rb_litellm.spread.work import Team, Work, whole
from rb_litellm.train.data.dataset import DataError, Dataset
from rb_litellm.train.figures.leave_one_task_out import (
    HeldOutPrompts,
    choose_recognised,
    left_out,
    others,
)
from rb_litellm.train.fitting.boosting import Trees, boost, file_of
from rb_litellm.train.fitting.clusters import clusters
from rb_litellm.train.fitting.parts import Learned, LeftOutKind, fit_part, title
from rb_litellm.train.fitting.prompt_features import MIN_SEEN, PromptFeatures, Scale
from rb_litellm.train.fitting.targets import MAX_KINDS, RidgeModel, Targets, column_means
from rb_litellm.train.fitting.weights import choose_weights, keep_closer, plain_blend

FOLDS = 4
MIN_PROMPTS = 20
"""Fewer leave nothing to learn from and nothing to judge by."""


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


def fit(
    data: Dataset,
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda done, of: None,
    where: Where = HERE,
) -> Fitted:
    """Train on all prompts of `data`; the same data and seed give the same predictor, wherever it is fitted.

    `progress` is called with the number of fits done and of all fits.

    Raises:
        DataError: too few prompts.
        SpreadError: a part could not be fitted, or `where` cannot be used.
    """
    if len(data.prompts) < MIN_PROMPTS:
        raise DataError(f"{len(data.prompts)} different prompts; needed are at least {MIN_PROMPTS}")
    random = np.random.default_rng(seed)
    fold = random.permutation(len(data.prompts)) % FOLDS
    prompt_features = PromptFeatures.of(data.prompts)
    tasks = data.tasks
    if not any(tasks):
        tasks = clusters(
            prompt_features.matrix(prompt_features.scale(np.arange(len(fold)))), MAX_KINDS - 1, random
        )
    targets = Targets.of(data, tasks)
    strange = left_out(targets)
    steps = Steps(2 * FOLDS + 2 + len(strange), progress)
    encoder, features, familiarity = _encode(prompt_features, targets, fold, steps)

    trees = Trees(targets.kinds.shape[1], seed)
    learned = Learned(prompt_features, targets, features, fold, trees)
    with where.team(Work(fit_part, learned, title)) as team:
        unseen, rounds = _unseen(team, fold, targets, steps)
        every = np.arange(len(features))
        booster, _ = boost(features, targets.every, targets.every_known, every, trees, rounds=rounds)
        steps.done()
        judged = Judged(targets, unseen, familiarity)
        blend = judged.blend(team, targets, strange, rounds, random, steps)
    return judged.fitted(data, blend, encoder, file_of(booster))


@dataclass(frozen=True)
class Judged:
    """What is judged by: raw figures of all prompts from trees that had not seen them."""

    targets: Targets
    unseen: FloatArray
    """(P, C + O)"""
    familiarity: Floats
    """(P,)"""

    def blend(
        self,
        team: Team[int | LeftOutKind, tuple[FloatArray, int] | HeldOutPrompts],
        learned: Targets,
        strange: Sequence[int],
        rounds: int,
        random: np.random.Generator,
        steps: Steps,
    ) -> Blend:
        """The weights that serve best. `team` leaves out the kinds `strange` of what it has `learned`."""
        targets, unseen = self.targets, self.unseen
        blend = choose_weights(plain_blend(targets, self.familiarity), unseen, targets.labels, targets.known)
        kinds = [LeftOutKind(kind, others(kind, learned, random), blend, rounds) for kind in strange]
        fitted = whole(team.map(kinds, steps.done))
        unseen_kinds = [part for part in fitted if isinstance(part, HeldOutPrompts)]
        graded = targets.fully_graded
        known = HeldOutPrompts(
            blend, unseen[graded], self.familiarity[graded], targets.labels[graded, : targets.qualities]
        )
        blend = blend.but(recognised=choose_recognised(known, unseen_kinds))
        return keep_closer(blend, unseen, self.familiarity, targets.labels, targets.known)

    def fitted(self, data: Dataset, blend: Blend, encoder: Encoder, booster: bytes) -> Fitted:
        """All of it put together."""
        return _fitted(data, self.targets, blend, encoder, booster, self.unseen, self.familiarity)


def _unseen(
    team: Team[int | LeftOutKind, tuple[FloatArray, int] | HeldOutPrompts],
    fold: IntArray,
    targets: Targets,
    steps: Steps,
) -> tuple[FloatArray, int]:
    """What trees say of prompts that they have not seen (P, C + O), and how many rounds of them are best."""
    unseen = np.zeros_like(targets.every)
    best = []
    for k, part in enumerate(whole(team.map(range(FOLDS), steps.done))):
        assert isinstance(part, tuple)
        unseen[fold == k], count = part
        best.append(count)
    return unseen, max(int(np.mean(best)), 1)


class Steps:
    """Counts what is done, for a progress bar."""

    def __init__(self, of: int, progress: Callable[[int, int], None]) -> None:
        self._done, self._of, self._progress = 0, of, progress

    def done(self, _: object = None) -> None:
        """One more."""
        self._done += 1
        self._progress(self._done, self._of)


def _encode(
    prompt_features: PromptFeatures, targets: Targets, fold: IntArray, steps: Steps
) -> tuple[Encoder, Floats, Floats]:
    """The encoder of all prompts, and features as prompts have them that it was not fitted on."""
    every = np.arange(len(fold))
    scale = prompt_features.scale(every)
    matrix, ridge_model = prompt_features.matrix(scale), RidgeModel(targets)
    read = np.zeros(targets.every.shape, dtype=np.float32)
    for k in range(FOLDS):
        train, test = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
        read[test] = matrix[test] @ ridge_model.table(matrix[train], train)
        steps.done()
    table = ridge_model.table(matrix, every)
    steps.done()
    return (
        encoder_of(scale, table),
        np.concatenate([prompt_features.plain, read], axis=1),
        prompt_features.familiarity(known_by_others(scale)),
    )


def encoder_of(scale: Scale, table: Floats) -> Encoder:
    """The encoder with the linear model's weights (WIDTH + STRUCTURE, C + O)."""
    width = lexicon.WIDTH
    return Encoder(scale.idf, scale.centre, scale.spread, table[:width], table[width:])


def known_by_others(scale: Scale) -> Floats:
    """Rarity of n-grams as a prompt of the training finds them.

    One that is in no other prompt is unknown when this prompt is new.
    """
    return np.where(scale.seen > MIN_SEEN, scale.idf, 0.0).astype(np.float32)


def _fitted(
    data: Dataset,
    targets: Targets,
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


def _nan_mean(values: FloatArray) -> FloatArray:
    known = np.isfinite(values)
    return np.where(known.any(axis=0), column_means(values, known), np.nan)


def _listed(values: FloatArray) -> list[float | None]:
    return [float(value) if np.isfinite(value) else None for value in values]
