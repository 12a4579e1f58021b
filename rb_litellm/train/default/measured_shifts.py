"""At which tasks single models are better or worse than what is published of them says.

Each model's answers to a task are held against what the default predictor says of it by its name, for prompts
that it had not seen: one shift of log odds for each model and task,

    log odds = default's log odds + b,    b ~ N(0, width^2)

the mode of its posterior. The width is how far published measurements of one model are from what its other
ones say.

Not all answers speak of ability. Some models fail a task by the form of what they write: they give the letter
in another way than the grader looks for, and have 0.01 where their like have 0.9. Somebody else's grader will
not look for that form. So answers of a model to a task are left out that contradict what is published: where
b is further from that of the task's other models than 19 of 20 published measurements are. Verdicts on chat
compare an answer with that of one model, and are left out, too.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rb_litellm.core.types import FloatArray
from rb_litellm.predictors.default.abilities import AXES, Population, axes
from rb_litellm.predictors.default.table import entries
from rb_litellm.predictors.priors import ModelInfo
from rb_litellm.train.default.level_and_steepness import MIN_GRADED

SURE = 0.9
"""Certainty of a name from which a model is the one of the table, and does not only derive from it."""
COMPARED = "chat"
"""The task whose grades are verdicts on two answers."""
_CASES = 1.96
"""Standard deviations within which 19 of 20 cases lie."""
_STEPS = 30
_FARTHEST_STEP = 1.0


def measured_shifts(
    models: Sequence[str],
    population: Population,
    odds: FloatArray,
    quality: FloatArray,
    tasks: Sequence[str],
    of_task: FloatArray,
) -> tuple[tuple[str, ...], FloatArray]:
    """Entries of the table (N,) and their shifts of log odds (N, C) on C `tasks`, 0 where none is kept.

    Of the data's M `models`, `odds` (P, M) is what the default predictor says by their names, and `quality`
    (P, M) how good they were, NaN where nobody graded, on prompts that are of the tasks `of_task` (P, C).
    """
    names, quality, odds = _by_entry(models, population, quality, odds)
    width = published_spread(population)
    shifts = np.zeros((len(names), len(tasks)))
    for column, task in enumerate(tasks):
        rows = np.flatnonzero(of_task[:, column])
        often = np.isfinite(quality[rows]).sum(axis=0) >= MIN_GRADED
        if task != COMPARED and often.any():
            found = _shifts(odds[rows][:, often], quality[rows][:, often], width)
            fits = np.abs(found - np.median(found)) <= _CASES * width
            shifts[often, column] = np.where(fits, found, 0.0)
    return names, shifts


def published_spread(population: Population) -> float:
    """Standard deviation, in log odds, of a published share of right answers about what else is published of
    the same model."""
    apart = []
    for known in map(axes, entries()):
        for at, axis in enumerate(AXES):
            if axis not in ("size", "released", "arena") and np.isfinite(known[at]):
                others = known.copy()
                others[at] = np.nan
                if np.isfinite(others[2:]).any():
                    apart.append(known[at] - population.given(others)[0][at])
    return float(np.std(apart))


def _by_entry(
    models: Sequence[str], population: Population, quality: FloatArray, odds: FloatArray
) -> tuple[tuple[str, ...], FloatArray, FloatArray]:
    """Entries (N,) that the data have answers of, in the order of the alphabet, with these answers and odds
    (P, N); several names of the data may mean one."""
    known = [population.known(ModelInfo(name, name)) for name in models]
    columns: dict[str, list[int]] = {}
    for column, model in enumerate(known):
        if model.name is not None and model.certainty >= SURE:
            columns.setdefault(model.name, []).append(column)
    names = tuple(sorted(columns))
    graded = [np.isfinite(quality[:, columns[name]]) for name in names]
    sums = [
        np.where(has, quality[:, columns[name]], 0.0).sum(axis=1)
        for name, has in zip(names, graded, strict=True)
    ]
    counts = np.stack([has.sum(axis=1) for has in graded], axis=1)
    answers = np.where(counts > 0, np.stack(sums, axis=1) / np.maximum(counts, 1), np.nan)
    return names, answers, odds[:, [columns[name][0] for name in names]]


def _shifts(odds: FloatArray, quality: FloatArray, width: float) -> FloatArray:
    """Shifts (M,) of models by their answers (R, M) to one task: the mode, by Newton's method."""
    graded = np.isfinite(quality)
    right, precision = np.where(graded, quality, 0.0), width**-2
    shifts = np.zeros(odds.shape[1])
    for _ in range(_STEPS):
        told = np.where(graded, 1.0 / (1.0 + np.exp(-(odds + shifts))), 0.0)
        pull = (right - told).sum(axis=0) - precision * shifts
        curvature = (told * (1.0 - told)).sum(axis=0) + precision
        shifts = shifts + np.clip(pull / curvature, -_FARTHEST_STEP, _FARTHEST_STEP)
    return shifts
