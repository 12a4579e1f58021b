"""By how much a deployment is slower than its tier: an answer says more than any bound."""

import numpy as np
import pytest

from rb_litellm.core.latency.learning.scales import Scales


def scales():
    made = Scales()
    made.add()
    return made


def factor(of):
    return float(of.refreshed(0, np.array([0]))[0])


def test_what_hung_is_as_quick_as_before_with_its_first_answer():
    of = scales()
    of.bounded_by(0, 0, 3.0)
    assert factor(of) == pytest.approx(np.exp(3.0))
    of.answered(0, 0, 1.0)
    assert factor(of) == pytest.approx(1.0)
    assert not of.is_bound(0)


def test_of_a_bound_stays_what_an_answer_confirms():
    of = scales()
    of.count(0, 0)
    of.bounded_by(0, 0, 3.0)
    of.answered(0, 0, np.exp(1.0))
    assert of.level(0, 0) == pytest.approx(1.0)


def test_age_takes_from_the_bound_first():
    of = scales()
    of.move(0, 0, 0.5)
    learned = of.level(0, 0)
    of.bounded_by(0, 0, 2.0)
    assert of.aged(np.array([[-1.5], [0.0]]), 0.01, 10) == [(0, 0)]
    assert of.settle_age(0, 0)
    of.answered(0, 0, 1.0)
    assert of.level(0, 0) == pytest.approx(learned)


def test_not_more_is_taken_over_at_a_time_than_was_asked_for():
    of = Scales()
    for _ in range(5):
        of.add()
    assert len(of.aged(np.ones((2, 5)), 0.01, 3)) == 3
    assert len(of.aged(np.ones((2, 5)), 0.01, 100)) == 7
