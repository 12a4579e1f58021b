"""Fit the default predictor: what n-grams say of tasks and figures, trees over it, and what each is worth.

As in training on one's own models, every figure that judges is of prompts that were not fitted on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rb_litellm.core.types import BoolArray, FloatArray, IntArray
from rb_litellm.predictors.default.abilities import KINDS, Population
from rb_litellm.predictors.default.artifact import made_of
from rb_litellm.predictors.default.predictor import DefaultPredictor, curve, log_odds
from rb_litellm.predictors.default.prompt_reading import FIGURES, PromptReader
from rb_litellm.predictors.priors import ModelInfo
from rb_litellm.predictors.reading import lexicon
from rb_litellm.predictors.reading.encoder import Encoder
from rb_litellm.predictors.reading.lexicon import Floats
from rb_litellm.predictors.reading.structure import WORDS
from rb_litellm.predictors.trained.forest import Forest
from rb_litellm.predictors.trained.model import LEVELS
from rb_litellm.train.data.dataset import DataError, Dataset
from rb_litellm.train.default.level_and_steepness import PromptFigures, kind_of, prompt_figures, unit_of
from rb_litellm.train.default.longer_prompts import level_by_words, steepness_by_words
from rb_litellm.train.default.measured_shifts import measured_shifts
from rb_litellm.train.default.population import table_population
from rb_litellm.train.default.rounding import rounded, stored
from rb_litellm.train.fitting.boosting import Trees, boost
from rb_litellm.train.fitting.linear import ridge
from rb_litellm.train.fitting.prompt_features import MIN_SEEN, PromptFeatures

FOLDS = 4
ROUNDS = 60
MIN_PROMPTS = 200
TYPICAL = 16
"""Typical prompts that are kept of each kind."""
TASK_PENALTY = 1.2
FIGURE_PENALTY = 10.0
_FIGURE_SHARE = 0.3
"""Spread of the linear model's figures, beside its tasks of 0 and 1."""
_OWN = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
_MIN_LENGTHS = 200


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """Everything that the artifact holds."""

    tables: dict[str, Any]

    def predictor(self, version: str = "default-fitted") -> DefaultPredictor:
        """The predictor, without a way over files."""
        return made_of(self.tables, version)


@dataclass(frozen=True, slots=True, eq=False)
class _Targets:
    tasks: tuple[str, ...]
    """(C,) names."""
    one_hot: FloatArray
    """(P, C)"""
    figures: FloatArray
    """(P, F) in units of `scale` about `offset`, 0 where not known."""
    known: BoolArray
    """(P, F)"""
    offset: FloatArray
    scale: FloatArray

    @classmethod
    def of(cls, figures: PromptFigures) -> _Targets:
        names = tuple(sorted(set(figures.tasks)))
        known = np.isfinite(figures.values)
        offset = np.nanmean(figures.values, axis=0)
        scale = np.nanstd(figures.values, axis=0) + 1e-6
        return cls(
            names,
            (np.array(figures.tasks)[:, None] == np.array(names)).astype(np.float64),
            np.where(known, (figures.values - offset) / scale, 0.0),
            known,
            offset,
            scale,
        )

    @property
    def every(self) -> FloatArray:
        return np.concatenate([self.one_hot, self.figures], axis=1)

    @property
    def every_known(self) -> BoolArray:
        return np.concatenate([np.ones(self.one_hot.shape, dtype=np.bool_), self.known], axis=1)


def abilities_of(models: Sequence[str], population: Population) -> FloatArray:
    """Abilities (M, K) of the data's models, by their names alone, to single precision."""
    return rounded([population.known(ModelInfo(name, name)).abilities for name in models])


