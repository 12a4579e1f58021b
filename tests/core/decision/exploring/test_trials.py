"""Trials keep to their bounds in share, in number and in time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rb_litellm.core.decision.exploring.trials import FIRST_PAUSE_S, LAST_PAUSE_S, Trials

ROW = np.array([0])


def one():
    trials = Trials()
    trials.add()
    return trials


@given(st.floats(0.001, 0.2), st.integers(1, 2000))
def test_no_more_than_the_share_are_tried_but_for_what_was_saved(share, requests):
    trials, sent = one(), 0
    for n in range(requests):
        trials.asked(share)
        if trials.to_look(float(n)):
            trials.sent(0, float(n))
            sent += 1
    assert sent <= share * requests + 2.0


def test_one_at_a_time_and_a_pause_that_doubles_with_every_disappointment():
    trials, now, pauses = one(), 0.0, []
    for _ in range(9):
        trials.sent(0, now, informing=True)
        assert not trials.due(ROW, now + 100.0)[0]
        trials.heard(0, 0.5)
        begun = now
        while not trials.due(ROW, now)[0]:
            now += 1.0
        pauses.append(now - begun)
    assert pauses[0] == FIRST_PAUSE_S
    assert pauses == sorted(pauses)
    assert pauses[-1] == LAST_PAUSE_S


def test_good_news_asks_for_the_next_trial_at_once():
    trials = one()
    trials.sent(0, 0.0)
    trials.heard(0, -0.5)
    assert trials.due(ROW, 0.1)[0]
    assert trials.improving(ROW)[0]


def test_a_trial_that_is_never_heard_of_holds_up_the_next_one_for_two_minutes_only():
    trials = one()
    trials.sent(0, 0.0)
    assert not trials.due(ROW, 119.0)[0]
    assert trials.due(ROW, 121.0)[0]


@pytest.mark.parametrize("ratio", [0.0, float("inf")])
def test_what_nobody_tried_is_no_trials_news(ratio):
    trials = one()
    trials.heard(0, ratio)
    assert trials.due(ROW, 0.0)[0]
