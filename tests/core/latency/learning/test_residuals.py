"""P(latency <= limit) from the ratios measured / predicted of a tier."""

import math
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rb_litellm.core.latency.learning.residuals import FleetResiduals, Residuals
from rb_litellm.core.types import Outcome, Prediction

PREDICTION = Prediction(
    quality=0.5, output_tokens=11.0, wait_s=0.0, ttft_s=0.2, tpot_s=0.02, e2e_s=0.4, cost_usd=0.0
)


def outcome(**facts):
    told = {"ttft_s": 0.2, "tpot_s": 0.02, "output_tokens": 11, "open_s": 0.4, "error": None} | facts
    return Outcome(
        deployment="d",
        closed_by="test",
        predicted=told.pop("predicted", PREDICTION),
        input_tokens=10,
        in_flight=0.0,
        pending_prefill_tokens=0.0,
        **told,
    )


def probability(of, predicted, limit, tier=0, kind="ttft"):
    fleet = FleetResiduals.of(of, np.array([tier]))
    return float(fleet.probabilities([kind], np.array([[predicted]]), [limit])[0, 0])


def quantile(of, kind, share, tier=0):
    return float(of.quantiles(np.array([tier]), [kind], share)[0, 0])


def test_before_any_measurement_half_meet_their_forecast_and_few_exceed_it_fourfold():
    of = Residuals()
    for kind in ("ttft", "tpot", "e2e"):
        assert probability(of, 0.3, 0.3, kind=kind) == pytest.approx(0.5, abs=0.01)
        assert probability(of, 0.3, 1.2, kind=kind) > 0.95
        assert probability(of, 0.3, 0.075, kind=kind) < 0.05


def test_probabilities_come_to_those_measured():
    of, random = Residuals(), Random(1)
    for _ in range(800):
        of.observe(0, "ttft", 0.2, 0.2 * math.exp(random.gauss(0.3, 0.2)))
    for z, expected in ((-1.0, 0.16), (0.0, 0.5), (1.0, 0.84), (2.0, 0.977)):
        assert probability(of, 0.5, 0.5 * math.exp(0.3 + 0.2 * z)) == pytest.approx(expected, abs=0.05)


def test_the_present_outweighs_the_past():
    of = Residuals()
    for factor, times in ((1.0, 3000), (3.0, 3000)):
        for _ in range(times):
            of.observe(0, "tpot", 0.02, 0.02 * factor)
    assert probability(of, 0.02, 0.05, kind="tpot") < 0.1


def test_after_a_silence_a_few_measurements_outweigh_all_before_it():
    def meets(silent_s):
        of = Residuals()
        for second in range(500):
            of.observe(0, "ttft", 1.0, 6.0, float(second))
        for second in range(20):
            of.observe(0, "ttft", 1.0, 1.0, 500.0 + silent_s + second)
        return probability(of, 1.0, 2.0)

    assert meets(1.0) < 0.1
    assert meets(3600.0) > 0.5


def test_tiers_and_kinds_are_apart():
    of = Residuals()
    for _ in range(500):
        of.observe(1, "ttft", 0.1, 0.5)
    assert probability(of, 0.1, 0.2, tier=1) < 0.1
    assert probability(of, 0.1, 0.2, tier=0) > 0.8
    assert probability(of, 0.1, 0.2, tier=1, kind="tpot") > 0.8


def test_candidates_of_several_tiers_are_answered_at_once():
    of = Residuals()
    for _ in range(500):
        of.observe(1, "ttft", 0.1, 0.5)
    fleet = FleetResiduals.of(of, np.array([1, 0, 1]))
    (found,) = fleet.probabilities(["ttft"], np.array([[0.1, 0.1, 0.01]]), [0.2])
    assert found.shape == (3,)
    assert found[0] < 0.1 < 0.8 < found[1]
    assert found[2] > 0.9


def test_a_quantile_undoes_a_probability():
    of, random = Residuals(), Random(2)
    for _ in range(500):
        of.observe(0, "e2e", 1.0, math.exp(random.gauss(0.0, 0.5)))
    for share in (0.1, 0.5, 0.9):
        assert probability(of, 1.0, quantile(of, "e2e", share), kind="e2e") == pytest.approx(share, abs=1e-6)


