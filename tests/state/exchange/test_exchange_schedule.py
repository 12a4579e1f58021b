"""How often workers exchange their gauges."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rb_litellm.state.exchange.schedule import MAX_PAUSE_S, MIN_PAUSE_S, pauses_s

SEEDS = st.integers(0, 1000).map(Random)


@given(SEEDS)
def test_at_rest_the_pause_is_at_most_the_interval_and_little_less(random):
    _, unchanged = pauses_s(0.2, failures=0, random=random)
    assert 0.16 <= unchanged <= 0.2


@given(SEEDS)
def test_when_the_load_has_changed_it_is_half_of_that(random):
    changed, unchanged = pauses_s(1.0, failures=0, random=random)
    assert changed == pytest.approx(unchanged / 2.0)


@given(SEEDS, st.floats(0.001, 5.0))
def test_there_are_never_more_than_ten_exchanges_a_second(random, interval_s):
    changed, unchanged = pauses_s(interval_s, 0, random)
    assert unchanged >= changed >= MIN_PAUSE_S


@given(SEEDS, st.integers(1, 10**6))
def test_failures_lengthen_the_pause_up_to_a_bound(random, failures):
    changed, unchanged = pauses_s(0.2, failures, random)
    assert 0.2 < changed == unchanged <= MAX_PAUSE_S


def test_each_further_failure_doubles_the_pause():
    assert pauses_s(0.1, 2, Random(1))[0] == 2 * pauses_s(0.1, 1, Random(1))[0]


def test_a_large_fleet_exchanges_less_often_but_before_its_loads_expire():
    def longest(rows, ttl_s=5.0):
        return max(pauses_s(0.2, 0, Random(seed), rows, ttl_s)[0] for seed in range(50))

    assert longest(16 * 128) == longest(0)
    assert 0.3 < longest(64 * 1000) <= 0.4
    assert longest(512 * 4096) <= 1.0
    assert longest(512 * 4096, ttl_s=1.0) <= 0.25
