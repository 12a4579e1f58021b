"""What the usage that an answer tells makes of its attempt."""

import pytest

from rb_litellm.core.types import Outcome
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
