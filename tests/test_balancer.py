"""The joint decision put together: candidates, prices and load in, assignments out, and learning back."""

import math
from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rb_litellm.balancer import Balancer, RoutingRequest
from rb_litellm.balancing import candidates as candidates_module
from rb_litellm.core.decision.scoring import PRESETS, JointScore, Weights
from rb_litellm.core.fleet import Deployment
from rb_litellm.core.latency.hardware import latency_prior
from rb_litellm.core.latency.learning.learner import LatencyLearner
from rb_litellm.core.servers.streams import Chunks
from rb_litellm.core.types import Outcome, Prompt
from rb_litellm.predictors.registry import PredictionSource
from rb_litellm.state.attempt import AttemptKey, LeaseRule
from rb_litellm.state.exchange.gauges import Gauge, Load
from rb_litellm.state.exchange.peers import Peers
from rb_litellm.state.index import DeploymentIndex
from rb_litellm.state.ledger import Ledger
from rb_litellm.state.reckoning import Reckoner

PROMPT = Prompt(text="Why is the sky blue?", input_tokens=6)
COST, LATENCY, QUALITY = Weights(0, 0, 1), Weights(0, 1, 0), Weights(1, 0, 0)


def deployment(id, *, group="auto", model="openai/m-7b", price=1e-6, **facts):
    facts.setdefault("prior", latency_prior(model, hosted=False))
    return Deployment(
        id=id,
        group=group,
        model=model,
        tier=model,
        input_usd_per_token=price,
        output_usd_per_token=price,
        **facts,
    )


class Bench:
    """A balancer with everything around it."""

    def __init__(self, seed=0):
        self.index = DeploymentIndex()
        self.ledger = Ledger(self.index, LeaseRule())
        self.peers = Peers(self.index)
        self.balancer = Balancer(
            Reckoner(self.index, self.ledger, self.peers), LatencyLearner(), Random(seed)
        )

    def decide(self, *requests, now=0.0):
        return self.balancer.decide(requests, PredictionSource(), now)

    def send(self, *requests, now=0.0):
        """Decide and count what was decided as open."""
        assignments = self.decide(*requests, now=now)
        for request, a in zip(requests, assignments, strict=True):
            self.ledger.open(
                AttemptKey(f"c{len(self.ledger)}-{now}", 0),
                a.deployment.id,
                now=now,
                input_tokens=request.prompt.input_tokens,
                prediction=a.decision.prediction,
            )
        return assignments


def request(*candidates, weights=PRESETS["balanced"], prompt=PROMPT):
    return RoutingRequest(prompt=prompt, candidates=candidates, objective=JointScore(weights))


def chosen(assignments):
    return [a.deployment.id for a in assignments]


def test_cost_latency_and_quality_each_choose_their_own():
    small = deployment("small", model="x/a-3b", price=1e-7, quality=0.4)
    large = deployment("large", model="x/a-72b", price=1e-6, quality=0.9)
    bench = Bench()
    assert chosen(bench.decide(request(small, large, weights=COST))) == ["small"]
    assert chosen(bench.decide(request(small, large, weights=LATENCY))) == ["small"]
    assert chosen(bench.decide(request(small, large, weights=QUALITY))) == ["large"]


def test_load_moves_requests_from_the_better_model_to_the_quicker_one():
    small = deployment("small", model="x/a-3b", quality=0.5, price=0.0)
    slots = latency_prior("x/a-14b", hosted=False, max_num_seqs=4)
    large = deployment("large", model="x/a-14b", quality=0.9, price=0.0, prior=slots)
    bench = Bench()
    weights = Weights(0.7, 0.3, 0.0)
    where = [chosen(bench.send(request(small, large, weights=weights)))[0] for _ in range(40)]
    assert where[0] == "large"
    assert where[-1] == "small"


def test_a_burst_of_identical_requests_spreads():
    deployments = [deployment(f"d{i}") for i in range(4)]
    where = chosen(Bench().decide(*[request(*deployments)] * 16))
    assert {id: where.count(id) for id in where} == {f"d{i}": 4 for i in range(4)}


