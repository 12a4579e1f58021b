"""Cascades: what two models and a judge between them are worth, and when that beats one model."""

from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rb_litellm.core.cascade.rule import CascadeRule, both_right
from rb_litellm.core.decision.assign import assign
from rb_litellm.core.decision.batch import BatchRequest, Fleet, Prices
from rb_litellm.core.decision.breakdown import Decision
from rb_litellm.core.decision.scoring import JointScore, Priced, Weights
from rb_litellm.core.latency.forecast import LatencyCoefficients, LatencyPrior
from rb_litellm.core.limits.budget import Budget
from rb_litellm.core.limits.filters import Limits
from rb_litellm.core.limits.slo import Slo
from rb_litellm.core.targets.objective import Targeted
from rb_litellm.core.targets.stated import Targets
from rb_litellm.core.types import InstanceState
from tests.core.latency_errors import LogUniform

shares = st.floats(0.0, 1.0)


class Errors(LogUniform):
    def longest(self, kinds, limits_s, share):
        return np.repeat(super().longest(kinds, limits_s, share), 2, axis=1)


rules = st.builds(CascadeRule, shares, shares, shares)
PERFECT = CascadeRule(1.0, 0.0, 0.0)
QUICK = LatencyPrior(tpot_s=0.01, ttft_s=0.05, prefill_s_per_token=0.0, tpot_s_per_running=0.0, slots=64.0)
SLOW = replace(QUICK, tpot_s=0.04)


def fleet(count=2, models=None, usd=(1e-7, 1e-6)):
    usd = np.array(usd)
    return Fleet(
        coefficients=LatencyCoefficients.from_priors([QUICK, *[SLOW] * (count - 1)]),
        state=InstanceState.idle(count),
        prices=Prices(usd, usd),
        last_chosen_s=np.full(count, -np.inf),
        models=np.arange(count) if models is None else np.array(models),
        latency_errors=Errors(),
    )


def asked(rule, quality=(0.5, 0.7), objective=None, limits=None, allowed=None):
    count = len(quality)
    return BatchRequest(
        100.0,
        np.array(quality),
        np.full(count, 200.0),
        np.ones(count, bool) if allowed is None else np.array(allowed),
        objective or Priced(0.01, 1e-5),
        limits,
        cascade=rule,
    )


def decided(rule, fleet_=None, **fields):
    (decision,) = assign([asked(rule, **fields)], fleet_ or fleet(), 0.0, Random(0))
    assert isinstance(decision, Decision)
    return decision


# What a cascade is worth


@given(rules, shares, shares)
def test_quality_and_share_are_what_a_count_of_all_cases_says(rule, first, second):
    both = float(both_right(np.array(first), np.array(second), rule.dependence))
    a, f = rule.accepts_right, rule.accepts_wrong
    cases = {  # first right, second right: probability
        (1, 1): both, (1, 0): first - both, (0, 1): second - both, (0, 0): 1.0 - first - second + both,
    }  # fmt: skip
    quality = escalated = 0.0
    for (one, two), chance in cases.items():
        kept = a if one else f
        quality += chance * (kept * one + (1.0 - kept) * two)
        escalated += chance * (1.0 - kept)
    assert rule.quality(np.array([first]), np.array([second]))[0] == pytest.approx(quality, abs=1e-9)
    assert rule.escalated(np.array([first]))[0] == pytest.approx(escalated, abs=1e-9)


@given(rules, shares, shares)
def test_no_case_has_less_than_no_chance_and_quality_stays_a_probability(rule, first, second):
    both = both_right(np.array([first]), np.array([second]), rule.dependence)[0]
    assert max(first + second - 1.0, 0.0) - 1e-12 <= both <= min(first, second) + 1e-12
    assert -1e-9 <= rule.quality(np.array([first]), np.array([second]))[0] <= 1.0 + 1e-9


@given(shares, shares, shares)
def test_a_judge_that_accepts_all_or_nothing_leaves_one_model_alone(first, second, dependence):
    one, two = np.array([first]), np.array([second])
    assert CascadeRule(1.0, 1.0, dependence).quality(one, two)[0] == pytest.approx(first, abs=1e-9)
    assert CascadeRule(0.0, 0.0, dependence).quality(one, two)[0] == pytest.approx(second, abs=1e-9)


@given(rules, shares, shares, shares)
def test_a_better_judge_of_wrong_answers_is_worth_no_less(rule, first, second, other):
    worse, better = sorted((rule.accepts_wrong, other), reverse=True)
    found = [
        replace(rule, accepts_wrong=f).quality(np.array([first]), np.array([second]))[0]
        for f in (worse, better)
    ]
    assert found[1] >= found[0] - 1e-9


def test_what_a_judge_reads_is_bounded_and_so_is_what_it_costs():
    rule = CascadeRule(0.9, 0.3, judge_usd=1e-5, judge_usd_per_token=1e-7, judge_most_tokens=1000.0)
    assert rule.verdict_usd(100.0, np.array([200.0, 1e6])).tolist() == pytest.approx([4e-5, 11e-5])


