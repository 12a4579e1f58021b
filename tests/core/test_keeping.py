"""How much a server keeps of what it was sent: told by its usage, or by its TTFT."""

from dataclasses import replace

import numpy as np
import pytest

from rb_litellm.core.servers.keeping import Keeping
from rb_litellm.core.types import Outcome

ROW = np.array([0])
PREFILL_S = 0.0006
"""Of one token; 1,735 of them took 1,089 ms, and 79 ms when they were cached."""


def outcome(seen=1_700.0, saved=1_275.0, **measured):
    return Outcome(
        deployment="a", closed_by="success", predicted=None, input_tokens=round(1_735 - saved), in_flight=0.0,
        pending_prefill_tokens=0.0, open_s=1.0, seen_tokens=seen, saved_tokens=saved, **measured,
    )  # fmt: skip


def keeping():
    made = Keeping()
    made.add()
    return made


def test_three_quarters_are_the_first_guess():
    assert keeping().share(ROW) == pytest.approx(0.75)


@pytest.mark.parametrize(("cached", "share"), [(1_700, 1.0), (0, 0.0), (850, 0.5), (9_999, 1.0)])
def test_what_the_server_tells_is_learned(cached, share):
    of = keeping()
    for _ in range(40):
        of.told(0, outcome(cached_tokens=cached))
    assert of.share(ROW) == pytest.approx(share, abs=0.08)


@pytest.mark.parametrize(("ttft_s", "share"), [(0.079, 1.0), (1.089, 0.0)])
def test_a_server_that_tells_nothing_shows_it_by_its_ttft(ttft_s, share):
    of = keeping()
    for _ in range(40):
        of.timed(0, outcome(ttft_s=ttft_s), 1.09, PREFILL_S)
    assert of.share(ROW) == pytest.approx(share, abs=0.08)


def test_a_prompt_that_was_prefilled_in_full_teaches_as_one():
    taught = keeping().timed(0, outcome(ttft_s=1.089), 1.09, PREFILL_S)
    assert taught.input_tokens == 1_735


def test_a_prompt_that_was_cached_teaches_with_what_was_left_of_it():
    taught = keeping().timed(0, outcome(ttft_s=0.079), 1.09, PREFILL_S)
    assert taught.input_tokens == 35


def test_a_server_that_tells_is_believed_more_than_its_ttft():
    of = keeping()
    for _ in range(40):
        of.timed(0, outcome(ttft_s=1.089), 1.09, PREFILL_S)
        of.told(0, outcome(cached_tokens=1_700))
    assert of.share(ROW) > 0.9


def test_what_makes_no_difference_to_ttft_is_not_asked_of_it():
    of, short = keeping(), outcome(seen=100.0, saved=75.0, ttft_s=0.5)
    assert of.timed(0, short, 1.09, PREFILL_S) is short
    assert of.share(ROW) == pytest.approx(0.75)


def test_a_prompt_that_is_new_says_nothing():
    of = keeping()
    of.told(0, replace(outcome(seen=0.0), cached_tokens=0))
    assert of.share(ROW) == pytest.approx(0.75)
