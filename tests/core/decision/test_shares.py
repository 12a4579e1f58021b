"""Shares among alike deployments: kept over any few requests, given up where one cannot carry its own."""

from collections import Counter
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rb_litellm.core.decision.shares import SLOWER, choose, for_key, stated
from rb_litellm.core.fleet import Deployment
from rb_litellm.core.latency.forecast import LatencyPrior

PRIOR = LatencyPrior(tpot_s=0.01, ttft_s=0.1, prefill_s_per_token=0.0, tpot_s_per_running=0.0, slots=8)
amounts = st.one_of(st.none(), st.floats(0.01, 1000.0))


def deployment(id="d", group="g", **facts):
    return Deployment(id, group, "m", "t", PRIOR, 0.0, 0.0, **facts)


def weighing(*weights, **facts):
    return [deployment(f"d{i}", weight=w, **facts) for i, w in enumerate(weights)]


def served(deployments, times, e2e_s=None, alike=None, seed=0, key=None):
    """How often each row is chosen, the first being the best by score."""
    shares = stated(deployments)
    if key is not None:
        shares = for_key(shares, deployments, key)
    n = len(deployments)
    credit, random = np.zeros(n), Random(seed)
    alike = np.ones(n, dtype=np.bool_) if alike is None else np.array(alike)
    e2e = np.ones(n) if e2e_s is None else np.array(e2e_s)
    counts = Counter(choose(0, shares, credit, alike, e2e, random) for _ in range(times))
    return [counts[row] for row in range(n)]


def test_nobody_states_anything():
    assert stated([deployment(), deployment()]) is None
    assert stated([deployment(max_parallel=4.0)]) is None


@given(st.lists(st.integers(1, 20), min_size=2, max_size=6).filter(lambda w: len(set(w)) > 1))
def test_over_one_round_everyone_gets_exactly_its_weight(weights):
    assert served(weighing(*map(float, weights)), sum(weights)) == weights


@given(st.lists(st.floats(0.1, 10.0), min_size=2, max_size=8), st.integers(1, 200))
def test_at_any_time_nobody_is_further_off_than_the_others_together(weights, times):
    if len(set(weights)) == 1:
        return
    found = served(weighing(*weights), times)
    for weight, got in zip(weights, found, strict=True):
        assert abs(got - times * weight / sum(weights)) < len(weights)
    assert sum(found) == times


@given(st.lists(amounts, min_size=1, max_size=6), st.lists(amounts, min_size=6, max_size=6))
def test_weight_goes_before_rpm_and_what_is_missing_is_not_left_out(weights, limits):
    deployments = [
        deployment(str(i), weight=w, rpm=r) for i, (w, r) in enumerate(zip(weights, limits, strict=False))
    ]
    shares = stated(deployments)
    if shares is None:
        return
    assert (shares.weights > 0.0).all()
    if any(w is not None for w in weights):
        assert shares.weights.tolist() == [1.0 if w is None else w for w in weights]


def test_rpm_is_a_share_and_whoever_has_no_limit_counts_as_the_largest():
    shares = stated([deployment(rpm=900.0), deployment(rpm=100.0), deployment()])
    assert shares.weights.tolist() == [900.0, 100.0, 900.0]
    shares = stated([deployment(tpm=5e4), deployment(), deployment(tpm=1e4), deployment(group="other")])
    assert shares.weights.tolist() == [5e4, 5e4, 1e4, 1.0]


def test_groups_state_their_own():
    shares = stated([deployment(weight=5.0), deployment(group="other", rpm=100.0), deployment()])
    assert shares.weights.tolist() == [5.0, 100.0, 1.0]
    assert shares.groups.tolist() == [0, 1, 0]


@given(st.lists(st.sampled_from([None, 0.0, 1.0, 7.0]), min_size=1, max_size=6), st.data())
def test_the_drained_are_left_only_with_each_other(weights, data):
    shares = stated(weighing(*weights))
    if shares is None:
        return
    allowed = np.array(data.draw(st.lists(st.booleans(), min_size=len(weights), max_size=len(weights))))
    left = shares.narrowed(allowed)
    assert not (left & ~allowed).any()
    up = allowed & np.array([w != 0.0 for w in weights])
    assert (left == (up if up.any() else allowed)).all()


