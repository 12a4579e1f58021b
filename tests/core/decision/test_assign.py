"""Assignment of a batch: every request gets one allowed deployment, and sees those placed before it."""

from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rb_litellm.core.decision.assign import assign
from rb_litellm.core.decision.batch import BatchRequest, Fleet, Prices, longest_first, prescore_one
from rb_litellm.core.decision.breakdown import Decision, Refusal
from rb_litellm.core.decision.exploring.exploration import ExplorationRule
from rb_litellm.core.decision.sampling import CandidateSampling
from rb_litellm.core.decision.scoring import PRESETS, JointScore, Weights
from rb_litellm.core.latency.forecast import LatencyCoefficients, LatencyPrior, effective_tokens
from rb_litellm.core.limits.admission import Admission
from rb_litellm.core.limits.availability import Failing
from rb_litellm.core.limits.budget import Budget
from rb_litellm.core.limits.filters import Limits
from rb_litellm.core.limits.slo import Slo
from rb_litellm.core.servers.affinity import AffinityRule, CachedPrefix
from rb_litellm.core.types import InstanceState
from tests.core.latency_errors import LogUniform

PRIOR = LatencyPrior(tpot_s=0.02, ttft_s=0.05, prefill_s_per_token=1e-4, tpot_s_per_running=1e-3, slots=8.0)
LATENCY = Weights(0.0, 1.0, 0.0)


def fleet(count, *, priors=None, price=1e-6, in_flight=None, last_chosen=None):
    state = InstanceState.idle(count)
    if in_flight is not None:
        state.in_flight[:] = in_flight
    return Fleet(
        coefficients=LatencyCoefficients.from_priors(priors or [PRIOR] * count),
        state=state,
        prices=Prices(np.full(count, price), np.full(count, price)),
        last_chosen_s=np.array(last_chosen) if last_chosen is not None else np.full(count, -np.inf),
    )


def request(
    count, *, quality=0.5, tokens=100.0, allowed=None, weights=PRESETS["balanced"], input_tokens=50.0
):
    return BatchRequest(
        input_tokens=input_tokens,
        quality=np.broadcast_to(np.asarray(quality, dtype=float), (count,)),
        output_tokens=np.broadcast_to(np.asarray(tokens, dtype=float), (count,)),
        allowed=np.ones(count, bool) if allowed is None else np.array(allowed),
        objective=JointScore(weights),
    )


@st.composite
def batches(draw):
    n = draw(st.integers(1, 6))
    requests = []
    for _ in range(draw(st.integers(1, 12))):
        allowed = draw(st.lists(st.booleans(), min_size=n, max_size=n).filter(any))
        requests.append(
            request(
                n,
                quality=draw(st.lists(st.floats(0, 1), min_size=n, max_size=n)),
                tokens=draw(st.lists(st.integers(0, 4000), min_size=n, max_size=n)),
                allowed=allowed,
                weights=draw(st.sampled_from(list(PRESETS.values()))),
                input_tokens=float(draw(st.integers(0, 10**5))),
            )
        )
    return n, requests


@given(batches(), st.floats(0.01, 100.0), st.sampled_from(["strict", "tiered"]))
def test_a_limit_that_the_best_choice_keeps_changes_nothing(batch, e2e_s, mode):
    # Whoever a limit removes must not move the scale by which the others are compared.
    n, requests = batch
    limits = Limits(slo=Slo(e2e_s=e2e_s, mode=mode))
    for asked in requests:
        free, bound = fleet(n), fleet(n)
        bound.latency_errors = LogUniform()
        (chosen,) = assign([asked], free, 0.0, Random(0))
        (kept,) = assign([replace(asked, limits=limits)], bound, 0.0, Random(0))
        if kept.breakdown.filter_results[0].passed[chosen.index]:
            assert kept.score == chosen.score


