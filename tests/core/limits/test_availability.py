"""What failures cost: the time and the tokens that they take, and the chance that nobody is left to ask."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rb_litellm.core.latency.learning.evidence import Failure
from rb_litellm.core.limits.availability import (
    HALF_LIFE_S,
    MOST_ANSWERS,
    RETRY_S,
    UNANSWERED_S,
    Availability,
    none_left,
)
from rb_litellm.core.types import Losses

ROWS = np.array([0, 1])
ALL = np.ones(2, dtype=np.bool_)
EVENTS = st.lists(
    st.tuples(
        st.floats(0.0, 30.0),
        st.integers(0, 1),
        st.sampled_from([None, *Failure]),
        st.floats(0.0, 120.0),
        st.floats(0.0, 500.0),
    ),
    max_size=12,
)
"""Seconds since the one before, the worker that saw it, its kind (None: an answer), seconds, tokens lost."""


def made(*events):
    """Availability of two deployments; row 0 saw these events, (now, kind, lost_s, tokens) each."""
    of = Availability()
    of.add()
    of.add()
    for now, kind, *lost in events:
        if kind is None:
            of.answered(0, now)
        else:
            of.failed(0, kind, *(lost or (1.0, 0.0)), now)
    return of


def test_who_fails_nobody_costs_nothing():
    of = made((0.0, None), (1.0, None))
    assert not of.any_failed
    assert of.failing(ROWS, 2.0) is None


def test_a_refused_connection_costs_a_retry_and_a_timeout_its_whole_limit():
    refused = made((0.0, Failure.REFUSED, 0.002, 0.0)).failing(ROWS, 0.0).seconds(ALL, 2)
    timed_out = made((0.0, Failure.TIMED_OUT, 60.0, 0.0)).failing(ROWS, 0.0).seconds(ALL, 2)
    assert refused == pytest.approx([0.002 + RETRY_S, 0.0])
    assert timed_out == pytest.approx([60.0 + RETRY_S, 0.0])


def test_only_a_stream_that_breaks_off_is_paid_for():
    for kind in Failure:
        tokens = 300.0 if kind is Failure.CUT else 0.0
        found = made((0.0, None), (0.0, kind, 1.0, tokens)).failing(ROWS, 0.0)
        usd = found.usd(1000.0, np.full(2, 1e-6), np.full(2, 2e-6))
        # One in two answers of these (one seen, one taken for granted).
        paid = (1000.0 * 1e-6 + 300.0 * 2e-6) / 2.0 if kind is Failure.CUT else 0.0
        assert usd == pytest.approx([paid, 0.0])


def test_nobody_tries_a_stream_again_that_broke_off():
    cut = made((0.0, Failure.CUT, 1.0, 0.0)).failing(ROWS, 0.0)
    error = made((0.0, Failure.ERROR, 1.0, 0.0)).failing(ROWS, 0.0)
    assert (cut.seconds(ALL, 2) - error.seconds(ALL, 2))[0] == pytest.approx(0.5 * UNANSWERED_S)


def test_without_retries_every_failure_reaches_the_client():
    found = made((0.0, Failure.REFUSED, 0.0, 0.0)).failing(ROWS, 0.0)
    assert (found.seconds(ALL, 0) - found.seconds(ALL, 2))[0] == pytest.approx(0.5 * UNANSWERED_S)


def test_the_only_deployment_is_tried_again():
    alone = none_left(np.array([0.5, 0.0]), np.array([True, False]), 2)
    assert alone[0] == 0.25


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=6), st.integers(0, 4), st.data())
def test_retries_go_to_those_that_fail_least(chances, retries, data):
    chance = np.array(chances)
    allowed = np.array(
        data.draw(st.lists(st.booleans(), min_size=chance.size, max_size=chance.size).filter(any))
    )
    found = none_left(chance, allowed, retries)
    for row in np.flatnonzero(allowed):
        others = [chance[other] for other in np.flatnonzero(allowed) if other != row]
        tried = min(retries, len(others))
        least = min((np.prod(some) for some in combinations(others, tried)), default=1.0)
        assert found[row] == pytest.approx(least * chance[row] ** (retries - tried))


def test_old_failures_fade():
    of = made(*((float(n), Failure.ERROR, 2.0, 0.0) for n in range(20)))
    costs = [of.failing(ROWS, 20.0 + age).seconds(ALL, 2)[0] for age in (0.0, HALF_LIFE_S, 900.0)]
    assert costs == sorted(costs, reverse=True)
    assert costs[0] > 20.0
    assert costs[-1] < 0.01


def test_answers_before_the_first_failure_count_up_to_a_bound():
    answers = [(0.0, None)] * 500
    after_many = made(*answers, (0.0, Failure.ERROR)).chances(ROWS, 0.0)
    assert after_many.sum(axis=0)[0] == pytest.approx(1.0 / (MOST_ANSWERS + 2.0))


def test_the_kinds_are_told_apart():
    of = made(*((0.0, kind) for kind in Failure), (0.0, Failure.CUT))
    assert of.chances(ROWS, 0.0)[:, 0] == pytest.approx(np.array([1, 1, 1, 2]) / 6.0)
    assert of.chances(ROWS, 0.0)[:, 1].tolist() == [0.0] * 4


@given(EVENTS, st.sampled_from(list(Failure)), st.floats(0.0, 120.0), st.integers(0, 3))
def test_one_more_failure_never_lowers_the_cost(events, kind, lost_s, retries):
    times = np.cumsum([gap for gap, *_ in events]).tolist()
    before = [(now, how, lost, tokens) for now, (_, _, how, lost, tokens) in zip(times, events, strict=True)]
    now = times[-1] if times else 0.0
    fewer, more = made(*before), made(*before, (now, kind, lost_s, 10.0))
    costs = []
    for of in (fewer, more):
        found = of.failing(ROWS, now)
        usd = np.zeros(2) if found is None else found.usd(100.0, np.ones(2), np.ones(2))
        costs.append((np.zeros(2) if found is None else found.seconds(ALL, retries), usd))
    assert (costs[1][0] >= costs[0][0] * (1.0 - 1e-9)).all()
    assert (costs[1][1] >= costs[0][1] * (1.0 - 1e-9)).all()
    assert np.isfinite(costs[1][0]).all()


@given(EVENTS)
def test_two_workers_know_together_what_one_would_know_that_saw_all(events):
    one, both = made(), (made(), made())
    now, failed = 0.0, [False, False]
    for gap, worker, kind, lost_s, tokens in events:
        now += gap
        if kind is None and not failed[worker]:
            continue  # Answers before the first failure are bounded for each worker.
        failed[worker] = True
        for of in (one, both[worker]):
            of.answered(0, now) if kind is None else of.failed(0, kind, lost_s, tokens, now)
    told = [of.told(0) for of in both]
    for of, others in zip(both, reversed(told), strict=True):
        of.heard(0, [others] if others.at_s > -np.inf else [], now)
        of.look()
    expected = one.failing(ROWS, now)
    for of in both:
        found = of.failing(ROWS, now)
        if expected is None or found is None:
            assert (expected is None) == (found is None)
            continue
        # What has faded to nearly nothing is forgotten by each for itself.
        assert found.seconds(ALL, 2) == pytest.approx(expected.seconds(ALL, 2), rel=0.05, abs=0.7)


def test_what_another_worker_has_told_is_not_counted_twice():
    of, other = made(), made((0.0, Failure.ERROR, 5.0, 0.0))
    for _ in range(3):
        of.heard(0, [other.told(0)], 0.0)
        of.look()
    assert of.failing(ROWS, 0.0).seconds(ALL, 2) == pytest.approx(other.failing(ROWS, 0.0).seconds(ALL, 2))
    of.heard(0, [], 1.0)
    of.look()
    assert of.failing(ROWS, 1.0) is None


def test_an_absurd_word_of_another_worker_is_bounded():
    of = made()
    of.heard(0, [made((0.0, Failure.ERROR)).told(0)._replace(lost_s=1e14)], 0.0)
    of.look()
    assert of.failing(ROWS, 0.0).seconds(ALL, 2)[0] < 700.0


def test_what_stands_in_redis_is_believed_within_bounds() -> None:
    of = made()
    told = Losses(refused=9e14, cut=9e14, lost_s=9e14, paid_tokens=9e14, at_s=0.0)
    of.heard(0, [told], 0.0)
    of.look()
    assert of.failing(np.array([0]), 0.0) is not None
    assert of.failing(np.array([0]), 3600.0) is None or of.chances(np.array([0]), 3600.0).sum() < 0.01
