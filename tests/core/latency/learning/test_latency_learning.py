"""Learning of latency: quick to follow a deployment, hard to fool with one measurement."""

import math
from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rb_litellm.core.latency.forecast import LatencyCoefficients, LatencyPrior, effective_tokens, forecast
from rb_litellm.core.latency.learning.learner import LatencyLearner
from rb_litellm.core.servers.streams import Chunks, Stream
from rb_litellm.core.types import InstanceState, Outcome

PRIOR = LatencyPrior(tpot_s=0.02, ttft_s=0.1, prefill_s_per_token=1e-4, tpot_s_per_running=1e-4, slots=16.0)
TOKENS = 100


def outcome(tpot=None, ttft=None, in_flight=0.0, input_tokens=TOKENS, pending=0.0, error=None):
    return Outcome(
        deployment="d",
        closed_by="test",
        predicted=None,
        input_tokens=input_tokens,
        in_flight=in_flight,
        pending_prefill_tokens=pending,
        open_s=1.0,
        ttft_s=ttft,
        tpot_s=tpot,
        error=error,
    )


def learner(deployments=1, prior=PRIOR, tier="t"):
    made = LatencyLearner()
    for _ in range(deployments):
        made.add(tier, prior)
    return made


def expected(of, row=0, in_flight=0.0, input_tokens=TOKENS):
    """(TTFT, TPOT) in s that the learner now expects at a row."""
    state = InstanceState.idle(len(of))
    state.in_flight[:] = in_flight
    times = forecast(of.coefficients, state, input_tokens, np.full(len(of), 10.0))
    return float(times.ttft_s[row]), float(times.tpot_s[row])


def test_before_any_measurement_the_prior_stands():
    ttft, tpot = expected(learner())
    assert tpot == pytest.approx(0.02)
    # Computing 200 tokens takes as long as a step.
    assert ttft == pytest.approx(0.1 + 1e-4 * effective_tokens(TOKENS, 200.0))


@pytest.mark.parametrize("factor", [3.0, 1 / 3])
def test_a_threefold_change_is_followed_within_thirty_requests(factor):
    of, random = learner(3), Random(1)

    def send(times, scale):
        for _ in range(times):
            noise = math.exp(random.gauss(0.0, 0.1))
            of.observe(1, outcome(tpot=0.02 * scale * noise, ttft=0.11 * scale * noise))

    send(200, 1.0)
    send(30, factor)
    ttft, tpot = expected(of, row=1)
    assert tpot == pytest.approx(0.02 * factor, rel=0.25)
    assert ttft == pytest.approx(0.11 * factor, rel=0.25)


def test_a_slow_deployment_does_not_make_its_tier_slow():
    of = learner(5)
    for _ in range(100):
        for row in range(5):
            of.observe(row, outcome(tpot=0.06 if row == 0 else 0.02))
    assert expected(of, 0)[1] == pytest.approx(0.06, rel=0.15)
    assert expected(of, 4)[1] == pytest.approx(0.02, rel=0.15)


@pytest.mark.parametrize("factor", [0.001, 1000.0])
def test_one_outlier_moves_little(factor):
    of = learner()
    for _ in range(50):
        of.observe(0, outcome(tpot=0.02, ttft=0.11))
    of.observe(0, outcome(tpot=0.02 * factor, ttft=0.11 * factor))
    ttft, tpot = expected(of)
    assert tpot == pytest.approx(0.02, rel=0.35)
    assert ttft == pytest.approx(0.11, rel=0.35)


def test_a_tenth_of_wild_outliers_does_not_run_away_with_the_forecast():
    of, random = learner(), Random(3)
    for _ in range(500):
        wild = random.random() < 0.1
        of.observe(0, outcome(tpot=2.0 if wild else 0.02, ttft=11.0 if wild else 0.11))
    ttft, tpot = expected(of)
    assert 0.015 < tpot < 0.04
    assert 0.08 < ttft < 0.22