def test_workers_that_hear_of_each_other_do_not_all_choose_the_same():
    many = [deployment(f"d{n}") for n in range(64)]

    def first_choice(seed, peers):
        bench = Bench(seed)
        bench.decide(request(*many))
        bench.peers.update([Gauge(f"w{n}", 0.0, {"d0": Load(0, 0, 0, 0)}) for n in range(peers)], 0.0)
        # One of them has had nothing to do for longest, and every worker knows it.
        bench.send(*[request(d) for d in many[1:]])
        return chosen(bench.decide(request(*many), now=0.1))[0]

    assert {first_choice(seed, peers=0) for seed in range(16)} == {"d0"}
    assert len({first_choice(seed, peers=15) for seed in range(16)}) > 8


def test_a_preview_tells_the_best_however_many_workers_there_are():
    bench, many = Bench(), [deployment(f"d{n}") for n in range(64)]
    bench.peers.update([Gauge(f"w{n}", 0.0, {}) for n in range(15)], 0.0)
    bench.send(*[request(d) for d in many[1:]])
    told, _, _ = bench.balancer.preview(request(*many), PredictionSource(), 0.1)
    assert told.deployment.id == "d0"


def test_requests_one_after_another_spread_by_the_load_they_left():
    deployments = [deployment(f"d{i}") for i in range(4)]
    bench = Bench()
    where = [chosen(bench.send(request(*deployments)))[0] for _ in range(16)]
    assert {where.count(f"d{i}") for i in range(4)} == {4}


def test_requests_of_one_batch_keep_to_their_own_candidates():
    a, b, c = (deployment(name) for name in "abc")
    requests = [request(a), request(b, c), request(c), request(a, b, c)]
    for seed in range(10):
        for asked, assignment in zip(requests, Bench(seed).decide(*requests), strict=True):
            assert assignment.deployment in asked.candidates
            assert assignment.decision.candidates == len(asked.candidates)


@given(st.lists(st.sets(st.integers(0, 5), min_size=1), min_size=1, max_size=10), st.integers(0, 99))
def test_answers_come_in_the_order_of_the_questions(candidates, seed):
    deployments = [deployment(f"d{i}") for i in range(6)]
    requests = [request(*(deployments[i] for i in sorted(some))) for some in candidates]
    for asked, assignment in zip(requests, Bench(seed).decide(*requests), strict=True):
        assert assignment.deployment in asked.candidates


def test_an_assignment_tells_the_load_it_met():
    only = deployment("only")
    bench = Bench()
    bench.send(request(only))
    assert [a.decision.in_flight for a in bench.decide(request(only), request(only))] == [1.0, 2.0]
    assert bench.decide(request(only))[0].decision.pending_prefill_tokens == pytest.approx(6.0)


def test_an_unknown_price_is_the_median_of_the_others():
    nan = math.nan
    deployments = [deployment("a", price=1e-6), deployment("b", price=3e-6), deployment("c", price=nan)]
    bench = Bench()
    unknown = bench.decide(request(deployments[2], weights=COST))[0]
    assert unknown.decision.prediction.cost_usd == 0.0  # nothing to compare with
    costs = {}
    for seed in range(30):
        for weights in (COST, LATENCY):
            a = Bench(seed).decide(request(*deployments, weights=weights))[0]
            costs[a.deployment.id] = a.decision.prediction.cost_usd
    assert costs["c"] == pytest.approx(costs["a"] * 2.0)


def test_a_model_that_writes_nothing_ends_with_its_prompt():
    embedding = deployment("e", generates=False, output_tokens=500.0)
    predicted = Bench().decide(request(embedding))[0].decision.prediction
    assert predicted.output_tokens == 0.0
    assert predicted.e2e_s == predicted.ttft_s


def test_the_clients_limit_caps_the_expected_length():
    short = PROMPT._replace(max_tokens=5)
    predicted = (
        Bench().decide(request(deployment("a", output_tokens=400.0), prompt=short))[0].decision.prediction
    )
    assert predicted.output_tokens == 5.0


LONG = Prompt(text="...", input_tokens=5_000)


def with_window(*deployments, tokens=4_096):
    """A bench on which the server of the first, which everybody would choose, states this window."""
    bench = Bench()
    bench.decide(request(*deployments))
    bench.balancer.beliefs.stated_window([deployments[0].id], tokens)
    return bench


