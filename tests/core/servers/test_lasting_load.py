"""The load that lasts: a mean over time, and what loops that move take with them at once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rb_litellm.core.servers.lasting_load import MEAN_S, LastingLoad
from rb_litellm.core.types import InstanceState

ROWS = np.array([0, 1])
PACE_S = np.array([0.01, 0.02])


def state(*in_flight: float) -> InstanceState:
    counts = np.array(in_flight)
    return InstanceState(counts, counts * 10.0, counts * 100.0)


def seen(*loads: tuple[float, float], every_s: float = 1.0) -> LastingLoad:
    load = LastingLoad()
    for n, its in enumerate(loads):
        load.see(state(*its), PACE_S, n * every_s)
    return load


def test_the_first_look_is_all_that_is_known():
    assert seen((4.0, 0.0)).of(ROWS).in_flight.tolist() == [4.0, 0.0]


def test_compiled_loops_can_take_it():
    load = seen((4.0, 1.0)).of(np.array([1, 0, 1]))
    for figures in (load.in_flight, load.pending_prefill_tokens, load.pending_decode_tokens):
        assert figures.flags.c_contiguous


@given(st.lists(st.tuples(st.floats(0, 50), st.floats(0, 50)), min_size=1, max_size=50))
def test_the_mean_lies_between_what_was_seen(loads: list[tuple[float, float]]) -> None:
    mean = seen(*loads).of(ROWS).in_flight
    assert (mean >= np.min(loads, axis=0) - 1e-9).all()
    assert (mean <= np.max(loads, axis=0) + 1e-9).all()


def test_what_lasts_is_believed_after_a_while_and_a_moment_is_not():
    moment = seen(*[(0.0, 0.0)] * 20, (9.0, 0.0)).of(ROWS).in_flight[0]
    lasting = seen(*[(0.0, 0.0)] * 20, *[(9.0, 0.0)] * int(5 * MEAN_S)).of(ROWS).in_flight[0]
    assert moment < 0.5
    assert lasting == pytest.approx(9.0, rel=0.01)


def test_a_loop_that_moves_takes_its_share_along_at_once():
    load = seen((4.0, 1.0))
    load.add(0, -0.5)
    load.add(1, 0.5)
    found = load.of(ROWS)
    assert found.in_flight.tolist() == [3.5, 1.5]
    assert found.pending_decode_tokens.tolist() == [350.0, 150.0]


def test_no_load_falls_below_nothing_and_unknown_rows_are_passed_over():
    load = seen((0.2, 0.0))
    load.add(0, -1.0)
    load.add(7, 1.0)
    assert load.of(ROWS).in_flight.tolist() == [0.0, 0.0]


def test_deployments_that_join_later_start_from_what_they_have():
    load = LastingLoad()
    load.see(state(4.0), PACE_S[:1], 0.0)
    load.see(state(4.0, 2.0), PACE_S, 1.0)
    assert load.of(ROWS).in_flight == pytest.approx([4.0, 2.0])


def test_a_pace_of_this_moment_counts_as_much_as_the_moment():
    load = seen(*[(0.0, 0.0)] * 100)
    longer = load.pace(ROWS, np.array([0.02, 0.02]))
    assert longer == pytest.approx([0.5, 1.0])
