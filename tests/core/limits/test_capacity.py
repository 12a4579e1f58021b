"""Capacity: what of a minute and of LiteLLM's slots is taken, and who is passed over for it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rb_litellm.core.limits.capacity import MINUTE_S, NEARLY, STEP_S, Capacity, Room, Usage, stated
from tests.core.decision.test_shares import deployment

limits = st.sampled_from([np.inf, 0.0, 1.0, 3.0, 10.0])
events = st.lists(st.tuples(st.floats(0.0, 20.0), st.integers(0, 3), st.floats(0.0, 500.0)), max_size=60)


def room(requests=np.inf, tokens=np.inf, slots=np.inf, used=(0.0, 0.0, 0.0), n=1):
    ones = np.ones(n)
    return Room(Capacity(requests * ones, tokens * ones, slots * ones), *(figure * ones for figure in used))


def test_nobody_has_limits():
    assert stated([deployment(weight=3.0), deployment()]) is None


def test_limits_are_taken_over():
    found = stated([deployment(rpm=5.0), deployment(tpm=100.0, max_parallel=2.0)])
    assert found.requests.tolist() == [5.0, np.inf]
    assert found.tokens.tolist() == [np.inf, 100.0]
    assert found.slots.tolist() == [np.inf, 2.0]


@given(events)
def test_a_minute_holds_what_came_in_it_and_forgets_it_in_time(sent):
    usage, now, log = Usage(), 1000.0, []
    for pause, row, tokens in sent:
        now += pause
        usage.sent([(row, tokens)], now)
        log.append((now, row, tokens))
        found = usage.of_minute(4, now)
        for row_ in range(4):
            least = [t for at, r, t in log if r == row_ and at > now - MINUTE_S]
            most = [t for at, r, t in log if r == row_ and at > now - MINUTE_S - STEP_S]
            assert len(least) <= found[0, row_] <= len(most)
            assert sum(least) - 1e-6 <= found[1, row_] <= sum(most) + 1e-6
        assert np.all(found <= np.array(usage.most(now))[:, None] + 1e-6)
    assert not usage.of_minute(4, now + MINUTE_S + STEP_S).any()


@given(limits, limits, limits, st.lists(st.floats(0.0, 12.0), min_size=9, max_size=9))
def test_who_is_far_from_every_limit_has_room(requests, tokens, slots, taken):
    used = np.array(taken).reshape(3, 3)
    its = Room(Capacity(*(np.array([limit, 5.0, np.inf]) for limit in (requests, tokens, slots))), *used)
    most_requests, most_tokens, most_open = used.max(axis=1)
    if its.capacity.is_far(most_requests + 1.0, most_tokens + 2.0, most_open + 1.0):
        assert its.suffices(2, np.full(3, 2.0))


def test_what_was_written_corrects_what_was_expected():
    usage = Usage()
    usage.sent([(1, 500.0)], 10.0)
    usage.corrected(1, -300.0, 12.0)
    usage.corrected(0, 99.0, 12.0)
    usage.corrected(7, 99.0, 12.0)
    assert usage.of_minute(2, 12.0).tolist() == [[0.0, 1.0], [0.0, 200.0]]
    assert usage.recent(12.0) == {1: (1.0, 200.0)}
    # The first entry leaves before its correction: never below nothing.
    assert usage.of_minute(2, 10.0 + MINUTE_S + STEP_S - 0.1).min() >= 0.0


@given(
    st.lists(st.tuples(limits, limits, limits), min_size=1, max_size=5),
    st.lists(st.integers(0, 4), max_size=30),
    st.data(),
)
def test_nobody_without_room_is_left_while_another_has_some(capacities, takes, data):
    n = len(capacities)
    requests, tokens, slots = (np.array(column) for column in zip(*capacities, strict=True))
    rooms = Room(Capacity(requests, tokens, slots), np.zeros(n), np.zeros(n), np.zeros(n))
    for row in takes:
        rooms.take(row % n, 1.0)
    allowed = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    left = rooms.left(allowed, np.ones(n))
    assert not (left & ~allowed).any()
    assert left.any() == allowed.any()
    free = allowed & (rooms.open_here < slots)
    within = free & (rooms.requests < NEARLY * requests) & (rooms.tokens + 1.0 <= NEARLY * tokens)
    expected = within if within.any() else free if free.any() else allowed
    assert (left == expected).all()


@pytest.mark.parametrize(("limit", "fit"), [(1, 1), (3, 3), (10, 10), (100, 95)])
def test_a_small_limit_is_used_up_and_of_a_large_one_a_rest_is_kept(limit, fit):
    rooms, taken = room(requests=float(limit), n=2), 0
    rooms.capacity.requests[1] = np.inf
    while rooms.left(np.ones(2, bool), np.zeros(2))[0]:
        rooms.take(0, 0.0)
        taken += 1
    assert taken == fit


def test_it_is_told_how_much_is_used():
    assert room(requests=10.0, used=(4.0, 0.0, 0.0)).used(np.zeros(1)).tolist() == [0.5]
    assert room(tokens=100.0, used=(0.0, 20.0, 0.0)).used(np.full(1, 60.0)).tolist() == [0.8]
    assert room(slots=2.0, used=(0.0, 0.0, 2.0)).used(np.zeros(1)).tolist() == [1.5]