def test_what_does_not_fit_into_a_stated_context_window_is_not_sent_there():
    short, other = deployment("short", price=1e-7), deployment("other", price=1e-5)
    bench = with_window(short, other)
    assert chosen(bench.decide(request(short, other, weights=COST))) == ["short"]
    assert chosen(bench.decide(request(short, other, weights=COST, prompt=LONG))) == ["other"]
    full = PROMPT._replace(max_tokens=4_096)
    assert chosen(bench.decide(request(short, other, weights=COST, prompt=full))) == ["other"]


def test_what_fits_nowhere_goes_where_it_went():
    short = deployment("short")
    assert chosen(with_window(short).decide(request(short, prompt=LONG))) == ["short"]


def test_a_window_that_the_operator_tells_is_litellms_to_keep():
    told, other = deployment("told", price=1e-7, context_window=32_768), deployment("other", price=1e-5)
    bench = with_window(told, other)
    assert chosen(bench.decide(request(told, other, weights=COST, prompt=LONG))) == ["told"]


def test_a_server_that_states_no_window_any_more_gets_long_prompts_again():
    short, other = deployment("short", price=1e-7), deployment("other", price=1e-5)
    bench = with_window(short, other)
    bench.balancer.beliefs.stated_window(["short", "unknown"], None)
    assert chosen(bench.decide(request(short, other, weights=COST, prompt=LONG))) == ["short"]


def test_a_stated_window_is_shown():
    short, other = deployment("short"), deployment("other")
    snapshot = with_window(short, other).balancer.snapshot([short, other], 0.0)
    assert snapshot.windows.tolist() == [4_096.0, float("inf")]


def outcome(id, tpot):
    return Outcome(
        deployment=id,
        closed_by="t",
        predicted=None,
        input_tokens=6,
        in_flight=0.0,
        pending_prefill_tokens=0.0,
        open_s=1.0,
        tpot_s=tpot,
        output_tokens=100,
    )


def test_what_is_measured_changes_where_requests_go():
    a, b = deployment("a"), deployment("b")
    bench = Bench()
    bench.decide(request(a, b))
    for _ in range(30):
        bench.balancer.beliefs.learn(outcome("a", 0.2))
        bench.balancer.beliefs.learn(outcome("b", 0.02))
    assert {chosen(bench.decide(request(a, b, weights=LATENCY)))[0] for _ in range(5)} == {"b"}


def test_an_outcome_of_an_unknown_deployment_is_passed_over():
    Bench().balancer.beliefs.learn(outcome("nobody", 1.0))


def test_a_request_without_candidates_is_an_error():
    with pytest.raises(ValueError):  # noqa: PT011  any of its messages; the caller has its own rule then
        Bench().decide(request())


def test_a_changed_deployment_keeps_its_load_and_takes_its_new_price():
    old = deployment("a", price=1e-6)
    bench = Bench()
    bench.send(request(old))
    after = bench.decide(request(replace(old, input_usd_per_token=1e-3, output_usd_per_token=1e-3)))[0]
    assert after.decision.in_flight == 1.0
    assert after.decision.prediction.cost_usd > 1e-3


def test_sets_of_candidates_are_bounded(monkeypatch):
    monkeypatch.setattr(candidates_module, "MAX_CANDIDATE_SETS", 3)
    bench = Bench()
    deployments = [deployment(f"d{i}") for i in range(10)]
    for _ in range(2):
        for d in deployments:
            assert chosen(bench.decide(request(d))) == [d.id]
    assert len(bench.balancer._candidate_sets._found) <= 3


def test_every_outcome_tells_how_far_forecasts_of_its_tier_are_off():
    fast = deployment("a")
    bench = Bench()
    (placed,) = bench.decide(request(fast))
    predicted = placed.decision.prediction
    for _ in range(300):
        bench.balancer.beliefs.learn(
            Outcome(
                deployment="a",
                closed_by="success",
                predicted=predicted,
                input_tokens=6,
                in_flight=0.0,
                pending_prefill_tokens=0.0,
                open_s=predicted.e2e_s,
                ttft_s=2.0 * predicted.ttft_s,
            )
        )
    assert bench.balancer.beliefs.residuals.quantiles(np.array([0]), ["ttft"], 0.5)[0, 0] == pytest.approx(
        2.0, rel=0.05
    )


