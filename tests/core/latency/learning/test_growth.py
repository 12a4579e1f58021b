"""How much slower a batch may be believed to make its requests, by the slots of the server."""

import math
from dataclasses import replace

import numpy as np
import pytest

from rb_litellm.core.latency.forecast import LatencyPrior
from rb_litellm.core.latency.learning.growth import doubted_growth, most_growth
from rb_litellm.core.latency.learning.learner import LatencyLearner
from rb_litellm.core.types import Outcome

PRIOR = LatencyPrior(tpot_s=0.02, ttft_s=0.1, prefill_s_per_token=1e-4, tpot_s_per_running=1e-4, slots=256.0)


def answer(tpot_s, beside, in_flight=0.0):
    return Outcome(
        deployment="d", closed_by="test", predicted=None, input_tokens=100, in_flight=in_flight,
        pending_prefill_tokens=0.0, open_s=5.0, ttft_s=0.1, tpot_s=tpot_s, output_tokens=100,
        first_token_learned=True, beside=beside,
    )  # fmt: skip


def learner(rows=1, **prior):
    made = LatencyLearner()
    for _ in range(rows):
        made.add("t", replace(PRIOR, **prior))
    return made


def tpot_s(of, running, row=0):
    c = of.coefficients
    return float(c.tpot_s[row] + c.tpot_s_per_running[row] * running)


def test_a_full_server_is_at_most_nine_times_slower_and_one_more_request_adds_three_times():
    slots = np.array([1.0, 2.0, 3.0, 5.0, 17.0, 256.0])
    most = most_growth(slots)
    assert most.max() == 3.0
    assert (1.0 + most * (slots - 1.0)).max() == pytest.approx(9.0)
    assert most_growth(np.array([math.inf])) == 0.0


def test_doubt_is_of_the_size_of_an_idle_time_for_a_full_server():
    assert doubted_growth(2.0) == 1.0
    assert doubted_growth(5.0) == 0.25
    assert doubted_growth(math.inf) == 0.0


def test_time_per_token_is_learned_at_what_it_was_written_beside():
    """All met an idle server; half of them had company at once."""
    of = learner(slots=2.0)
    for _ in range(10):
        of.observe(0, answer(0.06, beside=1.0))
        of.observe(0, answer(0.02, beside=0.0))
    assert tpot_s(of, 0.0) == pytest.approx(0.02, rel=0.15)
    assert tpot_s(of, 1.0) == pytest.approx(0.06, rel=0.15)


def test_of_what_is_open_no_more_than_the_slots_run():
    of = learner(slots=2.0)
    for _ in range(10):
        of.observe(0, answer(0.06, beside=9.0))
        of.observe(0, answer(0.02, beside=0.0))
    assert tpot_s(of, 1.0) == pytest.approx(0.06, rel=0.15)


def test_once_the_slots_are_known_what_was_learned_before_is_learned_anew():
    of = learner()
    for _ in range(10):
        of.observe(0, answer(0.02, beside=0.0))
    for _ in range(8):
        of.observe(0, answer(0.06, beside=5.0))
    assert tpot_s(of, 0.0) > 0.03
    of.run_at_once(0, 2.0)
    assert tpot_s(of, 0.0) == pytest.approx(0.02, rel=0.2)
    assert tpot_s(of, 1.0) == pytest.approx(0.06, rel=0.25)


def test_a_server_with_many_slots_is_not_given_the_growth_of_one_with_few():
    of = learner(rows=2)
    of.run_at_once(0, 2.0)
    for _ in range(20):
        of.observe(0, answer(0.06, beside=1.0))
        of.observe(0, answer(0.02, beside=0.0))
    growth = of.coefficients.tpot_s_per_running
    assert growth[0] > 0.03
    assert growth[1] < 0.3 * 0.02
