"""What a closed attempt and its usage say of TTFT and TPOT."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rb_litellm.core.latency.measurement import measured
from rb_litellm.core.types import Outcome, Prediction

PREDICTED = Prediction(
    quality=0.5, output_tokens=50.0, wait_s=0.0, ttft_s=0.2, tpot_s=0.02, e2e_s=1.18, cost_usd=0.1
)
CLOSED = Outcome(
    deployment="d",
    closed_by="test",
    predicted=PREDICTED,
    input_tokens=10,
    in_flight=0.0,
    pending_prefill_tokens=0.0,
    open_s=2.0,
)


def test_a_stream_shows_both_times():
    result = measured(CLOSED._replace(ttft_s=0.5), output_tokens=16, cost_usd=0.3)
    assert result.ttft_s == 0.5
    assert result.tpot_s == pytest.approx(1.5 / 15)
    assert (result.output_tokens, result.cost_usd) == (16, 0.3)


def test_a_long_answer_in_one_piece_speaks_of_time_per_token():
    result = measured(CLOSED, output_tokens=41)
    predicted = 0.2 + 40 * 0.02
    assert result.ttft_s is None
    assert result.tpot_s == pytest.approx(0.02 * 2.0 / predicted)


def test_a_short_answer_in_one_piece_speaks_of_the_first_token():
    result = measured(CLOSED, output_tokens=1)
    assert result.ttft_s == pytest.approx(2.0)
    assert result.tpot_s is None


def test_without_a_prediction_an_answer_in_one_piece_says_nothing():
    result = measured(CLOSED._replace(predicted=None), output_tokens=20)
    assert (result.ttft_s, result.tpot_s) == (None, None)


@given(st.integers(0, 10_000), st.floats(0, 1e4), st.one_of(st.none(), st.floats(0, 1e4)))
def test_no_measured_time_is_negative(tokens, open_s, ttft_s):
    result = measured(CLOSED._replace(open_s=open_s, ttft_s=ttft_s), tokens)
    assert all(value is None or value >= 0.0 for value in (result.ttft_s, result.tpot_s))


@given(st.integers(0, 1000))
def test_a_right_prediction_is_confirmed(tokens):
    exact = PREDICTED.ttft_s + max(tokens - 1, 0) * PREDICTED.tpot_s
    result = measured(CLOSED._replace(open_s=exact), tokens)
    assert result.ttft_s is None or result.ttft_s == pytest.approx(PREDICTED.ttft_s)
    assert result.tpot_s is None or result.tpot_s == pytest.approx(PREDICTED.tpot_s)
