"""Best of n: what several answers and a judge's pick are worth, and when that beats one answer."""

from __future__ import annotations

import math
from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rb_litellm.core.best_of.discernment import MAX_JUDGES, MAX_PICKED, Discernment, PickBook
from rb_litellm.core.best_of.rule import MOST_CHOICES, BestOfRule, any_right, longest_of
from rb_litellm.core.cascade.rule import CascadeRule
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
counts = st.integers(1, MOST_CHOICES)
PERFECT = BestOfRule(1.0, 0.3)
QUICK = LatencyPrior(tpot_s=0.01, ttft_s=0.05, prefill_s_per_token=0.0, tpot_s_per_running=0.001, slots=64.0)


class Errors(LogUniform):
    def longest(self, kinds, limits_s, share):
        return np.repeat(super().longest(kinds, limits_s, share), 2, axis=1)


def fleet(count=2, takes_n=None, slots=64.0, usd=(1e-7, 1e-6)):
    usd = np.array(usd)
    return Fleet(
        coefficients=LatencyCoefficients.from_priors([replace(QUICK, slots=slots)] * count),
        state=InstanceState.idle(count),
        prices=Prices(usd, usd),
        last_chosen_s=np.full(count, -np.inf),
        models=np.arange(count),
        takes_n=np.ones(count, bool) if takes_n is None else np.array(takes_n),
        latency_errors=Errors(),
    )


def decided(rule, fleet_=None, quality=(0.5, 0.55), objective=None, limits=None, cascade=None, seed=0):
    count = len(quality)
    request = BatchRequest(
        100.0,
        np.array(quality),
        np.full(count, 200.0),
        np.ones(count, bool),
        objective or Priced(0.01, 1e-5),
        limits,
        cascade=cascade,
        best_of=rule,
    )
    (decision,) = assign([request], fleet_ or fleet(), 0.0, Random(seed))
    assert isinstance(decision, Decision)
    return decision


def one(value):
    return np.array([value])


# What several answers are worth


@pytest.mark.parametrize(("q", "r"), [(0.5, 0.6), (0.2, 0.3), (0.9, 0.1), (0.4, 0.0)])
def test_that_one_is_right_is_what_drawing_a_share_and_then_answers_says(q, r):
    random = np.random.default_rng(0)
    share = random.beta(q * (1 - r) / r, (1 - q) * (1 - r) / r, 200_000) if r else np.full(200_000, q)
    for n in (1, 2, 4):
        drawn = 1.0 - ((1.0 - share) ** n).mean()
        assert any_right(one(q), one(n), r)[0] == pytest.approx(drawn, abs=0.004)


@given(shares, shares, st.integers(1, MOST_CHOICES - 1))
def test_more_answers_are_right_no_less_often_and_no_more_than_independent_ones(q, r, n):
    fewer, more = (any_right(one(q), one(count), r)[0] for count in (n, n + 1))
    assert q - 1e-12 <= fewer <= more + 1e-12
    assert more <= 1.0 - (1.0 - q) ** (n + 1) + 1e-9


@given(shares, counts)
def test_answers_that_are_right_together_are_worth_one(q, n):
    assert any_right(one(q), one(n), 1.0)[0] == q


@given(shares, shares, shares, counts)
def test_the_pick_is_worth_between_one_answer_and_the_best_of_them(q, r, d, n):
    picked = BestOfRule(d, r).quality(one(q), one(n))[0]
    assert q - 1e-12 <= picked <= any_right(one(q), one(n), r)[0] + 1e-12