# In the joint decision


def test_without_a_rule_nothing_is_a_cascade():
    assert decided(None).cascade is None


def test_a_perfect_judge_without_a_price_sends_the_cheap_one_first():
    decision = decided(PERFECT)
    assert (decision.index, decision.cascade.second) == (0, 1)
    assert decision.cascade.escalated == pytest.approx(0.5)
    assert decision.cascade.quality == pytest.approx(0.85)
    assert decision.prediction.quality == 0.5
    assert decision.expected.quality == pytest.approx(0.85)


def test_its_cost_and_time_are_those_of_both_stages_and_the_judge():
    rule = replace(PERFECT, judge_s=0.5, judge_usd=2e-6)
    decision = decided(rule)
    first, second = (decision.breakdown.prediction(row) for row in (0, 1))
    told = decision.cascade
    assert told.cost_usd == pytest.approx(first.cost_usd + 2e-6 + 0.5 * second.cost_usd)
    assert told.e2e_s == pytest.approx(first.e2e_s + 0.5 + 0.5 * second.e2e_s)


@pytest.mark.parametrize(
    "rule",
    [
        CascadeRule(1.0, 1.0, 0.0),  # accepts everything
        replace(PERFECT, judge_usd=0.01),  # too dear
        replace(PERFECT, judge_s=1e4),  # too slow
    ],
)
def test_a_judge_that_is_not_worth_it_is_not_asked(rule):
    assert decided(rule).cascade is None


def test_models_that_are_right_on_the_same_prompts_need_no_second_one():
    assert decided(CascadeRule(0.9, 0.4, 1.0), quality=(0.5, 0.52)).cascade is None
    assert decided(CascadeRule(0.9, 0.4, 0.0), quality=(0.5, 0.52)).cascade is not None


def test_deployments_of_one_model_are_no_two_stages():
    assert decided(PERFECT, fleet(models=[0, 0])).cascade is None


def test_a_deployment_that_is_not_allowed_is_no_stage():
    assert decided(PERFECT, allowed=[True, False]).cascade is None


def test_only_what_is_first_counts_as_load():
    servers = fleet()
    decided(PERFECT, servers)
    assert servers.state.in_flight.tolist() == [1.0, 0.0]


OBJECTIVES = [
    Priced(0.01, 1e-5),
    JointScore(Weights(0.8, 0.1, 0.1)),
    JointScore(Weights(0.8, 0.1, 0.1), norm="paper"),
    JointScore(Weights(0.8, 0.1, 0.1), quality_norm="minmax"),
    Targeted(Targets(e2e_p95_s=20.0, cost_usd_per_1k=1.0), 0.1, 0.1),
]


@pytest.mark.parametrize("objective", OBJECTIVES)
@given(rule=rules, quality=st.lists(shares, min_size=2, max_size=7), data=st.data())
def test_it_is_chosen_only_where_it_scores_above_every_single_one(objective, rule, quality, data):
    count = len(quality)
    usd = data.draw(st.lists(st.floats(1e-8, 1e-5), min_size=count, max_size=count))
    decision = decided(rule, fleet(count, usd=usd), quality=quality, objective=objective)
    if decision.cascade is not None:
        assert decision.index == decision.cascade.first != decision.cascade.second
        assert decision.cascade.score > decision.breakdown.scores.max()


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_pair_that_is_never_escalated_scores_as_its_first_stage(objective):
    keeps_all = CascadeRule(1.0, 1.0, 0.0)
    from rb_litellm.core.cascade.pairs import best_compound

    decision = decided(None, objective=objective)
    found = best_compound(
        keeps_all, objective, decision.breakdown, np.arange(2), 100.0, decision.breakdown.predictions.cost_usd
    )
    assert found.score == pytest.approx(decision.breakdown.scores.max())


# Limits count the worst case


@pytest.mark.parametrize(
    "make", [lambda usd: Limits(Slo(max_cost_usd=usd)), lambda usd: Limits(None, Budget(usd, 100))]
)
def test_a_budget_has_to_pay_for_both_stages(make):
    usd = decided(None).breakdown.predictions.cost_usd
    assert decided(PERFECT, limits=make(usd.sum() * 1.01)).cascade is not None
    assert decided(PERFECT, limits=make(usd.sum() * 0.99)).cascade is None


def test_a_limit_on_time_has_to_hold_where_both_answer_one_after_the_other():
    times = decided(None).breakdown.predictions.times.e2e_s
    limited = {
        s: decided(PERFECT, limits=Limits(Slo(e2e_s=s))) for s in (3.0 * times.sum(), 1.05 * times.sum())
    }
    assert [found.cascade is not None for found in limited.values()] == [True, False]


def test_a_loosened_or_priced_limit_leaves_no_time_for_two_answers():
    for mode in ("tiered", "prefer"):
        assert decided(PERFECT, limits=Limits(Slo(e2e_s=0.01, mode=mode))).cascade is None
