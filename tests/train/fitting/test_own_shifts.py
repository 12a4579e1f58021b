"""The default predictor is moved to a user's answers as far as they say, and no further."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rb_litellm.core.types import FloatArray
from rb_litellm.predictors.ability_learning import corrected
from rb_litellm.train.fitting.own_shifts import fit_shifts

KINDS = 3


def answers(prompts: int, off: FloatArray, seed: int = 0) -> tuple[FloatArray, FloatArray, FloatArray]:
    """What is told, what was measured, and kinds: models are better by `off` (M, K) log odds than told."""
    random = np.random.default_rng(seed)
    kinds = np.eye(KINDS)[random.integers(KINDS, size=prompts)]
    told = 1.0 / (1.0 + np.exp(-random.normal(0.0, 1.0, (prompts, len(off)))))
    right = corrected(told, kinds, off)
    return told, (random.random(right.shape) < right).astype(np.float64), kinds


def error(one: FloatArray, other: FloatArray) -> float:
    return float(((one - other) ** 2).mean())


def test_many_answers_move_each_model_and_kind_to_what_they_say() -> None:
    off = np.array([[1.0, 0.0, -1.0], [-0.8, -0.8, -0.8]])
    assert fit_shifts(*answers(20_000, off)) == pytest.approx(off, abs=0.15)


@pytest.mark.parametrize("seed", range(5))
def test_few_answers_that_agree_with_what_is_told_leave_it_nearly_as_it_is(seed: int) -> None:
    assert np.abs(fit_shifts(*answers(75, np.zeros((4, KINDS)), seed))).max() < 0.35


def test_few_answers_are_closer_to_others_with_their_shifts_than_without() -> None:
    off = np.array([[0.9, 0.9, 0.9], [-1.2, -0.6, -0.9], [0.3, 0.3, 0.3], [-0.2, 0.2, 0.0]])
    told, quality, kinds = answers(1_075, off)
    shifts = fit_shifts(told[:75], quality[:75], kinds[:75])
    moved = corrected(told[75:], kinds[75:], shifts)
    assert error(moved, quality[75:]) < error(told[75:], quality[75:])


def test_a_model_without_grades_is_not_moved() -> None:
    told, quality, kinds = answers(200, np.ones((2, KINDS)))
    quality[:, 1] = np.nan
    shifts = fit_shifts(told, quality, kinds)
    assert shifts[0].min() > 0.3
    assert shifts[1].tolist() == [0.0] * KINDS


@settings(max_examples=40, deadline=None)
@given(
    told=st.lists(st.floats(0.0, 1.0), min_size=1, max_size=12),
    quality=st.floats(0.0, 1.0),
    graded=st.booleans(),
)
def test_shifts_are_finite_whatever_is_told(told: list[float], quality: float, graded: bool) -> None:
    kinds = np.eye(KINDS)[np.arange(len(told)) % KINDS]
    given_quality = np.full((len(told), 1), quality if graded else np.nan)
    assert np.isfinite(fit_shifts(np.array(told)[:, None], given_quality, kinds)).all()