def fit_default(
    data: Dataset, seed: int = 0, progress: Callable[[int, int], None] = lambda done, of: None
) -> Fitted:
    """Train on all prompts; the same data and seed give the same tables and trees.

    Raises:
        DataError: too few prompts, or a task whose kind is not known.
    """
    if len(data.prompts) < MIN_PROMPTS:
        raise DataError(f"{len(data.prompts)} different prompts; needed are at least {MIN_PROMPTS}")
    population = table_population()
    abilities = abilities_of(data.models, population)
    targets = _Targets.of(prompt_figures(data, abilities))
    fold = np.random.default_rng(seed).permutation(len(data.prompts)) % FOLDS
    features = PromptFeatures.of(data.prompts)
    encoder, rows, familiarity = _encode(features, targets, fold)
    progress(1, FOLDS + 2)
    trees = Trees(len(targets.tasks), seed)
    unseen = np.zeros(targets.every.shape)
    for k in range(FOLDS):
        train, test = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
        booster, _ = boost(rows, targets.every, targets.every_known, train, trees, rounds=ROUNDS)
        unseen[test] = np.asarray(booster.inplace_predict(rows[test], validate_features=False))
        progress(k + 2, FOLDS + 2)
    every = np.arange(len(rows))
    booster, _ = boost(rows, targets.every, targets.every_known, every, trees, rounds=ROUNDS)
    words = features.plain[:, WORDS]
    reader = _reader(encoder, targets, unseen, familiarity, words)
    _, figures = reader.blend(unseen, familiarity, words)
    reader = replace(
        reader,
        steepness_by_words=steepness_by_words(
            data.quality,
            figures[:, :2],
            _in_odds(abilities, targets),
            (targets.one_hot * reader.longer(words)).sum(axis=1),
            targets.one_hot,
            _kind_of_task(targets),
        ),
    )
    _, figures = reader.blend(unseen, familiarity, words)
    measured, shifts = measured_shifts(
        data.models,
        population,
        log_odds(curve(figures[:, :2], _in_odds(abilities, targets))),
        data.quality,
        targets.tasks,
        targets.one_hot,
    )
    progress(FOLDS + 2, FOLDS + 2)
    tables = {
        **{name: getattr(encoder, name) for name in ("centre", "spread", "structure_table")},
        **{name: getattr(encoder, name).astype(np.float16) for name in ("idf", "table")},
        **{
            name: getattr(reader, name)
            for name in PromptReader.__slots__
            if name not in ("encoder", "evaluate", "_chance")
        },
        **{f"tree_{name}": values for name, values in Forest.of_booster(booster).arrays().items()},
        "population_mean": population.mean,
        "population_covariance": population.covariance,
        "unit": np.array([*map(unit_of, range(len(KINDS)))]),
        "reference": _reference(figures, targets),
        "length_residuals": _length_residuals(data, abilities, figures, targets),
        "measured_models": np.array(measured, dtype=np.str_),
        "measured_shifts": shifts,
        "share_of_kind": _share_of_kind(targets),
    }
    return Fitted({name: stored(values) for name, values in tables.items()})


def _encode(features: PromptFeatures, targets: _Targets, fold: IntArray) -> tuple[Encoder, Floats, Floats]:
    """The encoder of all prompts, and features as prompts have them that it was not fitted on."""
    every = np.arange(len(fold))
    scale = features.scale(every)
    matrix = features.matrix(scale)
    wanted = np.concatenate(
        [targets.one_hot - targets.one_hot.mean(axis=0), _FIGURE_SHARE * targets.figures], axis=1
    ).astype(np.float32)
    known = targets.every_known.astype(np.float32)
    penalty = np.full(wanted.shape[1], TASK_PENALTY, dtype=np.float32)
    penalty[len(targets.tasks) :] = FIGURE_PENALTY
    read = np.zeros_like(wanted)
    for k in range(FOLDS):
        train, test = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
        read[test] = matrix[test] @ ridge(matrix[train], wanted[train], known[train], penalty)
    table = ridge(matrix, wanted, known, penalty)
    encoder = Encoder(scale.idf, scale.centre, scale.spread, table[: lexicon.WIDTH], table[lexicon.WIDTH :])
    # An n-gram of one prompt only is unknown when that prompt is new: count it so here too.
    idf = np.where(scale.seen > MIN_SEEN, scale.idf, 0.0).astype(np.float32)
    return encoder, np.concatenate([features.plain, read], axis=1), features.familiarity(idf)


