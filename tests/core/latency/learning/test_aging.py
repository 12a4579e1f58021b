"""Beliefs age: for a minute they stand, then they go back to what was usual, and hope grows."""

import math

import numpy as np
import pytest

from rb_litellm.core.latency.learning.aging import FRESH_S, HALF_LIFE_S, Aging

ROWS = np.array([0])


def measured_for(minutes, level):
    aging = Aging()
    aging.add(np.zeros(2), 0.0)
    for second in range(round(minutes * 60)):
        for kind in (0, 1):
            aging.measured(kind, 0, level, float(second))
    return aging


def test_a_fresh_belief_stands_and_an_old_one_goes_halfway_in_its_half_life():
    aging, level, goal = measured_for(5, 0.0), np.full((2, 1), math.log(4.0)), np.zeros((2, 1))
    seen = float(aging.seen_s[0, 0])
    assert not aging.drift(level, goal, seen + FRESH_S).any()
    halfway = level + aging.drift(level, goal, seen + FRESH_S + HALF_LIFE_S)
    assert halfway == pytest.approx(level / 2.0)
    assert level + aging.drift(level, goal, seen + 1e6) == pytest.approx(goal, abs=1e-6)


def test_what_was_never_measured_has_nothing_to_leave():
    aging = Aging()
    aging.add(np.zeros(2), 0.0)
    assert not aging.drift(np.ones((2, 1)), np.zeros((2, 1)), 1e6).any()


def test_two_minutes_do_not_make_a_habit_of_an_hour():
    hour = measured_for(60, 0.0)
    for second in range(3600, 3720):
        hour.measured(0, 0, math.log(4.0), float(second))
    assert hour.habit[0, 0] < 0.15
    assert measured_for(120, 1.0).habit[0, 0] == pytest.approx(1.0, abs=0.1)


def test_hope_is_the_habit_at_once_and_more_than_that_later():
    aging, level, goal = measured_for(5, 0.0), np.full((2, 1), 1.0), np.zeros((2, 1))
    seen = float(aging.seen_s[0, 0])
    now, later = (aging.optimism(level, goal, ROWS, seen + s)[0, 0] for s in (0.0, 600.0))
    assert now == pytest.approx(1.0)
    assert later > now + 0.5


def test_a_measurement_after_a_silence_weighs_much():
    aging = measured_for(1, 0.0)
    seen = float(aging.seen_s[0, 0])
    assert aging.gain(0, 0, seen + 1.0) < 0.05
    assert aging.gain(0, 0, seen + 600.0) > 0.7
