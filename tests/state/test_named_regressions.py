"""Reports of LiteLLM's users, each as the situation that it names."""

from collections import Counter
from random import Random

import numpy as np
import pytest

from rb_litellm.balancer import Balancer, RoutingRequest
from rb_litellm.core.decision.scoring import PRESETS, JointScore
from rb_litellm.core.fleet import Deployment
from rb_litellm.core.latency.forecast import LatencyPrior
from rb_litellm.core.latency.learning.learner import LatencyLearner
from rb_litellm.core.latency.measurement import measured
from rb_litellm.core.types import Prompt
from rb_litellm.predictors.registry import PredictionSource
from rb_litellm.state.attempt import AttemptKey, LeaseRule
from rb_litellm.state.exchange.peers import Peers
from rb_litellm.state.index import DeploymentIndex
from rb_litellm.state.ledger import Ledger
from rb_litellm.state.reckoning import Reckoner
from tests.state.state_samples import prediction

PROMPT = Prompt(text="hello", input_tokens=50, turns=1)


class Worker:
    """Decides, opens and closes as the proxy does, on a clock that the test moves."""

    def __init__(self, names, seed=0, **facts):
        prior = LatencyPrior(
            tpot_s=0.02, ttft_s=0.2, prefill_s_per_token=1e-5, tpot_s_per_running=5e-4, slots=64.0
        )
        self.candidates = tuple(
            Deployment(
                **{
                    "id": name,
                    "group": "model",
                    "model": "model",
                    "tier": "tier",
                    "prior": prior,
                    "input_usd_per_token": 1e-7,
                    "output_usd_per_token": 1e-7,
                    "quality": 0.5,
                    "output_tokens": 100.0,
                    **facts,
                }
            )
            for name in names
        )
        self.index = DeploymentIndex()
        self.ledger = Ledger(self.index, LeaseRule())
        self.peers = Peers(self.index)
        self.reckoner = Reckoner(self.index, self.ledger, self.peers)
        self.balancer = Balancer(self.reckoner, LatencyLearner(), Random(seed))
        self.now = 0.0
        self.calls = 0

    def pick(self, prompt=PROMPT):
        ask = RoutingRequest(prompt, self.candidates, JointScore(PRESETS["latency"]))
        [placed] = self.balancer.decide([ask], PredictionSource(), self.now)
        key = AttemptKey(f"call-{self.calls}", 0)
        self.calls += 1
        self.ledger.open(
            key,
            placed.deployment.id,
            now=self.now,
            input_tokens=prompt.input_tokens,
            prediction=placed.decision.prediction,
            in_flight=placed.decision.in_flight,
            pending_prefill_tokens=placed.decision.pending_prefill_tokens,
            streams=True,
        )
        return key, placed.deployment.id

    def answer(self, key, ttft_s, e2e_s, output_tokens):
        """The attempt, sent `e2e_s` ago, is answered now."""
        self.ledger.first_token(key, self.now - e2e_s + ttft_s)
        self.balancer.beliefs.learn(measured(self.ledger.close(key, self.now, "success"), output_tokens))

    def serve(self, requests, rate, times, random):
        """Poisson arrivals; `times(deployment)` -> (ttft_s, tpot_s, tokens). Counts by deployment."""
        chosen, ends, arrival = Counter(), [], 0.0
        for _ in range(requests):
            arrival += random.expovariate(rate)
            for end in sorted(end for end in ends if end[0] <= arrival):
                self.now = end[0]
                self.answer(*end[1:])
            ends = [end for end in ends if end[0] > arrival]
            self.now = arrival
            key, deployment = self.pick()
            chosen[deployment] += 1
            ttft_s, tpot_s, tokens = times(deployment)
            e2e_s = ttft_s + (tokens - 1) * tpot_s
            ends.append((self.now + e2e_s, key, ttft_s, e2e_s, tokens))
        return chosen


def test_equal_deployments_get_equal_shares_and_never_93_percent_to_one():
    """Least-busy counters that leaked sent 93.7% of the traffic to one of several equal backends."""
    worker = Worker("abcd")
    random = Random(1)
    chosen = worker.serve(2000, 20.0, lambda _: (0.2, 0.02, random.randrange(20, 180)), random)
    assert max(chosen.values()) / 2000 < 0.30
    assert min(chosen.values()) / 2000 > 0.20


