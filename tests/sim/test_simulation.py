"""The simulation as a whole: conservation, Little's law, determinism, incidents, and what policies do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rb_litellm.core.servers.streams import Progress
from rb_litellm.predictors.registry import PredictionSource
from rb_litellm.sim.engine import Incident, Served, Simulation
from rb_litellm.sim.experiment import Experiment
from rb_litellm.sim.policies.baseline_policies import RoundRobin, ShortestQueue
from rb_litellm.sim.policies.by_name import Surroundings, make_policy
from rb_litellm.sim.policies.policy import DecisionQueue
from rb_litellm.sim.servers.cluster import PAPER_CLUSTER
from rb_litellm.sim.workloads.workload import Request, arrivals, requests
from rb_litellm.spread.work import whole
from tests.sim.corpus import CORPUS, TEST, TRAIN

AROUND = Surroundings(PAPER_CLUSTER, TRAIN, PredictionSource())
POLICIES = (
    "routebalance:balanced",
    "routebalance:0.5,0.3,0.2",
    "routebalance-static",
    "routebalance-nobatch",
    "routebalance-nosequential",
    "routebalance-noreckoning",
    "routebalance-noload",
    "routebalance-priors",
    "decoupled-predictive",
    "litellm:simple-shuffle",
    "litellm:least-busy",
    "litellm:latency-based-routing",
    "litellm:usage-based-routing-v2",
    "litellm:cost-based-routing",
    "round-robin",
    "jsq",
    "power-of-2",
    "classifier+jsq",
    "clusters+jsq=0.7",
    "winrate+jsq:serial",
    "oracle",
    "kind-known",
)


def asked(number: int = 150, rate: float = 30.0, seed: int = 0) -> list[Request]:
    return requests(TEST, arrivals("poisson", rate, seed), number, seed)


def run(
    name: str, seed: int = 0, around: Surroundings = AROUND, incidents: tuple[Incident, ...] = ()
) -> list[Served]:
    load = asked(seed=seed)
    policy = make_policy(name, around, load, seed)
    return Simulation(PAPER_CLUSTER, policy, load, seed, incidents=incidents).run()


def facts(served: list[Served]) -> list[tuple[int, float, float, int]]:
    return [(s.deployment, s.ttft_s, s.e2e_s, s.output_tokens) for s in served]


@pytest.mark.parametrize("name", POLICIES)
def test_every_policy_answers_everything_once_and_in_full(name: str) -> None:
    served = run(name)
    assert len(served) == 150
    tier_of = [n for n, tier in enumerate(PAPER_CLUSTER.tiers) for _ in range(tier.instances)]
    for s in served:
        assert not s.failed
        assert 0.0 < s.ttft_s <= s.e2e_s
        assert s.output_tokens == s.request.output_tokens[tier_of[s.deployment]]


@pytest.mark.parametrize("name", POLICIES)
def test_same_seed_gives_the_same_run_bit_for_bit(name: str) -> None:
    assert facts(run(name)) == facts(run(name))


def test_workers_with_gauges_answer_everything() -> None:
    assert not any(s.failed for s in run("routebalance:balanced", around=replace(AROUND, workers=4)))


@given(st.floats(2.0, 60.0), st.integers(0, 1000))
@settings(max_examples=10, deadline=None)
def test_littles_law_holds_over_a_whole_run(rate: float, seed: int) -> None:
    load = asked(200, rate, seed)
    at_once = replace(PAPER_CLUSTER, tiers=tuple(replace(t, network_s=0.0) for t in PAPER_CLUSTER.tiers))
    simulation = Simulation(at_once, RoundRobin(13), load, sample_s=0.05)
    served = simulation.run()
    assert simulation.timeline is not None
    mean_open = np.mean(np.sum(simulation.timeline.in_flight, axis=1))
    # Over the whole run, all time spent by requests is the integral of how many are there.
    assert mean_open * simulation.now == pytest.approx(sum(s.e2e_s for s in served), rel=0.05)


def test_server_that_goes_down_loses_its_requests_to_others() -> None:
    served = run(
        "routebalance:balanced", incidents=tuple(Incident(n, 1.0, 30.0, float("inf")) for n in range(3, 8))
    )
    retried = [s for s in served if s.attempts > 1]
    assert retried
    assert all(s.e2e_s > 0.0 for s in served if not s.failed)


def test_slow_server_makes_its_requests_slower() -> None:
    load = asked()
    usual = Simulation(PAPER_CLUSTER, RoundRobin(13), load).run()
    slow = Simulation(PAPER_CLUSTER, RoundRobin(13), load, incidents=[Incident(0, 0.0, 1e6, 5.0)]).run()
    on_first = [n for n, s in enumerate(usual) if s.deployment == 0]
    assert all(slow[n].e2e_s > 3 * usual[n].e2e_s for n in on_first)


def test_decisions_one_at_a_time_queue_up_where_concurrent_ones_do_not() -> None:
    def mean_ttft(kind: str) -> float:
        policy = ShortestQueue(13)
        policy.decision_queue = DecisionQueue(kind, 0.1)  # type: ignore[arg-type]
        return float(np.mean([s.ttft_s for s in Simulation(PAPER_CLUSTER, policy, asked()).run()]))

    assert mean_ttft("single") > 5 * mean_ttft("concurrent")


def test_oracle_is_at_least_as_good_as_priors_in_what_it_optimises() -> None:
    def quality(name: str) -> float:
        tier_of = [n for n, tier in enumerate(PAPER_CLUSTER.tiers) for _ in range(tier.instances)]
        return float(np.mean([s.request.quality[tier_of[s.deployment]] for s in run(name)]))

    assert quality("oracle") > quality("routebalance-priors")


@pytest.mark.parametrize("process", ["poisson", "gamma:0.3", "square:0.5,1.5"])
def test_arrivals_keep_the_rate_and_the_seed(process: str) -> None:
    first = [at for at, _ in zip(arrivals(process, 20.0, 3), range(6000), strict=False)]
    assert first == [at for at, _ in zip(arrivals(process, 20.0, 3), range(6000), strict=False)]
    assert first == sorted(first)
    assert 6000 / first[-1] == pytest.approx(20.0, rel=0.15)


def test_unknown_names_are_answered_with_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"unknown policy 'best'.*round-robin"):
        make_policy("best", AROUND, [], 0)
    with pytest.raises(ValueError, match="sum to"):
        make_policy("routebalance:0.5,0.5,0.5", AROUND, [], 0)
    with pytest.raises(ValueError, match="gamma:SHAPE"):
        arrivals("uniform", 1.0, 0)


def test_a_prompt_is_always_in_the_same_part() -> None:
    assert len(TRAIN) + len(TEST) == len(CORPUS)
    assert not set(TRAIN.ids) & set(TEST.ids)


def test_experiment_on_real_data_compares_policies_on_the_same_arrivals(
    shared_data: Callable[[str], Path],
) -> None:
    data = shared_data("quality_length_chat.jsonl.gz")
    names = ("routebalance:balanced", "litellm:simple-shuffle")
    results = Experiment(PAPER_CLUSTER, [data], names, [12.0], [1], 300).run()
    ours, shuffle = (result.as_json() for result in whole(results))
    assert ours["policy"] == "routebalance:balanced"
    assert ours["failed"] == shuffle["failed"] == 0
    assert ours["mean_e2e_s"] < shuffle["mean_e2e_s"]
    assert sum(ours["tier_share"].values()) == pytest.approx(1.0, abs=1e-3)


def test_a_streams_latest_token_tells_when_its_servers_step_ended() -> None:
    network_s = PAPER_CLUSTER.tiers[0].network_s
    ages_s: list[float] = []

    class Watching(RoundRobin):
        """Looks at every open stream whenever it decides."""

        def __init__(self) -> None:
            super().__init__(sum(tier.instances for tier in PAPER_CLUSTER.tiers))
            self.open: dict[int, Progress] = {}

        def decide(self, worker: int, batch: Sequence[Request], now: float) -> Sequence[int]:
            ages_s.extend(now - progress.latest_s for progress in self.open.values())
            return super().decide(worker, batch, now)

        def first_token(
            self, worker: int, request: Request, deployment: int, now: float, progress: Progress
        ) -> None:
            assert progress.latest_s == pytest.approx(now)
            self.open[request.number] = progress

        def closed(
            self, worker: int, request: Request, deployment: int, now: float, output_tokens: int
        ) -> None:
            self.open.pop(request.number, None)

    policy = Watching()
    Simulation(PAPER_CLUSTER, policy, asked(), 0).run()
    assert len(ages_s) > 1_000
    assert min(ages_s) >= -network_s
    # A token comes with each step, and the longest ones read a whole prompt.
    assert np.median(ages_s) < 0.05
    assert max(ages_s) < 1.0
