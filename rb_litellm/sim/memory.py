"""Caches for many runs over the same prompts: predictions and routers' choices.

Both depend on the prompt alone, so that remembering them changes no result, only its time. Prompts are
predicted one by one: among others a figure differs in its last bits, and a run would depend on those before.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field

import numpy as np

from rb_litellm.core.types import ModelPredictions, Prompt
from rb_litellm.predictors.priors import ModelInfo
from rb_litellm.predictors.registry import PredictionSource
from rb_litellm.sim.policies.routers import ModelChooser

MAX_PROMPTS = 50_000
"""Prompts remembered; when there are more, all are forgotten and it starts anew."""


class RememberedPredictions(PredictionSource):
    """Another source's predictions, computed once per prompt and set of models."""

    def __init__(self, source: PredictionSource) -> None:
        super().__init__()
        self._source = source
        self._held: dict[tuple[ModelInfo, ...], dict[Prompt, ModelPredictions]] = {}

    def predict(self, prompts: Sequence[Prompt], models: Sequence[ModelInfo]) -> ModelPredictions:
        """As the source."""
        held = self._held.setdefault(tuple(models), {})
        new = [prompt for prompt in prompts if prompt not in held]
        if new:
            if len(held) + len(new) > MAX_PROMPTS:
                held.clear()
                new = list(dict.fromkeys(prompts))
            held.update((prompt, self._source.predict([prompt], models)) for prompt in new)
        if len(prompts) == 1:
            return held[prompts[0]]
        rows = [held[prompt] for prompt in prompts]
        quantiles = [r.length_quantiles for r in rows if r.length_quantiles is not None]
        return ModelPredictions(
            np.concatenate([r.quality for r in rows]),
            np.concatenate([r.output_tokens for r in rows]),
            np.concatenate([r.confidence for r in rows]),
            np.concatenate(quantiles) if len(quantiles) == len(rows) else None,
        )


class RememberedChoices:
    """Another router's choices, computed once per prompt."""

    def __init__(self, chooser: ModelChooser) -> None:
        self._chooser = chooser
        self._held: dict[Prompt, int] = {}

    def choose(self, prompts: Sequence[Prompt]) -> Sequence[int]:
        """As the router."""
        new = [prompt for prompt in dict.fromkeys(prompts) if prompt not in self._held]
        if new:
            if len(self._held) + len(new) > MAX_PROMPTS:
                self._held.clear()
                new = list(dict.fromkeys(prompts))
            self._held.update(zip(new, self._chooser.choose(new), strict=True))
        return [self._held[prompt] for prompt in prompts]


@dataclass
class Trained:
    """Routers that were trained before, by what they were trained with."""

    held: dict[Hashable, ModelChooser] = field(default_factory=dict)

    def get(self, key: Hashable, train: Callable[[], ModelChooser]) -> ModelChooser:
        """The router of that key, trained when it is first asked for."""
        if key not in self.held:
            self.held[key] = RememberedChoices(train())
        return self.held[key]