@given(st.floats(0.05, 0.95), st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_of_two_answers_it_is_a_judge_who_calls_them_good_at_its_rates(q, accepts_right, accepts_wrong):
    """Where it calls both good, or both poor, it draws."""
    a, f = max(accepts_right, accepts_wrong), min(accepts_right, accepts_wrong)
    r = 0.4
    mixed = 2.0 * q * (1.0 - q) * (1.0 - r)
    finds = a * (1.0 - f) + 0.5 * (a * f + (1.0 - a) * (1.0 - f))
    expected = (q - 0.5 * mixed) + mixed * finds
    assert BestOfRule(a - f, r).quality(one(q), one(2))[0] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("spread", [0.0, 0.3, 1.0])
def test_the_longest_is_what_drawing_lengths_says(spread):
    lengths = np.exp(spread * np.random.default_rng(0).standard_normal((400_000, 4)))
    for n in (1, 2, 4):
        drawn = lengths[:, :n].max(axis=1).mean() / lengths.mean()
        assert longest_of(n, spread) == pytest.approx(drawn, rel=0.01)


def test_no_answer_is_longer_than_the_clients_limit():
    rule = replace(PERFECT, longest_tokens=210.0)
    assert rule.longest(np.array([100.0, 200.0, 300.0]), np.array([4, 4, 4])).tolist() == pytest.approx(
        [100.0 * longest_of(4, 0.3), 210.0, 300.0]
    )


def test_what_a_judge_reads_is_bounded_and_so_is_what_it_costs():
    rule = replace(PERFECT, judge_usd=1e-5, judge_usd_per_token=1e-7, judge_most_tokens=1000.0)
    told = rule.verdict_usd(100.0, np.array([200.0, 1e6]), np.array([2, 3]))
    assert told.tolist() == pytest.approx([1e-5 + 500e-7, 1e-5 + 3100e-7])


@pytest.mark.parametrize("wrong", [{"discernment": 1.5}, {"correlation": -0.1}, {"choices": (1,)}])
def test_what_is_no_rule_is_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        replace(PERFECT, **wrong)


# In the joint decision


def test_without_a_rule_one_answer_is_asked_for():
    assert (decided(None).best_of, decided(None).answers) == (None, 1)


def test_a_perfect_judge_without_a_price_has_the_cheap_model_answer_several_times():
    decision = decided(PERFECT)
    assert (decision.index, decision.answers) == (0, 4)
    assert decision.best_of.quality == pytest.approx(any_right(one(0.5), one(4), 0.3)[0])
    assert decision.prediction.quality == 0.5
    assert decision.expected.quality == decision.best_of.quality


def test_input_is_paid_once_and_the_judge_reads_all():
    rule = replace(PERFECT, judge_s=0.5, judge_usd=2e-6, judge_usd_per_token=1e-9)
    decision, told = decided(rule), decided(rule).best_of
    assert decision.prediction.cost_usd == pytest.approx((100.0 + told.n * 200.0) * 1e-7)
    assert told.judge_usd == pytest.approx(2e-6 + (100.0 + told.n * 200.0) * 1e-9)
    tpot_s = 0.01 + 0.001 * (told.n - 1)
    assert decision.prediction.tpot_s == pytest.approx(tpot_s)
    expected_s = decision.prediction.ttft_s + (200.0 * longest_of(told.n, 0.3) - 1.0) * tpot_s
    assert decision.prediction.e2e_s == pytest.approx(expected_s)
    assert told.e2e_s == pytest.approx(expected_s + 0.5)


@pytest.mark.parametrize(
    "rule",
    [
        replace(PERFECT, discernment=0.0),
        replace(PERFECT, correlation=1.0),
        replace(PERFECT, judge_usd=0.01),
        replace(PERFECT, judge_s=1e4),
    ],
)
def test_what_is_not_worth_it_is_not_asked(rule):
    assert decided(rule).best_of is None


def test_who_cannot_be_asked_is_not():
    assert decided(PERFECT, fleet(takes_n=[False, False])).best_of is None
    assert decided(PERFECT, fleet(takes_n=[False, True])).best_of.row == 1


def test_nobody_is_asked_for_more_than_it_runs_at_once():
    assert [decided(PERFECT, fleet(slots=slots)).answers for slots in (1.0, 2.0, 3.0, 64.0)] == [1, 2, 3, 4]


@pytest.mark.parametrize("fewer", ["takes no n", "few slots"])
def test_an_equal_that_cannot_be_asked_for_so_many_does_not_stand_in(fewer):
    slots = 2.0 if fewer == "few slots" else 64.0
    priors = [replace(QUICK, slots=64.0), replace(QUICK, slots=slots, tpot_s=QUICK.tpot_s * 1.01)]
    its = replace(
        fleet(takes_n=[True, fewer == "few slots"], usd=(1e-7, 1e-7)),
        coefficients=LatencyCoefficients.from_priors(priors),
        models=np.zeros(2, np.int64),
        twins=np.zeros(2, np.int64),
    )
    for seed in range(30):
        idle = replace(its, state=InstanceState.idle(2), last_chosen_s=np.full(2, -np.inf))
        decision = decided(PERFECT, idle, (0.5, 0.5), seed=seed)
        assert (decision.index, decision.answers > 1) == (0, True)


def test_all_of_its_answers_count_as_load():
    servers = fleet()
    decision = decided(PERFECT, servers)
    assert servers.state.in_flight.tolist() == [4.0, 0.0]
    assert servers.state.pending_prefill_tokens.tolist() == [100.0, 0.0]
    assert servers.state.pending_decode_tokens[0] == 4 * decision.prediction.output_tokens


def test_the_better_of_a_second_model_and_several_answers_is_chosen():
    keeps = CascadeRule(1.0, 0.0, 0.0)
    both = decided(PERFECT, cascade=keeps)
    assert (both.cascade is None) != (both.best_of is None)
    found = decided(PERFECT).best_of.score, decided(None, cascade=keeps).cascade.score
    assert max(found) == pytest.approx((both.cascade or both.best_of).score)


OBJECTIVES = [
    Priced(0.01, 1e-5),
    JointScore(Weights(0.8, 0.1, 0.1)),
    JointScore(Weights(0.8, 0.1, 0.1), norm="paper"),
    JointScore(Weights(0.8, 0.1, 0.1), quality_norm="minmax"),
    Targeted(Targets(e2e_p95_s=20.0, cost_usd_per_1k=1.0), 0.1, 0.1),
]
rules = st.builds(BestOfRule, shares, shares)


@pytest.mark.parametrize("objective", OBJECTIVES)
@given(rule=rules, quality=st.lists(shares, min_size=2, max_size=7), data=st.data())
def test_it_is_chosen_only_where_it_scores_above_every_single_answer(objective, rule, quality, data):
    count = len(quality)
    usd = data.draw(st.lists(st.floats(1e-8, 1e-5), min_size=count, max_size=count))
    decision = decided(rule, fleet(count, usd=usd), quality, objective)
    if decision.best_of is not None:
        assert decision.index == decision.best_of.row
        assert decision.best_of.score > decision.breakdown.scores.max()
        assert math.isfinite(decision.expected.e2e_s)


# Limits count the worst case


@pytest.mark.parametrize(
    "make", [lambda usd: Limits(Slo(max_cost_usd=usd)), lambda usd: Limits(None, Budget(usd, 100))]
)
def test_a_budget_has_to_pay_for_all_answers_as_long_as_the_longest(make):
    twice = (100.0 + 2 * 200.0 * longest_of(2, 0.3)) * 1e-7
    assert decided(PERFECT, limits=make(twice * 1.01)).answers == 2
    assert decided(PERFECT, limits=make(twice * 0.99)).best_of is None


@pytest.mark.parametrize("kind", ["e2e_s", "ttft_s"])
def test_a_limit_on_time_has_to_hold_for_the_longest_and_the_judge(kind):
    rule = replace(PERFECT, judge_s=1.0)
    took_s = decided(rule).best_of.e2e_s
    found = {s: decided(rule, limits=Limits(Slo(**{kind: s}))).best_of for s in (3.0 * took_s, 0.5 * took_s)}
    assert [its is not None for its in found.values()] == [True, False]


# What is learned of the judge


def taught(true, stated, grades=2000, q=0.5, n=3):
    random, found = Random(0), Discernment()
    p = any_right(one(q), one(n), 0.6)[0]
    for _ in range(grades):
        found.graded(q, p, float(random.random() < q + true * (p - q)))
    return found.share(stated)


def test_grades_tell_how_often_it_knows():
    assert taught(0.9, 0.3) == pytest.approx(0.9, abs=0.15)
    assert taught(0.0, 0.8) < 0.2
    assert Discernment().share(0.5) == 0.5


@given(st.lists(st.tuples(shares, shares, shares), max_size=60), shares)
def test_it_stays_a_share_whatever_is_told(told, stated):
    found = Discernment()
    for q, further, grade in told:
        found.graded(q, q + (1.0 - q) * further, grade)
    assert 0.0 <= found.share(stated) <= 1.0


def test_a_grade_counts_once_and_the_book_is_bounded():
    book = PickBook()
    its = book.of("judge")
    book.picked(its, "call", 0.5, 0.7)
    for _ in range(2):
        book.graded("call", 1.0)
        book.graded("unknown", 1.0)
    once = Discernment()
    once.graded(0.5, 0.7, 1.0)
    assert its.share(0.5) == once.share(0.5)
    for number in range(MAX_PICKED + 10):
        book.picked(its, str(number), 0.5, 0.7)
    for number in range(MAX_JUDGES + 10):
        book.of(f"judge {number}")
    assert (len(book._picked), len(book._judges)) == (MAX_PICKED, MAX_JUDGES)
