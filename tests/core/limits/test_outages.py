"""Outages: three failures in the fleet are enough, a trickle looks for the end, two good answers are one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rb_litellm.core.limits.outages import FIRST_PAUSE_S, LAST_PAUSE_S, MAX_CALLS, Outages

ROW = 0
ROWS = np.array([0, 1])


class Fleet:
    """Workers that hear of each other at once."""

    def __init__(self, workers):
        self.workers = [Outages() for _ in range(workers)]

    def observe(self, worker, answered, now):
        self.workers[worker].observe(ROW, answered, now)
        for one in self.workers:
            others = [its.told(now)[ROW] for its in self.workers if its is not one and ROW in its.told(now)]
            one.heard(ROW, others, now)

    def out(self):
        return [one.is_out(ROW) for one in self.workers]


def failed(times=3):
    made = Outages()
    for _ in range(times):
        made.observe(ROW, False, 0.0)
    return made


def test_three_failures_in_a_row_are_an_outage_and_two_are_none():
    assert failed(2).passed_over(ROWS, 0.0, True) is None
    assert failed(3).passed_over(ROWS, 0.0, True).tolist() == [True, False]


def test_a_deployment_that_fails_now_and_then_is_in_no_outage():
    of = Outages()
    for n in range(100):
        of.observe(ROW, n % 3 == 0, float(n))
    assert not of.any_out


def test_a_request_that_nobody_can_answer_counts_against_nobody():
    of = Outages()
    for n in range(10):
        of.observe(ROW, False, float(n), f"call {n}")
        of.failed_again(1, f"call {n}")
    assert not of.any_out


def test_what_such_requests_have_taken_out_is_back_when_their_retries_have_failed():
    of = Outages()
    for n in range(3):
        of.observe(ROW, False, 0.0, f"call {n}")
    assert of.is_out(ROW)
    of.failed_again(1, "call 0")
    assert not of.any_out


def test_a_retry_that_fails_at_the_same_deployment_takes_nothing_back():
    of = Outages()
    for n in range(3):
        of.observe(ROW, False, 0.0, f"call {n}")
        of.failed_again(ROW, f"call {n}")
    assert of.is_out(ROW)


def test_a_call_is_forgiven_once():
    of = Outages()
    for n in range(3):
        of.observe(ROW, False, 0.0, f"call {n}")
    of.failed_again(1, "call 0")
    of.failed_again(1, "call 0")
    of.observe(ROW, False, 1.0)
    assert of.is_out(ROW)


def test_calls_that_may_be_forgiven_are_bounded():
    of = Outages()
    for n in range(3 * MAX_CALLS):
        of.observe(ROW, False, 0.0, f"call {n}")
    assert len(of._calls) == MAX_CALLS


@pytest.mark.parametrize("workers", [2, 3, 8])
def test_three_failures_in_the_fleet_are_enough_for_every_worker(workers):
    """Each worker had to find out for itself: 11% of its decisions."""
    fleet = Fleet(workers)
    for n in range(3):
        fleet.observe(n % workers, False, float(n))
    assert fleet.out() == [True] * workers


def test_an_answer_that_one_worker_gets_ends_the_streak_of_all():
    fleet = Fleet(3)
    fleet.observe(0, False, 0.0)
    fleet.observe(1, False, 1.0)
    fleet.observe(2, True, 2.0)
    fleet.observe(0, False, 3.0)
    assert fleet.out() == [False] * 3


def test_two_good_answers_end_it_everywhere():
    fleet = Fleet(3)
    for n in range(3):
        fleet.observe(n, False, float(n))
    fleet.observe(0, True, 10.0)
    assert fleet.out() == [True] * 3
    fleet.observe(1, True, 11.0)
    assert fleet.out() == [False] * 3


def test_one_request_at_a_time_may_look_with_pauses_that_double():
    of, now, probes = failed(), 0.0, []
    while now < 600.0:
        if of.passed_over(ROWS, now, True) is None:
            probes.append(now)
            of.sent(ROW, now)
            assert of.passed_over(ROWS, now, True) is not None
            of.observe(ROW, False, now)
        now += 0.5
    pauses = np.diff([0.0, *probes])
    assert pauses[0] == FIRST_PAUSE_S
    assert pauses[-1] == LAST_PAUSE_S
    assert (np.diff(pauses) >= 0.0).all()


def test_after_a_good_answer_the_next_one_may_look_at_once():
    of = failed()
    of.observe(ROW, True, 6.0)
    assert of.passed_over(ROWS, 6.0, True) is None
    assert of.passed_over(ROWS, 6.0, False).tolist() == [True, False]


def test_what_failed_long_ago_is_forgotten():
    of = failed(2)
    assert of.told(400.0) == {}


@given(st.lists(st.tuples(st.integers(0, 2), st.booleans()), max_size=40))
def test_all_workers_that_hear_of_each_other_think_the_same(events):
    fleet = Fleet(3)
    for now, (worker, answered) in enumerate(events):
        fleet.observe(worker, answered, float(now))
        assert len(set(fleet.out())) == 1
