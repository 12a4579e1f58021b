"""What it means that a prompt is longer than others of its task: how hard it is, and how far ability decides.

A longer problem has more steps, and every step may fail: what one model does better than another in a step
adds up. So where answers are worked out step by step, length changes the steepness too. Only differences
within a task count. Both are fitted on figures of prompts that were not trained on, by least squares that
shrink towards nothing.
"""

from __future__ import annotations

import numpy as np

from rb_litellm.core.types import BoolArray, FloatArray, IntArray
from rb_litellm.predictors.default.abilities import KINDS
from rb_litellm.predictors.default.predictor import curve
from rb_litellm.predictors.reading.lexicon import Floats

IN_STEPS = ("mathematics", "code")
"""Kinds of prompts whose answers are worked out step by step."""
_CALM = 20.0
"""Squared logarithms of words, summed over prompts, that no influence on the level counts as much as."""
_CALM_STEEPNESS = 2.0
"""Squared quality, summed over answers, that no influence on the steepness counts as much as: the variance of
one graded answer about what is predicted, 0.2, over that of the influences to be expected, 0.3 squared."""


def level_by_words(
    apart: FloatArray, words: Floats, one_hot: FloatArray, kind_of_task: IntArray
) -> FloatArray:
    """What a longer prompt than others of its task adds to its level, (C,), alike for tasks of one kind.

    `apart` (P,) is how far levels are from what is told of unseen prompts, NaN where not known, `words` (P,)
    the logarithm of their number, `one_hot` (P, C) the task, `kind_of_task` (C,) a place in KINDS.
    """
    known = np.isfinite(apart)
    longer = np.where(known, words - one_hot @ _means(words, one_hot), 0.0)
    apart = np.where(known, apart, 0.0)
    apart = np.where(known, apart - one_hot @ (one_hot.T @ apart / np.maximum(one_hot.T @ known, 1.0)), 0.0)
    kinds = kind_of_task[one_hot.argmax(axis=1)]
    slopes = np.zeros(len(KINDS))
    for kind in range(len(KINDS)):
        own = kinds == kind
        slopes[kind] = (longer[own] @ apart[own]) / (longer[own] @ longer[own] + _CALM)
    return np.asarray(slopes[kind_of_task])


def steepness_by_words(
    quality: FloatArray,
    figures: FloatArray,
    abilities: FloatArray,
    longer: FloatArray,
    one_hot: FloatArray,
    kind_of_task: IntArray,
) -> FloatArray:
    """What a longer prompt than others of its task adds to the logarithm of its steepness, (C,), 0 for tasks
    that are not IN_STEPS.

    One step of Gauss and Newton from nothing, for each task. `quality` (P, M) is measured, NaN where it is
    not; `figures` (P, 2) are level and steepness as told of unseen prompts; `abilities` (P, M) in units of
    the steepness; `longer` (P,) in logarithms. Models' means over a task are taken off: they say nothing of
    prompts.
    """
    told = curve(figures, abilities)
    slope = told * (1.0 - told) * figures[:, 1:2] * abilities * longer[:, None]
    result = np.zeros(one_hot.shape[1])
    for task in np.flatnonzero([KINDS[kind] in IN_STEPS for kind in kind_of_task]):
        own = one_hot[:, task] > 0.0
        graded = np.isfinite(quality[own])
        error = _about_means(np.where(graded, quality[own] - told[own], 0.0), graded)
        x = _about_means(np.where(graded, slope[own], 0.0), graded)
        result[task] = np.sum(x * error) / (np.sum(x * x) + _CALM_STEEPNESS)
    return result


def _means(words: Floats, one_hot: FloatArray) -> FloatArray:
    return np.asarray(one_hot.T @ words / one_hot.sum(axis=0))


def _about_means(values: FloatArray, graded: BoolArray) -> FloatArray:
    """Values (P, M) less the mean of their column, 0 where not graded."""
    means = values.sum(axis=0) / np.maximum(graded.sum(axis=0), 1)
    return np.asarray(np.where(graded, values - means, 0.0))
