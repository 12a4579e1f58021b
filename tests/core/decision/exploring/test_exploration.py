"""Exploration keeps to its share, to what is allowed, and to those of whom little is known."""

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rb_litellm.core.decision.exploring.exploration import (
    ExplorationRule,
    explores,
    least_recently_chosen,
    sampled_latency,
)


def test_it_is_off_by_default():
    assert not any(explores(None, Random(0)) for _ in range(1000))


@pytest.mark.parametrize("method", ["epsilon", "thompson"])
def test_it_keeps_to_its_share(method):
    random = Random(0)
    share = np.mean([explores(ExplorationRule(method, 0.05), random) for _ in range(20_000)])
    assert share == pytest.approx(0.05, abs=0.01)


@given(
    st.lists(st.tuples(st.floats(-1e6, 1e6), st.booleans()), min_size=1).filter(
        lambda c: any(a for _, a in c)
    )
)
def test_it_goes_where_nobody_was_for_longest_among_the_allowed(candidates):
    last = np.array([at for at, _ in candidates])
    allowed = np.array([a for _, a in candidates])
    chosen = least_recently_chosen(last, allowed)
    assert allowed[chosen]
    assert last[chosen] == last[allowed].min()


def test_one_that_was_never_chosen_comes_first():
    assert least_recently_chosen(np.array([3.0, -np.inf, 1.0]), np.ones(3, dtype=bool)) == 1


def test_much_measured_lately_is_drawn_close_and_little_measured_far():
    random = Random(0)
    draws = np.array(
        [
            sampled_latency(
                np.ones(3), np.array([400, 400, 0]), np.array([0.0, -600.0, -np.inf]), 0.0, random
            )
            for _ in range(2000)
        ]
    )
    fresh, stale, never = np.log(draws).std(axis=0)
    assert fresh < 0.03
    assert stale > 0.2
    assert never == pytest.approx(0.3, abs=0.03)
