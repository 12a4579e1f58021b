"""A cached prefix is worth the prefill that it saves, bounded, and never beats load."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rb_litellm.core.servers.affinity import AffinityRule, CachedPrefix

RULE = AffinityRule()


def to_prefill(seen, in_flight, rule=RULE, input_tokens=1000.0, prefill=1e-4, tiers=None, offered=None):
    n = len(seen)
    tiers = np.zeros(n, dtype=np.int64) if tiers is None else np.array(tiers)
    offered = np.ones(n, dtype=bool) if offered is None else np.array(offered)
    match = CachedPrefix(np.array(seen, dtype=float), tiers, None, rule, ())
    return match.tokens_to_prefill(
        input_tokens, np.full(n, prefill), np.array(in_flight, dtype=float), offered
    )


def test_what_is_cached_need_not_be_prefilled():
    assert to_prefill([800, 0], [0, 0]).tolist() == [200.0, 1000.0]


def test_one_token_is_always_computed():
    assert to_prefill([5000], [0])[0] == 1.0


def test_the_saving_is_bounded_in_seconds():
    assert to_prefill([900], [0], AffinityRule(max_bonus_s=0.05))[0] == pytest.approx(500.0)


def test_a_busier_deployment_than_its_equals_gets_no_bonus():
    assert to_prefill([900, 0], [3, 0], AffinityRule(imbalance=2.0)).tolist() == [1000.0, 1000.0]
    assert to_prefill([900, 0], [2, 0], AffinityRule(imbalance=2.0)).tolist() == [100.0, 1000.0]


def test_load_is_compared_within_the_tier_and_with_what_is_offered():
    assert to_prefill([900, 0], [9, 0], tiers=[0, 1])[0] == 100.0
    assert to_prefill([900, 0], [9, 0], offered=[True, False])[0] == 100.0


arrays = st.lists(st.tuples(st.floats(0, 1e6), st.integers(0, 50)), min_size=1, max_size=20)


@given(arrays, st.floats(1, 1e6), st.floats(0, 0.01))
def test_the_tokens_to_prefill_lie_between_one_and_all(candidates, input_tokens, prefill):
    seen, in_flight = zip(*candidates, strict=True)
    found = to_prefill(seen, in_flight, input_tokens=input_tokens, prefill=prefill)
    assert ((found >= min(1.0, input_tokens) - 1e-6) & (found <= input_tokens)).all()