@given(batches(), st.integers(0, 2**32))
def test_every_request_is_placed_once_and_only_where_it_may_be(batch, seed):
    n, requests = batch
    target = fleet(n)
    decisions = assign(requests, target, now=1.0, random=Random(seed))
    assert len(decisions) == len(requests)
    for decision, asked in zip(decisions, requests, strict=True):
        assert asked.allowed[decision.index]
        assert decision.candidates == asked.allowed.sum()
    placed = np.bincount([d.index for d in decisions], minlength=n)
    assert target.state.in_flight.tolist() == placed.tolist()


@given(batches(), st.integers(0, 2**32))
def test_what_was_assigned_is_added_to_the_state_token_by_token(batch, seed):
    n, requests = batch
    target = fleet(n)
    decisions = assign(requests, target, now=1.0, random=Random(seed))
    prefill, decode = np.zeros(n), np.zeros(n)
    for decision, asked in zip(decisions, requests, strict=True):
        prefill[decision.index] += asked.input_tokens
        decode[decision.index] += asked.output_tokens[decision.index]
    assert np.allclose(target.state.pending_prefill_tokens, prefill)
    assert np.allclose(target.state.pending_decode_tokens, decode)
    assert np.array_equal(target.last_chosen_s == 1.0, target.state.in_flight > 0)


@given(batches(), st.integers(0, 2**32))
def test_a_decision_carries_the_prediction_it_was_made_by(batch, seed):
    n, requests = batch
    for decision, asked in zip(assign(requests, fleet(n), 1.0, Random(seed)), requests, strict=True):
        p = decision.prediction
        assert p.quality == asked.quality[decision.index]
        assert p.output_tokens == asked.output_tokens[decision.index]
        assert p.cost_usd == pytest.approx((asked.input_tokens + p.output_tokens) * 1e-6)
        assert p.e2e_s == pytest.approx(p.ttft_s + max(p.output_tokens - 1.0, 0.0) * p.tpot_s)


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=20))
def test_longest_expected_answers_are_placed_first(lengths):
    order = longest_first([request(3, tokens=float(n)) for n in lengths])
    assert sorted(order) == list(range(len(lengths)))
    placed = [lengths[i] for i in order]
    assert placed == sorted(lengths, reverse=True)


def test_only_deployments_it_may_use_say_how_long_an_answer_is():
    long_elsewhere = request(2, tokens=[10.0, 9000.0], allowed=[True, False])
    assert longest_first([long_elsewhere, request(2, tokens=100.0)]) == [1, 0]


def test_a_long_answer_gets_the_better_place_though_it_arrived_later():
    slow = LatencyPrior(0.04, 0.05, 1e-4, 1e-3, 8.0)
    short, long = request(2, tokens=10.0, weights=LATENCY), request(2, tokens=1000.0, weights=LATENCY)
    decisions = assign([short, long], fleet(2, priors=[PRIOR, slow]), 0.0, Random(0))
    assert decisions[1].index == 0


def test_a_batch_of_identical_requests_spreads_over_identical_deployments():
    target = fleet(4)
    assign([request(4)] * 12, target, 0.0, Random(1))
    assert target.state.in_flight.tolist() == [3.0, 3.0, 3.0, 3.0]


def test_a_batch_leaves_the_fast_deployment_once_it_is_slower_than_the_other():
    slow = LatencyPrior(0.03, 0.05, 1e-4, 1e-3, 8.0)
    target = fleet(2, priors=[PRIOR, slow])
    assign([request(2, weights=LATENCY)] * 30, target, 0.0, Random(1))
    fast_share, slow_share = target.state.in_flight
    assert fast_share > slow_share > 0


def test_a_tie_goes_to_the_shortest_queue():
    flat = LatencyPrior(0.02, 0.05, 0.0, 0.0, np.inf)
    target = fleet(3, priors=[flat] * 3, in_flight=[4.0, 2.0, 3.0], last_chosen=[0.0, 9.0, 0.0])
    assert assign([request(3)], target, 10.0, Random(0))[0].index == 1


def test_a_tie_of_queues_goes_to_the_least_recently_chosen():
    target = fleet(3, in_flight=[1.0, 1.0, 1.0], last_chosen=[5.0, 3.0, 4.0])
    assert assign([request(3)], target, 10.0, Random(0))[0].index == 1


