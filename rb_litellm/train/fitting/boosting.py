"""Boosted trees for kinds of prompt and deviations together; unknown labels have no gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import xgboost

from rb_litellm.core.types import BoolArray, FloatArray, IntArray
from rb_litellm.predictors.reading.lexicon import Floats
from rb_litellm.predictors.trained.booster_file import read_booster
from rb_litellm.predictors.trained.forest import agrees, evaluator

ROUNDS = 60
PATIENCE = 6
"""Rounds without a better loss on the unseen fold before boosting stops."""
_SETTINGS: dict[str, Any] = {
    "max_depth": 3,
    "eta": 0.2,
    "subsample": 0.7,
    "colsample_bytree": 0.5,
    "min_child_weight": 1.0,
    "lambda": 3.0,
    "tree_method": "hist",
    "max_bin": 64,
    # More threads gain nothing on data of this size, and wait for each other in a loop: where the machine
    # has other work, training on two took thirty times as long.
    "nthread": 1,
    "base_score": 0.0,
    "disable_default_eval_metric": True,
}


@dataclass(frozen=True, slots=True)
class Trees:
    """What the columns of the targets are: first `kinds` exclusive kinds, then deviations."""

    kinds: int
    seed: int

    def pull(self, raw: FloatArray, targets: FloatArray, known: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Gradient and curvature (P, K) of cross entropy of the kinds and squared error of the rest."""
        gradient, curvature = known * (raw - targets), known.copy()
        if self.kinds:
            likely = softmax(raw[:, : self.kinds])
            gradient[:, : self.kinds] = likely - targets[:, : self.kinds]
            curvature[:, : self.kinds] = np.maximum(2.0 * likely * (1.0 - likely), 1e-6)
        return gradient, curvature

    def loss(self, raw: FloatArray, targets: FloatArray, known: FloatArray) -> float:
        """Mean loss: cross entropy per prompt plus mean squared error per label."""
        return self.mean_loss(self.loss_sums(raw, targets, known))

    def loss_sums(self, raw: FloatArray, targets: FloatArray, known: FloatArray) -> FloatArray:
        """Sums over prompts (4,): squared error, labels, cross entropy, prompts."""
        rest = slice(self.kinds, None)
        squares = np.sum(known[:, rest] * (raw[:, rest] - targets[:, rest]) ** 2)
        entropy = 0.0
        if self.kinds:
            likely = np.log(softmax(raw[:, : self.kinds]) + 1e-12)
            entropy = -np.sum(targets[:, : self.kinds] * likely)
        return np.array([squares, known[:, rest].sum(), entropy, len(raw)], dtype=np.float64)

    @staticmethod
    def mean_loss(sums: FloatArray) -> float:
        """The loss out of the sums of all prompts."""
        squares, labels, entropy, prompts = sums.tolist()
        return float(squares / max(labels, 1.0) + entropy / max(prompts, 1.0))

    def prior(self, targets: FloatArray) -> FloatArray:
        """Raw figures (K,) that trees begin from: how common each kind is."""
        prior = np.zeros(targets.shape[1])
        if self.kinds:
            prior[: self.kinds] = np.log(np.maximum(targets[:, : self.kinds].mean(axis=0), 1e-9))
        return prior

    def settings(self, outputs: int) -> dict[str, Any]:
        """XGBoost's, for so many columns."""
        return {**_SETTINGS, "seed": self.seed, "num_target": outputs}


def boost(
    features: Floats,
    targets: FloatArray,
    known: BoolArray,
    rows: IntArray,
    trees: Trees,
    stop_on: IntArray | None = None,
    rounds: int = ROUNDS,
) -> tuple[xgboost.Booster, int]:
    """Trees fitted on `rows`, and how many rounds of them served best on `stop_on`."""
    prior = trees.prior(targets)
    weights, wanted = known[rows].astype(np.float64), targets[rows]

    def objective(raw: Floats, data: xgboost.DMatrix) -> tuple[FloatArray, FloatArray]:
        del data
        return trees.pull(raw.reshape(wanted.shape) + prior, wanted, weights)

    settings = trees.settings(targets.shape[1])
    matrix = xgboost.DMatrix(features[rows], wanted)
    if stop_on is None:
        return xgboost.train(settings, matrix, num_boost_round=rounds, obj=objective), rounds
    unseen, told = targets[stop_on], known[stop_on].astype(np.float64)

    def loss(raw: Floats, data: xgboost.DMatrix) -> tuple[str, float]:
        del data
        return "loss", trees.loss(raw.reshape(unseen.shape) + prior, unseen, told)

    booster = xgboost.train(
        settings,
        matrix,
        num_boost_round=rounds,
        obj=objective,
        custom_metric=loss,
        evals=[(xgboost.DMatrix(features[stop_on], unseen), "unseen")],
        early_stopping_rounds=PATIENCE,
        verbose_eval=False,
    )
    return booster, booster.best_iteration + 1


def softmax(scores: FloatArray) -> FloatArray:
    """Along the last axis."""
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    result: FloatArray = powers / powers.sum(axis=-1, keepdims=True)
    return result


def file_of(booster: xgboost.Booster) -> bytes:
    """The booster's file, which a proxy evaluates without XGBoost.

    Raises:
        RuntimeError: it would give other figures than XGBoost.
    """
    content = bytes(booster.save_raw("ubj"))
    evaluate, _ = evaluator(content, read_booster(content))
    if not agrees(evaluate, booster):
        raise RuntimeError(
            f"trees of XGBoost {xgboost.__version__} are evaluated otherwise than XGBoost does it"
        )
    return content
