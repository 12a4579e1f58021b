"""Sums of users' grades, and the shift of a model's ability that they ask for."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rb_litellm.core.grade_sums import (
    HALF_LIFE_S,
    LEAST,
    MAX_NAMES,
    MAX_SHIFT,
    MOST,
    FadingSums,
    GradeSum,
)

shares = st.floats(0.0, 1.0)
sums = st.builds(
    lambda weight, grade, predicted: GradeSum(weight, weight * grade, weight * predicted),
    st.floats(0.0, MOST),
    shares,
    shares,
)


def of(grades: float, mean: float, predicted: float) -> GradeSum:
    return GradeSum(grades, grades * mean, grades * predicted)


@given(sums)
def test_a_shift_is_bounded_and_goes_where_the_grades_are(one):
    shift = one.shift()
    assert abs(shift) <= MAX_SHIFT
    if one.weight >= LEAST and 0.02 <= one.expected / one.weight <= 0.98:
        assert shift * (one.scored - one.expected) >= -1e-6


@given(st.floats(1.0, MOST), shares, shares, shares)
def test_better_grades_never_shift_less(weight, predicted, one, other):
    low, high = sorted((one, other))
    assert of(weight, low, predicted).shift() <= of(weight, high, predicted).shift() + 1e-9


def test_nothing_is_shifted_without_grades_and_little_by_a_few():
    assert GradeSum(0.0, 0.0, 0.0).shift() == 0.0
    assert 0.0 < -of(1, 0.0, 0.7).shift() < 0.3


@pytest.mark.parametrize(("mean", "predicted"), [(0.5, 0.7), (0.8, 0.6), (0.3, 0.5)])
def test_many_grades_bring_the_prediction_to_their_mean(mean, predicted):
    logit = math.log(predicted / (1.0 - predicted)) + of(MOST, mean, predicted).shift()
    assert 1.0 / (1.0 + math.exp(-logit)) == pytest.approx(mean, abs=0.02)


@given(sums, st.floats(0.0, 1e9))
def test_a_shift_goes_back_to_nothing_as_grades_fade(one, seconds):
    assert abs(one.faded(seconds).shift()) <= abs(one.shift()) + 1e-9
    assert abs(one.faded(40 * HALF_LIFE_S).shift()) < 1e-3


@given(st.lists(sums, min_size=2, max_size=6))
def test_sums_are_bounded_and_sound_however_many_are_added(many):
    total = many[0]
    for one in many[1:]:
        total = total.plus(one)
    assert total.sound()


@pytest.mark.parametrize("one", [(math.nan, 0, 0), (-1, 0, 0), (2, 3, 0), (2, 0, 3), (1e9, 0, 0)])
def test_what_is_no_sum_of_grades_is_not_sound(one):
    assert not GradeSum(*one).sound()


def test_sums_fade_by_half_in_the_half_life_and_are_dropped_in_the_end():
    kept = FadingSums()
    kept.add({"code|m": of(8, 0.5, 0.75)}, 0.0)
    assert kept.read(HALF_LIFE_S)["code|m"] == pytest.approx(of(4, 0.5, 0.75))
    kept.add({"code|m": of(1, 1.0, 0.75)}, 2 * HALF_LIFE_S)
    assert kept.read(2 * HALF_LIFE_S)["code|m"] == pytest.approx(GradeSum(3.0, 2.0, 2.25))
    assert kept.read(30 * HALF_LIFE_S) == {}


def test_names_are_bounded():
    kept = FadingSums()
    kept.add({f"code|{number}": of(1, 1.0, 0.5) for number in range(2 * MAX_NAMES)}, 0.0)
    assert len(kept.read(0.0)) == MAX_NAMES
