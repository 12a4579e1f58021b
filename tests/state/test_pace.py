"""How often workers exchange their gauges."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from rb_litellm.state.pace import MAX_PAUSE_S, MIN_PAUSE_S, pause_s

SEEDS = st.integers(0, 1000).map(Random)


@given(SEEDS)
def test_at_rest_the_pause_is_the_interval_give_or_take_a_tenth(random):
    assert 0.18 <= pause_s(0.2, changed=False, failures=0, random=random) <= 0.22


@given(SEEDS)
def test_when_the_load_changed_the_pause_is_half_the_interval(random):
    assert 0.45 <= pause_s(1.0, changed=True, failures=0, random=random) <= 0.55


@given(SEEDS, st.floats(0.001, 5.0), st.booleans())
def test_there_are_never_more_than_ten_exchanges_a_second(random, interval_s, changed):
    assert pause_s(interval_s, changed, 0, random) >= MIN_PAUSE_S


@given(SEEDS, st.integers(1, 10**6))
def test_failures_lengthen_the_pause_up_to_a_bound(random, failures):
    assert pause_s(0.2, True, failures, random) <= MAX_PAUSE_S


def test_each_further_failure_doubles_the_pause():
    assert pause_s(0.1, False, 2, Random(1)) == 2 * pause_s(0.1, False, 1, Random(1))
