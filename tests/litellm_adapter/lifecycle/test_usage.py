"""What an answer used, as LiteLLM's several kinds of response say it."""

from types import SimpleNamespace

import pytest
from litellm import ModelResponse

from rb_litellm.core.types import Outcome, Stated
from rb_litellm.litellm_adapter.lifecycle.evidence import Usage, as_evidence
from rb_litellm.litellm_adapter.lifecycle.usage import (
    answer_id,
    cached_tokens,
    ended_at_limit,
    hidden,
    longest_share,
    output_tokens,
    prompt_tokens,
    stated_times,
    written_tokens,
)


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        ({"prompt_tokens": 3, "completion_tokens": 7}, 7),
        ({"input_tokens": 3, "output_tokens": 9}, 9),
        ({"prompt_tokens": 3, "total_tokens": 3}, 0),
        ({"completion_tokens": 0}, 0),
        ({"completion_tokens": -1}, None),
        ({"completion_tokens": True}, None),
        ({"completion_tokens": "7"}, None),
        ({"completion_tokens": 10**12}, None),
        ({"prompt_tokens": 3, "completion_tokens": 10**400}, None),
        ({"prompt_tokens": 3, "completion_tokens": -7}, None),
        ({}, None),
        (None, None),
    ],
)
@pytest.mark.parametrize("wrap", [lambda d: d, lambda d: d and SimpleNamespace(**d)], ids=["dict", "object"])
def test_output_tokens_are_read_where_the_response_says_them(usage, tokens, wrap):
    assert output_tokens({"usage": wrap(usage)}) == tokens
    assert output_tokens(SimpleNamespace(usage=wrap(usage))) == tokens


@pytest.mark.parametrize("response", [None, 3, "text", b"", [], {}])
def test_a_response_without_usage_says_nothing(response):
    assert output_tokens(response) is None
    assert hidden(response)("model_id") is None


def test_litellms_own_notes_on_a_response_are_read():
    assert hidden(SimpleNamespace(_hidden_params={"model_id": "d1"}))("model_id") == "d1"


@pytest.mark.parametrize(
    ("usage", "cached"),
    [
        ({"prompt_tokens": 1735, "prompt_tokens_details": {"cached_tokens": 1728}}, 1728),
        ({"input_tokens": 1735, "input_tokens_details": {"cached_tokens": 0}}, 0),
        ({"input_tokens": 7, "cache_read_input_tokens": 1728, "cache_creation_input_tokens": 0}, 1728),
        ({"prompt_tokens": 1735, "prompt_tokens_details": None}, None),
        ({"prompt_tokens_details": {"cached_tokens": None}}, None),
        ({"prompt_tokens_details": {"cached_tokens": True}}, None),
    ],
)
def test_what_was_cached_of_a_prompt_is_read_from_usage(usage, cached):
    """It was read nowhere."""
    assert cached_tokens({"usage": usage}) == cached


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        ({"prompt_tokens": 1735, "cache_read_input_tokens": 1728}, 1735),
        ({"input_tokens": 1735, "input_tokens_details": {"cached_tokens": 1728}}, 1735),
        ({"input_tokens": 7, "cache_read_input_tokens": 1700, "cache_creation_input_tokens": 28}, 1735),
        ({"input_tokens": -1}, None),
        ({"completion_tokens": 7}, None),
    ],
)
def test_the_whole_prompt_is_read_from_usage_with_what_was_cached_of_it(usage, tokens):
    assert prompt_tokens({"usage": usage}) == tokens


@pytest.mark.parametrize(
    ("usage", "written"),
    [
        ({"input_tokens": 7, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 1728}, 1728),
        ({"prompt_tokens": 1735, "prompt_tokens_details": {"cache_write_tokens": 1728}}, 1728),
        ({"prompt_tokens": 1735, "prompt_tokens_details": {"cached_tokens": 3}}, None),
        ({"cache_creation_input_tokens": -1}, None),
    ],
)
def test_what_was_written_into_a_cache_is_read_from_usage(usage, written):
    assert written_tokens({"usage": usage}) == written


@pytest.mark.parametrize(
    ("response", "ended"),
    [
        ({"choices": [{"finish_reason": "length"}]}, True),
        ({"choices": [{"finish_reason": "stop"}, {"finish_reason": "length"}]}, True),
        ({"choices": [{"finish_reason": "stop"}]}, False),
        ({"choices": []}, False),
        ({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, True),
        ({"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}, False),
        ({"status": "completed", "incomplete_details": None}, False),
        ({"stop_reason": "max_tokens"}, True),
        ({"stop_reason": "end_turn"}, False),
        (None, False),
    ],
)
def test_an_answer_that_a_limit_ended_is_told_by_every_kind_of_response(response, ended):
    assert ended_at_limit(response) is ended


@pytest.mark.parametrize(
    ("response", "told"),
    [
        ({"id": "chatcmpl-1"}, "chatcmpl-1"),
        (SimpleNamespace(id="resp_1"), "resp_1"),
        ({"id": 7}, ""),
        ({}, ""),
        (None, ""),
    ],
)
def test_an_answers_own_id_is_read(response, told):
    assert answer_id(response) == told


def test_an_endless_id_is_shortened():
    assert len(answer_id({"id": "x" * 10_000})) == 256


@pytest.mark.parametrize(("longest", "tokens"), [(2 / 3, 200), (None, 150)])
def test_of_several_answers_the_longest_was_waited_for(longest, tokens):
    several = Outcome("d", "success", None, 10, 0.0, 0.0, open_s=2.0, choices=2)
    assert as_evidence(several, 300, None, Usage(longest=longest)).output_tokens == tokens


def response(*texts):
    choices = [{"message": {"role": "assistant", "content": text}} for text in texts]
    return ModelResponse(choices=choices)


def test_the_longest_is_told_by_its_text():
    assert longest_share(response("abcd", "ab", "ab")) == pytest.approx(0.5)
    assert longest_share(response("abcd")) is None
    assert longest_share(response("", "")) is None


TIMINGS = {"cache_n": 30, "prompt_n": 10, "prompt_ms": 12.5, "predicted_n": 3, "predicted_ms": 30}
"""As llama.cpp's server writes them."""


@pytest.mark.parametrize("wrap", [dict, lambda its: SimpleNamespace(**its)])
def test_what_llama_cpps_server_says_of_its_times_is_read(wrap):
    assert stated_times(wrap({"timings": TIMINGS})) == Stated(0.0125, 0.03, 0.75, 3)


def test_an_earlier_one_does_not_say_what_was_cached():
    timings = {name: value for name, value in TIMINGS.items() if name != "cache_n"}
    assert stated_times({"timings": timings}) == Stated(0.0125, 0.03, None, 3)


@pytest.mark.parametrize(
    "change",
    [{"prompt_ms": -1}, {"prompt_ms": "12"}, {"predicted_ms": True}, {"predicted_ms": float("nan")},
     {"predicted_ms": float("inf")}, {"prompt_ms": None}],
)  # fmt: skip
def test_times_that_cannot_be_are_none(change):
    assert stated_times({"timings": {**TIMINGS, **change}}) is None


@pytest.mark.parametrize("timings", [None, 3, "text", [], {}])
def test_timings_of_another_shape_say_nothing(timings):
    assert stated_times({"timings": timings}) is None
