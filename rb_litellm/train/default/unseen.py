"""Predictions by default predictors that knew neither the prompt nor an answer of the model.

Prompts are parted into folds and models into groups, and each part of both is predicted by a predictor that
was trained without either. Models of one group are predicted by the same predictors, those of different
groups are not: what differs between predictors would look like a difference between models. So models are
compared within their group alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from rb_litellm.core.types import FloatArray, IntArray
from rb_litellm.predictors.default.predictor import DefaultPredictor
from rb_litellm.predictors.priors import ModelInfo
from rb_litellm.train.data.dataset import Dataset
from rb_litellm.train.default.fit import fit_default
from rb_litellm.train.default.level_and_steepness import task_of
from rb_litellm.train.default.population import table_population

PARTS = 3
BATCH = 256


@dataclass(frozen=True, slots=True, eq=False)
class Unseen:
    """What is predicted of P prompts and M models that were left out."""

    quality: FloatArray
    """(P, M)"""
    group: IntArray
    """(M,) which models were left out together."""


def predicted_unseen(
    data: Dataset, seed: int = 0, progress: Callable[[int, int], None] = lambda done, of: None
) -> Unseen:
    """One third of the prompts and one third of the models at a time."""
    random = np.random.default_rng(seed)
    fold = random.permutation(len(data.prompts)) % PARTS
    group = _groups(data, random)
    result = np.full(data.quality.shape, np.nan)
    for k in range(PARTS):
        for g in range(PARTS):
            train, test = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
            held = np.flatnonzero(group == g)
            seen = others_than(data, held)
            made = fit_default(data.take(train).for_models(seen), seed).predictor()
            infos = [ModelInfo(data.models[at], data.models[at]) for at in held]
            result[np.ix_(test, held)] = quality_by(made, data, test, infos)
            progress(k * PARTS + g + 1, PARTS * PARTS)
    return Unseen(result, group)


def others_than(data: Dataset, held: Sequence[int] | IntArray) -> list[str]:
    """Names of the models of the data but for those at `held`, whatever else these are called there."""
    known = [table_population().known(ModelInfo(name, name)).name or name for name in data.models]
    left_out = {known[at] for at in held}
    return [name for name, model in zip(data.models, known, strict=True) if model not in left_out]


def _groups(data: Dataset, random: np.random.Generator) -> IntArray:
    """A group for each model, the models of every task spread over all groups."""
    graded = np.isfinite(data.quality)
    tasks = np.array([task_of(name) for name in data.tasks])
    # Models that were graded on the same tasks stand together, by the number of their tasks.
    first = [len(set(tasks[column].tolist())) for column in graded.T]
    order = sorted(random.permutation(len(first)).tolist(), key=lambda at: first[at])
    groups = np.zeros(len(first), dtype=np.int64)
    groups[order] = np.arange(len(first)) % PARTS
    return groups


def quality_by(
    made: DefaultPredictor, data: Dataset, rows: IntArray, infos: Sequence[ModelInfo]
) -> FloatArray:
    """Quality (R, M) of the prompts `rows` and of these models."""
    parts = [rows[at : at + BATCH] for at in range(0, len(rows), BATCH)]
    return np.concatenate([made.predict([data.prompts[at] for at in part], infos).quality for part in parts])