def test_equal_weights_leave_it_to_the_score():
    assert stated(weighing(2.0, 2.0)) is None
    assert stated([deployment(rpm=9.0), deployment(rpm=9.0), deployment(group="other", rpm=1.0)]) is None
    assert stated([deployment(weight=0.0), deployment(group="other", weight=2.0)]) is not None
    three = weighing(2.0, 2.0, 5.0)
    assert served(three, 5, alike=[True, True, False]) == [0, 0, 0]


def test_one_that_is_not_alike_takes_no_part():
    assert served(weighing(1.0, 3.0, 96.0), 40, alike=[True, True, False]) == [10, 30, 0]


def test_other_groups_take_no_part():
    other = deployment("x", group="other", weight=50.0)
    assert served([*weighing(1.0, 3.0), other], 40) == [10, 30, 0]


@given(st.floats(1.0, 10.0))
def test_who_needs_much_longer_takes_no_part(factor):
    found = served(weighing(1.0, 3.0), 40, e2e_s=[1.0, factor])
    assert found == ([10, 30] if factor <= SLOWER else [40, 0])


def test_who_was_out_does_not_come_back_to_a_burst():
    shares, credit, random = stated(weighing(1.0, 1.5)), np.zeros(2), Random(0)
    both, alone = np.array([True, True]), np.array([True, False])
    for _ in range(100):
        choose(0, shares, credit, alone, np.ones(2), random)
    found = Counter(choose(0, shares, credit, both, np.ones(2), random) for _ in range(10))
    assert found == {0: 4, 1: 6}


def test_load_takes_from_who_cannot_carry_its_share():
    """A closed loop: each request is open for as long as its server needs, which grows with its load."""
    shares, credit, random = stated(weighing(3.0, 1.0)), np.zeros(2), Random(0)
    speed = np.array([1.0, 3.0])  # the heavy one is in truth the slow one
    backlog = np.zeros(2)
    counts = np.zeros(2)
    for _ in range(400):
        backlog = np.maximum(backlog - speed * 0.3, 0.0)
        chosen = choose(
            int(np.argmin(backlog)), shares, credit, np.ones(2, bool), 1.0 + backlog / speed, random
        )
        backlog[chosen] += 1.0
        counts[chosen] += 1
    assert backlog.max() < 15.0
    assert counts[1] > counts[0]


def test_a_keys_weights_are_drawn_and_leave_the_credit_alone():
    deployments = weighing(1.0, 1.0, None)
    found = served(deployments, 4000, key={"d0": 1.0, "d1": 3.0, "d2": 4.0})
    assert found == pytest.approx([500, 1500, 2000], rel=0.15)
    shares, credit = for_key(None, deployments, {"d0": 5.0}), np.zeros(3)
    choose(0, shares, credit, np.ones(3, bool), np.ones(3), Random(1))
    assert credit.tolist() == [0.0, 0.0, 0.0]


def test_a_key_may_use_what_is_drained():
    shares = for_key(stated(weighing(0.0, 1.0)), weighing(0.0, 1.0), {"d0": 2.0})
    assert shares.narrowed(np.ones(2, bool)).tolist() == [True, True]


@pytest.mark.parametrize("levels", [1, 2, 5])
def test_levels_of_effort_share_the_weight_of_their_deployment(levels):
    leveled = [deployment("leveled", weight=1.0, effort=f"level {n}") for n in range(levels)]
    counts = served([*leveled, deployment("plain", weight=3.0)], 400)
    assert (sum(counts[:levels]), counts[levels]) == (100, 300)
    by_key = stated([*leveled, deployment("plain", weight=3.0)])
    weights = for_key(by_key, [*leveled, deployment("plain", weight=3.0)], {"leveled": 6.0}).weights
    assert weights[:levels].sum() == pytest.approx(6.0)
