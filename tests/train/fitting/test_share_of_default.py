"""A trained predictor has its say beside the default one where it has shown its worth."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rb_litellm.core.types import FloatArray, Prompt
from rb_litellm.predictors.ability_learning import corrected
from rb_litellm.predictors.default.abilities import KINDS
from rb_litellm.predictors.default.artifact import packaged
from rb_litellm.predictors.priors import ModelInfo
from rb_litellm.predictors.registry import PredictionSource
from rb_litellm.train.data.dataset import Dataset, read_dataset
from rb_litellm.train.fitting.share_of_default import FEWEST, beside_trained
from rb_litellm.train.pipeline import train_predictor

MODELS = ("qwen2.5-7b-instruct", "qwen2.5-72b-instruct")
WORDS = ("apples", "trains", "poems", "birds", "ships", "loops", "rivers", "stars")


def told(prompts: tuple[Prompt, ...]) -> FloatArray:
    """What the default predictor says of both models."""
    return packaged().predict(prompts, [ModelInfo(name, name) for name in MODELS]).quality


def graded(write_rows, count: int, seed: int = 0) -> Dataset:
    """Answers to `count` prompts, as good as the default predictor says."""
    random = np.random.default_rng(seed)
    prompts = tuple(
        Prompt(f"How many {random.choice(WORDS)} and {random.choice(WORDS)} are {number} of them?", 12)
        for number in range(count)
    )
    right = (random.random((count, 2)) < told(prompts)).astype(float)
    rows = [
        {"prompt": prompt.text, "model": name, "quality": right[at, model]}
        for at, prompt in enumerate(prompts)
        for model, name in enumerate(MODELS)
    ]
    return read_dataset([write_rows(rows)])


def test_one_that_tells_nothing_has_none(write_rows) -> None:
    # Of 120 prompts one draw in ten gives guesses a quarter, by chance.
    data = graded(write_rows, 400)
    guesses = np.random.default_rng(1).random(data.quality.shape)
    assert beside_trained(data, guesses).share.tolist() == [1.0, 1.0]


def test_one_that_is_always_right_has_all_of_it(write_rows) -> None:
    data = graded(write_rows, 120)
    assert beside_trained(data, data.quality).share.tolist() == [0.0, 0.0]


def test_one_that_is_better_by_less_than_the_error_of_that_has_none(write_rows) -> None:
    data = graded(write_rows, 120)
    order = [data.models.index(name) for name in MODELS]
    same = np.empty_like(data.quality)
    same[:, order] = told(data.prompts)
    right_once = same.copy()
    right_once[0] = data.quality[0]
    assert beside_trained(data, right_once).share.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("count", [1, FEWEST - 1])
def test_with_too_few_prompts_to_judge_by_the_default_one_says_nothing(write_rows, count: int) -> None:
    data = graded(write_rows, count)
    assert beside_trained(data, data.quality).share.tolist() == [0.0, 0.0]


def test_a_model_without_grades_has_no_share(write_rows) -> None:
    data = graded(write_rows, 60)
    quality = data.quality.copy()
    quality[:, 1] = np.nan
    alone = replace(data, quality=quality)
    assert beside_trained(alone, np.full(quality.shape, 0.5)).share[1] == 0.0


def test_what_was_judged_is_what_is_served_whatever_the_proxy_calls_a_model(
    write_rows, tmp_path: Path
) -> None:
    data = graded(write_rows, 60)
    trained = train_predictor(data, tmp_path / "predictor")
    assert trained.default_shifts.shape == (2, len(KINDS))
    trained.share_of_default[:] = 1.0
    # The answers were graded under the names in the data: the default predictor is asked by these.
    infos = [ModelInfo(name, "hosted_vllm/house-14b", quality=0.1) for name in MODELS]
    served = PredictionSource(trained, default=packaged()).predict(data.prompts, infos).quality
    plain = packaged().predict(data.prompts, [ModelInfo(name, name) for name in MODELS])
    assert plain.kinds is not None
    shifts = trained.default_shifts[[trained.models.index(name) for name in MODELS]]
    np.testing.assert_allclose(served, corrected(plain.quality, plain.kinds, shifts))
