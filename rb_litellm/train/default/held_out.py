"""How well the default predictor does on models and prompts that it had not seen.

Prompts are parted into folds and models into groups. Each answer is predicted by a predictor that was trained
without its prompt and without its model, which it knows by name alone. Beside it stand the prior of a
model's size and price, and the mean of all models.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from rb_litellm.core.types import FloatArray, IntArray
from rb_litellm.predictors.default.abilities import KINDS
from rb_litellm.predictors.priors import ModelInfo, prior_quality
from rb_litellm.train.by_kind import kind_reports
from rb_litellm.train.dataset import Dataset
from rb_litellm.train.default.fit import abilities_of, fit_default
from rb_litellm.train.default.level_and_gap import TASKS, kind_of, task_of
from rb_litellm.train.default.population import table_population
from rb_litellm.train.pairs import RESAMPLES, pair_curve

PARTS = 3
BATCH = 256
APART = 0.3
"""Standard deviations of ability by which the table must say that one model is the stronger one."""
LEAST_GAP = 0.05
"""Difference of measured means of two models, for the share of it that is recovered to mean anything."""
PAIRS: Mapping[str, tuple[str, ...]] = {
    "knowledge": tuple(TASKS["knowledge"].split()),
    "grade-school mathematics": ("gsm8k", "agentverse-mgsm"),
    "mathematics": ("math", "math_level5"),
    "code": tuple(TASKS["code"].split()),
    "chat": ("chat",),
}
"""Tasks over which pairs of a strong and a weak model are judged."""


def predicted_unseen(
    data: Dataset, seed: int = 0, progress: Callable[[int, int], None] = lambda done, of: None
) -> FloatArray:
    """Quality (P, M), each figure by a predictor that knew neither the prompt nor an answer of the model."""
    random = np.random.default_rng(seed)
    fold = random.permutation(len(data.prompts)) % PARTS
    group = _groups(data, random)
    result = np.full(data.quality.shape, np.nan)
    for k in range(PARTS):
        for g in range(PARTS):
            train, test = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
            seen = [name for at, name in enumerate(data.models) if group[at] != g]
            held = np.flatnonzero(group == g)
            made = fit_default(data.take(train).for_models(seen), seed).predictor()
            infos = [ModelInfo(data.models[at], data.models[at]) for at in held]
            for at in range(0, len(test), BATCH):
                rows = test[at : at + BATCH]
                told = made.predict([data.prompts[row] for row in rows], infos)
                result[np.ix_(rows, held)] = told.quality
            progress(k * PARTS + g + 1, PARTS * PARTS)
    return result


def _groups(data: Dataset, random: np.random.Generator) -> IntArray:
    """A group for each model, the models of every task spread over all groups."""
    graded = np.isfinite(data.quality)
    tasks = np.array([task_of(name) for name in data.tasks])
    # Models that were graded on the same tasks stand together, by the number of their tasks.
    first = [len(set(tasks[column].tolist())) for column in graded.T]
    order = sorted(random.permutation(len(first)).tolist(), key=lambda at: first[at])
    groups = np.zeros(len(first), dtype=np.int64)
    groups[order] = np.arange(len(first)) % PARTS
    return groups


def report(data: Dataset, predicted: FloatArray, seed: int = 0) -> dict[str, Any]:
    """Figures of `predicted_unseen`: order and level of models by kind, and pairs of models."""
    tasks = [task_of(name) for name in data.tasks]
    kinds = [KINDS[kind_of(task)] for task in tasks]
    prior = np.array([prior_quality(ModelInfo(name, name)) for name in data.models])
    mean = float(np.nanmean(data.quality))
    shape = data.quality.shape
    return {
        "by_kind": {
            "default": kind_reports(kinds, data.quality, predicted),
            "prior": kind_reports(kinds, data.quality, np.broadcast_to(prior, shape)),
            "mean": kind_reports(kinds, data.quality, np.full(shape, mean)),
        },
        "pairs": {name: _pairs(data, predicted, tasks, among, seed) for name, among in PAIRS.items()},
    }


def _pairs(
    data: Dataset, predicted: FloatArray, tasks: list[str], among: tuple[str, ...], seed: int
) -> dict[str, Any] | None:
    """Mean APGR of pairs that the table calls strong and weak and that are, with an interval over prompts."""
    rows = np.flatnonzero(np.isin(tasks, among))
    ability = abilities_of(data.models, table_population())[:, kind_of(among[0])]
    drawn = np.ones((1 + RESAMPLES, len(rows)))
    drawn[1:] = np.random.default_rng(seed).multinomial(
        len(rows), np.full(len(rows), 1.0 / len(rows)), RESAMPLES
    )
    curves, names = [], []
    for strong in range(len(data.models)):
        for weak in range(len(data.models)):
            both = np.isfinite(data.quality[rows][:, [strong, weak]]).all(axis=1)
            if ability[strong] - ability[weak] < APART or both.sum() < 200:
                continue
            one, other = data.quality[rows[both], strong], data.quality[rows[both], weak]
            if one.mean() - other.mean() < LEAST_GAP:
                continue
            gain = predicted[rows[both], strong] - predicted[rows[both], weak]
            curves.append(pair_curve(one, other, gain, drawn[:, both]).apgr())
            names.append(f"{data.models[strong]} / {data.models[weak]}")
    if not curves:
        return None
    means = np.nanmean(curves, axis=0)
    low, high = np.quantile(means[1:], [0.025, 0.975])
    each = {name: round(float(curve[0]), 4) for name, curve in zip(names, curves, strict=True)}
    return {
        "pairs": len(curves),
        "apgr": round(float(means[0]), 4),
        "ci95": [round(float(low), 4), round(float(high), 4)],
        "middle_half": [round(float(q), 4) for q in np.quantile([*each.values()], [0.25, 0.75])],
        "each": each if len(each) <= 40 else None,
    }
