"""Admission: who is refused under overload, and when to come back."""

import numpy as np
import pytest

from rb_litellm.core.limits.admission import Admission, wait_limit

EVERY = np.ones(3, bool)


def test_one_short_queue_is_enough_to_be_admitted():
    assert Admission(2.0).drain_s(np.array([9.0, 2.0, 9.0]), EVERY) is None


def test_the_shortest_queue_says_when_to_come_back():
    assert Admission(2.0).drain_s(np.array([9.0, 5.0, 7.0]), EVERY) == pytest.approx(3.0)


def test_only_queues_that_the_request_may_join_count():
    assert Admission(2.0).drain_s(np.array([0.0, 5.0, 7.0]), np.array([False, True, True])) == 3.0


@pytest.mark.parametrize(
    ("priority", "limit"), [(None, 10.0), (0, 30.0), (1, 30.0), (2, 5.0), (9, 5.0), (100, 1.0)]
)
def test_the_limit_is_that_of_the_last_level_up_to_the_priority(priority, limit):
    assert wait_limit(10.0, ((0, 30.0), (2, 5.0), (10, 1.0)), priority) == limit


def test_without_levels_all_have_the_same_limit():
    assert wait_limit(10.0, (), 3) == 10.0
