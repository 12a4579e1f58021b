"""Prompts of others that hold an answer up: part of its time per token, and no part of a decode step."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rb_litellm.core.latency.forecast import LatencyCoefficients, LatencyPrior, forecast
from rb_litellm.core.latency.learning.learner import LatencyLearner
from rb_litellm.core.latency.learning.prefill_share import PrefillShare
from rb_litellm.core.types import InstanceState, Outcome, Prefilled

PRIOR = LatencyPrior(tpot_s=0.02, ttft_s=0.1, prefill_s_per_token=1e-3, tpot_s_per_running=1e-3, slots=4.0)
ENGINE = LatencyCoefficients.from_priors([PRIOR]).at(0)._replace(ridge_tokens=0.0)
"""Each token of a prompt takes a millisecond."""
FIRST = np.array([0])
QUEUED = InstanceState(np.array([6.0]), np.array([600.0]), np.array([600.0]))


def answer(tokens=101, tpot_s=0.02, beside=1.0, prefilled=None):
    return Outcome(
        deployment="d", closed_by="test", predicted=None, input_tokens=100, in_flight=1.0,
        pending_prefill_tokens=0.0, open_s=2.1, ttft_s=0.1, tpot_s=tpot_s, output_tokens=tokens,
        beside=beside, prefilled=prefilled,
    )  # fmt: skip


def shares(*outcomes, beside=1.0, engine=ENGINE):
    of = PrefillShare()
    of.add()
    for outcome in outcomes:
        of.observe(0, outcome, beside, engine)
    return of.of(FIRST)[0]


def times(share):
    coefficients = LatencyCoefficients.from_priors([PRIOR])
    coefficients.prefill_share[:] = share
    return forecast(coefficients, QUEUED.copy(), 100.0, np.array([50.0]))


def test_a_queue_waits_for_decode_steps_and_for_prompts_once():
    before, after = times(0.0), times(0.5)
    # One first token beside the prompts, of the two that are ahead in the queue.
    first_s = (0.1 + 3e-3) / 4.0 * 2.0
    assert after.wait_s[0] - first_s == pytest.approx((before.wait_s[0] - first_s) / 2.0)
    assert after.ttft_s[0] - after.wait_s[0] == pytest.approx(before.ttft_s[0] - before.wait_s[0])


def test_an_answer_is_held_up_by_prompts_as_measured():
    before, after = times(0.0), times(0.5)
    assert after.tpot_s == before.tpot_s
    assert after.e2e_s - after.ttft_s == pytest.approx(before.e2e_s - before.ttft_s)


def test_the_burden_counts_its_own_prompt_once():
    engine = LatencyCoefficients.from_priors([PRIOR]).at(0)
    alone = 4.0 * (engine.prefill_s(700.0) - engine.prefill_s(600.0))
    assert times(0.5).burden_s[0] - alone == pytest.approx((times(0.0).burden_s[0] - alone) / 2.0)


def test_it_is_the_time_of_prompts_over_that_of_answers():
    half, none = answer(prefilled=Prefilled(1000.0, 2.0, 1.0)), answer(prefilled=Prefilled(0.0, 0.0, 1.0))
    assert shares(half) == pytest.approx(0.5)
    assert shares(*[half, none] * 200) == pytest.approx(0.25, abs=0.01)


def test_prompts_took_no_longer_than_until_the_last_of_them_began_to_be_answered():
    # All that came at once were prefilled in one step, and not after this answer had begun.
    assert shares(answer(prefilled=Prefilled(1000.0, 0.01, 1.0))) == pytest.approx(0.005)


def test_short_prompts_take_less_than_their_tokens_would_in_a_long_one():
    half = answer(prefilled=Prefilled(1000.0, 2.0, 1.0))
    of_100 = (math.hypot(75.0, 100.0) - 75.0) / 100.0
    assert shares(half, half, engine=ENGINE._replace(ridge_tokens=75.0)) == pytest.approx(0.5 * of_100)


def test_prompts_of_other_workers_are_taken_to_be_alike():
    one_of_four = answer(prefilled=Prefilled(250.0, 2.0, 1.0))
    assert shares(one_of_four, beside=4.0) == pytest.approx(0.5)


def test_an_answer_whose_first_token_was_not_seen_says_nothing():
    half = answer(prefilled=Prefilled(1000.0, 2.0, 1.0))
    assert shares(half, answer(prefilled=None), answer(tpot_s=None)) == pytest.approx(0.5)


@given(
    st.lists(
        st.tuples(
            st.floats(0.0, 1e9), st.floats(0.0, 1e6), st.floats(0.0, 300.0), st.floats(0.0, 300.0),
            st.integers(1, 10**6), st.floats(1e-6, 100.0),
        ),
        max_size=20,
    )
)  # fmt: skip
def test_some_time_is_always_left_for_decoding(seen):
    of = PrefillShare()
    of.add()
    for prompts, within_s, own, beside, tokens, tpot_s in seen:
        of.observe(0, answer(tokens, tpot_s, beside, Prefilled(prompts, within_s, own)), beside, ENGINE)
    assert 0.0 <= of.of(FIRST)[0] <= 0.9 + 1e-9


def test_another_worker_starts_from_it():
    one, another = LatencyLearner(), LatencyLearner()
    for learner in (one, another):
        learner.add("t", PRIOR)
    for _ in range(50):
        one.observe(0, answer(prefilled=Prefilled(1000.0, 2.0, 1.0))._replace(at_s=100.0))
    learned = one.learned(0)
    assert learned is not None
    assert learned.prefill_share == pytest.approx(one.coefficients.prefill_share[0])
    assert learned.prefill_share > 0.3
    assert another.adopt(0, learned)
    assert another.coefficients.prefill_share[0] == pytest.approx(learned.prefill_share)
