"""Predictions that are the truth: the bound that no predictor passes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rb_litellm.core.types import ModelPredictions, Prompt
from rb_litellm.predictors.registry import ModelInfo, PredictionSource
from rb_litellm.sim.servers.cluster import Cluster
from rb_litellm.sim.workloads.workload import Request


class OraclePredictions(PredictionSource):
    """True quality and length of every prompt, by tier: the bound that no predictor passes."""

    def __init__(self, cluster: Cluster, requests: Sequence[Request]) -> None:
        super().__init__()
        self._tier = {tier.model: column for column, tier in enumerate(cluster.tiers)}
        self._truth = {request.prompt: request for request in requests}

    def predict(self, prompts: Sequence[Prompt], models: Sequence[ModelInfo]) -> ModelPredictions:
        """The truth as it will be measured."""
        columns = [self._tier[model.key] for model in models]
        rows = [self._truth[prompt] for prompt in prompts]
        quality = np.array([row.quality[columns] for row in rows])
        tokens = np.array([row.output_tokens[columns] for row in rows])
        return ModelPredictions(quality, tokens, np.ones_like(quality))
