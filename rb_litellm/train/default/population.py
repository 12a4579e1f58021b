"""Mean and covariance of the table's models, with most measurements missing: expectation maximisation.

Little, Rubin: Statistical Analysis with Missing Data, chapter 11. A few made-up models without correlations
keep the covariance regular.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from rb_litellm.core.types import FloatArray
from rb_litellm.predictors.default.abilities import Population, axes
from rb_litellm.predictors.default.table import entries
from rb_litellm.train.default.rounding import rounded

STEPS = 60
_MADE_UP = 6.0
_SHARE = 0.15
"""Variance of the made-up models, as a share of that of the real ones."""


@lru_cache(maxsize=1)
def table_population() -> Population:
    """The population of the bundled table."""
    return population(np.stack([axes(entry) for entry in entries()]))


def population(known: FloatArray) -> Population:
    """The population that models (N, A), NaN where nothing is known, are most likely drawn from, to single
    precision."""
    count, width = known.shape
    mean, variance = np.nanmean(known, axis=0), np.nanvar(known, axis=0)
    covariance, made_up = np.diag(variance + 0.1), np.diag(_SHARE * variance + 0.02)
    for _ in range(STEPS):
        filled, uncertain = known.copy(), np.zeros((width, width))
        for row in range(count):
            told = np.isfinite(known[row])
            left = ~told
            gain = covariance[np.ix_(left, told)] @ np.linalg.inv(covariance[np.ix_(told, told)])
            filled[row, left] = mean[left] + gain @ (known[row, told] - mean[told])
            uncertain[np.ix_(left, left)] += (
                covariance[np.ix_(left, left)] - gain @ covariance[np.ix_(told, left)]
            )
        mean = filled.mean(axis=0)
        apart = filled - mean
        covariance = (apart.T @ apart + uncertain + _MADE_UP * made_up) / (count + _MADE_UP)
    return Population(rounded(mean), rounded(covariance))
