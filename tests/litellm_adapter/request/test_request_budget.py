"""A budget in LiteLLM's terms: the clamp never raises a limit and never makes a request invalid."""

import copy
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rb_litellm.core.types import Prompt
from rb_litellm.litellm_adapter.request.budget import allowance_of, clamp, unclamp

PROMPT = Prompt(text="x", input_tokens=100)


def budget(body=(), api="chat", prompt=PROMPT, **kwargs):
    return allowance_of(1.0, prompt, list(body), kwargs, api).budget(prompt.input_tokens)


def test_without_a_limit_of_the_clients_one_is_set():
    kwargs = {}
    assert clamp(kwargs, 120.0, "chat") == 120
    assert kwargs == {"max_tokens": 120}


def test_the_responses_api_has_another_name_for_it():
    kwargs = {}
    clamp(kwargs, 120.0, "responses")
    assert kwargs == {"max_output_tokens": 120}


def test_a_smaller_limit_of_the_clients_stays():
    kwargs = {"max_completion_tokens": 50}
    assert clamp(kwargs, 120.0, "chat") is None
    assert kwargs == {"max_completion_tokens": 50}


def test_a_larger_limit_is_lowered_under_its_own_name():
    kwargs = {"max_completion_tokens": 500}
    assert clamp(kwargs, 120.0, "chat") == 120
    assert kwargs == {"max_completion_tokens": 120}


def test_several_choices_share_the_budget():
    kwargs = {}
    clamp(kwargs, 120.0, "chat", answers=4)
    assert kwargs["max_tokens"] == 30
    assert budget(n=4).min_output_tokens == 4


@pytest.mark.parametrize(
    ("kwargs", "answers"),
    [
        ({}, 1),
        ({"n": 4}, 4),
        ({"n": 5000}, 5000),
        ({"n": "7"}, 7),
        ({"n": 2.5, "best_of": 3}, 3),
        ({"n": True, "best_of": None}, 1),
        ({"n": "many"}, 1),
        ({"n": -3}, 1),
        ({"n": 10**400}, 10**9),
        ({"extra_body": {"n": 50}}, 50),
        ({"prompt": ["one", "two", "three"], "n": 2}, 6),
        ({"prompt": [1, 2, 3]}, 1),
        ({"prompt": [[1, 2], [3]]}, 2),
    ],
)
def test_answers_are_counted_however_they_are_asked_for(kwargs, answers):
    assert allowance_of(1.0, PROMPT, [], kwargs, "chat").answers == answers


def test_the_prompts_of_a_completion_are_counted_as_litellm_wraps_them():
    wrapped = [{"role": "user", "content": ["one", "two"]}]
    assert allowance_of(1.0, PROMPT, wrapped, {}, "chat").answers == 2
    parts = [{"role": "user", "content": [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]}]
    assert allowance_of(1.0, PROMPT, parts, {}, "chat").answers == 1


@pytest.mark.parametrize("none", [-1, 0, "900000", "many", True, math.nan, 10**400, [5]])
@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_what_limits_nothing_is_replaced(name, none):
    kwargs = {name: none}
    assert clamp(kwargs, 120.0, "chat") == 120
    assert kwargs == {name: 120}


def test_a_limit_of_another_endpoint_is_none():
    kwargs = {"max_output_tokens": 5}
    assert clamp(kwargs, 120.0, "chat") == 120
    assert kwargs["max_tokens"] == 120
    kwargs = {"max_tokens": 5}
    assert clamp(kwargs, 120.0, "responses") == 120
    assert kwargs["max_output_tokens"] == 120


def test_what_is_laid_over_a_request_is_held_as_well():
    kwargs = {"max_tokens": 50, "extra_body": {"max_tokens": 10**6, "top_k": 3}}
    assert clamp(kwargs, 120.0, "chat") == 120
    assert kwargs == {"max_tokens": 50, "extra_body": {"max_tokens": 120, "top_k": 3}}


@pytest.mark.parametrize(
    ("body", "kwargs"),
    [
        (
            [{"role": "assistant", "content": None, "tool_calls": [{"function": {"arguments": "x" * 9000}}]}],
            {},
        ),
        ([{"role": "user", "content": [{"type": "file", "file": {"file_data": "x" * 9000}}]}], {}),
        ([], {"extra_body": {"messages": [{"role": "user", "content": "x" * 9000}]}}),
        ([], {"prediction": {"type": "content", "content": "x" * 9000}}),
        (["x" * 9000], {}),
        ([[7] * 9000], {}),
    ],
)
def test_all_that_is_sent_counts_as_input(body, kwargs):
    assert budget(body, **kwargs).input_tokens > budget().input_tokens + 3000


def test_an_input_of_too_many_parts_is_not_paid_for():
    assert budget([{"role": "user", "content": "x"}] * 20_000).input_tokens > 1e12


def test_free_answers_are_not_limited():
    kwargs = {}
    assert clamp(kwargs, math.inf, "chat") is None
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
    assert budget(api="responses").min_output_tokens == 16


def test_tools_and_images_count_as_input():
    plain = budget().input_tokens
    assert plain > 100
    assert budget(tools=[{"type": "function", "function": {"name": "x" * 500}}]).input_tokens > plain + 200
    assert budget(prompt=Prompt(text="x", input_tokens=100, images=2)).input_tokens >= plain + 3000


APIS = st.sampled_from(["chat", "responses"])
limits = st.dictionaries(
    st.sampled_from(["max_tokens", "max_completion_tokens", "max_output_tokens"]), st.integers(1, 10**6)
)


@given(limits, limits, st.integers(1, 10**6), APIS, st.integers(1, 50))
def test_no_limit_is_ever_raised_and_one_always_holds(of_body, laid_over, affordable, api, answers):
    kwargs = {**of_body, "extra_body": dict(laid_over)}
    clamp(kwargs, float(affordable), api, answers)
    over = kwargs.pop("extra_body")
    assert all(kwargs[name] <= value for name, value in of_body.items())
    assert all(over[name] <= value for name, value in laid_over.items())
    names = ["max_output_tokens"] if api == "responses" else ["max_tokens", "max_completion_tokens"]
    sent = {**kwargs, **over}
    held = [sent[name] for name in names if name in sent]
    assert held
    assert max(held) <= affordable // answers


@given(limits, limits, st.integers(1, 10**6), APIS, st.integers(1, 50))
def test_for_the_next_deployment_a_request_is_as_the_client_sent_it(
    of_body, laid_over, affordable, api, answers
):
    asked = {**of_body, "extra_body": laid_over}
    kwargs = copy.deepcopy(asked)
    clamp(kwargs, float(affordable), api, answers)
    kwargs = copy.deepcopy(kwargs)  # As LiteLLM hands it on.
    unclamp(kwargs)
    assert kwargs == asked


def test_a_lowered_limit_is_sent_as_a_number():
    kwargs = {}
    clamp(kwargs, 120.0, "chat")
    assert json.dumps(kwargs) == '{"max_tokens": 120}'