def test_a_tie_in_everything_goes_to_chance():
    random = Random(7)
    assert {assign([request(3)], fleet(3), 0.0, random)[0].index for _ in range(60)} == {0, 1, 2}


@given(st.permutations(range(5)), st.integers(0, 1000))
def test_the_order_of_the_deployments_does_not_change_who_is_chosen(order, seed):
    random = np.random.default_rng(seed)
    quality, prices = random.uniform(0, 1, 5), random.uniform(1e-7, 1e-5, 5)
    priors = [LatencyPrior(float(t), 0.05, 1e-4, 1e-3, 8.0) for t in random.uniform(0.01, 0.05, 5)]

    def chosen(rows):
        target = fleet(5, priors=[priors[i] for i in rows])
        target.prices = Prices(prices[rows], prices[rows])
        return rows[assign([request(5, quality=quality[rows])], target, 0.0, Random(0))[0].index]

    assert chosen(list(order)) == chosen(list(range(5)))


def test_a_request_that_may_go_nowhere_is_an_error():
    with pytest.raises(ValueError, match="no deployment is allowed"):
        assign([request(2, allowed=[False, False])], fleet(2), 0.0, Random(0))


def test_a_prediction_that_is_no_number_is_an_error_and_no_choice():
    with pytest.raises(ValueError, match="not finite"):
        assign([request(2, quality=np.nan)], fleet(2), 0.0, Random(0))


def test_an_overdue_deployment_is_avoided():
    target = fleet(2)
    target.slowdown = np.array([6.0, 1.0])
    assert all(assign([request(2, weights=LATENCY)], target, 0.0, Random(s))[0].index == 1 for s in range(5))


@given(batches(), st.integers(0, 2**32))
def test_the_breakdown_explains_the_choice(batch, seed):
    n, requests = batch
    for decision, asked in zip(assign(requests, fleet(n), 1.0, Random(seed)), requests, strict=True):
        breakdown = decision.breakdown
        ranked = breakdown.ranked().tolist()
        assert sorted(ranked) == np.flatnonzero(asked.allowed).tolist()
        assert breakdown.scores[decision.index] == decision.score
        # The choice may be any of those that count as equal to the best.
        assert breakdown.scores[ranked[0]] == pytest.approx(decision.score, abs=1e-8)
        assert sum(term.points[decision.index] for term in breakdown.terms) == pytest.approx(decision.score)
        assert breakdown.prediction(decision.index) == decision.prediction


def test_a_request_whose_limits_nobody_meets_is_refused_and_adds_no_load():
    target = replace(fleet(2), latency_errors=LogUniform())
    strict = Limits(slo=Slo(ttft_s=1e-6, mode="strict"))
    refusal, placed = assign([replace(request(2), limits=strict), request(2)], target, 0.0, Random(0))
    assert isinstance(refusal, Refusal)
    assert refusal.reason == "slo"
    assert refusal.needed["ttft"] > 1e-6
    assert refusal.retry_after_s is None, "no waiting makes an idle server faster"
    assert not refusal.breakdown.allowed.any()
    assert isinstance(placed, Decision)
    assert target.state.in_flight.sum() == 1


def test_a_limit_that_only_the_load_breaks_says_when_to_come_back():
    busy = replace(fleet(2, in_flight=[8.0, 8.0]), latency_errors=LogUniform())
    busy.state.pending_decode_tokens[:] = 8 * 500.0
    (refusal,) = assign(
        [replace(request(2), limits=Limits(slo=Slo(ttft_s=0.5, mode="strict")))], busy, 0.0, Random(0)
    )
    assert isinstance(refusal, Refusal)
    assert refusal.retry_after_s is not None


def test_an_overloaded_fleet_refuses_by_its_shortest_queue():
    busy = replace(fleet(2, in_flight=[9.0, 20.0]), latency_errors=LogUniform())
    busy.state.pending_decode_tokens[:] = 9 * 1000.0, 20 * 1000.0
    (refusal,) = assign([replace(request(2), limits=Limits(admission=Admission(0.5)))], busy, 0.0, Random(0))
    assert isinstance(refusal, Refusal)
    assert refusal.reason == "load"
    assert refusal.retry_after_s == pytest.approx(refusal.needed["wait"] - 0.5)


