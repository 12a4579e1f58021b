"""Several answers in one call: who may be asked for them, and who has refused."""

from types import SimpleNamespace

import pytest

from rb_litellm.litellm_adapter.shared.entries.several_answers import (
    MAX_REFUSED,
    REST_S,
    RefusedAnswers,
    answers_differ,
    refuses_several,
    taken,
)


@pytest.mark.parametrize(
    "params",
    [{}, {"temperature": 1}, {"temperature": 0.7, "top_p": 0.9, "n": 1}, {"additional_drop_params": 3}],
)
def test_answers_differ_where_nothing_fixes_them(params):
    assert answers_differ(params)


@pytest.mark.parametrize(
    "params",
    [
        {"temperature": 0},
        {"temperature": "warm"},
        {"top_p": 0.1},
        {"top_k": 1},
        {"seed": 0},
        {"n": 2},
        {"logprobs": True},
        {"extra_body": {"temperature": 0.0}},
        {"extra_body": {"best_of": 4}},
        {"extra_body": {"use_beam_search": True}},
        {"additional_drop_params": ["n"]},
    ],
)
def test_they_do_not_where_something_does(params):
    assert not answers_differ(params)


def test_litellm_says_whose_api_takes_several():
    assert taken("hosted_vllm/small", {})
    assert taken("openai/gpt-4o-mini", {})
    assert not taken("anthropic/claude-sonnet-4-5", {})
    assert not taken("openai/gpt-4o-mini", {"temperature": 0.0})
    assert not taken("nobody-knows/this", {})


def test_who_refused_is_left_alone_for_a_while_and_few_are_remembered():
    refused = RefusedAnswers()
    refused.note("a", 0.0)
    refused.note("b", 10.0)
    assert refused.lately(11.0) == {"a", "b"}
    assert refused.lately(REST_S + 1.0) == {"b"}
    refused.forgive("b")
    refused.forgive("nobody")
    assert not refused.lately(12.0)
    for number in range(MAX_REFUSED + 5):
        refused.note(str(number), 20.0)
    assert len(refused.lately(21.0)) == MAX_REFUSED


def test_what_may_be_refused_for_being_several():
    assert refuses_several(SimpleNamespace(status_code=400))
    assert not refuses_several(SimpleNamespace(status_code=500))
    assert not refuses_several(ValueError())
    too_long = type("ContextWindowExceededError", (Exception,), {"status_code": 400})()
    assert not refuses_several(too_long)
