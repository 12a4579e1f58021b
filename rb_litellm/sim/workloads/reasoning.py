"""A reasoning model: its answers are better and longer at each higher level of effort, by the prompt.

Prompts have a difficulty, normal with spread 1 about APART below or above 0: chat and problems, as many of
each; with APART 0 all are alike. A level answers right with P = sigmoid(ability - STEEP * difficulty), in
LENGTHS tokens on average, log-normal about exp(GROWTH * difficulty) times that. So effort is worth most on
prompts of middling difficulty: the easiest need none, the hardest are lost at any level. What is right and
how long the answers are is drawn once for each prompt, so that all policies meet the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

import numpy as np

from rb_litellm.core.fleet import Deployment
from rb_litellm.core.types import FloatArray, ModelPredictions, Prompt
from rb_litellm.predictors.registry import ModelInfo, PredictionSource
from rb_litellm.sim.workloads.workload import Request, arrivals

LEVELS = ("low", "medium", "high")
ABILITIES = (0.2, 1.2, 2.2)
LENGTHS = (150.0, 450.0, 1350.0)
STEEP, GROWTH, SPREAD = 1.5, 0.4, 0.5
INPUT_TOKENS = 300
KNOWN = 0.6
"""Correlation of a prompt's difficulty, beside its kind, with what a predictor makes of it."""


def requests(rate: float, number: int, seed: int, apart: float = 0.0) -> list[Request]:
    """Poisson arrivals; a prompt's text is its difficulty as a predictor reads it."""
    random = np.random.default_rng(seed)
    own, kind = random.standard_normal(number), apart * random.choice([-1.0, 1.0], number)
    hard = kind + own
    read = kind + KNOWN * (KNOWN * own + math.sqrt(1.0 - KNOWN**2) * random.standard_normal(number))
    right = _right(hard) > random.random((number, 1))
    noise = np.exp(SPREAD * random.standard_normal((number, len(LEVELS))) - SPREAD**2 / 2.0)
    tokens = np.maximum(np.round(_tokens(hard) * noise), 1.0)
    return [
        Request(n, at_s, Prompt(f"{read[n]:.6f} {n}", INPUT_TOKENS), right[n].astype(np.float64), tokens[n])
        for n, at_s in enumerate(islice(arrivals("poisson", rate, seed), number))
    ]


def levels(
    deployment: Deployment, names: Sequence[str] = LEVELS, told: float = 1.0, apart: float = 0.0
) -> list[Deployment]:
    """Its levels with their means over all prompts; lengths are `told` times what they are."""
    random = np.random.default_rng(0)
    typical = random.standard_normal(20_000) + apart * random.choice([-1.0, 1.0], 20_000)
    quality, tokens = _right(typical).mean(axis=0), _tokens(typical).mean(axis=0)
    return [
        replace(
            deployment,
            effort=name,
            quality=float(quality[LEVELS.index(name)]),
            output_tokens=told * float(tokens[LEVELS.index(name)]),
        )
        for name in names
    ]


class ReadDifficulty(PredictionSource):
    """Predicts each level from the difficulty as read off the prompt, calibrated.

    Lengths are in proportion to the mean that is stated of the level.
    """

    def __init__(self, apart: float = 0.0) -> None:
        super().__init__()
        self._mean = math.exp(GROWTH**2 / 2.0) * math.cosh(GROWTH * apart)

    def predict(self, prompts: Sequence[Prompt], models: Sequence[ModelInfo]) -> ModelPredictions:
        """Quality and length (R, M) given what was read; the rest of the difficulty is unknown."""
        read = np.array([float(prompt.text.split()[0]) for prompt in prompts])
        nodes, weights = np.polynomial.hermite_e.hermegauss(15)
        left = math.sqrt(1.0 - KNOWN**2)
        hard = read[:, None] + left * nodes
        shares = weights / weights.sum()
        quality = np.einsum("rkm,k->rm", _right(hard), shares)
        tokens = np.einsum("rkm,k->rm", _tokens(hard), shares) / _tokens(np.zeros(1))
        columns = [LEVELS.index(model.effort) for model in models]
        mean = np.array([model.output_tokens or 1.0 for model in models]) / self._mean
        return ModelPredictions(
            quality[:, columns], tokens[:, columns] * mean, np.ones((len(read), len(models)))
        )


def _right(hard: FloatArray) -> FloatArray:
    """(..., L) probability of a right answer at each level."""
    right: FloatArray = 1.0 / (1.0 + np.exp(STEEP * hard[..., None] - np.array(ABILITIES)))
    return right


def _tokens(hard: FloatArray) -> FloatArray:
    """(..., L) mean length at each level."""
    tokens: FloatArray = np.exp(GROWTH * hard[..., None]) * np.array(LENGTHS)
    return tokens
