"""Drift: said once when measurements leave predictions, once when they are back, and never for noise."""

import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rb_litellm.core.latency import drift as drift_module
from rb_litellm.core.latency.drift import ALARM, Drift
from rb_litellm.core.types import Outcome, Prediction


def feed(of, ratios, kind="tpot", name="d"):
    """What was said while measured / predicted took these values."""
    said = [of.observe(name, kind, 0.02, 0.02 * ratio) for ratio in ratios]
    return [change for change in said if change is not None]


def noise(count, seed=1, centre=1.0, spread=0.3):
    random = Random(seed)
    return [centre * math.exp(random.gauss(0.0, spread)) for _ in range(count)]


@pytest.mark.parametrize("seed", range(5))
def test_noise_alone_is_no_drift(seed):
    assert feed(Drift(), noise(5000, seed)) == []


@pytest.mark.parametrize("factor", [3.0, 1 / 3])
def test_a_threefold_change_is_said_within_ten_measurements(factor):
    of = Drift()
    feed(of, noise(300))
    (change,) = feed(of, noise(10, centre=factor))
    assert change.drifting
    assert change.score >= ALARM
    assert change.ratio == pytest.approx(factor, rel=0.5)


def test_it_is_said_once_however_long_it_lasts_and_once_when_it_is_over():
    of = Drift()
    said = feed(of, noise(300)) + feed(of, noise(200, centre=3.0)) + feed(of, noise(300))
    assert [change.drifting for change in said] == [True, False]


def test_wild_outliers_now_and_then_are_no_drift():
    assert feed(Drift(), [50.0 if n % 20 == 0 else ratio for n, ratio in enumerate(noise(2000))]) == []


def test_the_line_says_how_far_and_what_to_do():
    of = Drift()
    (slow,) = feed(of, noise(40, centre=3.0), name="gpu-3")
    assert "time per output token of gpu-3" in str(slow)
    assert "scrape" in str(slow)
    (long,) = feed(of, noise(40, centre=3.0), kind="output_tokens", name="qwen-7b")
    assert "routebalance train" in str(long)


def outcome(error=None, ttft_s=0.2, tpot_s=0.02, tokens=50, limited=False):
    return Outcome(
        deployment="d",
        closed_by="test",
        predicted=Prediction(0.5, 50.0, 0.0, 0.2, 0.02, 1.2, 0.0),
        input_tokens=10,
        in_flight=0.0,
        pending_prefill_tokens=0.0,
        open_s=1.2,
        ttft_s=ttft_s,
        tpot_s=tpot_s,
        output_tokens=tokens,
        error=error,
        limited=limited,
    )


def test_an_outcome_feeds_times_by_deployment_and_length_by_model():
    of = Drift()
    for _ in range(30):
        of.learn(outcome(ttft_s=0.8, tokens=200), model="m")
    scores = {(name, kind): cusum.score for name, kind, cusum in of}
    assert scores[("d", "ttft")] >= ALARM
    assert scores[("m", "output_tokens")] >= ALARM
    assert scores[("d", "tpot")] == 0.0


def test_a_failed_attempt_says_nothing():
    of = Drift()
    assert of.learn(outcome(error="Timeout", ttft_s=99.0)) == []
    assert list(of) == []


def test_what_is_tracked_is_bounded(monkeypatch):
    monkeypatch.setattr(drift_module, "MAX_TRACKED", 3)
    of = Drift()
    for n in range(10):
        feed(of, [1.0], name=f"d{n}")
    assert [name for name, _, _ in of] == ["d7", "d8", "d9"]


@given(st.lists(st.tuples(st.floats(), st.floats()), max_size=50))
def test_no_odd_figure_spoils_a_score(pairs):
    of = Drift()
    for predicted, measured in pairs:
        of.observe("d", "ttft", predicted, measured)
    for _, _, cusum in of:
        assert 0.0 <= cusum.score <= 2 * ALARM
        assert math.isfinite(cusum.ratio)


def length_line(answers):
    """What is said of the length of model `m`, first, as these answers come in."""
    of = Drift()
    said = [change for answer in answers for change in of.learn(answer, model="m")]
    return str(next(change for change in said if change.kind == "output_tokens"))


def test_answers_that_a_limit_cuts_are_told_as_such_and_not_as_the_predictors_fault():
    line = length_line([outcome(tokens=8, limited=True)] * 40)
    assert "A limit cuts 100% of these answers short" in line
    assert "`max_tokens`" in line
    assert "routebalance train" not in line


@pytest.mark.parametrize(
    "answers",
    [
        [outcome(tokens=8, limited=True), *[outcome(tokens=8)] * 39],
        [outcome(tokens=400, limited=True)] * 40,
    ],
    ids=["one of many", "longer than predicted"],
)
def test_a_limit_that_is_not_the_cause_is_not_named(answers):
    assert "A limit cuts" not in length_line(answers)
