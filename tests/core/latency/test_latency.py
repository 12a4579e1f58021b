"""The latency form: load, length and overdue attempts only ever make a forecast longer."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rb_litellm.core.compiled.forecaster import batch_forecaster
from rb_litellm.core.latency.forecast import (
    LatencyCoefficients,
    LatencyPrior,
    effective_tokens,
    forecast,
    ridge_tokens,
)
from rb_litellm.core.types import InstanceState

PRIOR = LatencyPrior(tpot_s=0.02, ttft_s=0.05, prefill_s_per_token=1e-4, tpot_s_per_running=1e-3, slots=4.0)
PREFILL_S = 1e-4 * (math.hypot(200.0, 100.0) - 200.0)
"""Of a prompt of 100 tokens: computing 200 takes as long as a lone decode step."""

priors = st.builds(
    LatencyPrior,
    tpot_s=st.floats(1e-3, 1.0),
    ttft_s=st.floats(1e-3, 5.0),
    prefill_s_per_token=st.floats(0.0, 1e-2),
    tpot_s_per_running=st.floats(0.0, 1e-2),
    slots=st.one_of(st.integers(1, 300).map(float), st.just(math.inf)),
)
loads = st.tuples(st.integers(0, 500), st.floats(0, 1e5), st.floats(0, 1e5))


def at(prior, load, input_tokens=100.0, output_tokens=50.0, slowdown=None):
    state = InstanceState(*(np.array([float(x)]) for x in load))
    stretch = None if slowdown is None else np.array([slowdown])
    return forecast(
        LatencyCoefficients.from_priors([prior]), state, input_tokens, np.array([output_tokens]), stretch
    )


@given(priors, loads, st.sampled_from([0, 1, 2]), st.floats(1, 1e4))
def test_more_load_never_shortens_a_forecast(prior, load, which, more):
    busier = list(load)
    busier[which] += math.ceil(more)
    before, after = at(prior, load), at(prior, busier)
    for name in ("wait_s", "ttft_s", "tpot_s", "e2e_s"):
        assert getattr(after, name)[0] >= getattr(before, name)[0] * (1.0 - 1e-9) - 1e-12


@given(priors, loads, st.floats(0, 1e5), st.floats(0, 1e4), st.floats(0, 1e4))
def test_longer_prompts_and_answers_take_longer(prior, load, tokens, longer_in, longer_out):
    before = at(prior, load, tokens, tokens).e2e_s[0]
    assert at(prior, load, tokens + longer_in, tokens).e2e_s[0] >= before * (1 - 1e-9)
    assert at(prior, load, tokens, tokens + longer_out).e2e_s[0] >= before * (1 - 1e-9)


tokens = st.floats(0.0, 1e5)
ridges = st.floats(0.0, 500.0)


@given(tokens, tokens, ridges)
def test_effective_tokens_rise_from_nothing_and_are_never_more_than_the_tokens(few, more, ridge):
    few, more = sorted((few, more))
    assert effective_tokens(0.0, ridge) == 0.0
    assert effective_tokens(few, ridge) <= effective_tokens(more, ridge)
    assert 0.0 <= effective_tokens(few, ridge) <= few * (1.0 + 1e-12) + 1e-12


@given(ridges)
def test_past_the_ridge_each_token_counts(ridge):
    far = 50.0 * ridge + 1.0
    assert effective_tokens(far + 100.0, ridge) - effective_tokens(far, ridge) == pytest.approx(
        100.0, rel=1e-3
    )


@given(st.floats(1e-3, 1.0), st.floats(0.0, 1e-2))
def test_the_ridge_is_where_computing_takes_as_long_as_a_step(tpot_s, prefill_s_per_token):
    ridge = ridge_tokens(tpot_s, prefill_s_per_token)
    assert 0.0 < ridge <= 500.0
    assert ridge == 500.0 or ridge * prefill_s_per_token == pytest.approx(tpot_s)


@given(priors, st.integers(0, 8), tokens, tokens)
def test_prompts_are_prefilled_together(prior, others, waiting, own):
    both, none = at(prior, (others, waiting, 0), own), at(prior, (others, 0, 0), 0.0)
    engine = LatencyCoefficients.from_priors([prior]).at(0)
    assert both.ttft_s[0] - none.ttft_s[0] == pytest.approx(
        engine.prefill_s(waiting + own), rel=1e-6, abs=1e-9
    )


@given(priors, loads, tokens)
def test_others_lose_what_a_prompt_makes_their_step_longer(prior, load, own):
    with_it, without = at(prior, load, own), at(prior, load, 0.0)
    lost_s = min(load[0], prior.slots) * (with_it.ttft_s[0] - without.ttft_s[0])
    assert with_it.burden_s[0] - without.burden_s[0] == pytest.approx(lost_s, rel=1e-6, abs=1e-6)


@given(st.floats(0.0, 1e-2), tokens)
def test_prefill_of_a_hosted_api_is_in_proportion_to_the_prompt(prefill_s_per_token, own):
    hosted = replace(PRIOR, slots=math.inf, prefill_s_per_token=prefill_s_per_token)
    assert at(hosted, (0, 0, 0), own).ttft_s[0] == pytest.approx(0.05 + prefill_s_per_token * own)


@given(priors, loads, st.floats(1.0, 50.0))
def test_overdue_attempts_stretch_every_time_alike(prior, load, slowdown):
    plain, slow = at(prior, load), at(prior, load, slowdown=slowdown)
    for name in ("wait_s", "ttft_s", "tpot_s", "e2e_s"):
        assert getattr(slow, name)[0] == pytest.approx(getattr(plain, name)[0] * slowdown)


TIMES = ("wait_s", "ttft_s", "tpot_s", "e2e_s", "burden_s")


@given(
    st.lists(st.tuples(priors, loads, st.floats(1.0, 50.0)), min_size=1, max_size=4),
    st.lists(st.tuples(st.integers(0, 3), st.floats(0, 1e4), st.floats(0, 1e4)), max_size=8),
)
def test_an_added_request_changes_forecasts_as_if_all_were_computed_anew(fleet, joining):
    coefficients = LatencyCoefficients.from_priors([prior for prior, _, _ in fleet])
    state = InstanceState(*np.array([load for _, load, _ in fleet], dtype=float).T.copy())
    slowdown = np.array([factor for _, _, factor in fleet])
    conditions = batch_forecaster(coefficients, state, slowdown)
    seen = []
    for row, prefill_tokens, output_tokens in joining:
        seen.append((conditions.forecast(100.0, np.full(len(fleet), 50.0)), state.copy()))
        conditions.join(row % len(fleet), prefill_tokens, output_tokens)
    seen.append((conditions.forecast(100.0, np.full(len(fleet), 50.0)), state.copy()))
    # All at the end: what one forecast said must stand when others have joined.
    for kept, then in seen:
        anew = forecast(coefficients, then, 100.0, np.full(len(fleet), 50.0), slowdown)
        for name in TIMES:
            assert getattr(kept, name) == pytest.approx(getattr(anew, name), rel=1e-9)


@given(priors, loads)
def test_forecasts_are_finite_and_never_negative(prior, load):
    times = at(prior, load)
    for name in ("wait_s", "ttft_s", "tpot_s", "e2e_s"):
        value = getattr(times, name)[0]
        assert math.isfinite(value)
        assert value >= 0.0


def test_an_idle_deployment_takes_its_prior():
    times = at(PRIOR, (0, 0, 0), input_tokens=100, output_tokens=11)
    assert times.wait_s[0] == 0.0
    assert times.ttft_s[0] == pytest.approx(0.05 + PREFILL_S)
    assert times.tpot_s[0] == pytest.approx(0.02)
    assert times.e2e_s[0] == pytest.approx(0.05 + PREFILL_S + 10 * 0.02)


def test_a_request_that_meets_a_running_batch_joins_it_half_a_step_later_on_average():
    base = 0.05 + PREFILL_S
    assert at(PRIOR, (1, 0, 50)).ttft_s[0] == pytest.approx(base + 1e-3 + 0.5 * 0.021)
    assert at(PRIOR, (2, 0, 50)).ttft_s[0] == pytest.approx(base + 2e-3 + 0.5 * 0.022)


def test_one_from_the_queue_is_taken_in_as_soon_as_its_wait_is_over():
    times = at(PRIOR, (4, 0, 4000))
    assert times.ttft_s[0] == pytest.approx(times.wait_s[0] + 0.05 + 3e-3 + PREFILL_S)


def test_nobody_waits_while_a_slot_is_free():
    assert at(PRIOR, (3, 0, 3000)).wait_s[0] == 0.0
    assert at(PRIOR, (4, 0, 4000)).wait_s[0] > 0.0


def test_the_wait_is_the_references_queueing_form_for_one_slot():
    one = replace(PRIOR, slots=1.0)
    assert at(one, (1, 0, 100)).wait_s[0] == pytest.approx(100 * 0.02)


def test_for_many_slots_and_few_waiting_it_is_nearly_so():
    many = replace(PRIOR, slots=256.0, tpot_s_per_running=0.0)
    assert at(many, (256, 0, 25_600)).wait_s[0] == pytest.approx(100 * 0.02 / 256, rel=0.51)


@pytest.mark.parametrize("slots", [1, 2, 4, 8])
def test_requests_that_come_at_once_wait_for_rounds(slots):
    """On a real engine the waits of a full server were forecast by half too short."""
    tokens, rounds = 100, 4
    server = LatencyPrior(0.02, 0.3, 0.0, 0.0, float(slots))
    forecasts = [at(server, (m, 0, m * tokens)).wait_s[0] for m in range(slots * rounds)]
    truth = [m // slots * (0.3 + tokens * 0.02) for m in range(slots * rounds)]
    assert sum(forecasts) == pytest.approx(sum(truth), rel=0.2)


def test_a_hosted_api_shows_no_queue():
    hosted = LatencyPrior(0.012, 0.5, 0.0, 0.0, math.inf)
    idle, busy = at(hosted, (0, 0, 0)), at(hosted, (400, 9000, 90000))
    assert busy.e2e_s[0] == idle.e2e_s[0]


def test_a_request_that_writes_nothing_ends_with_its_first_token():
    times = at(PRIOR, (0, 0, 0), output_tokens=0.0)
    assert times.e2e_s[0] == times.ttft_s[0]


def test_rows_are_taken_in_the_order_asked_for():
    others = [LatencyPrior(float(i), float(i), 0.0, 0.0, 1.0) for i in (1, 2, 3)]
    taken = LatencyCoefficients.from_priors(others).take(np.array([2, 0]))
    assert taken.tpot_s.tolist() == [3.0, 1.0]
    assert taken.ttft_s.tolist() == [3.0, 1.0]


def test_burden_is_what_those_already_running_lose():
    c = LatencyCoefficients.from_priors([LatencyPrior(0.02, 0.05, 0.0001, 0.0004, 256.0)] * 2)
    state = InstanceState(np.array([0.0, 10.0]), np.zeros(2), np.array([0.0, 500.0]))
    burden = np.asarray(forecast(c, state, 1000.0, np.array([100.0, 100.0])).burden_s)
    assert burden[0] == 0.0
    # Ten requests are held up by almost 0.1 s of prefill, and write 500 tokens 0.4 ms slower each.
    assert burden[1] == pytest.approx(10 * c.at(1).prefill_s(1000.0) + 500 * 0.0004)


def test_burden_ends_with_the_newcomer():
    c = LatencyCoefficients.from_priors([LatencyPrior(0.02, 0.05, 0.0, 0.0004, 256.0)])
    state = InstanceState(np.array([10.0]), np.zeros(1), np.array([5000.0]))
    times = forecast(c, state, 1000.0, np.array([20.0]))
    assert np.asarray(times.burden_s)[0] == pytest.approx(20 * 10 * 0.0004)
    assert times.priced_s[0] == pytest.approx(times.e2e_s[0] + 20 * 10 * 0.0004)