def test_slow_to_start_and_quick_to_write_are_learned_separately():
    of = learner()
    for _ in range(100):
        of.observe(0, outcome(ttft=0.55, tpot=0.01))
    ttft, tpot = expected(of)
    assert ttft == pytest.approx(0.55, rel=0.15)
    assert tpot == pytest.approx(0.01, rel=0.15)


def test_a_measurement_of_one_leaves_the_other_alone():
    of = learner()
    before = of.coefficients.at(0)
    for _ in range(20):
        of.observe(0, outcome(tpot=0.08))
    after = of.coefficients.at(0)
    assert (after.ttft_s, after.prefill_s_per_token) == (before.ttft_s, before.prefill_s_per_token)
    # But the longer a step is, the more tokens are computed while it reads the weights.
    assert after.ridge_tokens > before.ridge_tokens
    before = expected(of)
    for _ in range(20):
        of.observe(0, outcome(ttft=0.9))
    assert expected(of)[1] == before[1]


def test_growth_with_load_and_with_prompt_length_is_learned():
    of, random = learner(2), Random(5)
    for _ in range(600):
        load, tokens = random.randrange(16), random.randrange(50, 4000)
        of.observe(
            random.randrange(2),
            outcome(
                tpot=0.02 + 0.001 * load, ttft=0.1 + 3e-4 * tokens, in_flight=float(load), input_tokens=tokens
            ),
        )
    idle, busy = expected(of, in_flight=0.0)[1], expected(of, in_flight=15.0)[1]
    assert idle == pytest.approx(0.02, rel=0.15)
    assert busy == pytest.approx(0.035, rel=0.15)
    assert expected(of, input_tokens=4000)[0] == pytest.approx(0.1 + 1.2, rel=0.15)


@pytest.mark.parametrize("prefill_s_per_token", [5e-5, 1e-4, 4e-4, 3e-3])
@pytest.mark.parametrize("tpot_s", [0.01, 0.02, 0.05])
def test_the_roofline_of_prefill_is_learned(tpot_s, prefill_s_per_token):
    of, random = learner(), Random(6)
    truth = replace(PRIOR, tpot_s=tpot_s, prefill_s_per_token=prefill_s_per_token)
    engine = LatencyCoefficients.from_priors([truth]).at(0)
    for _ in range(400):
        tokens = round(math.exp(random.gauss(math.log(120.0), 1.2)))
        noise = math.exp(random.gauss(0.0, 0.1))
        of.observe(0, outcome(tpot_s, (0.1 + engine.prefill_s(tokens)) * noise, input_tokens=tokens))
    for tokens in (20, 100, 400, 1500):
        assert expected(of, input_tokens=tokens)[0] == pytest.approx(0.1 + engine.prefill_s(tokens), rel=0.15)


SLOW_PREFILL = 20.0 * PRIOR.prefill_s_per_token
"""A processor: it writes like the hardware that is assumed, and reads many times more slowly."""


def test_a_first_token_that_is_much_later_than_assumed_tells_of_slow_prefill():
    # All else before it takes about a step.
    of, random = learner(), Random(4)
    for _ in range(20):
        tokens = random.randint(50, 250)
        of.observe(0, outcome(ttft=0.1 + tokens * SLOW_PREFILL, input_tokens=tokens))
    assert expected(of, input_tokens=2000)[0] == pytest.approx(0.1 + 2000 * SLOW_PREFILL, rel=0.2)


def test_two_that_come_at_once_are_prefilled_one_after_the_other_however_slow_it_is():
    of = learner(prior=replace(PRIOR, slots=2.0))
    one, two = (0.1 + prompts * TOKENS * SLOW_PREFILL for prompts in (1, 2))
    for _ in range(12):
        of.observe(0, outcome(ttft=one))
        of.observe(0, outcome(ttft=two, in_flight=1.0, pending=TOKENS))
        # Those that waited for a slot had nobody before them when they got one.
        of.observe(0, outcome(ttft=one, in_flight=1.0))
        of.observe(0, outcome(ttft=one, in_flight=1.0))
    state = InstanceState.idle(1)
    state.in_flight[:], state.pending_prefill_tokens[:] = 1.0, TOKENS
    assert expected(of)[0] == pytest.approx(one, rel=0.1)
    assert forecast(of.coefficients, state, TOKENS, np.full(1, 10.0)).ttft_s[0] == pytest.approx(two, rel=0.1)


