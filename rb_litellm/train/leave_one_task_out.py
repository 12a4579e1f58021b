"""From which certainty on a prompt counts as of a kind that is known: found on kinds left out of training.

A route that trusts what it has learned does well on prompts like those it has seen, and may do badly on a
kind of task it never saw: that is then taken for some other kind, and the models that are good at that one
for good. What gives it away is that no kind is certain. So every kind is left out once, linear reading and
trees are fitted to the others, and its prompts are read as strangers. The certainty that is asked for is the
one that earns most on prompts of known kinds and on the strangers that fare worst. Judged is the route to the
best model alone: below that certainty only what may overrule the order of the means fades (see `blend`), and
what a trade of quality for time or money goes by stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rb_litellm.core.types import FloatArray
from rb_litellm.predictors import lexicon
from rb_litellm.predictors.blend import Blend
from rb_litellm.predictors.lexicon import Floats
from rb_litellm.predictors.structure import STRUCTURE
from rb_litellm.train.boosting import Trees, boost
from rb_litellm.train.prompt_features import Reading
from rb_litellm.train.targets import Reader, Targets
from rb_litellm.train.weights import plain_blend

GRID = (0.0, 0.4, 0.5, 0.6, 0.7, 0.8)
"""Certainties to choose from. With more, even prompts whose kind is told for sure would count in part."""
CHANCE = 0.002
"""A difference of quality that counts for nothing."""
MIN_KINDS = 4
"""With fewer there are too few left to be uncertain between."""
MAX_LEFT_OUT = 16
"""Kinds that are left out, the largest: bounds the time."""
MAX_OTHERS = 6_000
"""Prompts of other kinds that are trained on, a random part of them."""
MIN_GRADED = 20
"""Prompts of a kind graded for all models, for it to count."""


@dataclass(frozen=True)
class HeldOutPrompts:
    """Prompts with what trees say of them that had not seen them."""

    blend: Blend
    raw: FloatArray
    """(P, C + O)"""
    familiarity: Floats
    quality: FloatArray
    """(P, Q) graded by all models."""

    def gain(self, recognised: float) -> float:
        """What the route earns over the model that is best in training."""
        blend = self.blend.but(recognised=recognised)
        told = blend.outputs(self.raw, self.familiarity)[:, : blend.qualities]
        best = self.blend.offset[: blend.qualities].argmax()
        earned = self.quality[np.arange(len(told)), told.argmax(axis=1)] - self.quality[:, best]
        return float(earned.mean())


def choose_recognised(known: HeldOutPrompts, unseen_kinds: Sequence[HeldOutPrompts]) -> float:
    """The most certainty, of GRID, that earns about most on known kinds and on the stranger that fares worst.

    The worst, because the next kind never seen may be like it: most strangers are taken for nothing known and
    lose little at any certainty, and a single one taken for what it is not loses more than all others earn.
    """
    if not unseen_kinds:
        return 0.0
    earned = [known.gain(at) + min(part.gain(at) for part in unseen_kinds) for at in GRID]
    return max(at for at, gain in zip(GRID, earned, strict=True) if gain >= max(earned) - CHANCE)


def left_out(targets: Targets) -> list[int]:
    """The kinds to leave out one at a time: those that can be judged, if enough remain to tell apart."""
    if targets.kinds.shape[1] < MIN_KINDS or targets.qualities < 2:
        return []
    graded = targets.kinds[targets.fully_graded].sum(axis=0)
    order = np.argsort(-graded, kind="stable")[:MAX_LEFT_OUT]
    return sorted(int(kind) for kind in order if graded[kind] >= MIN_GRADED)


def as_unseen_kind(
    kind: int,
    reading: Reading,
    targets: Targets,
    features: Floats,
    blend: Blend,
    rounds: int,
    random: np.random.Generator,
) -> HeldOutPrompts:
    """The prompts of one kind as they are read by who has never seen the kind.

    `features` (P, STRUCTURE + C + O) are those of prompts that the linear reading was not fitted on.
    """
    of_kind = targets.kinds[:, kind] > 0
    rows = np.flatnonzero(of_kind & targets.fully_graded)
    others = np.flatnonzero(~of_kind)
    if len(others) > MAX_OTHERS:
        others = np.sort(random.choice(others, MAX_OTHERS, replace=False))
    told = targets.without(kind, others)
    scale = reading.scale(others)
    matrix = reading.matrix(scale)
    every = np.arange(len(others))
    table = Reader(told).table(matrix[others], every)
    read = np.delete(features[others], STRUCTURE + kind, axis=1)
    trees = Trees(told.kinds.shape[1], seed=0)
    booster, _ = boost(read, told.every, told.every_known, every, trees, rounds=rounds)
    strange = np.concatenate([reading.plain[rows], matrix[rows] @ table], axis=1)
    raw = np.asarray(booster.inplace_predict(strange, validate_features=False), dtype=np.float64)
    _, familiarity = lexicon.weigh(reading.bag, scale.idf)
    same = ("own_common", "own_differences", "own_lengths", "worth")
    return HeldOutPrompts(
        plain_blend(told, familiarity[others]).but(**{name: getattr(blend, name) for name in same}),
        raw.reshape(len(rows), -1),
        familiarity[rows],
        targets.labels[rows, : targets.qualities],
    )
