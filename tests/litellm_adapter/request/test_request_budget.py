"""A budget in LiteLLM's terms: the clamp never raises a limit and never makes a request invalid."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rb_litellm.core.types import Prompt
from rb_litellm.litellm_adapter.request.budget import allowance_of, clamp

PROMPT = Prompt(text="x", input_tokens=100)


def budget(body=(), responses=False, prompt=PROMPT, **kwargs):
    return allowance_of(1.0, prompt, list(body), kwargs, responses).budget(prompt.input_tokens)


def test_without_a_limit_of_the_clients_one_is_set():
    kwargs = {}
    assert clamp(kwargs, 120.0, responses=False) == 120
    assert kwargs == {"max_tokens": 120}


def test_the_responses_api_has_another_name_for_it():
    kwargs = {}
    clamp(kwargs, 120.0, responses=True)
    assert kwargs == {"max_output_tokens": 120}


def test_a_smaller_limit_of_the_clients_stays():
    kwargs = {"max_completion_tokens": 50}
    assert clamp(kwargs, 120.0, responses=False) is None
    assert kwargs == {"max_completion_tokens": 50}


def test_a_larger_limit_is_lowered_under_its_own_name():
    kwargs = {"max_completion_tokens": 500}
    assert clamp(kwargs, 120.0, responses=False) == 120
    assert kwargs == {"max_completion_tokens": 120}


def test_several_choices_share_the_budget():
    kwargs = {"n": 4}
    clamp(kwargs, 120.0, responses=False)
    assert kwargs["max_tokens"] == 30
    assert budget(n=4).min_output_tokens == 4


def test_free_answers_are_not_limited():
    kwargs = {}
    assert clamp(kwargs, math.inf, responses=False) is None
    assert kwargs == {}


@pytest.mark.parametrize(
    ("kwargs", "least"),
    [
        ({}, 1),
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, 2001),
        ({"thinking": {"type": "disabled"}}, 1),
        ({"reasoning_effort": "high"}, 4097),
        ({"reasoning_effort": "none"}, 1),
    ],
)
def test_the_shortest_valid_answer_is_above_its_thinking(kwargs, least):
    assert budget(**kwargs).min_output_tokens == least


def test_the_responses_api_has_a_smallest_limit():
    assert budget(responses=True).min_output_tokens == 16


def test_tools_and_images_count_as_input():
    plain = budget().input_tokens
    assert plain > 100
    assert budget(tools=[{"type": "function", "function": {"name": "x" * 500}}]).input_tokens > plain + 200
    assert budget(prompt=Prompt(text="x", input_tokens=100, images=2)).input_tokens >= plain + 3000


limits = st.dictionaries(
    st.sampled_from(["max_tokens", "max_completion_tokens", "max_output_tokens"]), st.integers(1, 10**6)
)


@given(limits, st.integers(1, 10**6), st.booleans())
def test_no_limit_is_ever_raised_and_one_always_holds(given_limits, affordable, responses):
    kwargs = dict(given_limits)
    clamp(kwargs, float(affordable), responses)
    assert all(kwargs[name] <= value for name, value in given_limits.items())
    assert set(kwargs) == set(given_limits) or not given_limits
    assert max(kwargs.values()) <= affordable
