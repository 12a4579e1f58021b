"""What the default predictor has to say beside one that was trained on a user's answers.

It is first moved to the answers (`own_shifts`). Beside it a trained predictor has to show its worth: of
several shares the largest one of the default predictor is taken whose squared error lies within one standard
error of the best (the one-standard-error rule of Breiman et al., 1984), for all models the same, as single
ones are too few to choose by. All is judged by prompts that neither predictor had seen, nor the shifts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rb_litellm.core.types import BoolArray, FloatArray, IntArray
from rb_litellm.predictors.ability_learning import corrected
from rb_litellm.predictors.default.abilities import KINDS
from rb_litellm.predictors.default.artifact import PACKAGED, packaged
from rb_litellm.predictors.default.predictor import DefaultPredictor
from rb_litellm.predictors.priors import ModelInfo
from rb_litellm.predictors.trained.model import PROMPTS
from rb_litellm.train.data.dataset import Dataset
from rb_litellm.train.fitting.own_shifts import fit_shifts

GRID = (1.0, 0.75, 0.5, 0.25, 0.0)
FEWEST = 20
"""Prompts to judge by that the default predictor had not seen; with fewer it gets no share."""
MOST = 5_000
"""Prompts to judge by; of more, a random part."""
FOLDS = 4
BATCH = 256


@dataclass(frozen=True, slots=True, eq=False)
class BesideTrained:
    """The default predictor's part in the quality of M models."""

    share: FloatArray
    """(M,) from 0 to 1."""
    shifts: FloatArray
    """(M, K) log odds that are added to what it says of a model's prompts of each kind."""

    def as_json(self) -> dict[str, object]:
        """Plain data, as `Predictor` reads it."""
        return {
            "share_of_default": self.share.tolist(),
            "default_shifts": {kind: self.shifts[:, at].tolist() for at, kind in enumerate(KINDS)},
        }


def beside_trained(
    data: Dataset, unseen: FloatArray, seed: int = 0, default: DefaultPredictor | None = None
) -> BesideTrained:
    """Beside a predictor whose figures for prompts that it had not seen are `unseen` (P, M).

    `default` was trained on none of the prompts; without it, the packaged one is judged by those prompts that
    it was not trained on.
    """
    count = len(data.models)
    nothing = BesideTrained(np.zeros(count), np.zeros((count, len(KINDS))))
    rows = np.arange(len(data.prompts)) if default else np.flatnonzero(~_seen_by_packaged(data))
    graded = np.isfinite(data.quality[rows]) & np.isfinite(unseen[rows])
    rows, graded = rows[graded.any(axis=1)], graded[graded.any(axis=1)]
    if len(rows) < FEWEST:
        return nothing
    random = np.random.default_rng(seed)
    if len(rows) > MOST:
        chosen = np.sort(random.choice(len(rows), MOST, replace=False))
        rows, graded = rows[chosen], graded[chosen]
    told, kinds = _by_default(default or packaged(), data, rows)
    quality = np.where(graded, data.quality[rows], np.nan)
    fold = random.permutation(len(rows)) % FOLDS
    moved = np.empty_like(told)
    for k in range(FOLDS):
        train, test = fold != k, fold == k
        moved[test] = corrected(
            told[test], kinds[test], fit_shifts(told[train], quality[train], kinds[train])
        )
    share = _share(np.where(graded, unseen[rows], 0.0), moved, quality)
    return BesideTrained(
        np.where(graded.any(axis=0), share, 0.0),
        fit_shifts(told, quality, kinds),
    )


def _share(trained: FloatArray, moved: FloatArray, quality: FloatArray) -> float:
    """The largest share of `moved` within one standard error of the best, all of shape (P, M)."""
    graded = np.isfinite(quality)
    losses = [
        np.where(graded, (trained + share * (moved - trained) - quality) ** 2, 0.0).sum(axis=1)
        for share in GRID
    ]
    best = min(losses, key=lambda loss: float(loss.mean()))
    for share, loss in zip(GRID, losses, strict=True):
        more = loss - best
        if more.mean() <= more.std() / np.sqrt(len(more)):
            return share
    return GRID[-1]


def _seen_by_packaged(data: Dataset) -> BoolArray:
    """(P,) whether the default predictor was trained on a prompt; its list holds the beginnings of ids."""
    told = frozenset((PACKAGED / PROMPTS).read_text(encoding="ascii").split())
    digits = len(next(iter(told), ""))
    return np.array([prompt[:digits] in told for prompt in data.prompt_ids], dtype=np.bool_)


def _by_default(default: DefaultPredictor, data: Dataset, rows: IntArray) -> tuple[FloatArray, FloatArray]:
    """Quality (R, M) of the data's models, by their names alone, and kinds (R, K) of the prompts `rows`."""
    models = [ModelInfo(name, name) for name in data.models]
    quality, kinds = [], []
    for at in range(0, len(rows), BATCH):
        told = default.predict([data.prompts[row] for row in rows[at : at + BATCH]], models)
        assert told.kinds is not None
        quality.append(told.quality)
        kinds.append(told.kinds)
    return np.concatenate(quality), np.concatenate(kinds)
