"""Routing between two models, as RouteLLM judges it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rb_litellm.train.figures.by_kind import kind_reports
from rb_litellm.train.figures.pairs import pair_curve, pair_reports

ONCE = np.ones((1, 4))
STRONG, WEAK = np.array([1.0, 1.0, 1.0, 1.0]), np.array([0.0, 0.0, 1.0, 1.0])


def test_a_router_that_knows_recovers_the_gap_with_the_calls_that_gain():
    curve = pair_curve(STRONG, WEAK, STRONG - WEAK + np.array([0.3, 0.2, 0.1, 0.0]), ONCE)
    assert curve.recovered[0].tolist() == [0.0, 0.5, 1.0, 1.0, 1.0]
    assert curve.apgr()[0] == pytest.approx(0.75)
    assert curve.cpt(0.5)[0] == pytest.approx(0.25)
    assert curve.cpt(0.8)[0] == pytest.approx(0.4)


def test_a_router_that_cannot_tell_prompts_apart_is_as_good_as_chance():
    curve = pair_curve(STRONG, WEAK, np.zeros(4), ONCE)
    assert curve.apgr()[0] == pytest.approx(0.5)
    assert curve.cpt(0.5)[0] == pytest.approx(0.5)
    assert curve.cpt(0.8)[0] == pytest.approx(0.8)


def test_the_first_share_that_recovers_enough_counts_where_the_curve_falls_again():
    curve = pair_curve(
        np.array([1.0, 0.0, 1.0]), np.array([0.0, 1.0, 0.0]), np.array([3, 2, 1.0]), ONCE[:, :3]
    )
    assert curve.recovered[0].tolist() == [0.0, 1.0, 0.0, 1.0]
    assert curve.cpt(0.8)[0] == pytest.approx(0.8 / 3)


qualities = st.lists(st.tuples(*[st.sampled_from([0.0, 0.5, 1.0])] * 2), min_size=2, max_size=12)


@given(qualities, st.randoms(use_true_random=False))
def test_chance_recovers_half_on_average_and_the_reverse_router_what_is_left(pairs, random):
    strong, weak = np.array(pairs).T
    if strong.mean() <= weak.mean():
        strong, weak = weak, strong
    if strong.mean() == weak.mean():
        return
    gain = np.array([random.random() for _ in pairs])
    counts = np.ones((1, len(pairs)))
    there = pair_curve(strong, weak, gain, counts).apgr()[0]
    back = pair_curve(strong, weak, -gain, counts).apgr()[0]
    assert there + back == pytest.approx(1.0)


def test_a_prompt_that_counts_twice_is_a_prompt_that_is_there_twice():
    gain = np.array([0.4, 0.3, 0.2, 0.1])
    counts = np.array([[2.0, 1.0, 0.0, 1.0]])
    rows = [0, 0, 1, 3]
    weighted = pair_curve(STRONG, WEAK, gain, counts)
    repeated = pair_curve(STRONG[rows], WEAK[rows], gain[rows], ONCE)
    assert weighted.apgr()[0] == pytest.approx(repeated.apgr()[0])
    assert weighted.cpt(0.5)[0] == pytest.approx(repeated.cpt(0.5)[0])


def test_each_two_models_are_judged_on_the_prompts_that_both_answered():
    dice = np.random.default_rng(0)
    easy = dice.random(300)
    chance = np.stack([easy, 0.5 + easy / 2, np.full(300, 0.5)], axis=1)
    quality = (dice.random((300, 3)) < chance).astype(float)
    quality[:290, 2] = np.nan
    (report,) = pair_reports(["small", "large", "seldom"], quality, chance)
    assert (report["strong"], report["weak"], report["prompts"]) == ("large", "small", 300)
    assert report["apgr"] > 0.6 > report["apgr_random"]
    low, high = report["ci95"]["apgr"]
    assert low < report["apgr"] < high
    assert report["cpt_50"] < 0.5
    assert report["cpt_80"] < 0.8


def test_models_in_the_right_order_on_the_wrong_level():
    quality = np.tile([0.2, 0.5, 0.8], (40, 1))
    report = kind_reports(["code"] * 40, quality, quality + 0.1)["code"]
    assert report["rank_correlation"] == 1.0
    assert report["calibration_error"] == pytest.approx(0.1)
    assert kind_reports(["code"] * 40, quality, quality[:, ::-1])["code"]["rank_correlation"] == -1.0


def test_few_answers_or_few_models_say_nothing_of_their_order():
    quality = np.tile([0.2, 0.5], (40, 1))
    assert kind_reports(["code"] * 40, quality, quality)["code"]["rank_correlation"] is None
    assert kind_reports(["code"] * 10 + ["chat"] * 30, quality, quality).keys() == {"chat"}
