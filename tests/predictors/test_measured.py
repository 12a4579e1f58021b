"""Shifts of single models by task: as far as a name is sure, and an operator's word is above them."""

from dataclasses import replace

import numpy as np
import pytest

from rb_litellm.core.types import Prompt
from rb_litellm.predictors.default.abilities import Known
from rb_litellm.predictors.default.artifact import packaged
from rb_litellm.predictors.default.measured import Measured
from rb_litellm.predictors.priors import ModelInfo

MEASURED = Measured(
    names=("graded-7b", "other-9b"),
    shifts=np.array([[0.6, -0.2, 0.5], [0.0, 0.3, 0.0]]),
    share_of_kind=np.array([[0.75, 0.0], [0.25, 0.0], [0.0, 1.0]]),
)
"""Two models on three tasks, of which the first two are of one kind."""
SUM = Prompt("Tom has 3 boxes of 12 eggs and gives away half of them. How many eggs are left?", 20)


def known(name: str | None, certainty: float = 1.0) -> Known:
    return Known(name, certainty, "name", np.zeros(2), np.zeros(2))


def test_a_model_has_its_shifts_as_far_as_its_name_is_sure():
    told = MEASURED.of([known("graded-7b"), known("graded-7b", certainty=0.5)])
    assert told[:, 0] == pytest.approx([0.6, -0.2, 0.5])
    assert told[:, 1] == pytest.approx([0.3, -0.1, 0.25])


def test_models_without_answers_have_none():
    assert not MEASURED.of([known("never-graded"), known(None)]).any()


def test_what_is_common_to_the_tasks_of_a_kind_is_parted_from_what_is_not():
    shifts = MEASURED.of([known("graded-7b")])
    assert MEASURED.by_kind(shifts)[:, 0] == pytest.approx([0.4, 0.5])
    assert MEASURED.within_kind(shifts)[:, 0] == pytest.approx([0.2, -0.6, 0.0])


def test_an_operators_quality_is_the_models_mean_whatever_its_answers_said():
    model = ModelInfo("small", "qwen2.5-7b-instruct")
    middling = packaged().mean_quality(model)
    low, high = (
        packaged().predict([SUM], [replace(model, quality=quality)]).quality[0, 0]
        for quality in (middling - 0.1, middling + 0.1)
    )
    said = packaged().predict([SUM], [model]).quality[0, 0]
    assert low < said < high


def test_a_model_is_told_on_how_many_tasks_its_answers_count():
    graded, other = ModelInfo("a", "Qwen/Qwen2.5-7B-Instruct-AWQ"), ModelInfo("b", "house-14b")
    assert packaged().graded_tasks(packaged().known(graded)) > 5
    assert packaged().graded_tasks(packaged().known(other)) == 0
