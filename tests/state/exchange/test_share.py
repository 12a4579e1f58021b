"""What a worker tells of its load, and what it makes of the totals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rb_litellm.state.exchange.share import OwnShare, Slots, Totals, sent
from rb_litellm.state.exchange.wire import CHUNK, COLUMN, MOST, ROW, SENT, TOTALS_CHUNK, bounded


def table(*rows):
    return np.array(rows, dtype=np.int64)


def share_of(rows, at_ms=0.0):
    share = OwnShare()
    told = table(*rows)
    share.arrived(told, share.changes(told, at_ms), 1, at_ms, 0.0, 0.0)
    return share


def test_at_first_every_busy_row_is_told():
    assert OwnShare().changes(table([0, 0, 0, 0], [1, 0, 0, 0]), 0.0).tolist() == [False, True]


def test_output_tokens_that_fall_as_told_are_not_told_again():
    share = share_of([[1, 0, 400, 50]])
    assert not share.changes(table([1, 0, 350, 50]), 1000.0).any()
    assert share.changes(table([1, 0, 300, 50]), 1000.0).all()


@pytest.mark.parametrize("row", [[2, 7, 400, 50], [1, 8, 400, 50], [1, 7, 400, 51], [0, 0, 0, 0]])
def test_any_other_figure_that_has_changed_is_told(row):
    assert share_of([[1, 7, 400, 50]]).changes(table(row), 0.0).all()


def test_rows_travel_in_the_order_of_their_slots_and_those_without_a_slot_stay():
    rows = np.frombuffer(
        sent(
            np.array([9, 65_535, 3]), table([1, 0, 0, 0], [2, 0, 0, 0], [3, 0, 0, 0]), np.ones(3, dtype=bool)
        ),
        dtype=SENT,
    )
    assert rows["slot"].tolist() == [3, 9]
    assert rows["in_flight"].tolist() == [3, 1]


@given(st.lists(st.integers(-(10**15), 10**15), min_size=4, max_size=4))
def test_what_travels_is_within_its_bounds(row):
    travels = bounded(table(row))
    assert (travels >= 0).all()
    assert (travels <= MOST).all()


def totals_with(*rows):
    chunk = np.zeros(1, dtype=TOTALS_CHUNK)
    chunk["rows"][0, : len(rows)] = np.array([tuple(row) for row in rows], dtype=ROW)
    totals = Totals()
    totals.update(1.0, 1, chunk.tobytes())
    return totals


def test_the_others_are_the_totals_less_ones_own_share():
    share = share_of([[1, 10, 400, 50]])
    totals = totals_with((3, 30, 150, 1_200_000.0))
    others, right = totals.others(np.array([0]), *share.rows(1), 2000.0)
    assert right
    # 800 tokens of the others' at the epoch, less 100 a second for two seconds.
    assert others.tolist() == [[2, 20, 600, 100]]


@pytest.mark.parametrize(
    "row", [(0, 30, 150, 1e6), (3, 30, 150, 0.0), (3, 30, 150, np.nan), (3, 3, 3, np.inf)]
)
def test_totals_that_cannot_be_right_say_so_and_are_no_load_below_zero(row):
    others, right = totals_with(row).others(np.array([0]), *share_of([[1, 10, 400, 50]]).rows(1), 0.0)
    assert not right
    assert (others >= 0.0).all()


def test_a_row_beyond_the_totals_has_no_load():
    others, right = totals_with((1, 0, 0, 0.0)).others(
        np.array([0, CHUNK + 5]), np.zeros((2, 4), dtype=np.int64), np.zeros(2), 0.0
    )
    assert right
    assert others[:, COLUMN.in_flight].tolist() == [1, 0]


def test_what_totals_no_longer_reach_is_forgotten():
    totals = totals_with((1, 2, 3, 4.0))
    totals.update(2.0, 0, b"")
    others, right = totals.others(np.array([0]), np.zeros((1, 4), dtype=np.int64), np.zeros(1), 0.0)
    assert right
    assert not others.any()


def test_chunks_beyond_the_bound_are_no_totals():
    chunk = np.zeros(1, dtype=TOTALS_CHUNK)
    chunk["number"] = 128
    with pytest.raises(ValueError, match="at most 8192"):
        Totals().update(1.0, 1, chunk.tobytes())


def test_slots_of_another_generation_are_taken_anew():
    slots = Slots()
    slots.given(b"1", np.array([4, 2], dtype="<u2").tobytes())
    assert slots.missing(["a", "b", "c"]) == ["c"]
    slots.given(b"2", np.array([0], dtype="<u2").tobytes())
    assert slots.generation is None
    assert slots.missing(["a", "b", "c"]) == ["a", "b", "c"]
