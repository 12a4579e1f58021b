"""What a request runs beside: the mean over the time in which it is written, not the load that it met."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rb_litellm.core.types import Prediction, Prefilled
from rb_litellm.state.attempt import AttemptKey, LeaseRule
from rb_litellm.state.index import DeploymentIndex
from rb_litellm.state.ledger import Ledger
from rb_litellm.state.occupancy import Occupancy

PREDICTION = Prediction(0.5, 10.0, 0.0, 1.0, 0.1, 2.0, 0.0)


def ledger():
    return Ledger(DeploymentIndex(), LeaseRule())


def key(name):
    return AttemptKey(name, 0)


def sent(of, name, now, in_flight=0.0, input_tokens=1):
    of.open(key(name), "d", now=now, input_tokens=input_tokens, prediction=PREDICTION, in_flight=in_flight)


def test_it_is_the_mean_over_time():
    of = Occupancy()
    since = of.changed(1, 1, 0.0)
    of.changed(1, 1, 3.0)
    of.changed(1, -1, 4.0)
    assert of.mean(1, since, 4.0) == pytest.approx(1.25)


def test_servers_are_apart():
    of = Occupancy()
    since = of.changed(1, 1, 0.0)
    of.changed(2, 5, 0.0)
    assert of.mean(1, since, 1.0) == 1.0
    assert of.count(2) == 5


def test_of_no_time_there_is_no_mean():
    of = Occupancy()
    assert of.mean(1, of.reading(1, 2.0), 2.0) is None


@given(st.lists(st.tuples(st.floats(0.0, 10.0), st.integers(1, 3)), min_size=1, max_size=20))
def test_it_lies_between_the_least_and_the_most_that_were_open(steps):
    of, now, seen = Occupancy(), 0.0, []
    since = of.reading(1, 0.0)
    for passed_s, more in steps:
        of.changed(1, more, now)
        seen.append(of.count(1))
        now += passed_s
    mean = of.mean(1, since, now)
    assert mean is None or min(seen) - 1e-9 <= mean <= max(seen) + 1e-9


def test_the_first_of_several_that_come_at_once_is_written_beside_the_others():
    its = ledger()
    for name in ("a", "b", "c"):
        sent(its, name, 0.0)
    assert its.close(key("a"), 4.0, "test").beside == 2.0
    assert its.close(key("b"), 8.0, "test").beside == 1.5


def test_a_stream_is_written_from_its_first_token_on():
    its = ledger()
    sent(its, "a", 0.0)
    sent(its, "b", 0.0)
    its.first_token(key("a"), 2.0)
    its.close(key("b"), 2.0, "test")
    assert its.close(key("a"), 4.0, "test").beside == 0.0


def test_what_other_workers_have_there_is_taken_as_it_was_met():
    its = ledger()
    sent(its, "a", 0.0, in_flight=3.0)
    sent(its, "b", 0.0, in_flight=4.0)
    assert its.close(key("a"), 2.0, "test").beside == 4.0


def test_one_that_was_answered_at_once_tells_nothing():
    its = ledger()
    sent(its, "a", 1.0)
    assert its.close(key("a"), 1.0, "test").beside is None


def test_prompts_that_are_prefilled_while_an_answer_is_written_are_told():
    its = ledger()
    for name, tokens in (("before", 5), ("a", 10), ("b", 20), ("c", 40), ("after", 80)):
        sent(its, name, 0.0, input_tokens=tokens)
    for name, at_s in (("before", 1.0), ("a", 2.0), ("b", 3.0), ("c", 4.5)):
        its.first_token(key(name), at_s)
    assert its.close(key("a"), 6.0, "test").prefilled == Prefilled(60.0, 2.5, 4.0)
    assert its.close(key("c"), 6.0, "test").prefilled == Prefilled(0.0, 0.0, 4.0)


def test_the_prompt_of_an_answer_in_one_piece_counts_when_it_is_there_and_of_a_failure_never():
    its = ledger()
    for name, tokens in (("stream", 10), ("whole", 20), ("failed", 40)):
        sent(its, name, 0.0, input_tokens=tokens)
    its.first_token(key("stream"), 1.0)
    assert its.close(key("whole"), 3.0, "test").prefilled is None
    its.close(key("failed"), 4.0, "test", error="InternalServerError")
    told = its.close(key("stream"), 5.0, "test").prefilled
    assert told is not None
    assert (told.tokens, told.within_s) == (20.0, 2.0)
