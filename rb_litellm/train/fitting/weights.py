"""Choose the weights of a blend by what serves best on prompts that the trees had not seen."""

from __future__ import annotations

import numpy as np

from rb_litellm.core.types import BoolArray, FloatArray
from rb_litellm.predictors.reading.lexicon import Floats
from rb_litellm.predictors.trained.blend import Blend
from rb_litellm.train.fitting.targets import Targets

GRID = (0.0, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0)
SURE = 2.0
"""Standard errors by which a slope must differ from 0 to count."""
CLOSER = 1.0
"""Standard errors by which predictions must be closer to the truth than the mean is."""
_PRIOR_ROWS = 5.0
"""Pseudo-count: the mean deviation of a kind starts as that of this many prompts without any."""


def plain_blend(targets: Targets, familiarity: Floats) -> Blend:
    """A blend that believes everything, for prompts of the given familiarity (P,)."""
    counts = targets.kinds.T @ targets.known
    return Blend(
        qualities=targets.qualities,
        offset=targets.offset,
        scale=targets.scale,
        log_prior=np.log(np.maximum(targets.kinds.mean(axis=0), 1e-9)),
        kind_deviation=(targets.kinds.T @ targets.deviations) / (counts + _PRIOR_ROWS),
        own_common=1.0,
        own_differences=1.0,
        own_lengths=1.0,
        worth=np.ones(len(targets.outputs)),
        familiar=float(np.quantile(familiarity, 0.05)),
    )


def choose_weights(blend: Blend, unseen: FloatArray, labels: FloatArray, known: BoolArray) -> Blend:
    """The blend with weights and worth for raw figures (P, C + O) of unseen prompts and labels (P, O).

    Common part and lengths: least squared error. Differences between models: the quality that routing by
    them earns where every answer was graded (the smallest weight within half a standard error of the
    best, as in the one-standard-error rule), else least squared error. Worth: see `worth`.
    """
    truth = np.where(known, labels - blend.offset, 0.0)
    q = blend.qualities
    if len(blend.log_prior):
        if q:
            common = _best(blend, "own_common", unseen, truth, known, slice(0, q))
            blend = blend.but(own_common=common, own_differences=common)
            full = known[:, :q].all(axis=1)
            if q > 1 and full.sum() >= 50:
                blend = blend.but(own_differences=_routing_weight(blend, unseen[full], labels[full, :q]))
        if q < truth.shape[1]:
            best = _best(blend, "own_lengths", unseen, truth, known, slice(q, None))
            blend = blend.but(own_lengths=best)
    return blend.but(worth=worth(blend.deviations(unseen), truth, known))


def worth(unseen: FloatArray, truth: FloatArray, known: BoolArray) -> FloatArray:
    """Factor in [0, 1] on each output's deviations that serves best on unseen prompts, (O,).

    The slope through the origin of truth on prediction; 0 where it is not SURE to be above 0: where
    prompts tell nothing of a model, its mean is what remains.
    """
    power = np.sum(np.where(known, unseen**2, 0.0), axis=0)
    slope = np.sum(np.where(known, unseen * truth, 0.0), axis=0) / np.maximum(power, 1e-12)
    residual = np.where(known, (truth - slope * unseen) ** 2, 0.0).sum(axis=0)
    error = np.sqrt(residual / np.maximum(known.sum(axis=0) - 1, 1) / np.maximum(power, 1e-12))
    sure = slope > SURE * error
    # A slope above 1 is not believed; a doubtful one is believed less.
    return np.where(sure, np.clip(slope - 0.5 * error, 0.0, 1.0), 0.0)


def keep_closer(
    blend: Blend, unseen: FloatArray, familiarity: Floats, labels: FloatArray, known: BoolArray
) -> Blend:
    """The blend with worth 0 for each quality whose predictions are not CLOSER to the truth than its mean.

    Judged is what is told in the end, of unseen prompts with raw figures (P, C + O) and familiarity (P,):
    where no kind is certain a model is told what all have in common, and that may be wrong for one of them.
    Its mean remains then, and the others are judged anew without it. Certainty takes nothing from lengths:
    their worth has been judged.
    """
    far = np.where(known, np.abs(labels - blend.offset), 0.0)
    quality = np.arange(labels.shape[1]) < blend.qualities
    rows = np.maximum(known.sum(axis=0), 1)
    while True:
        gain = np.where(known, far - np.abs(labels - blend.outputs(unseen, familiarity)), 0.0)
        mean = gain.sum(axis=0) / rows
        variance = np.where(known, (gain - mean) ** 2, 0.0).sum(axis=0) / np.maximum(rows - 1, 1)
        lost = quality & (blend.worth > 0.0) & (mean <= CLOSER * np.sqrt(variance / rows))
        if not lost.any():
            return blend
        blend = blend.but(worth=np.where(lost, 0.0, blend.worth))


def _best(
    blend: Blend, name: str, unseen: FloatArray, truth: FloatArray, known: BoolArray, part: slice
) -> float:
    def loss(weight: float) -> float:
        changes = {name: weight}
        if name == "own_common":
            changes["own_differences"] = weight
        error = (blend.but(**changes).deviations(unseen) - truth)[:, part] / blend.scale[part]
        return float(np.sum(np.where(known[:, part], error**2, 0.0)))

    return min(GRID, key=loss)


def _routing_weight(blend: Blend, unseen: FloatArray, quality: FloatArray) -> float:
    each = np.arange(len(quality))
    earned = []
    for weight in GRID:
        told = (blend.offset + blend.but(own_differences=weight).deviations(unseen))[:, : blend.qualities]
        earned.append(quality[each, told.argmax(axis=1)])
    best = max(earned, key=lambda e: float(e.mean()))
    for weight, earning in zip(GRID, earned, strict=True):
        gap = best - earning
        if gap.mean() <= 0.5 * gap.std() / np.sqrt(len(gap)):
            return weight
    return GRID[-1]
