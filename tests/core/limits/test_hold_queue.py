"""The queue of held requests: all leave once, the bound holds, nobody starves, owners share by tokens."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from rb_litellm.core.limits.hold_queue import MAX_COUNTERS, OLDEST_EVERY, Held, HoldQueue

MOST = 12


def entered(
    queue: HoldQueue, owner="key", priority=0, tokens=100.0, deadline_s=10.0, now=0.0, most=MOST
) -> Held:
    held = queue.enter(owner, priority, tokens, deadline_s, now, most).held
    assert held is not None
    return held


def order(queue: HoldQueue) -> list[Held]:
    """All that wait as they would be served."""
    served = []
    while (held := queue.first()) is not None:
        queue.serve(held, 0.0)
        served.append(held)
    return served


def test_the_more_important_is_first_then_the_earlier_deadline():
    queue = HoldQueue()
    late, early = entered(queue, deadline_s=9.0), entered(queue, deadline_s=5.0)
    important = entered(queue, "other", priority=-1)
    assert order(queue) == [important, early, late]


def test_owners_take_turns_by_tokens():
    queue = HoldQueue()
    large = [entered(queue, "large", tokens=200.0) for _ in range(2)]
    small = [entered(queue, "small", tokens=100.0) for _ in range(4)]
    assert order(queue) == [large[0], small[0], small[1], large[1], small[2], small[3]]


def test_an_owner_that_comes_back_has_saved_up_nothing():
    queue = HoldQueue()
    entered(queue, "quiet")
    for _ in range(5):
        entered(queue, "busy")
    queue.serve(next(held for held in queue if held.owner == "quiet"), 0.0)
    for _ in range(4):
        queue.serve(queue.first(), 0.0)
    back = [entered(queue, "quiet") for _ in range(3)]
    entered(queue, "busy")
    # Not all of its three in one go.
    assert [held.owner for held in order(queue)][:4] != ["quiet"] * 3 + ["busy"]
    assert all(held not in queue for held in back)


def test_at_the_bound_the_owner_with_most_places_gives_one_up():
    queue = HoldQueue()
    flood = [entered(queue, "flood") for _ in range(MOST)]
    held, displaced = queue.enter("quiet", 0, 100.0, 10.0, 0.0, MOST)
    assert held is not None
    assert displaced is flood[-1]
    assert queue.enter("flood", 0, 100.0, 10.0, 0.0, MOST).held is None
    assert len(queue) == MOST


def test_at_the_bound_the_less_important_give_way():
    queue = HoldQueue()
    for _ in range(MOST):
        entered(queue, priority=5)
    assert queue.enter("key", 6, 1.0, 10.0, 0.0, MOST).held is None
    assert queue.enter("key", 1, 1.0, 10.0, 0.0, MOST).displaced is not None


def test_the_late_are_told_and_gone():
    queue = HoldQueue()
    soon, later = entered(queue, deadline_s=1.0), entered(queue, deadline_s=2.0)
    assert queue.expired(1.0) == [soon]
    assert list(queue) == [later]
    assert queue.enter("key", 0, 1.0, 3.0, 3.0, MOST).held is None


def test_those_that_cannot_be_served_now_are_passed_by():
    queue = HoldQueue()
    first, second = entered(queue, deadline_s=1.0), entered(queue, deadline_s=2.0)
    assert queue.first(frozenset({first.number})) is second
    assert queue.first(frozenset({first.number, second.number})) is None
    assert queue.first() is first


def test_expected_wait_is_the_place_times_the_latest_gaps():
    queue = HoldQueue()
    assert queue.wait_s(1) is None
    for _ in range(4):
        entered(queue)
    for second in range(3):
        queue.serve(queue.first(), float(second))
    assert queue.wait_s(2) == 2.0


def test_counters_of_owners_that_left_are_bounded():
    queue = HoldQueue()
    for owner in range(MAX_COUNTERS + 50):
        queue.serve(entered(queue, f"key {owner}"), 0.0)
    assert len(queue._served) <= MAX_COUNTERS


owners = st.sampled_from(["a", "b", "c"])
actions = st.one_of(
    st.tuples(st.just("enter"), owners, st.integers(0, 2), st.floats(1.0, 1000.0), st.floats(0.5, 20.0)),
    st.tuples(st.just("serve"), st.integers(0, 3)),
    st.tuples(st.just("leave"), st.integers(0, MOST)),
    st.tuples(st.just("wait"), st.floats(0.0, 2.0)),
)


@given(st.lists(actions, max_size=80))
@settings(max_examples=200, deadline=None)
def test_everyone_who_enters_leaves_once_and_the_bound_holds(script):
    queue, now = HoldQueue(), 0.0
    inside: set[Held] = set()
    left: list[Held] = []

    def gone(held: Held) -> None:
        inside.remove(held)
        left.append(held)

    for action, *given_ in script:
        if action == "enter":
            owner, priority, tokens, patience = given_
            held, displaced = queue.enter(owner, priority, tokens, now + patience, now, MOST)
            if displaced is not None:
                gone(displaced)
            if held is not None:
                inside.add(held)
        elif action == "serve":
            passed: frozenset[int] = frozenset()
            for _ in range(given_[0]):
                if (over := queue.first(passed)) is not None:
                    passed |= {over.number}
            if (held := queue.first(passed)) is not None:
                queue.serve(held, now)
                gone(held)
        elif action == "leave" and inside:
            held = sorted(inside, key=lambda one: one.number)[given_[0] % len(inside)]
            assert queue.leave(held)
            assert not queue.leave(held)
            gone(held)
        elif action == "wait":
            now += given_[0]
            for held in queue.expired(now):
                gone(held)
        assert set(queue) == inside
        assert len(queue) <= MOST
        assert sorted(map(queue.position, inside))[:1] == ([1] if inside else [])
    for held in order(queue):
        gone(held)
    assert not inside
    assert len(left) == len(set(left))


@given(st.integers(0, 9), st.lists(st.integers(0, 3), min_size=1, max_size=60))
@settings(deadline=None)
def test_nobody_is_passed_more_often_than_stated(before, newcomers):
    queue = HoldQueue()
    for _ in range(before):
        entered(queue, "others", priority=0, deadline_s=1e9, most=1000)
    least = entered(queue, "least", priority=9, deadline_s=1e9, most=1000)
    served = 0
    while least in queue:
        # As many as leave come in front of it.
        entered(queue, "others", priority=newcomers[served % len(newcomers)], deadline_s=1e9, most=1000)
        queue.serve(queue.first(), 0.0)
        served += 1
        assert served <= OLDEST_EVERY * (before + 1)


@given(
    st.lists(st.floats(1.0, 500.0), min_size=1, max_size=30),
    st.lists(st.floats(1.0, 500.0), min_size=1, max_size=8),
)
@settings(deadline=None)
def test_a_flood_delays_another_owner_by_no_more_than_its_share(flood, quiet):
    """Before the quiet owner's k-th request, the flood gets no more tokens than the quiet owner has had
    before, two largest requests, and what the longest waiting are let through besides."""
    queue, most = HoldQueue(), 1000
    for tokens in flood:
        entered(queue, "flood", tokens=tokens, deadline_s=1e9, most=most)
    for tokens in quiet:
        entered(queue, "quiet", tokens=tokens, deadline_s=1e9, most=most)
    got = {"flood": 0.0, "quiet": 0.0}
    largest, served = max(*flood, *quiet), 0
    while any(held.owner == "quiet" for held in queue):
        held = queue.first()
        queue.serve(held, 0.0)
        if held.owner == "quiet":
            assert got["flood"] <= got["quiet"] + (2 + served // OLDEST_EVERY) * largest
        got[held.owner] += held.tokens
        served += 1