def test_streams_in_mid_flight_change_the_forecast_before_any_of_them_ends():
    slow, other = deployment("slow"), deployment("other")
    bench = Bench()
    for d in [slow, other] * 10:
        (placed,) = bench.decide(request(d))
        told = outcome(d.id, placed.decision.prediction.tpot_s)
        bench.balancer.beliefs.learn(told._replace(chunks=100))
    before = bench.balancer.snapshot([slow, other], 0.0).times.tpot_s
    written = [Chunks() for _ in range(3)]
    for n, progress in enumerate(written):
        bench.send(request(slow), now=n / 1000)
        bench.ledger.first_token(AttemptKey(f"c{n}-{n / 1000}", 0), 0.1, progress)
    for second in (1.0, 2.0, 3.0, 4.0):
        for progress in written:
            progress.chunks = round(second / (3.0 * before[0]))
        bench.balancer.beliefs.observe_streams(bench.ledger.streams(10), second)
    after = bench.balancer.snapshot([slow, other], 4.0).times.tpot_s
    assert after[0] / before[0] == pytest.approx(3.0, rel=0.2)
    assert after[1] == before[1]
    assert chosen(bench.decide(request(slow, other, weights=LATENCY), now=4.0)) == ["other"]


def test_how_far_a_server_is_within_its_step_is_seen_from_the_chunks_of_its_streams():
    busy, idle = deployment("busy"), deployment("idle")
    bench = Bench()
    bench.decide(request(busy, idle))
    bench.send(request(busy), now=0.0)
    written = Chunks()
    bench.ledger.first_token(AttemptKey("c0-0.0", 0), 0.5, written)
    step_s = float(bench.balancer.beliefs.learner.coefficients.tpot_s[0])

    def ttft_s(since_steps):
        written.latest_s = 1.0 - since_steps * step_s
        (placed,) = bench.decide(request(busy), now=1.0)
        return placed.decision.prediction.ttft_s, placed.decision.join_steps

    (soon_s, little), (late_s, much), (old_s, half) = ttft_s(0.7), ttft_s(0.2), ttft_s(30.0)
    assert (late_s - soon_s) / step_s == pytest.approx(0.5, rel=0.02)
    assert (late_s - old_s) / step_s == pytest.approx(much - half, rel=0.02)
    assert 0.0 < little < half == 0.5 < much < 1.0


def failed(id, attempt=0, error="InternalServerError"):
    return Outcome(id, "failure", None, 6, 0.0, 0.0, open_s=0.1, error=error, attempt=attempt, at_s=0.0)


def test_requests_that_no_server_can_answer_take_nobody_out_of_service():
    """Each is tried on both servers: on one of them as the first attempt, on the other as a retry."""
    bench, a, b = Bench(), deployment("a"), deployment("b")
    bench.decide(request(a, b))
    beliefs = bench.balancer.beliefs
    for _ in range(5):
        beliefs.learn(failed("b", attempt=1))
    assert not beliefs.outages.any_out
    assert beliefs.failures(np.array([0, 1]), 0.0).chance[1] > 0.5


@pytest.mark.parametrize("failure", [{"attempt": 0}, {"attempt": 1, "error": "ConnectError"}])
def test_a_server_that_fails_otherwise_is_out_and_an_explanation_says_so(failure):
    bench, a, b = Bench(), deployment("a"), deployment("b")
    bench.decide(request(a, b))
    for _ in range(3):
        bench.balancer.beliefs.learn(failed("b", **failure))
    _, deployments, taken = bench.balancer.preview(request(a, b), PredictionSource(), 0.0)
    assert {deployments[row].id: why for row, why in taken.items()} == {"b": "outage"}
    # Where nobody else is left, nobody is passed over.
    assert bench.balancer.preview(request(b), PredictionSource(), 0.0)[2] == {}


def test_an_explanation_says_who_is_drained():
    bench, a, b = Bench(), deployment("a", weight=1.0), deployment("b", weight=0.0)
    _, deployments, taken = bench.balancer.preview(request(a, b), PredictionSource(), 0.0)
    assert {deployments[row].id: why for row, why in taken.items()} == {"b": "weight 0"}
