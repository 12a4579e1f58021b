"""What is learned for each prompt: its kind, and how each output deviates from its mean."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from rb_litellm.core.types import BoolArray, FloatArray, IntArray
from rb_litellm.predictors.reading.lexicon import Floats
from rb_litellm.train.data.dataset import Dataset
from rb_litellm.train.fitting.linear import ridge

MIN_OF_KIND = 10
MAX_KINDS = 32
"""Tasks that are distinguished; the smallest are merged into one kind."""
KIND_PENALTY = 1.2
LABEL_PENALTY = 20.0


@dataclass(frozen=True)
class Targets:
    """P prompts with C kinds and O outputs, the latter as deviations in units of their spread."""

    outputs: IntArray
    """(O,) what is learned: the models' qualities are 0..M-1, the logarithms of their lengths M..2M-1."""
    qualities: int
    """The first `qualities` outputs are qualities."""
    labels: FloatArray
    """(P, O)"""
    known: BoolArray
    offset: FloatArray
    """(O,) means."""
    scale: FloatArray
    kinds: FloatArray
    """(P, C) 0 or 1; C is 0 where there are fewer than two kinds."""

    @classmethod
    def of(cls, data: Dataset, tasks: Sequence[str]) -> Targets:
        """All that the data have labels of; `tasks` name the kind of each prompt, empty for none."""
        labels = np.concatenate([data.quality, np.log(np.maximum(data.output_tokens, 1.0))], axis=1)
        outputs = np.flatnonzero(np.isfinite(labels).any(axis=0))
        qualities = int(np.sum(outputs < len(data.models)))
        return cls._scaled(outputs, qualities, labels[:, outputs], _kinds(tasks))

    def without(self, kind: int, rows: IntArray) -> Targets:
        """The given rows, none of them of the kind, as if there were no such kind."""
        kinds = np.delete(self.kinds[rows], kind, axis=1)
        return self._scaled(self.outputs, self.qualities, self.labels[rows], kinds)

    def take(self, rows: IntArray) -> Targets:
        """Those of the given rows, on the scale of all."""
        return replace(self, labels=self.labels[rows], known=self.known[rows], kinds=self.kinds[rows])

    @classmethod
    def _scaled(cls, outputs: IntArray, qualities: int, labels: FloatArray, kinds: FloatArray) -> Targets:
        known = np.isfinite(labels)
        offset = column_means(labels, known)
        deviations = np.where(known, labels - offset, 0.0)
        # All outputs are learned by the same trees: on one scale.
        scale = np.sqrt(np.sum(deviations**2, axis=0) / np.maximum(known.sum(axis=0), 1)) + 1e-6
        return cls(outputs, qualities, labels, known, offset, scale, kinds)

    @property
    def deviations(self) -> FloatArray:
        """(P, O), 0 where not known."""
        return np.where(self.known, self.labels - self.offset, 0.0)

    @property
    def fully_graded(self) -> BoolArray:
        """(P,) prompts with the quality of every model."""
        return np.asarray(self.known[:, : self.qualities].all(axis=1))

    @property
    def every(self) -> FloatArray:
        """(P, C + O): kinds, then deviations in units of their spread."""
        return np.concatenate([self.kinds, self.deviations / self.scale], axis=1)

    @property
    def every_known(self) -> BoolArray:
        """(P, C + O)"""
        return np.concatenate([np.ones_like(self.kinds, dtype=np.bool_), self.known], axis=1)


class RidgeModel:
    """The linear model of n-grams, fitted to targets by ridge regression."""

    def __init__(self, targets: Targets) -> None:
        kinds = targets.kinds.shape[1]
        self.wanted = targets.every.astype(np.float32)
        """(P, C + O)"""
        self.wanted[:, :kinds] -= self.wanted[:, :kinds].mean(axis=0)
        self.known = targets.every_known.astype(np.float32)
        self.penalty = np.full(self.wanted.shape[1], LABEL_PENALTY, dtype=np.float32)
        """(C + O,)"""
        self.penalty[:kinds] = KIND_PENALTY

    def table(self, matrix: object, rows: IntArray) -> Floats:
        """Weights (F, C + O) from the given rows of the targets; `matrix` holds these rows only."""
        return ridge(matrix, self.wanted[rows], self.known[rows], self.penalty)


def _kinds(tasks: Sequence[str]) -> FloatArray:
    """Tasks as (P, C) zeros and ones."""
    often = [t for t, n in Counter(tasks).most_common(MAX_KINDS - 1) if t and n >= MIN_OF_KIND]
    if len(often) < 2:
        return np.zeros((len(tasks), 0))
    at = {task: n for n, task in enumerate(sorted(often))}
    column = np.array([at.get(task, len(at)) for task in tasks])
    kinds: FloatArray = np.eye(len(at) + 1)[column][:, : int(column.max()) + 1]
    return kinds


def column_means(labels: FloatArray, known: BoolArray) -> FloatArray:
    """Mean of what is known of each column."""
    means: FloatArray = np.where(known, labels, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    return means