def test_a_budget_keeps_away_from_where_not_even_the_shortest_answer_is_paid():
    target = replace(
        fleet(2),
        latency_errors=LogUniform(),
        prices=Prices(np.array([1e-6, 1e-3]), np.array([1e-6, 1e-3])),
    )
    for quality in ([0.1, 0.9], [0.9, 0.1]):
        asked = replace(request(2, quality=quality), limits=Limits(budget=Budget(1e-3, 50)))
        (decision,) = assign([asked], target, 0.0, Random(0))
        assert isinstance(decision, Decision)
        assert decision.index == 0
        assert decision.affordable_tokens == 950


class TestExploration:
    def explored(self, of, **facts):
        rule = ExplorationRule("epsilon", 1.0)
        asked = replace(request(3, quality=[0.9, 0.5, 0.1], **facts), exploration=rule)
        return assign([asked], of, 9.0, Random(0))[0]

    def test_it_goes_where_nobody_was_for_longest(self):
        decision = self.explored(fleet(3, last_chosen=[8.0, 7.0, 1.0]))
        assert (decision.index, decision.explored) == (2, True)

    def test_it_keeps_to_what_is_allowed(self):
        decision = self.explored(fleet(3, last_chosen=[8.0, 7.0, 1.0]), allowed=[True, True, False])
        assert decision.index == 1

    def test_a_strict_slo_is_never_explored_with(self):
        of = replace(fleet(3, last_chosen=[8.0, 7.0, 1.0]), latency_errors=LogUniform())
        rule, limits = ExplorationRule("epsilon", 1.0), Limits(slo=Slo(e2e_s=100.0, mode="strict"))
        asked = replace(request(3, quality=[0.9, 0.5, 0.1]), exploration=rule, limits=limits)
        assert not assign([asked], of, 9.0, Random(0))[0].explored

    def test_thompson_tries_the_unmeasured_more_often_than_the_well_measured(self):
        rule = ExplorationRule("thompson", 1.0)
        # The last is a little slower than the first two, as far as is known.
        priors = [PRIOR, PRIOR, replace(PRIOR, tpot_s=0.022)]
        asked = replace(request(3, weights=LATENCY), exploration=rule)
        chosen = []
        for seed in range(300):
            of = fleet(3, priors=priors, last_chosen=[9.0, 9.0, 9.0])
            of = replace(of, measured=np.array([900, 900, 0]))
            chosen.append(assign([asked], of, 9.0, Random(seed))[0].index)
        assert 0.2 < chosen.count(2) / 300 < 0.6


