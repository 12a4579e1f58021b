"""Whether a predictor has the models in the right order and on the right level, by kind of prompt.

rank correlation     Spearman's, over models, of mean predicted and mean measured quality
calibration error    mean over models of the distance of the two means
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from rb_litellm.core.types import FloatArray
from rb_litellm.train.figures import metrics

FEWEST = 20
"""Answers of a model to prompts of a kind, for its mean to count."""


def kind_reports(
    kinds: Sequence[str], quality: FloatArray, predicted: FloatArray
) -> dict[str, dict[str, Any]]:
    """Figures by kind, from the prompts' kinds (P,) and measured and predicted qualities (P, M).

    None where fewer than three models have a mean, or all have the same.
    """
    found: dict[str, dict[str, Any]] = {}
    names = np.array(kinds)
    for kind in sorted(set(kinds)):
        rows = names == kind
        told = np.isfinite(quality[rows]) & np.isfinite(predicted[rows])
        enough = told.sum(axis=0) >= FEWEST
        if not enough.any():
            continue
        shown = told & enough
        truth = _means(quality[rows], shown)[enough]
        expected = _means(predicted[rows], shown)[enough]
        ranked = None
        if len(truth) >= 3 and np.ptp(truth) > 0.0 and np.ptp(expected) > 0.0:
            ranked = round(float(spearmanr(truth, expected).statistic), 4)
        found[kind] = {
            "prompts": int(rows.sum()),
            "models": int(enough.sum()),
            "rank_correlation": ranked,
            "calibration_error": round(float(np.abs(truth - expected).mean()), 4),
            "ece": round(metrics.calibration_error(quality[rows][shown], predicted[rows][shown]), 4),
        }
    return found


def _means(values: FloatArray, shown: np.ndarray[Any, np.dtype[np.bool_]]) -> FloatArray:
    return np.asarray(np.where(shown, values, 0.0).sum(axis=0) / np.maximum(shown.sum(axis=0), 1))
