"""How many calls of a loop are still to come: more the longer it goes on, as loops before it have ended."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rb_litellm.core.servers.loop_lengths import LASTS_S, LoopLengths

calls = st.floats(1.0, 5_000.0)


@given(calls, calls, st.floats(0.0, 600.0), st.floats(1.0, 64.0))
def test_whoever_has_gone_on_for_longer_is_expected_to_go_on_for_longer(
    one: float, other: float, between_s: float, usual: float
) -> None:
    fewer, more = sorted((one, other))
    lengths = LoopLengths(usual)
    assert lengths.further(more, between_s) >= lengths.further(fewer, between_s) - 1e-6


@given(calls, st.floats(0.5, 600.0), st.floats(1.0, 64.0), st.lists(st.tuples(calls, st.booleans())))
def test_it_is_bounded_by_how_long_a_difference_between_servers_lasts(
    made: float, between_s: float, usual: float, seen: list[tuple[float, bool]]
) -> None:
    lengths = LoopLengths(usual)
    for at, last in seen:
        lengths.ended(at) if last else lengths.went_on(at)
    assert 0.0 <= lengths.further(made, between_s) <= LASTS_S / between_s
    assert ((lengths.ends() >= 0.0) & (lengths.ends() <= 1.0)).all()


@given(st.floats(1.0, 60.0), st.floats(1.0, 60.0), calls)
def test_the_rarer_calls_come_the_fewer_count(one: float, other: float, made: float) -> None:
    often, seldom = sorted((one, other))
    lengths = LoopLengths(16.0)
    assert lengths.further(made, seldom) <= lengths.further(made, often) + 1e-9


def test_half_of_all_conversations_are_taken_to_end_with_their_first_turn():
    assert LoopLengths(1.0).ends()[0] == pytest.approx(0.5)
    assert LoopLengths(16.0).ends()[0] == pytest.approx(1 / 17)


def test_what_ended_early_teaches_that_little_is_to_come():
    lengths = LoopLengths(16.0)
    before = lengths.further(1.0, 5.0)
    for _ in range(200):
        lengths.ended(1.0)
    assert lengths.further(1.0, 5.0) < 0.2 * before


def test_what_went_on_for_fifty_calls_teaches_that_much_is_to_come():
    lengths = LoopLengths(1.0)
    before = lengths.further(1.0, 5.0)
    for _ in range(50):
        for made in range(1, 50):
            lengths.went_on(float(made))
        lengths.ended(50.0)
    assert lengths.further(1.0, 5.0) > 5.0 * before
