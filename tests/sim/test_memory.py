"""Remembering changes no result."""

from __future__ import annotations

import numpy as np

from rb_litellm.core.types import ModelPredictions, Prompt
from rb_litellm.predictors.priors import ModelInfo
from rb_litellm.predictors.registry import PredictionSource
from rb_litellm.sim.memory import RememberedChoices, RememberedPredictions

PROMPTS = [Prompt(f"prompt {n}", n) for n in range(5)]
MODELS = [ModelInfo("a", "a-7b"), ModelInfo("b", "b-70b")]


class Counting(PredictionSource):
    asked = 0

    def predict(self, prompts, models):
        Counting.asked += len(prompts)
        quality = np.array([[prompt.input_tokens / 10.0] * len(models) for prompt in prompts])
        return ModelPredictions(quality, quality * 100, quality, quality[:, :, None])


def test_predictions_are_the_sources_and_asked_for_once() -> None:
    Counting.asked = 0
    remembered = RememberedPredictions(Counting())
    for batch in (PROMPTS[:1], PROMPTS[1:4], PROMPTS, [PROMPTS[2], PROMPTS[2]]):
        told, truth = remembered.predict(batch, MODELS), Counting().predict(batch, MODELS)
        for name in ("quality", "output_tokens", "confidence", "length_quantiles"):
            assert np.array_equal(getattr(told, name), getattr(truth, name))
    assert Counting.asked == 5 + 1 + 3 + 5 + 2


def test_choices_are_the_routers_and_asked_for_once() -> None:
    asked = []

    class Chooser:
        def choose(self, prompts):
            asked.extend(prompts)
            return [prompt.input_tokens % 2 for prompt in prompts]

    remembered = RememberedChoices(Chooser())
    assert remembered.choose(PROMPTS[:3]) == [0, 1, 0]
    assert remembered.choose([PROMPTS[4], PROMPTS[0], PROMPTS[4]]) == [0, 0, 0]
    assert len(asked) == 4