def test_a_server_that_is_quicker_than_assumed_still_takes_time_for_prefill():
    # Else nothing would be saved by what it has cached.
    of = learner()
    for _ in range(6):
        of.observe(0, outcome(ttft=0.022, input_tokens=1000))
        assert of.coefficients.prefill_s_per_token[0] > 0.1 * PRIOR.prefill_s_per_token


def test_a_failed_attempt_teaches_nothing():
    of = learner()
    before = expected(of)
    of.observe(0, outcome(tpot=9.0, ttft=9.0, error="Timeout"))
    assert expected(of) == before


def test_the_first_token_of_a_request_that_queued_says_nothing_of_prefill():
    of = learner()
    before = expected(of)[0]
    of.observe(0, outcome(ttft=30.0, in_flight=16.0))
    assert expected(of)[0] == before


def test_a_first_token_is_learned_when_it_comes_and_once():
    early, late = learner(), learner()
    for _ in range(20):
        early.first_token(0, outcome(ttft=0.4))
        early.observe(0, outcome(ttft=0.4)._replace(first_token_learned=True))
        late.observe(0, outcome(ttft=0.4))
    assert expected(early)[0] == pytest.approx(expected(late)[0])


def test_late_first_tokens_hint_at_slow_writing_before_any_answer_is_complete():
    of = learner(2)
    for _ in range(200):
        for row in range(2):
            of.first_token(row, outcome(ttft=0.11))
            of.observe(row, outcome(tpot=0.02, ttft=0.11)._replace(first_token_learned=True))
    for _ in range(30):
        of.first_token(0, outcome(ttft=0.33))
    assert 0.026 < expected(of, 0)[1] < 0.06
    assert expected(of, 1)[1] == pytest.approx(0.02, rel=0.1)


def test_streams_three_times_slower_are_priced_before_any_answer_is_complete_and_not_twice_after():
    of, slow = learner(2), 3 * 0.02
    for _ in range(200):
        of.observe(0, outcome(tpot=0.02)._replace(output_tokens=100, chunks=100))
    written = [Chunks(), Chunks()]
    streams = [Stream("d", progress, 0.0) for progress in written]

    def look(now):
        for progress in written:
            progress.chunks = round(now / slow)
        return of.observe_streams(0, 1.0, streams, now)

    assert look(1.0) is look(2.0) is None
    assert look(3.0) == pytest.approx(slow, rel=0.1)
    assert expected(of)[1] == pytest.approx(slow, rel=0.1)
    assert expected(of, 1)[1] == pytest.approx(0.02, rel=0.1)
    assert of.contradicted.tolist() == [0]
    for now in range(4, 60):
        of.observe(0, outcome(tpot=slow)._replace(output_tokens=100, chunks=100))
        look(float(now))
        assert expected(of)[1] == pytest.approx(slow, rel=0.15)
    assert of.contradicted.size == 0


def test_the_first_token_comes_later_on_a_full_server():
    of, random = learner(2), Random(7)
    for _ in range(600):
        load = random.randrange(16)
        of.observe(random.randrange(2), outcome(ttft=0.1 + 0.003 * load, in_flight=float(load)))
    assert expected(of, in_flight=0.0)[0] == pytest.approx(0.1, rel=0.15)
    assert expected(of, in_flight=15.0)[0] == pytest.approx(0.145, rel=0.1)


def test_a_new_deployment_starts_from_what_its_tier_has_learned():
    of = learner(2)
    for _ in range(300):
        for row in range(2):
            of.observe(row, outcome(tpot=0.05))
    of.add("t", PRIOR)
    assert expected(of, row=2)[1] == pytest.approx(0.05, rel=0.3)


def expected_e2e_s(of, output_tokens):
    """(N,) in s, of idle deployments."""
    return forecast(
        of.coefficients, InstanceState.idle(len(of)), TOKENS, np.full(len(of), output_tokens)
    ).e2e_s


