"""What the usage that an answer tells makes of its attempt."""

import pytest

from rb_litellm.core.types import Outcome, Stated
from rb_litellm.litellm_adapter.lifecycle.evidence import Usage, as_evidence

ATTEMPT = Outcome("a", "success", None, 300, 0.0, 0.0, 1.0, saved_tokens=700.0)
"""A prompt of 1,000 tokens by the proxy's own count, 700 of which were expected to be cached."""


@pytest.mark.parametrize(
    ("usage", "counted_here"),
    [
        (Usage(prompt_tokens=2_000, cached_tokens=1_900), 950),
        (Usage(prompt_tokens=500, cached_tokens=480), 960),
        (Usage(prompt_tokens=500, cached_tokens=9_999), 1_000),
        (Usage(prompt_tokens=500, cached_tokens=0), 0),
        (Usage(prompt_tokens=0, cached_tokens=7), 7),
        (Usage(cached_tokens=7), 7),
        (Usage(prompt_tokens=500), None),
    ],
)
def test_what_a_server_counts_by_its_own_tokenizer_is_a_share_of_the_prompt_as_counted_here(
    usage, counted_here
):
    assert as_evidence(ATTEMPT, 10, None, usage).cached_tokens == counted_here
    written = usage._replace(cached_tokens=None, written_tokens=usage.cached_tokens)
    assert as_evidence(ATTEMPT, 10, None, written).written_tokens == counted_here


STATED = Stated(0.2, 0.7, cached_share=0.5, output_tokens=12)


def test_what_the_server_states_goes_before_an_estimate_of_the_answers_length():
    found = as_evidence(ATTEMPT._replace(ttft_s=0.3), 10, None, Usage(stated=STATED))
    assert (found.stated, found.output_tokens, found.cached_tokens) == (STATED, 12, 500)
    assert found.tpot_s == 0.7 / 11


def test_its_usage_goes_before_the_share_that_it_states_of_its_cache():
    found = as_evidence(ATTEMPT, 10, None, Usage(stated=STATED, prompt_tokens=100, cached_tokens=90))
    assert found.cached_tokens == 900


def test_what_the_last_chunk_stated_is_kept_where_the_usage_states_nothing():
    assert as_evidence(ATTEMPT._replace(stated=STATED), 10, None, Usage()).stated == STATED


@pytest.mark.parametrize(
    "stated", [STATED._replace(answer_s=0.9), STATED._replace(prompt_s=0.4, answer_s=0.0)]
)
def test_more_time_than_has_passed_is_not_believed(stated):
    found = as_evidence(ATTEMPT._replace(ttft_s=0.3), 10, None, Usage(stated=stated))
    assert found.stated is None
    assert found.output_tokens == 10
