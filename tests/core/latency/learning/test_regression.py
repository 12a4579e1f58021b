"""The online regression under the latency model."""

import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rb_litellm.core.latency.learning.regression import Regression


def test_it_starts_at_its_prior():
    assert Regression((0.02, 0.001)).at((1.0, 2.0)) == pytest.approx(0.022)


def test_it_finds_coefficients_through_noise_and_outliers():
    of, random = Regression((0.02, 0.001)), Random(1)
    for _ in range(1500):
        x = random.random() * 3.0
        y = (0.03 + 0.01 * x) * math.exp(random.gauss(0.0, 0.2))
        of.observe((1.0, x), y * 50.0 if random.random() < 0.03 else y)
    assert of.at((1.0, 0.0)) == pytest.approx(0.03, rel=0.1)
    assert of.at((1.0, 3.0)) == pytest.approx(0.06, rel=0.1)


def test_it_follows_a_change():
    of = Regression((0.02, 0.0))
    for y in (0.02, 0.05):
        for _ in range(2000):
            of.observe((1.0, 0.0), y)
    assert of.at((1.0, 0.0)) == pytest.approx(0.05, rel=0.1)


def test_a_slope_without_a_prior_is_learned_where_it_shows():
    of, random = Regression((0.5, 0.0)), Random(2)
    for _ in range(2000):
        x = random.random() * 2.0
        of.observe((1.0, x), 0.5 + 0.1 * x)
    assert of.weights[1] == pytest.approx(0.1, rel=0.2)


@given(st.lists(st.tuples(st.floats(0, 1e6), st.floats(1e-9, 1e9)), max_size=80))
def test_whatever_is_measured_it_stays_within_its_bounds(seen):
    of = Regression((0.02, 0.001))
    for x, y in seen:
        of.observe((1.0, x), y)
    assert 0.0002 <= of.weights[0] <= 1.0
    assert 0.0 <= of.weights[1] <= 0.05


def test_a_slope_that_is_doubted_anew_may_reach_what_it_could_not_before():
    of = Regression((0.02, 0.001))
    assert of.doubt(1, doubt=16.0, most=48.0)
    for _ in range(10):
        of.observe((1.0, 1.0 / 16.0), 0.06)
        of.observe((1.0, 0.0), 0.02)
    assert of.at((1.0, 0.0)) == pytest.approx(0.02, rel=0.05)
    assert of.at((1.0, 1.0 / 16.0)) == pytest.approx(0.06, rel=0.15)


def test_once_a_full_server_is_known_one_measurement_of_an_idle_one_tells_the_slope():
    of = Regression((0.02, 0.001))
    of.doubt(1, doubt=16.0, most=48.0)
    for _ in range(50):
        of.observe((1.0, 1.0 / 16.0), 0.06)
    of.observe((1.0, 0.0), 0.02)
    assert of.at((1.0, 0.0)) == pytest.approx(0.02, rel=0.3)
    assert of.at((1.0, 1.0 / 16.0)) == pytest.approx(0.06, rel=0.1)


def test_more_slots_than_thought_bring_the_slope_back_within_its_bounds():
    of = Regression((0.02, 0.001))
    of.doubt(1, doubt=16.0, most=48.0)
    for _ in range(20):
        of.observe((1.0, 1.0 / 16.0), 0.06)
    assert not of.doubt(1, doubt=0.05, most=0.5)
    assert of.weights[1] <= max(0.05, 0.5 * of.weights[0])


@given(
    st.lists(
        st.tuples(st.floats(0, 1e6), st.floats(1e-9, 1e9), st.floats(0, 16), st.floats(0, 48)), max_size=40
    )
)
def test_whatever_is_doubted_between_measurements_variances_stay_positive_and_bounded(seen):
    of = Regression((0.02, 0.001))
    for x, y, doubt, most in seen:
        of.doubt(1, doubt, most)
        of.observe((1.0, x), y)
        assert of.variance((1.0, 0.0)) >= 0.0
        assert 0.0002 <= of.weights[0] <= 1.0
        assert 0.0 <= of.weights[1] <= max(0.05, most * of.weights[0]) * (1.0 + 1e-9)


@given(st.floats(0, 50), st.floats(1e-4, 1e3), st.floats(1e-4, 1e3))
def test_one_measurement_moves_the_expectation_towards_it_and_never_past_it(x, first, y):
    """A prompt that took half the time of a first guess made that 25% too quick."""
    of = Regression((first, first / 4.0), (1.0, 10.0))
    before = of.at((1.0, x))
    of.observe((1.0, x), y)
    after = of.at((1.0, x))
    assert min(before, y) * (1 - 1e-9) <= after <= max(before, y) * (1 + 1e-9)
