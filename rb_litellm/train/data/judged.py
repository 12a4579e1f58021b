"""What `evaluate` judges: a trained predictor, or any source of predictions for models that are named."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from rb_litellm.core.types import FloatArray, ModelPredictions, Prompt
from rb_litellm.predictors.priors import KnownModel, prior_output_tokens, prior_quality
from rb_litellm.predictors.registry import ModelInfo, PredictionSource
from rb_litellm.predictors.trained.model import LEVELS


class Judged(Protocol):
    """A predictor of M models, with the constant of each that it is compared with."""

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the models."""

    @property
    def version(self) -> str:
        """Which predictor it is."""

    @property
    def known(self) -> Sequence[KnownModel]:
        """The models with their constant quality."""

    @property
    def length_constants(self) -> FloatArray:
        """(M, Q) constant quantiles of length."""

    def predict(self, prompts: Sequence[Prompt]) -> ModelPredictions:
        """Quality and length of R prompts for M models."""


class Untaught:
    """A source's predictions for models of these names; the constant is what a name alone says: the prior."""

    def __init__(self, source: PredictionSource, models: Sequence[str], version: str) -> None:
        self._source = source
        self._infos = [ModelInfo(key=name, model=name) for name in models]
        self.models = tuple(models)
        self.version = version
        self.known = [
            KnownModel(info.key, prior_quality(info), prior_output_tokens(info)) for info in self._infos
        ]
        tokens = np.array([prior_output_tokens(info) for info in self._infos])
        self.length_constants: FloatArray = tokens[:, None] * np.ones(len(LEVELS))

    def predict(self, prompts: Sequence[Prompt]) -> ModelPredictions:
        """Quality and length of R prompts for M models."""
        return self._source.predict(prompts, self._infos)
