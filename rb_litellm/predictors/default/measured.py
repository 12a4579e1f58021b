"""What the public data's answers say of single models, task by task, beyond what is published of them.

A model that was graded on a task is better or worse at it than models of its abilities are. That is one shift
of log odds for each model and task (`train.default.measured_shifts`). It counts for a model of that name as
far as the name is sure, and on a prompt as far as it is of the task.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rb_litellm.core.types import FloatArray
from rb_litellm.predictors.default.abilities import Known


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """Shifts of N models of the table on C tasks."""

    names: tuple[str, ...]
    """(N,) entries of the table."""
    shifts: FloatArray
    """(N, C) log odds, 0 where no answers tell."""
    share_of_kind: FloatArray
    """(C, K) share of each task among the prompts of its kind, 0 for other kinds."""

    def of(self, known: Sequence[Known]) -> FloatArray:
        """Shifts (C, M) of models by what they are taken for."""
        row = {name: at for at, name in enumerate(self.names)}
        told = np.zeros((self.shifts.shape[1], len(known)))
        for column, model in enumerate(known):
            if model.name in row:
                told[:, column] = model.certainty * self.shifts[row[model.name]]
        return told

    def by_kind(self, shifts: FloatArray) -> FloatArray:
        """Means (K, M) of shifts (C, M) over the tasks of each kind; 0 for a kind without a task."""
        return np.asarray(self.share_of_kind.T @ shifts)

    def within_kind(self, shifts: FloatArray) -> FloatArray:
        """What is left (C, M) of shifts (C, M) without these means."""
        of_a_kind = (self.share_of_kind > 0.0).astype(np.float64)
        return np.asarray(shifts - of_a_kind @ self.by_kind(shifts))