@given(st.lists(st.tuples(st.floats(0.05, 20.0), st.floats(0.05, 20.0)), max_size=30), st.floats(0.01, 0.99))
def test_the_longest_forecast_that_keeps_a_limit_is_where_its_probability_is_the_share(seen, share):
    of = Residuals()
    for predicted, measured in seen:
        of.observe(0, "e2e", predicted, measured)
    fleet = FleetResiduals.of(of, np.array([0]))
    longest = float(fleet.longest(("e2e",), (3.0,), share)[0, 0])
    assert probability(of, longest * (1 - 1e-9), 3.0, kind="e2e") >= share - 1e-6
    assert probability(of, longest * 1.001, 3.0, kind="e2e") < share


def test_no_forecast_keeps_a_limit_of_zero():
    fleet = FleetResiduals.of(Residuals(), np.array([0, 1]))
    assert (fleet.longest(("ttft",), (0.0,), 0.5) < 0.0).all()


def test_what_was_found_for_a_limit_gives_way_to_what_is_measured():
    of = Residuals()
    fleet = FleetResiduals.of(of, np.array([0]))
    before = float(fleet.longest(("ttft",), (1.0,), 0.5)[0, 0])
    for _ in range(300):
        of.observe(0, "ttft", 0.1, 0.4)
    assert float(fleet.longest(("ttft",), (1.0,), 0.5)[0, 0]) < 0.5 * before


def test_an_outcome_tells_of_all_it_measured():
    of = Residuals()
    for _ in range(300):
        of.learn(0, outcome(ttft_s=0.4, tpot_s=0.01, open_s=0.8))
    assert quantile(of, "ttft", 0.5) == pytest.approx(2.0, rel=0.05)
    assert quantile(of, "tpot", 0.5) == pytest.approx(0.5, rel=0.05)
    assert quantile(of, "e2e", 0.5) == pytest.approx(2.0, rel=0.05)


@pytest.mark.parametrize("facts", [{"error": "Timeout"}, {"predicted": None}])
def test_a_failed_or_unpredicted_attempt_says_nothing(facts):
    of = Residuals()
    of.learn(0, outcome(ttft_s=9.0, **facts))
    assert len(of) == 0


positive = st.floats(1e-6, 1e6)


@given(
    st.lists(st.tuples(positive, positive), max_size=30), positive, positive, st.floats(-1.0, 1e6), positive
)
def test_probabilities_are_monotone_in_forecast_and_limit(seen, forecast, more, limit, extra):
    of = Residuals()
    for predicted, measured in seen:
        of.observe(0, "e2e", predicted, measured)
    found = probability(of, forecast, limit, kind="e2e")
    assert 0.0 <= found <= 1.0
    assert probability(of, forecast + more, limit, kind="e2e") <= found + 1e-12
    assert probability(of, forecast, limit + extra, kind="e2e") >= found - 1e-12


@given(st.floats(), st.floats())
def test_no_odd_time_spoils_the_distribution(predicted, measured):
    of = Residuals()
    of.observe(0, "ttft", predicted, measured)
    assert 0.0 <= probability(of, 0.1, 0.2) <= 1.0


def test_several_kinds_are_answered_at_once_each_by_its_own_measurements():
    of = Residuals()
    for _ in range(500):
        of.observe(0, "ttft", 0.1, 0.4)
        of.observe(0, "e2e", 1.0, 1.0)
    fleet = FleetResiduals.of(of, np.array([0, 0]))
    ttft, e2e = fleet.probabilities(["ttft", "e2e"], np.array([[0.1, 0.01], [1.0, 4.0]]), [0.2, 2.0])
    assert ttft == pytest.approx([probability(of, 0.1, 0.2), probability(of, 0.01, 0.2)])
    assert e2e == pytest.approx(
        [probability(of, 1.0, 2.0, kind="e2e"), probability(of, 4.0, 2.0, kind="e2e")]
    )
    assert ttft[0] < 0.1 < 0.8 < e2e[0]
