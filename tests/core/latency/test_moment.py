"""The latest chunk of any stream says how far its server is within its present step."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rb_litellm.core.latency.moment import steps_left

STEP_S = 0.020


def left(since_s: float, usual: float = 0.5, step_s: float = STEP_S) -> float:
    return float(steps_left(np.array([usual]), np.array([step_s]), np.array([since_s]))[0])


@pytest.mark.parametrize(
    ("since_s", "steps"),
    [(0.0, 0.9), (0.008, 0.5), (0.0179, 0.005), (0.0181, 0.995), (0.028, 0.5)],
)
def test_what_is_left_of_a_step_falls_until_it_ends_and_the_next_one_begins(since_s, steps):
    assert left(since_s) == pytest.approx(steps)


@pytest.mark.parametrize("since_s", [0.039, 10.0, np.inf])
def test_where_nothing_was_written_for_two_steps_it_is_what_it_is_on_average(since_s):
    assert left(since_s) == 0.5


def test_nobody_waits_for_the_step_of_a_hosted_api():
    assert left(0.001, usual=0.0) == 0.0


@given(st.floats(0, 1e6), st.floats(1e-6, 1e3), st.sampled_from([0.0, 0.5]))
def test_it_is_never_more_than_a_step(since_s, step_s, usual):
    assert 0.0 <= left(since_s, usual, step_s) <= 1.0
