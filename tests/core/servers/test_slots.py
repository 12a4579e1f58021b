"""How many requests a server runs at once, from what is measured and from what it tells."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rb_litellm.core.servers.queueing import waits
from rb_litellm.core.servers.slots import Slots
from rb_litellm.core.types import Ahead

SERVER = 0


def assumed(slots=256.0):
    made = Slots()
    made.assume(SERVER, slots)
    return made


def one_second(numbers):
    """Expected of every request."""
    return np.ones(numbers.size)


@given(st.integers(1, 8), st.integers(0, 30))
def test_a_request_waits_until_enough_of_those_ahead_have_ended(slots, ahead):
    ended = tuple(float(n) for n in range(1, ahead + 1))
    (wait,) = waits(Ahead(ahead, ended), np.array([float(slots)]))
    assert wait == max(ahead - slots + 1, 0)


def test_a_request_that_was_served_before_enough_had_ended_refutes_a_number_of_slots():
    two, three = waits(Ahead(3, (0.5,)), np.array([2.0, 3.0]))
    assert (two, three) == (math.inf, 0.5)


def test_a_worker_that_sends_half_of_the_load_sees_half_of_the_ends():
    """Of six on four slots three have to end: one and a half of its own three."""
    (wait,) = waits(Ahead(3, (1.0, 2.0, 3.0)), np.array([4.0]), share=0.5)
    assert wait == 1.5


@given(st.integers(1, 12), st.integers(0, 12))
def test_nobody_waits_where_all_workers_together_leave_a_slot(own, others):
    """A worker's part of the slots was rounded down, and two requests then refuted what is true."""
    all_of_them = own + others
    ended = tuple(float(n) for n in range(1, own + 1))
    (wait,) = waits(Ahead(own, ended), np.array([all_of_them + 1.0]), share=own / all_of_them)
    assert wait == pytest.approx(0.0, abs=1e-6)


@given(st.lists(st.tuples(st.integers(1, 20), st.floats(0.01, 30.0)), max_size=30))
def test_whatever_is_measured_there_is_at_least_one_slot(measured):
    of = assumed()
    for ahead, took in measured:
        ended = tuple(took * n / (ahead + 1) for n in range(1, ahead + 1))
        wait = of.observe(SERVER, Ahead(ahead, ended), 1.0, took, one_second, 5)
        assert wait is None or 0.0 <= wait < took
    assert of.of(SERVER) >= 1.0


def test_hosted_apis_are_left_alone():
    of = assumed(math.inf)
    assert of.of(SERVER) is None
    assert of.observe(SERVER, Ahead(5, (1.0,)), 1.0, 9.0, one_second, 5) == 0.0


def test_while_requests_wait_those_that_run_are_the_slots():
    of = assumed()
    for _ in range(2):
        of.told(SERVER, 2, 6, None)
    assert of.of(SERVER) == 2


def test_one_look_is_not_enough_for_a_server_has_its_waiting_requests_between_two_steps():
    of = assumed()
    of.told(SERVER, 1, 7, None)
    assert of.of(SERVER) == 256


def test_a_server_that_runs_more_than_was_believed_has_more_slots():
    of = assumed(2)
    for _ in range(2):
        of.told(SERVER, 6, 0, None)
    assert of.of(SERVER) >= 6


def test_what_a_server_states_is_believed_at_once():
    of = assumed()
    of.stated(SERVER, 4)
    assert of.of(SERVER) == 4


def test_a_full_cache_is_a_second_limit_as_long_as_it_is_full():
    """At 97% a server with free slots queues too."""
    of = assumed()
    of.told(SERVER, 8, 0, 0.97)
    assert of.of(SERVER) == pytest.approx(8 / 0.97)
    of.told(SERVER, 4, 0, 0.3)
    assert of.of(SERVER) == 256


def test_of_several_guesses_about_one_server_the_least_holds():
    of = assumed(256)
    of.assume(SERVER, 16)
    of.assume(SERVER, 256)
    assert of.of(SERVER) == 16


def test_another_workers_finding_is_believed_where_nothing_was_learned_here():
    of, told = assumed(), assumed()
    for _ in range(2):
        told.told(SERVER, 2, 6, None)
    of.adopt(SERVER, told.learned(SERVER))
    assert of.of(SERVER) == 2


FIRST_TOKENS = (0.071, 0.145, 0.676, 0.728, 1.292, 1.336)
ENDS = (0.652, 0.701, 1.280, 1.315, 1.924, 1.935)
"""Of six streams sent at once to a vLLM 0.32.0 with two slots: each end is seen 20 to 40 ms late."""


def observe_streams(of, expected_s, rounds=3):
    """These streams, so many times over."""
    for _ in range(rounds):
        for ahead, first_s in enumerate(FIRST_TOKENS[1:], 1):
            of.observe(SERVER, Ahead(ahead, ENDS[:ahead]), 1.0, first_s, lambda c: expected_s + 0 * c, 10)


def test_ends_that_are_seen_late_are_no_sign_of_more_slots():
    """Three were believed: the first token came so soon after the end that it had to wait for."""
    of = assumed()
    observe_streams(of, expected_s=0.06)
    assert of.of(SERVER) == 2


def test_a_queue_that_was_learned_as_slowness_does_not_hide_the_slots():
    """As after a stall, in which all of them seemed to be served at once, and to take long."""
    of = assumed()
    for _ in range(2):
        for ahead in range(1, 8):
            of.observe(SERVER, Ahead(ahead, (2.0,) * ahead), 1.0, 2.0, lambda c: 1.2 + 0 * c, 10, True)
    assert of.of(SERVER) == 256
    ends = (0.69, 0.69, 1.33, 1.33, 1.93, 1.93, 2.57, 2.57)
    for _ in range(6):
        for ahead in range(1, 8):
            measured = Ahead(ahead, ends[:ahead])
            of.observe(SERVER, measured, 1.0, ends[ahead], lambda c: 1.2 + 0 * c, 10, True)
    assert of.of(SERVER) == 2
