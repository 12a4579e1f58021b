"""In which order answers in one piece were served that were sent together."""

from dataclasses import dataclass
from random import Random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rb_litellm.core.servers.together import MAX_KEPT, PATIENCE_S, TOGETHER_S, Ended, SentTogether
from rb_litellm.core.types import FloatArray, Outcome

SERVER = 0
NUMBERS = 2
"""Numbers of slots that are thought of."""


@dataclass
class Answer:
    """One that is sent at a moment, and begins and ends so long after it."""

    sent_s: float
    began_s: float
    ended_s: float


def ended(its: Answer, missing: int, choices: int = 1, row: int = 0) -> Ended:
    outcome = Outcome("a", "success-event", None, 10, 0.0, 0.0, its.ended_s - its.sent_s, choices=choices)
    began_s = np.full(NUMBERS, its.began_s)
    return Ended(row, outcome, its.sent_s, its.ended_s, lambda: began_s, missing, asks=True)


def test_the_order_is_told_when_the_last_one_has_ended():
    """The long one began first and ends last: by its end it would have waited for all."""
    of = SentTogether()
    long, short, queued = Answer(0.0, 0.0, 10.0), Answer(0.01, 0.1, 1.0), Answer(0.02, 1.0, 2.0)
    assert of.ended(SERVER, ended(short, 2, row=1)) == []
    assert of.ended(SERVER, ended(queued, 2, row=2)) == []
    told = of.ended(SERVER, ended(long, 2, row=0))
    assert {its.row: its.before.tolist() for its in told} == {0: [0, 0], 1: [1, 1], 2: [2, 2]}


def test_each_number_of_slots_has_an_order_of_its_own():
    of = SentTogether()
    one, other = ended(Answer(0.0, 0.0, 1.0), 1), ended(Answer(0.0, 0.5, 2.0), 1)
    one.began_s = np.array([0.0, 0.7])
    of.ended(SERVER, one)
    of.ended(SERVER, other)
    assert (one.before.tolist(), other.before.tolist()) == ([0, 1], [1, 0])


def test_of_two_that_would_have_begun_at_one_moment_the_first_to_end_was_first():
    of = SentTogether()
    first, second = ended(Answer(0.0, 0.0, 1.0), 1), ended(Answer(0.0, 0.0, 2.0), 1)
    of.ended(SERVER, first)
    of.ended(SERVER, second)
    assert (first.before.tolist(), second.before.tolist()) == ([0, 0], [1, 1])


def test_one_for_several_answers_counts_as_so_many():
    of = SentTogether()
    assert of.ended(SERVER, ended(Answer(0.0, 0.0, 1.0), 1, choices=3)) == []
    (first, second) = of.ended(SERVER, ended(Answer(0.0, 0.5, 2.0), 3))
    assert (first.missing, second.missing, second.before.tolist()) == (0, 0, [3, 3])


def test_others_of_the_server_and_of_other_servers_tell_nothing():
    of = SentTogether()
    its = ended(Answer(1.0, 1.0, 3.0), 1)
    of.ended(SERVER, its)
    of.ended(SERVER, ended(Answer(1.0 + 2 * TOGETHER_S, 1.3, 4.0), 1))
    of.ended(SERVER + 1, ended(Answer(1.0, 1.0, 5.0), 1))
    assert (its.missing, its.before.any()) == (1, False)


def test_more_than_are_remembered_wait_for_nobody():
    of = SentTogether()
    told = [of.ended(SERVER, ended(Answer(0.0, 0.0, n), MAX_KEPT + 1)) for n in range(MAX_KEPT + 2)]
    assert all(len(its) == 1 and its[0].missing > 0 for its in told)


def test_one_that_hangs_is_not_waited_for_for_ever():
    of = SentTogether()
    its = ended(Answer(0.0, 0.0, 1.0), 1)
    of.ended(SERVER, its)
    later = 1.0 + PATIENCE_S + 0.1
    assert of.ended(SERVER, ended(Answer(later - 1.0, later, later), 1)) == [its]
    assert its.missing > 0


@given(st.integers(0, 2**32), st.integers(1, 100))
def test_everyone_is_told_once_and_no_more_are_kept_than_is_stated(seed, answers):
    random = Random(seed)
    sent = sorted(random.uniform(0.0, 0.5) for _ in range(answers))
    world = [Answer(at, at, at + 1.0 + random.random()) for at in sent]
    of, told = SentTogether(), []
    for its in sorted(world, key=lambda each: each.ended_s):
        with_it = sum(abs(its.sent_s - other.sent_s) <= TOGETHER_S for other in world) - 1
        told += of.ended(SERVER, ended(its, with_it))
        assert len(of._kept.get(SERVER, ())) <= MAX_KEPT
    assert len(told) == len({id(its) for its in told}) == answers - len(of._kept.get(SERVER, ()))
    assert answers > MAX_KEPT or not of._kept


def test_those_that_are_gone_wait_for_nobody_and_nobody_waits_for_them():
    of = SentTogether()
    gone, stays = Answer(0.0, 0.0, 1.0), Answer(0.01, 0.1, 2.0)
    of.ended(SERVER, ended(gone, 2, row=1))
    of.ended(SERVER + 1, ended(gone, 2, row=1))
    of.ended(SERVER, ended(stays, 2, row=2))
    of.forget({1})
    assert [[its.row for its in kept] for kept in of._kept.values()] == [[2]]
    told = of.ended(SERVER, ended(Answer(0.02, 0.2, 3.0), 1, row=3))
    assert {its.row for its in told} == {2, 3}


def test_of_streams_alone_no_order_is_worked_out():
    def nobody_asks() -> FloatArray:
        raise AssertionError("their first tokens have shown it")

    of, outcome = SentTogether(), ended(Answer(0.0, 0.0, 1.0), 1).outcome
    for ended_s in (1.0, 2.0):
        last = Ended(0, outcome, 0.0, ended_s, nobody_asks, 1, asks=False)
        of.ended(SERVER, last)
    assert last.missing == 0
