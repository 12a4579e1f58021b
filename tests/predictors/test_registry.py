"""A source of predictions answers every request with finite figures, whatever it knows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from rb_litellm.core.types import ModelPredictions, Prompt
from rb_litellm.predictors.registry import ModelInfo, PredictionSource
from rb_litellm.predictors.trained.model import Predictor, PredictorError

SMALL = ModelInfo("small", "openai/qwen2.5-3b", None, None, None, None)
LARGE = ModelInfo("large", "openai/qwen2.5-72b", None, None, None, None)


def test_without_a_predictor_configured_figures_are_the_prediction() -> None:
    info = ModelInfo("m", "m", 0.7, 120.0, None, None)
    got = PredictionSource().predict([Prompt("hello")], [info])
    assert (got.quality[0, 0], got.output_tokens[0, 0], got.confidence[0, 0]) == (0.7, 120.0, 0.0)


def test_without_any_figures_a_larger_model_is_expected_to_be_better() -> None:
    quality = PredictionSource().predict([Prompt("hello")], [SMALL, LARGE]).quality[0]
    assert 0.0 < quality[0] < quality[1] < 1.0


def test_length_is_capped_by_the_clients_limit() -> None:
    got = PredictionSource().predict([Prompt("a", max_tokens=9), Prompt("b")], [SMALL])
    assert got.output_tokens[0, 0] == pytest.approx(9.0)
    assert got.length_quantiles is not None
    assert got.length_quantiles[0].max() == 9.0
    assert got.output_tokens[1, 0] > 9.0


class Broken(Predictor):
    def __init__(self) -> None:
        self.models = ("small",)
        self.version = "broken"
        self.known = ()
        self.taught_quality = self.taught_lengths = np.ones(1, dtype=np.bool_)

    def predict(self, prompts: Sequence[Prompt]) -> ModelPredictions:
        raise RuntimeError("no")


def test_a_failing_predictor_costs_its_figures_and_not_the_request() -> None:
    seen: list[Exception] = []
    got = PredictionSource(Broken(), on_error=seen.append).predict([Prompt("hello")], [SMALL])
    assert np.isfinite(got.quality).all()
    assert np.isfinite(got.output_tokens).all()
    assert [str(e) for e in seen] == ["no"]


def test_a_folder_that_is_not_there_is_an_error_that_names_the_setting(tmp_path) -> None:
    with pytest.raises(PredictorError, match=r"predictor\.path: .*nowhere.*routebalance train"):
        Predictor.load(tmp_path / "nowhere")
