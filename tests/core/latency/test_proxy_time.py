"""The proxy's own time: told by its parts, bounded, and counted by limits alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rb_litellm.core.latency.forecast import LatencyForecast
from rb_litellm.core.latency.proxy_time import (
    COUNTED,
    FADES_AFTER_S,
    HALF_LIFE_S,
    LONGEST_S,
    PARTS,
    ProxyTime,
)


def test_what_was_never_measured_is_nothing():
    made = ProxyTime(lambda: 0.0)
    assert made.shown == dict.fromkeys(PARTS, 0.0)
    assert made.expected_for(None, again=False) == 0.0


def test_a_request_waits_for_what_has_passed_and_what_is_still_to_come():
    made = ProxyTime(lambda: 0.0)
    made.measured("sending", 0.003)
    assert made.expected_for(0.02, again=False) == pytest.approx(0.023)


def test_attempts_that_failed_before_a_retry_are_not_the_proxys_time():
    made = ProxyTime(lambda: 0.0)
    made.measured("before", 0.01)
    assert made.expected_for(20.0, again=True) == pytest.approx(0.01)


def test_it_follows_a_change_within_some_dozens_of_requests():
    made = ProxyTime(lambda: 0.0)
    for seconds in [0.01] * 1000 + [0.05] * 3 * COUNTED:
        made.measured("before", seconds)
    assert made.expected_s("before") == pytest.approx(0.05, rel=0.05)


def test_a_slow_moment_is_forgotten_while_nothing_is_measured():
    # A strict limit of 1 s refuses every request that is expected to take 3 s in the proxy alone.
    now = [0.0]
    made = ProxyTime(lambda: now[0])
    for _ in range(COUNTED):
        made.measured("sending", 3.0)
    now[0] = FADES_AFTER_S
    assert made.expected_for(0.0, again=False) == pytest.approx(3.0)
    now[0] += 2.0 * HALF_LIFE_S
    assert made.expected_for(0.0, again=False) == pytest.approx(0.75)
    # What has faded counts for less: the next requests show what is so now.
    for _ in range(10):
        made.measured("sending", 0.01)
    assert made.expected_s("sending") < 0.5
    assert made.shown["sending"] == pytest.approx(made.expected_s("sending"), abs=1e-5)


@given(st.lists(st.floats()))
def test_whatever_is_measured_the_mean_stays_within_its_bounds(measured):
    made = ProxyTime(lambda: 0.0)
    for seconds in measured:
        made.measured("choosing", seconds)
    assert 0.0 <= made.expected_s("choosing") <= LONGEST_S


def test_the_client_sees_the_proxys_time_and_failures_before_its_answer():
    times = LatencyForecast(*(np.array([figure]) for figure in (0.1, 0.5, 0.01, 2.0)))
    assert times.as_seen(0.0) is times
    times.failures_s = np.array([3.0])
    seen = times.as_seen(0.25)
    assert (seen.ttft_s[0], seen.e2e_s[0], seen.tpot_s[0]) == (3.75, 5.25, 0.01)
    assert seen.priced_s[0] == 5.25
