"""How much a server keeps of what it was sent: told by its usage, or by its TTFT."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rb_litellm.core.servers.keeping import GUESS, Keeping
from rb_litellm.core.types import Outcome, SentBefore

ROW = np.array([0])
FULL_S, CACHED_S = 1.09, 0.07
"""What 1,735 tokens are expected to take, without a cache and with 1,700 of them cached; measured were 1,089
and 79 ms."""


def outcome(seen=1_700.0, saved=1_275.0, ago_s=5.0, **measured):
    return Outcome(
        deployment="a", closed_by="success", predicted=None, input_tokens=round(1_735 - saved), in_flight=0.0,
        pending_prefill_tokens=0.0, open_s=1.0, sent_before=SentBefore(seen, ago_s),
        saved_tokens=saved, **measured,
    )  # fmt: skip


def keeping():
    made = Keeping()
    made.add()
    return made


def kept(of, ago_s=5.0):
    return of.share(ROW, ago_s)


def test_three_quarters_are_the_first_guess():
    assert kept(keeping()) == pytest.approx(0.75)


@pytest.mark.parametrize(("cached", "share"), [(1_700, 1.0), (0, 0.0), (850, 0.5), (9_999, 1.0)])
def test_what_the_server_tells_is_learned(cached, share):
    of = keeping()
    for _ in range(40):
        of.told(0, outcome(cached_tokens=cached))
    assert kept(of) == pytest.approx(share, abs=0.08)


@pytest.mark.parametrize(("ttft_s", "share"), [(0.079, 1.0), (1.089, 0.0)])
def test_a_server_that_tells_nothing_shows_it_by_its_ttft(ttft_s, share):
    of = keeping()
    for _ in range(40):
        of.timed(0, outcome(), ttft_s, FULL_S, CACHED_S)
    assert kept(of) == pytest.approx(share, abs=0.08)


def test_a_prompt_that_was_prefilled_in_full_teaches_as_one():
    taught = keeping().timed(0, outcome(), 1.089, FULL_S, CACHED_S)
    assert taught.input_tokens == 1_735


def test_a_prompt_that_was_cached_teaches_with_what_was_left_of_it():
    taught = keeping().timed(0, outcome(), 0.079, FULL_S, CACHED_S)
    assert taught.input_tokens == 35


def test_a_server_that_tells_is_believed_more_than_its_ttft():
    of = keeping()
    for _ in range(40):
        of.timed(0, outcome(), 1.089, FULL_S, CACHED_S)
        of.told(0, outcome(cached_tokens=1_700))
    assert kept(of) > 0.9


def test_what_makes_no_difference_to_ttft_is_not_asked_of_it():
    of, short = keeping(), outcome(seen=100.0, saved=75.0)
    assert of.timed(0, short, 0.5, FULL_S, FULL_S - 0.06) is short
    assert kept(of) == pytest.approx(0.75)


def test_a_prompt_that_is_new_says_nothing():
    of = keeping()
    of.told(0, outcome(seen=0.0)._replace(cached_tokens=0))
    assert kept(of) == pytest.approx(0.75)


def test_what_was_used_of_late_is_kept_and_what_was_not_has_made_room():
    of = keeping()
    for _ in range(30):
        of.told(0, outcome(ago_s=10.0, cached_tokens=1_700))
        of.told(0, outcome(ago_s=200.0, cached_tokens=0))
    assert kept(of, 10.0) > 0.9
    assert kept(of, 200.0) < 0.1


def test_what_is_cached_after_a_minute_would_have_been_after_a_second():
    of = keeping()
    for _ in range(30):
        of.told(0, outcome(ago_s=60.0, cached_tokens=1_700))
    assert kept(of, 1.0) > 0.9
    assert kept(of, 900.0) == pytest.approx(GUESS)


def test_a_share_that_age_does_not_change_is_found_at_every_age():
    of = keeping()
    for n in range(400):
        of.told(0, outcome(ago_s=2.0 ** (n % 10), cached_tokens=1_700 * (n // 10 % 2)))
    assert of.share(np.zeros(10, dtype=int), 2.0 ** np.arange(10)) == pytest.approx(0.5, abs=0.15)


@given(st.lists(st.tuples(st.floats(0.0, 1e6), st.integers(0, 1_700)), max_size=60))
def test_no_more_is_kept_for_longer(seen):
    of = keeping()
    for ago_s, cached in seen:
        of.told(0, outcome(ago_s=ago_s, cached_tokens=cached))
    shares = of.share(np.zeros(40, dtype=int), 2.0 ** np.linspace(-2.0, 14.0, 40))
    assert np.all(np.diff(shares) <= 0.0)
    assert np.all((shares >= 0.0) & (shares <= 1.0))


@given(st.floats(0.0, 1e9), st.lists(st.integers(0, 2), max_size=5))
def test_one_age_of_all_is_looked_up_as_the_same_age_of_each(ago_s, asked):
    of, rows = Keeping(), np.array(asked, dtype=np.int64)
    for row in range(3):
        of.add()
        of.told(row, outcome(cached_tokens=1_700 // (row + 1), ago_s=2.0 ** (3 * row)))
    found = of.share(rows, ago_s)
    assert found.tolist() == of.share(rows, np.full(rows.size, ago_s)).tolist()
    found[:] = -1.0  # A copy: what is believed stays as it was.
    assert (of.share(rows, ago_s) >= 0.0).all()
