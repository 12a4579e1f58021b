"""How well the default predictor does on models and prompts that it had not seen.

Each answer is predicted by a predictor that was trained without its prompt and without its model, which it
knows by name alone (`unseen`). Beside it stand the prior of a model's size and price, and the mean of all
models. Pairs of a strong and a weak model are those that were left out together.

Where only a few models were graded, a group is a large part of them, and what is left says less than what
ships was trained on. Pairs are therefore judged there by predictors that lack these two models, and the
prompt, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import permutations
from typing import Any

import numpy as np

from rb_litellm.core.types import FloatArray, IntArray
from rb_litellm.predictors.default.abilities import KINDS
from rb_litellm.predictors.priors import ModelInfo, prior_quality
from rb_litellm.train.data.dataset import Dataset
from rb_litellm.train.default.choices import CHOICES, choices
from rb_litellm.train.default.fit import abilities_of, fit_default
from rb_litellm.train.default.level_and_steepness import TASKS, kind_of, rows_of, task_of
from rb_litellm.train.default.population import table_population
from rb_litellm.train.default.unseen import PARTS, Unseen, others_than, quality_by
from rb_litellm.train.figures.by_kind import kind_reports
from rb_litellm.train.figures.pairs import RESAMPLES, pair_curve

FEW = 12
"""Models graded on some tasks, up to which each pair of them is left out by itself."""
APART = 0.3
"""Standard deviations of ability by which the table must say that one model is the stronger one."""
LEAST_GAP = 0.05
"""Difference of measured means of two models, for the share of it that is recovered to mean anything."""
LEAST_PROMPTS = 200
"""Prompts that both models of a pair have answered."""
PAIRS: Mapping[str, tuple[str, ...]] = {
    "knowledge": tuple(TASKS["knowledge"].split()),
    "grade-school mathematics": ("gsm8k", "agentverse-mgsm"),
    "mathematics": ("math", "math_level5"),
    "code": tuple(TASKS["code"].split()),
    "chat": ("chat",),
}
"""Tasks over which pairs of a strong and a weak model are judged."""


def report(
    data: Dataset,
    unseen: Unseen,
    left_out: Mapping[tuple[int, int], FloatArray],
    seed: int = 0,
) -> dict[str, Any]:
    """Figures of `predicted_unseen` and `predicted_pairs`: order and level of models by kind, and pairs."""
    tasks = [task_of(name) for name in data.tasks]
    kinds = [KINDS[kind_of(task)] for task in tasks]
    prior = np.array([prior_quality(ModelInfo(name, name)) for name in data.models])
    mean = float(np.nanmean(data.quality))
    shape = data.quality.shape
    return {
        "by_kind": {
            "default": kind_reports(kinds, data.quality, unseen.quality),
            "prior": kind_reports(kinds, data.quality, np.broadcast_to(prior, shape)),
            "mean": kind_reports(kinds, data.quality, np.full(shape, mean)),
        },
        "pairs": {name: _pairs(data, unseen, left_out, among, seed) for name, among in PAIRS.items()},
        "argmax": {name: choices(data, unseen, prior, among) for name, among in CHOICES.items()},
    }


def pairs_of(data: Dataset, among: Sequence[str]) -> list[tuple[int, int]]:
    """Places of models that the table calls strong and weak, and that are, over the given tasks."""
    rows = rows_of(data, among)
    ability = abilities_of(data.models, table_population())[:, kind_of(among[0])]
    found = []
    for strong, weak in permutations(range(len(data.models)), 2):
        one, other = data.quality[rows][:, [strong, weak]].T
        both = np.isfinite(one) & np.isfinite(other)
        if ability[strong] - ability[weak] < APART or both.sum() < LEAST_PROMPTS:
            continue
        if one[both].mean() - other[both].mean() >= LEAST_GAP:
            found.append((strong, weak))
    return found


def predicted_pairs(
    data: Dataset, seed: int = 0, progress: Callable[[int, int], None] = lambda done, of: None
) -> dict[tuple[int, int], FloatArray]:
    """By pair of a strong and a weak model of tasks that few were graded on: quality (P, 2), each figure by a
    predictor that knew neither the prompt nor an answer of either model. NaN for other tasks."""
    fold = np.random.default_rng(seed).permutation(len(data.prompts)) % PARTS
    wanted: dict[tuple[int, int], set[int]] = {}
    for among in PAIRS.values():
        rows = rows_of(data, among)
        if not _few(data, rows):
            continue
        for pair in pairs_of(data, among):
            wanted.setdefault(pair, set()).update(rows.tolist())
    made: dict[tuple[int, int], FloatArray] = {}
    for done, ((strong, weak), asked) in enumerate(wanted.items()):
        others = others_than(data, [strong, weak])
        infos = [ModelInfo(data.models[at], data.models[at]) for at in (strong, weak)]
        told = np.full((len(data.prompts), 2), np.nan)
        for k in range(PARTS):
            fitted = fit_default(data.take(np.flatnonzero(fold != k)).for_models(others), seed).predictor()
            test = np.array(sorted(row for row in asked if fold[row] == k))
            told[test] = quality_by(fitted, data, test, infos)
        made[strong, weak] = told
        progress(done + 1, len(wanted))
    return made


def _few(data: Dataset, rows: IntArray) -> bool:
    """Whether few models were graded on these prompts, but for single ones that another task has too."""
    return int((np.isfinite(data.quality[rows]).sum(axis=0) >= LEAST_PROMPTS).sum()) <= FEW


def _pairs(
    data: Dataset,
    unseen: Unseen,
    left_out: Mapping[tuple[int, int], FloatArray],
    among: Sequence[str],
    seed: int,
) -> dict[str, Any] | None:
    """Mean APGR of the pairs of some tasks, with an interval over prompts."""
    rows = rows_of(data, among)
    if not len(rows):
        return None
    few = _few(data, rows)
    drawn = np.ones((1 + RESAMPLES, len(rows)))
    drawn[1:] = np.random.default_rng(seed).multinomial(
        len(rows), np.full(len(rows), 1.0 / len(rows)), RESAMPLES
    )
    curves, names = [], []
    for strong, weak in pairs_of(data, among):
        if not few and unseen.group[strong] != unseen.group[weak]:
            continue
        both = np.isfinite(data.quality[rows][:, [strong, weak]]).all(axis=1)
        told = (left_out[strong, weak] if few else unseen.quality[:, [strong, weak]])[rows[both]]
        one, other = data.quality[rows[both]][:, [strong, weak]].T
        curves.append(pair_curve(one, other, told[:, 0] - told[:, 1], drawn[:, both]).apgr())
        names.append(f"{data.models[strong]} / {data.models[weak]}")
    if not curves:
        return None
    means = np.nanmean(curves, axis=0)
    low, high = np.quantile(means[1:], [0.025, 0.975])
    each = {name: round(float(curve[0]), 4) for name, curve in zip(names, curves, strict=True)}
    return {
        "pairs": len(curves),
        "left_out": "the two models" if few else f"their group of models, one of {PARTS}",
        "apgr": round(float(means[0]), 4),
        "ci95": [round(float(low), 4), round(float(high), 4)],
        "middle_half": [round(float(q), 4) for q in np.quantile([*each.values()], [0.25, 0.75])],
        "each": each if len(each) <= 40 else None,
    }
