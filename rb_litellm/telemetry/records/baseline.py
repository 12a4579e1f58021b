"""The baseline: what was predicted for the request on one fixed model, to compare with."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np

from rb_litellm.core.decision.breakdown import ScoreBreakdown
from rb_litellm.core.fleet import Deployment
from rb_litellm.core.types import IntArray, Prediction

MAX_SETS = 64
"""Sets of candidates whose baseline deployments are cached; the least recently used is dropped."""


class Baseline:
    """`model` is the model group to compare with; None for no comparison."""

    def __init__(self, model: str | None = None) -> None:
        self._model = model
        self._rows: OrderedDict[tuple[Deployment, ...], IntArray] = OrderedDict()

    @property
    def model(self) -> str | None:
        """The model group to compare with."""
        return self._model

    @model.setter
    def model(self, model: str | None) -> None:
        if model != self._model:
            self._model = model
            self._rows.clear()

    def prediction(self, breakdown: ScoreBreakdown, deployments: Sequence[Deployment]) -> Prediction | None:
        """What was predicted for the baseline's least loaded deployment.

        None where the baseline is not configured or was not among the request's candidates.
        """
        if self._model is None:
            return None
        rows = self._baseline_rows(tuple(deployments))
        rows = rows[breakdown.offered[rows]]
        if not rows.size:
            return None
        return breakdown.prediction(int(rows[np.argmin(breakdown.predictions.times.e2e_s[rows])]))

    def _baseline_rows(self, deployments: tuple[Deployment, ...]) -> IntArray:
        rows = self._rows.get(deployments)
        if rows is None:
            found = [i for i, deployment in enumerate(deployments) if deployment.group == self._model]
            rows = self._rows[deployments] = np.array(found, dtype=np.int64)
            if len(self._rows) > MAX_SETS:
                self._rows.popitem(last=False)
        else:
            self._rows.move_to_end(deployments)
        return rows
