"""Service levels: who keeps them, what is given up when nobody does, and what is never given up."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rb_litellm.core.decision.breakdown import Predictions
from rb_litellm.core.latency.forecast import LatencyForecast
from rb_litellm.core.limits.slo import RELAX, Slo, apply_slo, needed
from tests.core.latency_errors import LogUniform

ERRORS = LogUniform(spread=2.0)
EVERY = np.ones(3, bool)


def predictions(count, *, quality=0.5, ttft=0.1, tpot=0.02, e2e=2.0, cost=0.001, burden=0.0):
    def row(value):
        return np.broadcast_to(np.asarray(value, dtype=float), (count,)).copy()

    times = LatencyForecast(row(0.0), row(ttft), row(tpot), row(e2e), row(burden))
    return Predictions(row(quality), row(100.0), times, row(cost))


def names(expected_names, slo, p, offered=None):
    judged = apply_slo(slo, p, np.ones(p.quality.size, bool) if offered is None else offered, ERRORS)
    assert [v.name for v in judged.filter_results] == expected_names
    return judged


def test_a_limit_is_kept_by_those_who_probably_keep_it():
    # A forecast of 0.1 s with a factor of two either way keeps 0.2 s surely and 0.1 s half of the time.
    p = predictions(3, ttft=[0.1, 0.12, 0.4])
    judged = names(["ttft"], Slo(ttft_s=0.2, theta=0.9, mode="strict"), p)
    assert judged.allowed.tolist() == [True, False, False]
    half = apply_slo(Slo(ttft_s=0.2, theta=0.5, mode="strict"), p, EVERY, ERRORS)
    assert half.allowed.tolist() == [True, True, False]


def test_quality_and_cost_are_compared_as_predicted():
    p = predictions(3, quality=[0.4, 0.6, 0.8], cost=[1.0, 2.0, 3.0])
    judged = names(["quality", "budget"], Slo(quality_min=0.6, max_cost_usd=2.0, mode="strict"), p)
    assert judged.allowed.tolist() == [False, True, False]


def test_strict_leaves_nobody_where_nobody_keeps_all():
    p = predictions(2, quality=[0.4, 0.8], cost=[1.0, 3.0])
    slo = Slo(quality_min=0.6, max_cost_usd=2.0, mode="strict")
    assert not names(["quality", "budget"], slo, p).allowed.any()


def test_tiered_gives_up_in_the_configured_order():
    p = predictions(2, quality=[0.4, 0.8], cost=[1.0, 3.0])
    slo = Slo(quality_min=0.6, max_cost_usd=2.0, relax=("quality", "budget"))
    judged = names(["quality", "budget"], slo, p)
    assert judged.allowed.tolist() == [True, False]
    assert judged.relaxed == ("quality",)
    other = apply_slo(replace(slo, relax=("budget", "quality")), p, judged.allowed | True, ERRORS)
    assert other.allowed.tolist() == [False, True]
    assert other.relaxed == ("budget",)


def test_a_limit_is_loosened_by_no_more_steps_than_needed():
    p = predictions(3, cost=[2.4, 2.9, 7.0])
    slo = Slo(max_cost_usd=2.0, steps=(1.25, 1.5))
    assert names(["budget"], slo, p).allowed.tolist() == [True, False, False]
    near = predictions(3, cost=[2.6, 2.9, 7.0])
    assert names(["budget"], slo, near).allowed.tolist() == [True, True, False]


def test_after_the_last_step_the_least_bad_is_taken():
    p = predictions(3, cost=[9.0, 8.0, 20.0])
    assert names(["budget"], Slo(max_cost_usd=1.0), p).allowed.tolist() == [False, True, False]


def test_an_e2e_that_is_lost_anyway_goes_where_it_costs_others_least():
    # The first is quickest for the request itself, and holds up those who run there by four seconds.
    p = predictions(3, e2e=[3.0, 4.0, 9.0], burden=[4.0, 0.5, 0.0])
    judged = names(["e2e"], Slo(e2e_s=3.0, steps=(2.0,)), p)
    assert judged.allowed.tolist() == [False, True, False]
    assert judged.relaxed == ("e2e",)


def test_an_e2e_that_is_kept_is_kept_whatever_it_costs_others():
    p = predictions(2, e2e=[3.0, 9.0], burden=[40.0, 0.0])
    assert names(["e2e"], Slo(e2e_s=6.0), p).allowed.tolist() == [True, False]


def test_what_is_not_named_is_never_given_up():
    p = predictions(2, quality=[0.4, 0.3], ttft=[0.1, 0.1])
    judged = names(["ttft", "quality"], Slo(ttft_s=1.0, quality_min=0.6, relax=("ttft",)), p)
    assert not judged.allowed.any()


def test_prefer_removes_nobody_and_prices_misses():
    p = predictions(3, quality=[0.8, 0.3, 0.0])
    judged = names(["quality"], Slo(quality_min=0.6, mode="prefer", penalty=0.5), p)
    assert judged.allowed.all()
    assert judged.penalty is not None
    assert judged.penalty.points.tolist() == pytest.approx([0.0, -0.25, -0.5])


def test_what_would_be_needed_is_the_best_of_each():
    p = predictions(2, quality=[0.4, 0.8], cost=[1.0, 3.0], ttft=[0.1, 0.3])
    slo = Slo(ttft_s=0.01, quality_min=0.9, max_cost_usd=0.5, theta=1.0)
    best = needed(slo, p, np.array([True, True]), ERRORS)
    assert best == pytest.approx({"ttft": 0.2, "quality": 0.8, "budget": 1.0})
    assert needed(slo, p, np.array([False, True]), ERRORS)["budget"] == 3.0


positive = st.floats(1e-3, 1e3)
limit = st.none() | positive


@st.composite
def cases(draw, modes=("strict", "tiered", "prefer")):
    n = draw(st.integers(1, 6))
    column = st.lists(positive, min_size=n, max_size=n)
    p = predictions(
        n,
        quality=draw(st.lists(st.floats(0, 1), min_size=n, max_size=n)),
        ttft=draw(column),
        tpot=draw(column),
        e2e=draw(column),
        cost=draw(column),
        burden=draw(column),
    )
    slo = Slo(
        ttft_s=draw(limit),
        tpot_s=draw(limit),
        e2e_s=draw(limit),
        quality_min=draw(st.none() | st.floats(0, 1)),
        max_cost_usd=draw(limit),
        theta=draw(st.floats(0.05, 1.0)),
        mode=draw(st.sampled_from(modes)),
        relax=tuple(draw(st.permutations(RELAX))[: draw(st.integers(0, 5))]),
    )
    offered = np.array(draw(st.lists(st.booleans(), min_size=n, max_size=n).filter(any)))
    return slo, p, offered


@given(cases())
def test_nobody_is_allowed_who_was_not_offered(case):
    slo, p, offered = case
    assert not (apply_slo(slo, p, offered, ERRORS).allowed & ~offered).any()


@given(cases(modes=("strict", "tiered")))
def test_where_some_keep_every_limit_exactly_these_are_allowed(case):
    slo, p, offered = case
    judged = apply_slo(slo, p, offered, ERRORS)
    keepers = offered.copy()
    for result in judged.filter_results:
        keepers &= result.passed
    if keepers.any():
        assert judged.allowed.tolist() == keepers.tolist()
        assert judged.relaxed == ()
    elif slo.mode == "strict":
        assert not judged.allowed.any()


@given(cases(modes=("tiered",)))
def test_tiered_with_every_limit_named_always_leaves_somebody(case):
    slo, p, offered = case
    assert apply_slo(replace(slo, relax=RELAX), p, offered, ERRORS).allowed.any()


@given(cases(modes=("tiered",)))
def test_limits_that_are_not_named_hold_for_all_that_are_allowed(case):
    slo, p, offered = case
    judged = apply_slo(slo, p, offered, ERRORS)
    for result in judged.filter_results:
        if result.name not in slo.relax:
            assert result.passed[judged.allowed].all()
            assert result.name not in judged.relaxed


@given(cases(), st.floats(1.0, 10.0))
def test_looser_limits_never_shrink_who_keeps_them(case, factor):
    slo, p, offered = case
    strict = replace(slo, mode="strict")
    looser = replace(
        strict,
        ttft_s=strict.ttft_s and strict.ttft_s * factor,
        tpot_s=strict.tpot_s and strict.tpot_s * factor,
        e2e_s=strict.e2e_s and strict.e2e_s * factor,
        quality_min=strict.quality_min and strict.quality_min / factor,
        max_cost_usd=strict.max_cost_usd and strict.max_cost_usd * factor,
    )
    before, after = (
        apply_slo(strict, p, offered, ERRORS).allowed,
        apply_slo(looser, p, offered, ERRORS).allowed,
    )
    assert not (before & ~after).any()


@given(cases(modes=("prefer",)))
def test_preference_never_rewards_a_miss(case):
    slo, p, offered = case
    judged = apply_slo(slo, p, offered, ERRORS)
    assert judged.penalty is not None
    assert (judged.penalty.points <= 0.0).all()
    assert (judged.penalty.points >= -slo.penalty * len(judged.filter_results) - 1e-9).all()
