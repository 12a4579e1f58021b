"""Compiled loops offer several answers and second ones as NumPy does, the same to the last bit."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import fields
from typing import Any, TypeVar

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from rb_litellm.core.best_of.figures import SampleSetting
from rb_litellm.core.best_of.rule import BestOfRule
from rb_litellm.core.cascade.figures import pair_figures
from rb_litellm.core.cascade.rule import CascadeRule
from rb_litellm.core.compiled.in_use import IN_USE
from rb_litellm.core.decision.breakdown import Predictions, ScoreBreakdown
from rb_litellm.core.latency.forecast import LatencyCoefficients, LatencyPrior
from rb_litellm.core.latency.forecast import forecast as forecast_of
from rb_litellm.core.types import InstanceState
from tests.predictors.test_compiled_decision import loops, priors

Found = TypeVar("Found")
shares = st.floats(0.0, 1.0)
best_of_rules = st.builds(
    BestOfRule,
    discernment=shares,
    correlation=shares,
    length_spread=shares,
    choices=st.sampled_from([(), (2,), (2, 3, 4), (2, 3, 4, 5, 6, 7, 8)]),
    judge_usd=st.floats(0.0, 1e-4),
    judge_usd_per_token=st.floats(0.0, 1e-6),
    judge_most_tokens=st.sampled_from([100.0, math.inf]),
    longest_tokens=st.sampled_from([50.0, math.inf]),
)
cascade_rules = st.builds(
    CascadeRule,
    shares,
    shares,
    shares,
    judge_s=st.floats(0.0, 9.0),
    judge_usd=st.floats(0.0, 1e-4),
    judge_usd_per_token=st.floats(0.0, 1e-6),
    judge_most_tokens=st.sampled_from([100.0, math.inf]),
)
fleets = st.lists(
    st.tuples(priors, st.integers(0, 5), st.booleans(), st.booleans(), st.integers(0, 3)),
    min_size=1,
    max_size=9,
)
"""Of each deployment its prior, its model, whether it is allowed and takes `n`, and its score in tenths."""


def both_ways(work_out: Callable[[], Found | None]) -> tuple[Found | None, Found | None]:
    by_numpy = work_out()
    IN_USE.loops = loops()
    try:
        by_loops = work_out()
        assert IN_USE.loops is not None
    finally:
        IN_USE.loops = None
    return by_numpy, by_loops


def assert_same(one: Any, other: Any) -> None:
    assert (one is None) == (other is None)
    for field in fields(one) if one is not None else ():
        assert getattr(one, field.name).tobytes() == getattr(other, field.name).tobytes(), field.name


def setting_of(
    fleet: list[tuple[LatencyPrior, int, bool, bool, int]], seed: int
) -> tuple[ScoreBreakdown, SampleSetting]:
    deployments, model, allowed, takes_n, score = zip(*fleet, strict=True)
    draw, count = np.random.default_rng(seed), len(fleet)
    coefficients = LatencyCoefficients.from_priors(list(deployments))
    coefficients.prefill_share[:] = draw.random(count)
    state = InstanceState(draw.integers(0, 9, count) * 1.0, draw.random(count) * 99, draw.random(count) * 999)
    tokens, usd = draw.random(count) * 900.0, draw.random(count) * 1e-6
    times = forecast_of(coefficients, state, 300.0, tokens)
    predictions = Predictions(draw.integers(0, 5, count) / 4.0, tokens, times, usd * tokens)
    mask = np.array(allowed, dtype=np.bool_)
    scores = np.where(mask, np.array(score) / 10.0, -np.inf)
    # As in a set of candidates, models are numbered without gaps.
    models = np.unique(model, return_inverse=True)[1].astype(np.int64)
    breakdown = ScoreBreakdown(predictions, mask, mask, (), scores)
    prefill = np.full(count, 300)
    takes = np.array(takes_n, dtype=np.bool_)
    return breakdown, SampleSetting(models, takes, coefficients, state, 300.0, prefill, usd)


@settings(deadline=None)
@given(fleets, best_of_rules, st.integers(0, 99))
def test_several_answers_are_offered_as_by_numpy(fleet, rule, seed):
    breakdown, setting = setting_of(fleet, seed)
    assert_same(*both_ways(lambda: setting.figures(rule, breakdown)))


@settings(deadline=None)
@given(fleets, cascade_rules, st.integers(0, 99))
def test_second_answers_are_offered_as_by_numpy(fleet, rule, seed):
    breakdown, setting = setting_of(fleet, seed)
    usd = breakdown.predictions.cost_usd
    assert_same(*both_ways(lambda: pair_figures(rule, breakdown, setting.models, 300.0, usd)))