def _reader(
    encoder: Encoder, targets: _Targets, unseen: FloatArray, familiarity: Floats, words: Floats
) -> PromptReader:
    """How the trees' figures are used, by what serves best on prompts that they had not seen."""
    counts = targets.one_hot.T @ targets.known
    sums = targets.one_hot.T @ targets.figures
    means = sums / np.maximum(counts, 1.0)
    # A task without a figure has that of all prompts.
    kinds = np.eye(len(KINDS))[[kind_of(task) for task in targets.tasks]]
    usual_words = targets.one_hot.T @ words / targets.one_hot.sum(axis=0)

    def reader(own: FloatArray) -> PromptReader:
        return PromptReader(
            encoder=encoder,
            evaluate=lambda rows: rows,
            log_prior=np.log(targets.one_hot.mean(axis=0)),
            kind_of_task=kinds,
            task_figures=targets.offset + targets.scale * means,
            offset=targets.offset,
            scale=targets.scale,
            own=own,
            usual_words=usual_words,
            level_by_words=np.zeros(len(usual_words)),
            steepness_by_words=np.zeros(len(usual_words)),
            familiar=float(np.quantile(familiarity, 0.05)),
        )

    truth = targets.offset + targets.scale * targets.figures
    losses = []
    for weight in _OWN:
        _, told = reader(np.full(len(FIGURES), weight)).blend(unseen, familiarity, words)
        losses.append(np.where(targets.known, (told - truth) ** 2, 0.0).sum(axis=0))
    chosen = reader(np.array(_OWN)[np.argmin(losses, axis=0)])
    _, told = chosen.blend(unseen, familiarity, words)
    apart = np.where(targets.known[:, 0], (truth - told)[:, 0], np.nan)
    return replace(chosen, level_by_words=level_by_words(apart, words, targets.one_hot, kinds.argmax(axis=1)))


def _share_of_kind(targets: _Targets) -> FloatArray:
    """Share (C, K) of each task among the prompts of its kind."""
    prompts = targets.one_hot.sum(axis=0)[:, None] * np.eye(len(KINDS))[_kind_of_task(targets)]
    return np.asarray(prompts / np.maximum(prompts.sum(axis=0), 1.0))


def _kinds(targets: _Targets) -> IntArray:
    """The kind (P,) of each prompt by its task, as a place in KINDS."""
    return np.asarray(_kind_of_task(targets)[targets.one_hot.argmax(axis=1)])


def _kind_of_task(targets: _Targets) -> IntArray:
    return np.array([*map(kind_of, targets.tasks)])


def _in_odds(abilities: FloatArray, targets: _Targets) -> FloatArray:
    """Abilities (P, M) for the kind of each prompt, in units of the steepness."""
    scaled = np.array([*map(unit_of, range(len(KINDS)))]) * abilities
    return np.asarray(scaled[:, _kinds(targets)].T)


def _reference(figures: FloatArray, targets: _Targets) -> FloatArray:
    """Level and steepness of typical prompts of each kind, (K, TYPICAL, 2), as predicted of unseen ones."""
    kinds = _kinds(targets)
    points = []
    for kind in range(len(KINDS)):
        own = figures[kinds == kind, :2] if np.any(kinds == kind) else figures[:, :2]
        ordered = own[np.argsort(own[:, 0], kind="stable")]
        points.append([part.mean(axis=0) for part in np.array_split(ordered, TYPICAL)])
    return np.array(points)


def _length_residuals(
    data: Dataset, abilities: FloatArray, figures: FloatArray, targets: _Targets
) -> FloatArray:
    """Quantiles (K, Q) of log lengths about what is told of unseen prompts; of all where a kind has few."""
    kinds = _kinds(targets)
    told = figures[:, 2, None] + figures[:, 3, None] * _in_odds(abilities, targets)
    apart = np.log(np.maximum(data.output_tokens, 1.0)) - told
    known = np.isfinite(apart)
    result = np.zeros((len(KINDS), len(LEVELS)))
    for kind in range(len(KINDS)):
        own = apart[kinds == kind][known[kinds == kind]]
        result[kind] = np.quantile(own if len(own) >= _MIN_LENGTHS else apart[known], LEVELS)
    return result
