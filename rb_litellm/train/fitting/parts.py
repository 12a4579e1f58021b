"""Parts of training that do not depend on each other: fitted side by side they are the same bit for bit.

The trees of each fold, which tell what is to be expected of prompts that trees have not seen, and each kind
of prompt that is left out once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rb_litellm.core.types import FloatArray, IntArray
from rb_litellm.predictors.reading.lexicon import Floats
from rb_litellm.predictors.trained.blend import Blend
from rb_litellm.train.figures.leave_one_task_out import HeldOutPrompts, as_unseen_kind
from rb_litellm.train.fitting.boosting import Trees, boost
from rb_litellm.train.fitting.prompt_features import PromptFeatures
from rb_litellm.train.fitting.targets import Targets


@dataclass(frozen=True)
class Learned:
    """What all parts are fitted to."""

    prompt_features: PromptFeatures
    targets: Targets
    features: Floats
    """(P, F) as prompts have them that the linear model was not fitted on."""
    fold: IntArray
    """(P,)"""
    trees: Trees

    def fit_fold(self, number: int) -> tuple[FloatArray, int]:
        """What trees fitted to the other folds say of this one, and how many rounds of them served best."""
        train, test = np.flatnonzero(self.fold != number), np.flatnonzero(self.fold == number)
        targets = self.targets
        booster, count = boost(
            self.features, targets.every, targets.every_known, train, self.trees, stop_on=test
        )
        raw = booster.inplace_predict(
            self.features[test], iteration_range=(0, count), validate_features=False
        )
        return np.asarray(raw).reshape(len(test), -1), count

    def fit_without(self, part: LeftOutKind) -> HeldOutPrompts:
        """What is said of a kind's prompts by trees that have not seen the kind."""
        return as_unseen_kind(
            part.kind,
            self.prompt_features,
            self.targets,
            self.features,
            part.blend,
            part.rounds,
            part.others,
        )


@dataclass(frozen=True)
class LeftOutKind:
    """A kind that is left out, and what there is instead."""

    kind: int
    others: IntArray
    """Prompts of other kinds to train on."""
    blend: Blend
    rounds: int


def fit_part(learned: Learned, part: int | LeftOutKind) -> tuple[FloatArray, int] | HeldOutPrompts:
    """One part: a fold by its number, or a kind that is left out."""
    return learned.fit_without(part) if isinstance(part, LeftOutKind) else learned.fit_fold(part)


def title(part: int | LeftOutKind) -> str:
    """What messages call it."""
    return f"kind {part.kind} left out" if isinstance(part, LeftOutKind) else f"fold {part}"
