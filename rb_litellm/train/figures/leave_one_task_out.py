"""Leave one task out: how certain the kind of a prompt must be for the prediction to count in full.

A route that trusts what it has learned does well on prompts like those it has seen, and may do badly on a
kind of task that it never saw: such a prompt is taken for another kind, and gets the models that are good at
that one. What gives it away is that no kind is certain. So each kind is left out once (leave-one-group-out
cross-validation): linear model and trees are fitted to the other kinds and predict its prompts. The
certainty that is chosen earns most on prompts of known kinds and on the left-out kind that does worst. Only
the route to the best model is judged: below that certainty, only the part that may overrule the order of the
means fades (see `blend`), and the trade of quality for time or money stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rb_litellm.core.types import FloatArray, IntArray
from rb_litellm.predictors.reading.lexicon import Floats
from rb_litellm.predictors.reading.structure import STRUCTURE
from rb_litellm.predictors.trained.blend import Blend
from rb_litellm.train.fitting.boosting import Trees, boost
from rb_litellm.train.fitting.prompt_features import PromptFeatures
from rb_litellm.train.fitting.targets import RidgeModel, Targets
from rb_litellm.train.fitting.weights import plain_blend

GRID = (0.0, 0.4, 0.5, 0.6, 0.7, 0.8)
"""Certainties to choose from. Above these, even prompts of a certain kind would count only in part."""
CHANCE = 0.002
"""Differences of quality below this are chance."""
MIN_KINDS = 4
"""With fewer kinds, too few remain to be uncertain between."""
MAX_LEFT_OUT = 16
"""Kinds that are left out at most, the largest ones, to bound the time."""
MAX_OTHERS = 6_000
"""Prompts of other kinds to train on at most, a random sample."""
MIN_GRADED = 20
"""Least number of a kind's prompts that are graded for all models, for the kind to be left out."""


@dataclass(frozen=True)
class HeldOutPrompts:
    """Prompts with the predictions of trees that were not trained on them."""

    blend: Blend
    raw: FloatArray
    """(P, C + O)"""
    familiarity: Floats
    quality: FloatArray
    """(P, Q) graded by all models."""

    def gain(self, recognised: float) -> float:
        """Mean quality that the route gains over the model that was best in training."""
        blend = self.blend.but(recognised=recognised)
        told = blend.outputs(self.raw, self.familiarity)[:, : blend.qualities]
        best = self.blend.offset[: blend.qualities].argmax()
        earned = self.quality[np.arange(len(told)), told.argmax(axis=1)] - self.quality[:, best]
        return float(earned.mean())


def choose_recognised(known: HeldOutPrompts, unseen_kinds: Sequence[HeldOutPrompts]) -> float:
    """The highest certainty of GRID that gains about most on known kinds and on the worst left-out kind.

    The worst counts, because the next unseen kind may be like it. Most unseen kinds resemble no known one and
    lose little at any certainty; a single one that is taken for another loses more than all others gain.
    """
    if not unseen_kinds:
        return 0.0
    earned = [known.gain(at) + min(part.gain(at) for part in unseen_kinds) for at in GRID]
    return max(at for at, gain in zip(GRID, earned, strict=True) if gain >= max(earned) - CHANCE)


def left_out(targets: Targets) -> list[int]:
    """The kinds to leave out one at a time: those with enough grades, if enough other kinds remain."""
    if targets.kinds.shape[1] < MIN_KINDS or targets.qualities < 2:
        return []
    graded = targets.kinds[targets.fully_graded].sum(axis=0)
    order = np.argsort(-graded, kind="stable")[:MAX_LEFT_OUT]
    return sorted(int(kind) for kind in order if graded[kind] >= MIN_GRADED)


def others(kind: int, targets: Targets, random: np.random.Generator) -> IntArray:
    """The prompts of other kinds that are trained on."""
    found = np.flatnonzero(~(targets.kinds[:, kind] > 0))
    if len(found) > MAX_OTHERS:
        found = np.sort(random.choice(found, MAX_OTHERS, replace=False))
    return found


def as_unseen_kind(
    kind: int,
    prompt_features: PromptFeatures,
    targets: Targets,
    features: Floats,
    blend: Blend,
    rounds: int,
    others: IntArray,
) -> HeldOutPrompts:
    """The prompts of one kind as predicted by trees that were trained on `others` and have not seen the kind.

    `features` (P, STRUCTURE + C + O) come from linear models that were not fitted on their prompt.
    """
    rows = np.flatnonzero((targets.kinds[:, kind] > 0) & targets.fully_graded)
    told = targets.without(kind, others)
    scale = prompt_features.scale(others)
    matrix = prompt_features.matrix(scale)
    every = np.arange(len(others))
    table = RidgeModel(told).table(matrix[others], every)
    read = np.delete(features[others], STRUCTURE + kind, axis=1)
    trees = Trees(told.kinds.shape[1], seed=0)
    booster, _ = boost(read, told.every, told.every_known, every, trees, rounds=rounds)
    strange = np.concatenate([prompt_features.plain[rows], matrix[rows] @ table], axis=1)
    raw = np.asarray(booster.inplace_predict(strange, validate_features=False), dtype=np.float64)
    familiarity = prompt_features.familiarity(scale.idf)
    same = ("own_common", "own_differences", "own_lengths", "worth")
    return HeldOutPrompts(
        plain_blend(told, familiarity[others]).but(**{name: getattr(blend, name) for name in same}),
        raw.reshape(len(rows), -1),
        familiarity[rows],
        targets.labels[rows, : targets.qualities],
    )
