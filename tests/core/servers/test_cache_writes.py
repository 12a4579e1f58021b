"""What of its prompts a deployment writes into a cache that it charges for, by its usage."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rb_litellm.core.servers.cache_writes import CacheWrites
from rb_litellm.core.types import Outcome

BOTH = np.array([0, 1])


def outcome(written, cached=None, prompt=1_000, saved=0.0):
    return Outcome(
        deployment="a", closed_by="success", predicted=None, input_tokens=round(prompt - saved),
        in_flight=0.0, pending_prefill_tokens=0.0, open_s=1.0, saved_tokens=saved, cached_tokens=cached,
        written_tokens=written,
    )  # fmt: skip


def two():
    made = CacheWrites()
    made.add()
    made.add()
    return made


def test_until_somebody_has_written_something_nothing_is_charged():
    of = two()
    assert of.share(BOTH) is None
    of.told(0, outcome(0, cached=0))
    of.told(1, outcome(None))
    assert of.share(BOTH) is None


@pytest.mark.parametrize(
    ("told", "share"),
    [
        (outcome(1_000), 1.0),
        (outcome(400), 0.4),
        (outcome(200, cached=800), 1.0),
        (outcome(100, cached=800, saved=600.0), 0.5),
        (outcome(5_000), 1.0),
    ],
)
def test_the_share_is_of_what_was_not_cached(told, share):
    of = two()
    for _ in range(60):
        of.told(0, told)
    assert of.share(BOTH)[0] == pytest.approx(share, abs=0.02)


def test_one_that_was_never_asked_is_as_the_others_until_its_own_answers_say_more():
    of = two()
    for _ in range(20):
        of.told(0, outcome(1_000))
    assert of.share(BOTH)[1] == pytest.approx(1.0)
    for _ in range(60):
        of.told(1, outcome(None))
    assert of.share(BOTH)[1] < 0.06


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 10_000), st.integers(0, 10_000)), max_size=30))
def test_a_share_is_always_between_nothing_and_everything(answers):
    of = two()
    for row, written, cached in answers:
        of.told(row, outcome(written, cached))
    share = of.share(BOTH)
    assert share is None or ((share >= 0.0) & (share <= 1.0 + 1e-12)).all()
