"""A budget: what an answer may cost at most, whatever it turns out to be."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rb_litellm.core.limits.budget import Budget, payable

prices = st.just(0.0) | st.floats(1e-12, 1e-3)


def affordable(budget, input_usd, output_usd, known=None):
    (found,) = payable([budget], np.asarray(input_usd), np.asarray(output_usd), known)
    return found.tokens


@given(st.floats(1e-9, 10.0), st.integers(0, 10**6), prices, prices)
def test_input_and_all_affordable_tokens_stay_within_the_budget(usd, input_tokens, input_usd, output_usd):
    tokens = affordable(Budget(usd, input_tokens), [input_usd], [output_usd])[0]
    if 0 <= tokens < np.inf:
        assert input_tokens * input_usd + tokens * output_usd <= usd * (1 + 1e-9)
        assert input_tokens * input_usd + (tokens + 1) * output_usd > usd * (1 - 1e-9)
    elif tokens < 0:
        assert input_tokens * input_usd > usd * (1 - 1e-9)
    else:
        assert output_usd == 0.0


def test_a_free_answer_is_not_limited_unless_its_input_is_too_dear():
    tokens = affordable(Budget(1.0, 100), [0.0, 1.0], [0.0, 0.0])
    assert tokens.tolist() == [np.inf, -1.0]


def test_a_budget_for_exactly_so_many_tokens_affords_them():
    assert affordable(Budget(3e-7, 0), [0.0], [1e-7])[0] == 3


def test_nothing_is_paid_at_a_price_that_is_a_guess():
    tokens = affordable(Budget(1.0, 10), [1e-6, 1e-6], [1e-6, 1e-6], np.array([True, False]))
    assert tokens.tolist() == [999_990, -1.0]


def test_budgets_of_a_batch_are_each_their_own():
    budgets = [Budget(1e-3, 50, 100), Budget(1e-4, 50, 100)]
    large, small = payable(budgets, np.array([1e-6]), np.array([1e-6]), None)
    assert (large.tokens[0], large.passed[0]) == (950, True)
    assert (small.tokens[0], small.passed[0]) == (50, False)
    assert small.least_usd[0] == 150 * 1e-6
