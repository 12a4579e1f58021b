"""Levels of effort of one deployment in the joint decision: candidates apart, one server and one limit."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rb_litellm.core.decision.breakdown import Refusal
from rb_litellm.core.limits.admission import Admission
from rb_litellm.core.limits.budget import Budget
from rb_litellm.core.limits.filters import Limits
from rb_litellm.core.limits.slo import Slo
from rb_litellm.core.servers.threads import thread_rule
from rb_litellm.core.types import Outcome, Prompt
from rb_litellm.state.ledger import AttemptKey
from tests.test_balancer import COST, LATENCY, PROMPT, QUALITY, Bench, chosen, deployment, request


def leveled(id="r", efforts=(("low", 0.5, 200.0), ("high", 0.8, 2000.0)), **facts):
    plain = deployment(id, model="openai/think-70b", quality=0.6, output_tokens=600.0, **facts)
    return tuple(
        replace(plain, effort=name, quality=quality, output_tokens=tokens)
        for name, quality, tokens in efforts
    )


def efforts(assignments):
    return [a.deployment.effort for a in assignments]


def answered(assignment, tokens):
    return Outcome(
        assignment.deployment.id, "success", assignment.decision.prediction, 6, 0.0, 0.0, 5.0,
        output_tokens=tokens, level=assignment.level,
    )  # fmt: skip


def test_cost_and_latency_choose_the_low_level_and_quality_the_high_one():
    for weights, level in ((COST, "low"), (LATENCY, "low"), (QUALITY, "high")):
        assert efforts(Bench().decide(request(*leveled(), weights=weights))) == [level]


def test_a_level_is_told_by_its_own_length_quality_and_cost():
    low, high = (Bench().decide(request(level))[0].decision.prediction for level in leveled(price=1e-6))
    assert (low.quality, high.quality) == (0.5, 0.8)
    assert (low.output_tokens, high.output_tokens) == (200.0, 2000.0)
    assert high.cost_usd > 5 * low.cost_usd
    assert high.tpot_s == low.tpot_s


def test_what_one_level_has_to_do_the_others_wait_for():
    low, high = leveled()
    bench = Bench()
    before = bench.decide(request(low))[0].decision.in_flight
    for _ in range(3):
        bench.send(request(high))
    assert before == 0.0
    assert bench.decide(request(low))[0].decision.in_flight == 3.0


def test_a_batch_sees_the_load_of_the_other_level():
    low, high = leveled()
    (first, second) = Bench().decide(request(low), request(high))
    assert sorted([first.decision.in_flight, second.decision.in_flight]) == [0.0, 1.0]


def test_levels_share_the_limit_on_requests_of_a_minute():
    low, high = leveled(rpm=4.0)
    other = deployment("other", model="x/a-3b", quality=0.1)
    for batches in ([8], [1] * 8):
        bench = Bench()
        where = []
        for size in batches:
            asked = [request(low, high, other, weights=(QUALITY, COST)[n % 2]) for n in range(size)]
            where += chosen(bench.send(*asked))
        assert where.count("r") <= 4


def test_levels_have_one_credit_of_their_deployments_share():
    heavy, light = leveled("heavy", weight=3.0), leveled("light", weight=1.0)
    bench = Bench()
    where = []
    for turn in range(40):
        weights = (QUALITY, COST)[turn % 2]
        where += chosen(bench.decide(request(*heavy, *light, weights=weights), now=float(turn)))
    assert where.count("heavy") == 30


def test_the_length_of_a_level_is_learned_and_the_others_stay():
    low, high = leveled()
    bench = Bench()
    for _ in range(60):
        bench.balancer.beliefs.learn(answered(bench.decide(request(high))[0], 6000))
    told = {level.effort: bench.decide(request(level))[0].decision.prediction for level in (low, high)}
    assert told["low"].output_tokens == 200.0
    assert told["high"].output_tokens == pytest.approx(6000.0, rel=0.15)


def test_a_learned_length_stays_within_the_clients_limit():
    _, high = leveled()
    bench = Bench()
    for _ in range(60):
        bench.balancer.beliefs.learn(answered(bench.decide(request(high))[0], 20_000))
    short = Prompt(text="Why?", input_tokens=2, max_tokens=5000)
    assert bench.decide(request(high, prompt=short))[0].decision.prediction.output_tokens <= 5000


@pytest.mark.parametrize("spoilt", [{"cut": True}, {"estimated": True}, {"error": "Timeout"}])
def test_an_answer_that_is_not_whole_teaches_no_length(spoilt):
    _, high = leveled()
    bench = Bench()
    (assignment,) = bench.decide(request(high))
    bench.balancer.beliefs.learn(answered(assignment, 9000)._replace(**spoilt))
    assert bench.balancer.beliefs.level_lengths.report() == {}


def test_a_request_without_levels_learns_none():
    bench = Bench()
    (assignment,) = bench.decide(request(deployment("d")))
    assert assignment.level is None


@given(
    st.lists(st.sampled_from(["low", "high", "both", "plain"]), min_size=1, max_size=12),
    st.integers(1, 6),
)
def test_no_mixture_of_levels_takes_more_than_the_deployment_has(kinds, slots):
    low, high = leveled(max_parallel=float(slots))
    plain = replace(low, effort="", quality=0.6, output_tokens=600.0)
    other = deployment("other", model="x/a-3b", quality=0.1)
    its = {"low": (low,), "high": (high,), "both": (low, high), "plain": (plain,)}
    bench = Bench()
    placed = bench.send(*[request(*its[kind], other, weights=QUALITY, prompt=PROMPT) for kind in kinds])
    assert chosen(placed).count("r") <= slots
    assert np.isfinite([a.decision.score for a in placed]).all()


LIMITS = st.builds(
    Limits,
    st.sampled_from([None, Slo(e2e_s=30.0), Slo(quality_min=0.6, mode="strict")]),
    st.one_of(
        st.none(), st.builds(Budget, st.floats(1e-6, 1e-2), st.just(100.0), st.sampled_from([1, 1025]))
    ),
    st.sampled_from([None, Admission(60.0)]),
)


@given(
    st.lists(
        st.tuples(LIMITS, st.integers(1, 7), st.booleans(), st.sampled_from([COST, LATENCY, QUALITY])),
        min_size=1,
        max_size=12,
    )
)
def test_with_everything_on_access_budget_and_conservation_hold(asked):
    many = [*leveled("a", max_parallel=3.0, weight=2.0), *leveled("b", weight=1.0), deployment("plain")]
    bench = Bench()
    requests = []
    for n, (limits, which, agent, weights) in enumerate(asked):
        mine = [d for d in many if which & {"a": 1, "b": 2, "plain": 4}[d.id]]
        requests.append(
            replace(
                request(*mine, weights=weights),
                limits=limits,
                affinity=thread_rule(300.0) if agent else None,
                thread=f"loop {n % 3}" if agent else "",
            )
        )
    opened = []
    for n, (one, placed) in enumerate(zip(requests, bench.decide(*requests), strict=True)):
        if isinstance(placed, Refusal):
            assert one.limits != Limits()
            continue
        assert placed.deployment in one.candidates
        assert placed.deployment.effort == ("" if placed.level is None else placed.level.effort)
        if (budget := one.limits.budget) is not None:
            spent = budget.input_tokens * placed.deployment.input_usd_per_token
            spent += placed.decision.affordable_tokens * placed.deployment.output_usd_per_token
            assert spent <= budget.max_cost_usd * (1 + 1e-9)
            assert placed.decision.affordable_tokens >= budget.min_output_tokens
        key = AttemptKey(f"c{n}", 0)
        bench.ledger.open(
            key, placed.deployment.id, now=0.0, input_tokens=6,
            prediction=placed.decision.prediction, level=placed.level,
        )  # fmt: skip
        opened.append(key)
    for key in opened:
        outcome = bench.ledger.close(key, 1.0, "success")
        assert bench.ledger.close(key, 1.0, "success") is None
        bench.balancer.beliefs.learn(outcome._replace(output_tokens=300))
    load = bench.ledger.sums(2.0)
    assert not load.in_flight.any()
    assert not load.pending_decode_tokens.any()