def test_equal_deployments_get_equal_shares_when_most_calls_fail_at_once():
    """A deployment that only fails must not look the least busy for it."""
    worker = Worker("abcd")
    chosen = Counter()
    for number in range(400):
        key, deployment = worker.pick()
        chosen[deployment] += 1
        worker.now += 0.05
        worker.ledger.close(key, worker.now, "failure", error="Timeout" if number % 10 else None)
    assert max(chosen.values()) <= 1.1 * min(chosen.values())


def test_a_slow_first_token_with_short_answers_is_not_mistaken_for_slow_decoding():
    """Latency per token over the whole answer makes a deployment of short answers look ten times slower."""
    worker = Worker("ab", tier="own")
    random = Random(2)
    worker.serve(300, 2.0, lambda d: (0.8, 0.02, 5) if d == "a" else (0.8, 0.02, 200), random)
    state = worker.reckoner.state(worker.now)
    tpot = worker.balancer.beliefs.learner.coefficients.tpot_s
    assert state.in_flight.size == 2
    assert tpot == pytest.approx([0.02, 0.02], rel=0.25)


def test_a_hung_backend_stops_getting_traffic_while_its_attempts_hang():
    worker = Worker("abc")
    open_keys = {}
    after_ten_seconds = Counter()
    for step in range(1200):  # ten a second for two minutes
        worker.now = step / 10.0
        for key, (deployment, sent) in list(open_keys.items()):
            if deployment != "a" and worker.now - sent >= 2.0:
                worker.answer(key, 0.2, worker.now - sent, 90)
                del open_keys[key]
        key, deployment = worker.pick()
        open_keys[key] = (deployment, worker.now)
        if worker.now > 10.0:
            after_ten_seconds[deployment] += 1
        for outcome in worker.ledger.expire(worker.now):
            worker.balancer.beliefs.learn(outcome)
    assert after_ten_seconds["a"] / sum(after_ten_seconds.values()) < 0.05


def test_a_strategy_switched_in_mid_flight_leaves_nothing_behind():
    """Attempts opened before are closed by events that come after; the load of both strategies is one."""
    worker = Worker("ab")
    before = [worker.pick()[0] for _ in range(10)]
    successor = Balancer(worker.reckoner, LatencyLearner(), Random(0))  # made by the new strategy
    worker.balancer, retired = successor, worker.balancer
    after = [worker.pick()[0] for _ in range(10)]
    assert worker.reckoner.state(worker.now).in_flight.tolist() == [10, 10]
    worker.now = 3.0
    for key in before + after:
        retired.beliefs.learn(worker.ledger.close(key, worker.now, "success"))
    assert worker.reckoner.state(worker.now).in_flight.tolist() == [0, 0]


def test_a_thousand_deployments_share_evenly_and_all_end_at_zero():
    worker = Worker([f"deployment-{i}" for i in range(1000)])
    keys = [worker.pick() for _ in range(3000)]
    assert set(Counter(deployment for _, deployment in keys).values()) == {3}
    worker.now = 2.0
    for key, _ in keys:
        worker.ledger.close(key, worker.now, "success")
    state = worker.reckoner.state(worker.now)
    for load in (state.in_flight, state.pending_decode_tokens, state.pending_prefill_tokens):
        assert not load.any()


@pytest.mark.parametrize("jump_s", [-86_400.0, 86_400.0])
def test_a_jump_of_the_wall_clock_changes_nothing(jump_s, monkeypatch):
    """Nothing here asks for the time of day."""
    import time

    worker = Worker("ab")
    key, _ = worker.pick()
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + jump_s)
    worker.now = 1.0
    assert worker.ledger.expire(worker.now) == []
    assert worker.reckoner.state(worker.now).in_flight.sum() == 1
    assert worker.ledger.close(key, worker.now, "success").open_s == 1.0


@pytest.mark.parametrize("jump_s", [-1e6, 1e6])
def test_even_a_jump_of_the_clock_that_is_used_yields_sane_figures(jump_s):
    """A suspended machine: its monotonic clock may stand still or leap."""
    ledger = Ledger(DeploymentIndex(), LeaseRule())
    key = AttemptKey("call", 0)
    ledger.open(key, "d", now=0.0, input_tokens=10, prediction=prediction())
    sums = ledger.sums(jump_s)
    for array in (sums.in_flight, sums.pending_prefill_tokens, sums.pending_decode_tokens):
        assert np.isfinite(array).all()
        assert (array >= 0.0).all()
    assert sums.pending_prefill_tokens <= 10
    assert ledger.close(key, jump_s, "success").open_s >= 0.0
