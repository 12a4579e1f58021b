"""How much of a model's quality the default predictor is to say beside one that was trained on its answers.

Training on few answers tells means and little else; the default predictor knows no mean and tells prompts
apart. Both are judged on the training data: the trained one by prompts that it had not seen, the default one,
moved to the measured means, by prompts that its own training had not. The share with the least squared error
is taken, for all models the same, for single ones are too few to choose by.
"""

from __future__ import annotations

import numpy as np

from rb_litellm.core.types import BoolArray, FloatArray, IntArray
from rb_litellm.predictors.default.artifact import PACKAGED, packaged
from rb_litellm.predictors.priors import ModelInfo
from rb_litellm.predictors.trained.model import PROMPTS
from rb_litellm.train.data.dataset import Dataset

GRID = (0.0, 0.25, 0.5, 0.75, 1.0)
FEWEST = 50
"""Prompts to judge by that the default predictor had not seen; with fewer it gets no share."""
BATCH = 256


def share_of_default(data: Dataset, unseen: FloatArray) -> FloatArray:
    """Share (M,) beside a predictor whose figures for prompts that it had not seen are `unseen` (P, M)."""
    rows = np.flatnonzero(~_seen_by_default(data))
    graded = np.isfinite(data.quality[rows]) & np.isfinite(unseen[rows])
    none = np.zeros(len(data.models))
    if graded.any(axis=1).sum() < FEWEST:
        return none
    told = _by_default(data, rows)
    losses = []
    for share in GRID:
        apart = unseen[rows] + share * (told - unseen[rows]) - data.quality[rows]
        losses.append(float(np.where(graded, apart**2, 0.0).sum()))
    return np.where(np.isfinite(unseen).any(axis=0), GRID[int(np.argmin(losses))], 0.0)


def _seen_by_default(data: Dataset) -> BoolArray:
    """(P,) whether the default predictor was trained on a prompt; its list holds the beginnings of ids."""
    told = frozenset((PACKAGED / PROMPTS).read_text(encoding="ascii").split())
    digits = len(next(iter(told), ""))
    return np.array([prompt[:digits] in told for prompt in data.prompt_ids], dtype=np.bool_)


def _by_default(data: Dataset, rows: IntArray) -> FloatArray:
    known = np.isfinite(data.quality)
    means = np.where(known, data.quality, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    models = [
        ModelInfo(name, name, quality=float(means[at]) if known[:, at].any() else None)
        for at, name in enumerate(data.models)
    ]
    prompts = [data.prompts[row] for row in rows]
    parts = [
        packaged().predict(prompts[at : at + BATCH], models).quality for at in range(0, len(prompts), BATCH)
    ]
    return np.concatenate(parts)
