"""What choosing by the default predictor is worth, on cases small enough to work out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from rb_litellm.core.types import Prompt
from rb_litellm.train.data.dataset import Dataset
from rb_litellm.train.default.choices import choices
from rb_litellm.train.default.unseen import Unseen

CHEAP, DEAR = "gemma-2-9b-it", "llama-3.1-nemotron-51b-instruct"
QUALITY = np.array([[0.0, 1.0], [1.0, 0.8], [1.0, 0.9], [0.2, 0.7]])
BY_SIZE = np.array([0.5, 0.7])


def data(models: tuple[str, str] = (CHEAP, DEAR), task: str = "gsm8k") -> Dataset:
    count = len(QUALITY)
    return Dataset(
        prompts=tuple(Prompt(f"p{n}", input_tokens=1000) for n in range(count)),
        prompt_ids=tuple(map(str, range(count))),
        tasks=(task,) * count,
        models=models,
        quality=QUALITY,
        output_tokens=np.full_like(QUALITY, np.nan),
        rows=QUALITY.size,
        sha256="",
    )


def unseen(quality: np.ndarray, group: tuple[int, ...] = (0, 0)) -> Unseen:
    return Unseen(quality, np.array(group))


def test_a_perfect_prediction_chooses_as_well_as_can_be_and_saves_what_can_be_saved() -> None:
    found = choices(data(), unseen(QUALITY), BY_SIZE, ["gsm8k"])
    assert found is not None
    assert found["argmax"] == found["oracle"] == pytest.approx(0.925)
    assert found["best_by_prior"] == found["best_expected"] == found["best_single"] == pytest.approx(0.85)
    # The cheap one, at a ninth of the price, for at least two of four prompts.
    assert found["cost_of_best_by_prior"] == found["cost_of_best_expected"] < 0.6


def test_expecting_the_same_of_each_prompt_chooses_the_model_of_which_most_is_expected() -> None:
    found = choices(data(), unseen(np.tile([0.6, 0.5], (4, 1))), BY_SIZE, ["gsm8k"])
    assert found is not None
    assert found["argmax"] == found["best_expected"] == pytest.approx(0.55)
    assert found["best_by_prior"] == pytest.approx(0.85)
    assert found["cost_of_best_by_prior"] == 1.0
    assert found["cost_of_best_expected"] == pytest.approx(1.0)


def test_models_without_a_price_have_no_cost_and_other_tasks_no_figures() -> None:
    found = choices(data(("one", "other")), unseen(QUALITY), BY_SIZE, ["gsm8k"])
    assert found is not None
    assert not [name for name in found if name.startswith("cost")]
    assert choices(data(), unseen(QUALITY), BY_SIZE, ["mmlu"]) is None


def test_models_that_different_predictors_tell_of_are_not_compared() -> None:
    assert choices(data(), unseen(QUALITY, (0, 1)), BY_SIZE, ["gsm8k"]) is None
    four = Dataset(
        prompts=data().prompts,
        prompt_ids=data().prompt_ids,
        tasks=data().tasks,
        models=("one", "other", "third", "fourth"),
        quality=np.hstack([QUALITY, QUALITY * 0.5]),
        output_tokens=np.full((4, 4), np.nan),
        rows=16,
        sha256="",
    )
    # Of the third and fourth less is predicted by another predictor: neither choice minds.
    told = np.hstack([QUALITY + 5.0, QUALITY])
    found = choices(four, unseen(told, (0, 0, 1, 1)), np.tile(BY_SIZE, 2), ["gsm8k"])
    assert found is not None
    assert found["models"] == [2, 2]
    assert found["argmax"] == found["oracle"] == pytest.approx(0.925 * 0.75, abs=1e-4)
