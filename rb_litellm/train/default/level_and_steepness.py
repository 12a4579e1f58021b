"""Level and steepness of each prompt: how many get it right, and how far ability decides who does.

Within a task the models' means lie along a line over their abilities, but for those that fail it for another
reason (an answer in the wrong form): the line is fitted robustly (Huber), and models far from it weigh
little. A prompt's level is the task's plus how far the models did better on it than on the task. Its
steepness is the task's, the slope of the line as log odds: with a handful of models to a task, a slope of the
prompt's own would be noise. Logarithms of lengths are taken apart in the same way, with slopes of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rb_litellm.core.types import FloatArray, IntArray
from rb_litellm.predictors.default.abilities import KINDS
from rb_litellm.predictors.default.predictor import LEAST_LEVEL
from rb_litellm.train.data.dataset import DataError, Dataset
from rb_litellm.train.default.rounding import rounded

TASKS = {
    "knowledge": "mmlu arc_challenge openbook_qa commonsense_qa gpqa natural_qa trivia_qa",
    "mathematics": "gsm8k agentverse-mgsm math math_level5 agentverse-logicgrid",
    "code": "human_eval mbpp code_output",
    "instructions": "commongen",
    "chat": "chat",
}
"""Tasks of the public data by the kind of ability that they ask for."""
UNIT = {"knowledge": 1.2, "mathematics": 1.6, "code": 1.4, "chat": 0.9, "instructions": 0.8}
"""Log odds that one standard deviation of ability is worth in the benchmarks of each kind."""
OTHER_UNIT = 1.0
MIN_GRADED = 20
"""Answers of one task that a model's mean needs."""
_FAR = 0.12
"""Distance from the line from which a model counts less."""
_USUAL_SLOPE = 0.15
"""What a unit of ability adds where the models of a task tell little of it."""
_SHRINK = 1.0
"""Squared ability, summed over models, that the usual slope counts as much as."""
_ROUNDS = 15


@dataclass(frozen=True, slots=True, eq=False)
class PromptFigures:
    """Figures of P prompts, NaN where the data tell nothing of it."""

    tasks: tuple[str, ...]
    """(P,)"""
    values: FloatArray
    """(P, F) as `prompt_reading.FIGURES`."""


def task_of(name: str) -> str:
    """The task that a row belongs to: the parts of AlpacaEval are one.

    Raises:
        DataError: no kind of ability is known for it.
    """
    task = "chat" if name.startswith(("chat", "alpaca_eval")) else name
    if not any(task in names.split() for names in TASKS.values()):
        allowed = ", ".join(sorted(" ".join(TASKS.values()).split()))
        raise DataError(f"task {name!r}: no kind of ability is known for it; allowed are {allowed}")
    return task


def rows_of(data: Dataset, tasks: Sequence[str]) -> IntArray:
    """Prompts of the given tasks."""
    return np.flatnonzero(np.isin([task_of(name) for name in data.tasks], tasks))


def kind_of(task: str) -> int:
    """The kind of ability that a task asks for, as a place in KINDS."""
    return next(KINDS.index(kind) for kind, names in TASKS.items() if task in names.split())


def unit_of(kind: int) -> float:
    """Log odds that one standard deviation of ability is worth."""
    return UNIT.get(KINDS[kind], OTHER_UNIT)


def prompt_figures(data: Dataset, abilities: FloatArray, rows: IntArray | None = None) -> PromptFigures:
    """Figures of the prompts `rows` (all without), for models of the given abilities (M, K), to single
    precision."""
    tasks = np.array([task_of(name) for name in data.tasks])
    values = np.full((len(tasks), 4), np.nan)
    chosen = np.ones(len(tasks), dtype=np.bool_) if rows is None else np.isin(np.arange(len(tasks)), rows)
    for task in sorted(set(tasks.tolist())):
        at = np.flatnonzero((tasks == task) & chosen)
        kind = kind_of(task)
        scaled = unit_of(kind) * abilities[:, kind]
        line, levels, _ = _apart(data.quality[at], scaled, _FAR, _USUAL_SLOPE)
        values[at, 0], values[at, 1] = levels, np.where(np.isfinite(levels), _steepness(*line), np.nan)
        logs = np.log(np.maximum(data.output_tokens[at], 1.0))
        (_, slope), values[at, 2], own = _apart(logs, scaled, 0.5, 0.0)
        values[at, 3] = slope + own
    return PromptFigures(tuple(tasks.tolist()), rounded(values))


def _apart(
    labels: FloatArray, abilities: FloatArray, far: float, usual: float
) -> tuple[tuple[float, float], FloatArray, FloatArray]:
    """The line of a task over ability (level, slope); of labels (P, M) each prompt's level (P,) and what its
    own slope adds (P,). NaN where the labels tell nothing."""
    nothing = np.full(len(labels), np.nan)
    graded = np.isfinite(labels)
    models = graded.sum(axis=0) >= MIN_GRADED
    if models.sum() < 3:
        return (np.nan, np.nan), nothing, nothing
    labels, graded, ability = labels[:, models], graded[:, models], abilities[models]
    mean = np.where(graded, labels, 0.0).sum(axis=0) / graded.sum(axis=0)
    level, slope, weight = float(np.median(mean)), usual, np.ones(len(mean))
    for _ in range(_ROUNDS):
        sums = [[weight.sum(), weight @ ability], [weight @ ability, weight @ ability**2 + _SHRINK]]
        level, slope = np.linalg.solve(sums, [weight @ mean, (weight * ability) @ mean + _SHRINK * usual])
        weight = 1.0 / np.maximum(1.0, np.abs(mean - level - slope * ability) / far)
    centred = ability - np.average(ability, weights=weight)
    better = np.where(graded, labels - mean, 0.0) * weight
    known = graded.any(axis=1)
    levels = level + better.sum(axis=1) / (weight.sum() + 0.5)
    own = (better @ centred) / (weight @ centred**2 + _SHRINK)
    return (level, slope), np.where(known, levels, np.nan), np.where(known, own, np.nan)


def _steepness(level: float, slope: float) -> float:
    """Log odds for a unit of ability, of a slope of the share of right answers at this level."""
    share = min(max(level, LEAST_LEVEL), 1.0 - LEAST_LEVEL)
    return max(slope, 0.0) / (share * (1.0 - share))
