"""`fitting.fit` on prompts that workers keep: what is a sum over prompts is added up, the rest is the same.

Only a sample of at most SAMPLE prompts comes here whole: from it come the kinds of prompts where the data
name none, how certain a kind must be (leave one task out), and what the default predictor has to say. With
fewer prompts it is all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial, reduce
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from rb_litellm.core.types import FloatArray, IntArray, Prompt
from rb_litellm.predictors.reading.lexicon import Floats
from rb_litellm.spread.where import Where
from rb_litellm.spread.work import Work
from rb_litellm.train.data.dataset import DataError, Dataset
from rb_litellm.train.figures.leave_one_task_out import left_out
from rb_litellm.train.fitting.boosting import Trees, file_of
from rb_litellm.train.fitting.clusters import Clusters, names
from rb_litellm.train.fitting.fit import (
    FOLDS,
    MIN_PROMPTS,
    Fitted,
    Judged,
    Steps,
    encoder_of,
    known_by_others,
)
from rb_litellm.train.fitting.linear import RidgeRows, conjugate_gradients
from rb_litellm.train.fitting.parts import Learned, fit_part, title
from rb_litellm.train.fitting.prompt_features import Moments, PromptFeatures
from rb_litellm.train.fitting.targets import MAX_KINDS, RidgeModel, Targets
from rb_litellm.train.partitioned.boosting import ForestOfPartitions
from rb_litellm.train.partitioned.partition import (
    Partition,
    clusters_of,
    raw_figures,
    ridge_rows,
    rows_of,
    told_by,
)
from rb_litellm.train.partitioned.partitions import Partitions

if TYPE_CHECKING:
    from distributed import Future

SAMPLE = 10_000


@dataclass(frozen=True)
class FittedToPartitions:
    """A predictor, and the sample of S prompts."""

    fitted: Fitted
    sample: Dataset
    """With the prompts' texts."""
    unseen_quality: FloatArray
    """(S, M) as predicted for the sample out of fold, NaN for models without labels."""


def fit_partitions(
    partitions: Partitions,
    where: Where,
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> FittedToPartitions:
    """Train on all prompts; the same partitions and seed give the same predictor.

    Raises:
        DataError: too few prompts, in all or of one worker.
        SpreadError: a worker failed or has ended.
    """
    data, gather = partitions.labels, partitions.gather
    if len(data.prompts) < MIN_PROMPTS:
        raise DataError(f"{len(data.prompts)} different prompts; needed are at least {MIN_PROMPTS}")
    random = np.random.default_rng(seed)
    fold = _folds(data.prompt_ids, random)
    scale = Moments.together(gather(partitions.keep(Partition.moments))).scale()
    matrices = partitions.keep(Partition.matrix, of_all=scale)

    rows = _sample(len(fold), seed)
    chosen = partitions.some(np.isin(np.arange(len(fold)), rows))
    told = gather(partitions.keep(Partition.some, chosen.chosen))
    texts = chosen.join([_objects(part) for part in told]).tolist()
    sample = replace(data.take(rows), prompts=tuple(texts))
    prompt_features = PromptFeatures.of(sample.prompts)

    tasks = data.tasks
    if not any(tasks):
        found = Clusters.find(prompt_features.matrix(scale), MAX_KINDS - 1, random)
        if found is not None:
            nearest = gather(partitions.on(clusters_of, matrices, of_all=found))
            tasks = names(partitions.every().join(nearest))
    targets = Targets.of(data, tasks)
    of_sample = targets.take(rows)
    strange = left_out(of_sample)
    steps = Steps(2 * FOLDS + 2 + len(strange), progress)

    tables = _tables(partitions, matrices, RidgeModel(targets), fold, steps)
    read = partitions.on(told_by, matrices, partitions.every().split(fold), of_all=tables[:FOLDS])
    features = partitions.keep(Partition.with_read, read)
    familiar = gather(partitions.keep(Partition.familiarity, of_all=known_by_others(scale)))
    trees = Trees(targets.kinds.shape[1], seed)
    forest = ForestOfPartitions(partitions, features, targets, trees)
    unseen, rounds = _unseen(partitions, forest, features, fold, steps)
    booster, _ = forest.boost(np.ones(len(fold), dtype=np.bool_), rounds=rounds)
    steps.done()

    judged = Judged(targets, unseen, partitions.every().join(familiar))
    features_of_sample = chosen.join(gather(partitions.on(rows_of, features, chosen.chosen)))
    learned = Learned(prompt_features, of_sample, features_of_sample, fold[rows], trees)
    with where.team(Work(fit_part, learned, title)) as team:
        blend = judged.blend(team, of_sample, strange, rounds, random, steps)
    fitted = judged.fitted(data, blend, encoder_of(scale, tables[FOLDS]), file_of(booster))
    return FittedToPartitions(fitted, sample, fitted.unseen_quality[rows])


def _folds(ids: Sequence[str], random: np.random.Generator) -> IntArray:
    """The fold of each prompt (P,); one whose rows are in files of several workers is in one fold."""
    different, at = np.unique(ids, return_inverse=True)
    return np.asarray((random.permutation(len(different)) % FOLDS)[at])


def _sample(prompts: int, seed: int) -> IntArray:
    """Prompts of the sample, in order."""
    if prompts <= SAMPLE:
        return np.arange(prompts)
    return np.sort(np.random.default_rng(seed).choice(prompts, SAMPLE, replace=False))


def _objects(texts: Sequence[Prompt]) -> npt.NDArray[np.object_]:
    # A prompt is a tuple, which NumPy would take for a row of its own.
    held = np.empty(len(texts), dtype=np.object_)
    held[:] = texts
    return held


def _tables(
    partitions: Partitions, matrices: Sequence[Future], model: RidgeModel, fold: IntArray, steps: Steps
) -> list[Floats]:
    """Weights of linear models (F, C + O): for each fold that of the others, then that of all prompts."""
    tables = []
    for k in range(FOLDS + 1):
        rows = partitions.some(fold != k)
        kept = partitions.on(
            ridge_rows, matrices, rows.chosen, rows.split(model.wanted), rows.split(model.known)
        )

        def added(function: Callable[..., Floats], direction: Floats | None = None) -> Floats:
            parts = partitions.gather(partitions.on(function, kept, of_all=direction))  # noqa: B023
            return reduce(np.add, parts)

        tables.append(
            conjugate_gradients(added(RidgeRows.right), partial(added, RidgeRows.pull), model.penalty)
        )
        steps.done()
    return tables


def _unseen(
    partitions: Partitions,
    forest: ForestOfPartitions,
    features: Sequence[Future],
    fold: IntArray,
    steps: Steps,
) -> tuple[FloatArray, int]:
    """What trees say of prompts that they have not seen (P, C + O), and how many rounds of them are best."""
    parts, best = [], []
    for k in range(FOLDS):
        booster, count = forest.boost(fold != k, stop_on=fold == k)
        rows = partitions.some(fold == k)
        trees = bytes(booster.save_raw("ubj")), count
        told = partitions.gather(partitions.on(raw_figures, features, rows.chosen, of_all=trees))
        parts.append(rows.join(told))
        best.append(count)
        steps.done()
    unseen = np.zeros((len(fold), parts[0].shape[1]))
    for k, part in enumerate(parts):
        unseen[fold == k] = part
    return unseen, max(int(np.mean(best)), 1)