class TestAffinity:
    def cached(self, *seen, model_switch=None):
        rule = AffinityRule(switch_cost=0.02)
        return CachedPrefix(
            np.array(seen, dtype=float), np.zeros(len(seen), dtype=int), model_switch, rule, ()
        )

    @pytest.mark.parametrize("batch", [1, 2])
    def test_what_is_cached_costs_its_own_price(self, batch):
        asked = replace(request(2, input_tokens=1000.0), cached_prefix=self.cached(800, 0))
        asked.output_tokens = np.zeros(2)
        of = fleet(2)
        of.prices = Prices(np.full(2, 1e-6), np.full(2, 1e-6), None, np.array([1e-7, 1e-6]))
        its = assign([asked] * batch, of, 0.0, Random(0))[0].breakdown.predictions.cost_usd
        assert its.tolist() == pytest.approx([200e-6 + 800e-7, 1000e-6])

    @pytest.mark.parametrize("batch", [1, 2])
    def test_what_is_written_into_a_cache_costs_its_own_price_too(self, batch):
        asked = replace(request(2, input_tokens=1000.0), cached_prefix=self.cached(800, 0))
        asked.output_tokens = np.zeros(2)
        of = fleet(2)
        of.prices = Prices(
            np.full(2, 1e-6),
            np.full(2, 1e-6),
            None,
            np.array([1e-7, 1e-7]),
            np.full(2, 1.25e-6),
            np.full(2, 0.5),
        )
        its = assign([asked] * batch, of, 0.0, Random(0))[0].breakdown.predictions.cost_usd
        there, elsewhere = 800e-7 + 100e-6 + 100 * 1.25e-6, 500e-6 + 500 * 1.25e-6
        assert its.tolist() == pytest.approx([there, elsewhere])

    def test_a_budget_holds_if_all_of_the_prompt_is_written(self):
        budget = Budget(2_000e-6, 1_000.0)
        asked = replace(request(2, input_tokens=1000.0), limits=Limits(budget=budget))
        of = replace(fleet(2), latency_errors=LogUniform())
        share = np.array([0.1, 0.0])
        of.prices = Prices(np.full(2, 1e-6), np.full(2, 1e-6), None, None, np.full(2, 1.5e-6), share)
        payable = prescore_one(asked, of.prices).payable
        assert payable.tokens.tolist() == [500.0, 1000.0]

    def test_a_cached_prefix_decides_among_equals(self):
        asked = replace(request(3, input_tokens=1000.0), cached_prefix=self.cached(0, 900, 0))
        decision = assign([asked], fleet(3), 0.0, Random(0))[0]
        assert decision.index == 1
        assert decision.prefill_tokens == 100.0
        assert decision.prediction.ttft_s == pytest.approx(0.05 + 1e-4 * effective_tokens(100.0, 200.0))

    def test_only_what_must_be_computed_is_pending(self):
        of = fleet(3)
        assign(
            [replace(request(3, input_tokens=1000.0), cached_prefix=self.cached(0, 900, 0))],
            of,
            0.0,
            Random(0),
        )
        assert of.state.pending_prefill_tokens.tolist() == [0.0, 100.0, 0.0]

    def test_load_beats_a_cached_prefix(self):
        asked = replace(request(3, input_tokens=1000.0), cached_prefix=self.cached(0, 900, 0))
        assert assign([asked], fleet(3, in_flight=[0, 5, 0]), 0.0, Random(0))[0].index != 1

    def test_a_conversation_stays_with_its_model_for_a_small_difference(self):
        model_switch = np.array([0.0, 1.0])
        near = replace(
            request(2, quality=[0.5, 0.54]), cached_prefix=self.cached(0, 0, model_switch=model_switch)
        )
        far = replace(
            request(2, quality=[0.5, 0.9]), cached_prefix=self.cached(0, 0, model_switch=model_switch)
        )
        assert [assign([b], fleet(2), 0.0, Random(0))[0].index for b in (near, far)] == [0, 1]


def test_a_queue_that_is_too_long_is_not_joined_while_another_is_short():
    busy = replace(fleet(2, in_flight=[20.0, 0.0]), latency_errors=LogUniform())
    busy.state.pending_decode_tokens[0] = 20 * 1000.0
    better_but_full = request(2, quality=[1.0, 0.0], weights=Weights(1.0, 0.0, 0.0))
    asked = replace(better_but_full, limits=Limits(admission=Admission(0.5)))
    (decision,) = assign([asked], busy, 0.0, Random(0))
    assert isinstance(decision, Decision)
    assert decision.index == 1