@pytest.mark.parametrize("factor", [0.04, 25.0])
def test_a_wrong_prior_does_not_take_the_share_of_an_equal_whose_answers_come_in_one_piece(factor):
    # One gets nine of ten requests, as by its weight; until the tenth comes, nothing is known of the other.
    of, tokens, at_s = learner(2), 20, 0.0
    engine = LatencyCoefficients.from_priors([PRIOR]).at(0)
    expected_s = PRIOR.ttft_s + engine.prefill_s(TOKENS) + PRIOR.tpot_s * (tokens - 1)
    for number in range(1, 200):
        at_s += 1.0
        total = outcome(tpot=factor * expected_s / tokens)._replace(
            open_s=factor * expected_s, output_tokens=tokens, in_one_piece=True, at_s=at_s
        )  # fmt: skip
        of.observe(0 if number % 10 else 1, total)
        both = expected_e2e_s(of, tokens)
        # The one that nobody measures may look quicker, which soon gets it measured; never by far slower.
        assert both[1] < 2.2 * both[0]
    assert both.max() < 1.1 * both.min()
    assert both == pytest.approx(factor * expected_s, rel=0.15)


def test_tiers_learn_apart():
    of = LatencyLearner()
    of.add("a", PRIOR)
    of.add("b", PRIOR)
    for _ in range(50):
        of.observe(0, outcome(tpot=0.2))
    assert expected(of, row=1)[1] == pytest.approx(0.02)


measurements = st.one_of(st.none(), st.floats(1e-9, 1e9))


@settings(max_examples=50)
@given(
    st.lists(
        st.tuples(measurements, measurements, st.floats(0, 1e4), st.floats(0, 1e7), st.integers(0, 10**7)),
        max_size=60,
    )
)
def test_whatever_is_measured_coefficients_stay_finite_and_positive(seen):
    of = learner(2)
    for i, (tpot, ttft, in_flight, pending, tokens) in enumerate(seen):
        of.observe(i % 2, outcome(tpot, ttft, in_flight, tokens, pending))
    c = of.coefficients
    for values, least in (
        (c.tpot_s, 1e-9),
        (c.ttft_s, 1e-9),
        (c.tpot_s_per_running, 0.0),
        (c.prefill_s_per_token, 0.0),
    ):
        assert np.all(np.isfinite(values))
        assert np.all(values >= least)


@pytest.mark.parametrize("idle_share", [0.05, 0.5, 0.95])
def test_an_idle_server_is_known_as_such_whatever_share_of_requests_met_a_running_batch(idle_share):
    """What a request waits for until the running batch takes it in is no part of an idle server's TTFT."""
    of, random = learner(), Random(7)
    for _ in range(400):
        others = 0.0 if random.random() < idle_share else float(random.randint(1, 12))
        tpot = 0.03 + 2e-4 * others
        left = random.random() * tpot if others else 0.0
        of.observe(0, outcome(tpot, left + 0.04 + 2e-4 * others + TOKENS * 1e-4, others))
    assert expected(of)[0] == pytest.approx(0.05, rel=0.07)
    assert expected(of, in_flight=6.0)[0] == pytest.approx(0.05 + 6 * 2e-4 + 0.5 * 0.0312, rel=0.06)


def test_totals_of_answers_in_one_piece_hold_the_time_until_the_batch_took_them_in():
    of, random = learner(), Random(8)
    for n in range(600):
        others = 0.0 if n % 2 else 8.0
        tokens = random.choice([1, 1, 2, 40, 150])
        left = random.random() * 0.02 if others else 0.0
        open_s = left + 0.1 + TOKENS * 1e-4 + (tokens - 1) * 0.02
        told = outcome(in_flight=others)._replace(output_tokens=tokens, open_s=open_s, in_one_piece=True)
        of.observe(0, told)
    assert expected(of)[0] == pytest.approx(0.11, rel=0.05)
    assert expected(of, in_flight=8.0)[0] == pytest.approx(0.12, rel=0.05)
