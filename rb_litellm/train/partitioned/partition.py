"""What one worker keeps of the answers: the prompts of its files, and what is computed of them there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import xgboost

from rb_litellm.core.types import FloatArray, IntArray, Prompt
from rb_litellm.predictors.reading.lexicon import Floats
from rb_litellm.train.data.dataset import Dataset, read_dataset
from rb_litellm.train.fitting.clusters import Clusters
from rb_litellm.train.fitting.linear import RidgeRows
from rb_litellm.train.fitting.prompt_features import Moments, PromptFeatures, Scale


@dataclass(frozen=True)
class Partition:
    """P prompts of some files, in the order of their ids."""

    data: Dataset
    features: PromptFeatures

    @classmethod
    def read(cls, paths: Sequence[Path]) -> Partition:
        """Read files that this machine has.

        Raises:
            DataError: as `read_dataset`.
        """
        data = read_dataset(paths)
        return cls(data, PromptFeatures.of(data.prompts))

    def labels(self) -> Dataset:
        """All but the texts of the prompts."""
        return replace(self.data, prompts=(Prompt(),) * len(self.data.prompts))

    def some(self, rows: IntArray) -> tuple[Prompt, ...]:
        """The prompts of these rows, with their texts."""
        return tuple(self.data.prompts[row] for row in rows)

    def moments(self) -> Moments:
        """What all prompts' scale is learned from."""
        return self.features.moments(np.arange(len(self.data.prompts)))

    def matrix(self, scale: Scale) -> Any:
        """The prompts as a SciPy CSR matrix, on the scale of all prompts."""
        return self.features.matrix(scale)

    def familiarity(self, idf: Floats) -> Floats:
        """Share of each prompt's n-grams that are known, (P,)."""
        return self.features.familiarity(idf)

    def with_read(self, read: Floats) -> Floats:
        """Features (P, STRUCTURE + C + O) of which the linear model has said the last."""
        return np.concatenate([self.features.plain, read], axis=1)


def ridge_rows(matrix: Any, rows: IntArray, targets: Floats, known: Floats) -> RidgeRows:
    """Rows of a partition that a linear model is fitted to."""
    return RidgeRows.of(matrix[rows], targets, known)


def told_by(matrix: Any, fold: IntArray, tables: Sequence[Floats]) -> Floats:
    """What linear models say of prompts that they were not fitted on: of those of fold k, the k-th."""
    told = np.zeros((len(fold), tables[0].shape[1]), dtype=np.float32)
    for k, table in enumerate(tables):
        told[fold == k] = matrix[fold == k] @ table
    return told


def clusters_of(matrix: Any, found: Clusters) -> IntArray:
    """The cluster of each prompt."""
    return found.nearest(matrix)


def rows_of(values: Floats, rows: IntArray) -> Floats:
    """Some rows."""
    return values[rows]


def raw_figures(features: Floats, rows: IntArray, trees: tuple[bytes, int]) -> FloatArray:
    """What trees say of some prompts, (R, C + O); `trees` are a booster's file and how many rounds count."""
    content, rounds = trees
    booster = xgboost.Booster({"nthread": 1})
    booster.load_model(bytearray(content))
    raw = booster.inplace_predict(features[rows], iteration_range=(0, rounds), validate_features=False)
    return np.asarray(raw).reshape(len(rows), -1)
