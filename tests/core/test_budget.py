"""A budget: what an answer may cost at most, whatever it turns out to be."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rb_litellm.core.budget import Budget

prices = st.just(0.0) | st.floats(1e-12, 1e-3)


@given(st.floats(1e-9, 10.0), st.integers(0, 10**6), prices, prices)
def test_input_and_all_affordable_tokens_stay_within_the_budget(usd, input_tokens, input_usd, output_usd):
    tokens = Budget(usd, input_tokens).affordable_tokens(np.array([input_usd]), np.array([output_usd]))[0]
    if 0 <= tokens < np.inf:
        assert input_tokens * input_usd + tokens * output_usd <= usd * (1 + 1e-9)
        assert input_tokens * input_usd + (tokens + 1) * output_usd > usd * (1 - 1e-9)
    elif tokens < 0:
        assert input_tokens * input_usd > usd * (1 - 1e-9)
    else:
        assert output_usd == 0.0


def test_a_free_answer_is_not_limited_unless_its_input_is_too_dear():
    tokens = Budget(1.0, 100).affordable_tokens(np.array([0.0, 1.0]), np.zeros(2))
    assert tokens.tolist() == [np.inf, -1.0]


def test_a_budget_for_exactly_so_many_tokens_affords_them():
    assert Budget(3e-7, 0).affordable_tokens(np.zeros(1), np.array([1e-7]))[0] == 3