class TestCrowd:
    """Sixteen workers with the same old news of 64 deployments of a small model and 64 of a large one."""

    MANY = 64
    TIERS = np.repeat([0, 1], MANY)
    QUALITY = np.repeat([0.3, 0.9], MANY)

    def chosen(self, seed, many_workers=True, **changes):
        target = fleet(2 * self.MANY, in_flight=[*range(self.MANY)] * 2)
        target.sampling = CandidateSampling(16, self.TIERS) if many_workers else None
        asked = replace(request(2 * self.MANY, quality=self.QUALITY, weights=PRESETS["quality"]), **changes)
        return assign([asked], target, 0.0, Random(seed))[0].index

    def test_without_it_all_meet_on_the_least_loaded(self):
        assert {self.chosen(seed, many_workers=False) for seed in range(16)} == {self.MANY}

    def test_few_meet(self):
        assert len({self.chosen(seed) for seed in range(16)}) > 8

    def test_each_takes_one_of_the_less_loaded(self):
        assert np.mean([self.chosen(seed) - self.MANY for seed in range(200)]) < self.MANY / 4

    def test_the_model_is_the_one_that_scores_best(self):
        assert all(self.chosen(seed) >= self.MANY for seed in range(16))

    def test_one_that_is_not_allowed_is_never_drawn(self):
        allowed = np.arange(2 * self.MANY) % 2 == 0
        assert all(self.chosen(seed, allowed=allowed) % 2 == 0 for seed in range(50))

    def test_a_cached_prefix_is_not_given_up(self):
        cached = np.zeros(2 * self.MANY)
        cached[self.MANY] = 40.0
        match = CachedPrefix(cached, np.zeros(2 * self.MANY, dtype=int), None, AffinityRule(), ())
        assert {self.chosen(seed, cached_prefix=match) for seed in range(16)} == {self.MANY}

    def test_one_that_is_cheaper_than_its_like_is_not_given_up(self):
        target = fleet(self.MANY)
        target.prices.output_usd[5] *= 0.5
        target.sampling = CandidateSampling(16, np.zeros(self.MANY, dtype=int))
        decision = assign([request(self.MANY, weights=PRESETS["cost"])], target, 0.0, Random(0))[0]
        assert decision.index == 5


def failing(count, **rows):
    """Failing of N candidates, zero but for these figures by name, {row: figure} each."""
    columns = {field: np.zeros(count) for field in Failing.__slots__}
    for name, figures in rows.items():
        for row, figure in figures.items():
            columns[name][row] = figure
    return Failing(**columns)


@given(batches())
def test_where_nobody_fails_the_decision_is_bit_for_bit_the_same(batch):
    n, requests = batch
    without, zero = fleet(n), fleet(n)
    zero.prices.failing = failing(n)
    for one, other in zip(
        assign(requests, without, 0.0, Random(0)), assign(requests, zero, 0.0, Random(0)), strict=True
    ):
        assert (one.index, one.score, one.prediction) == (other.index, other.score, other.prediction)


@pytest.mark.parametrize(
    ("figures", "loses"),
    [
        ({"lost_s": {0: 0.1}}, True),
        ({"lost_inputs": {0: 0.2}}, True),
        ({"lost_tokens": {0: 50.0}}, True),
        ({"cut": {0: 0.1}}, True),
        # The other one answers: nothing is lost but what is in `lost_s`.
        ({"chance": {0: 0.1}, "retried": {0: 0.1}}, False),
    ],
)
def test_of_equals_the_one_whose_failures_cost_something_loses(figures, loses):
    its = fleet(2, last_chosen=[0.0, 1.0])
    its.prices.failing = failing(2, **figures)
    (decision,) = assign([request(2)], its, 2.0, Random(0))
    assert decision.index == int(loses)


def test_what_failures_cost_is_no_forecast_of_the_answer():
    its = fleet(2)
    its.prices.failing = failing(2, lost_s={0: 9.0}, lost_tokens={0: 9.0})
    (decision,) = assign([request(2)], its, 0.0, Random(0))
    assert decision.breakdown.prediction(0) == decision.breakdown.prediction(1)


def test_a_limit_counts_the_time_that_failures_cost():
    its = fleet(2)
    its.latency_errors = LogUniform(1.0)
    its.prices.failing = failing(2, lost_s={1: 30.0})
    limits = Limits(Slo(e2e_s=20.0, mode="strict"))
    # The second one is better in all but that.
    asked = replace(request(2, quality=[0.1, 0.9], weights=PRESETS["quality"]), limits=limits)
    (decision,) = assign([asked], its, 0.0, Random(0))
    assert decision.index == 0
    assert decision.breakdown.allowed.tolist() == [True, False]
