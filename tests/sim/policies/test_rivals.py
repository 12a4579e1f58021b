"""Routers of other projects: each follows its own published rule."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import version

import numpy as np
import pytest

from rb_litellm.core.types import Prompt
from rb_litellm.predictors.registry import PredictionSource
from rb_litellm.sim.policies.by_name import Surroundings, make_policy
from rb_litellm.sim.rivals.multi_factor import MultiFactor
from rb_litellm.sim.rivals.sticky import StickyUntilSaturated
from rb_litellm.sim.servers.cluster import PAPER_CLUSTER, Cluster
from rb_litellm.sim.workloads.workload import Request
from rb_litellm.sim.world import Run, World
from tests.sim.corpus import TEST, TRAIN

WORLD = World(PAPER_CLUSTER, TRAIN, TEST)
AROUND = Surroundings(PAPER_CLUSTER, TRAIN, PredictionSource())
POOL = Cluster("pool", (replace(PAPER_CLUSTER.tier("paper-7b"), instances=3),))


def asked(number: int, prefix: tuple[int, ...] = (), tokens: int = 640) -> Request:
    return Request(number, 0.0, Prompt("why", tokens), np.ones(4), np.ones(4), prefix=prefix)


def test_multi_factor_by_quality_alone_takes_the_best_model():
    policy = MultiFactor("multi-factor", PAPER_CLUSTER, (1.0, 0.0, 0.0, 0.0))
    assert all(policy.decide(0, [asked(n)], 0.0)[0] >= 11 for n in range(5))


def test_multi_factor_by_load_alone_takes_models_in_turn():
    policy = MultiFactor("multi-factor", PAPER_CLUSTER, (0.0, 0.0, 0.0, 1.0))
    first = policy.decide(0, [asked(n) for n in range(4)], 0.0)
    tiers = np.repeat(range(4), [tier.instances for tier in PAPER_CLUSTER.tiers])
    assert sorted(int(tiers[d]) for d in first) == [0, 1, 2, 3]


def test_multi_factor_knows_only_what_its_own_process_sent():
    policy = MultiFactor("multi-factor", PAPER_CLUSTER, (0.0, 0.0, 0.0, 1.0), workers=2)
    tiers = np.repeat(range(4), [tier.instances for tier in PAPER_CLUSTER.tiers])
    (here,) = policy.decide(0, [asked(0)], 0.0)
    (there,) = policy.decide(1, [asked(1)], 0.0)
    assert tiers[here] == tiers[there]
    assert here != there


def test_a_slow_model_loses_by_the_measured_latency():
    policy = MultiFactor("multi-factor", PAPER_CLUSTER, (0.0, 1.0, 0.0, 0.0))
    for number, deployment in enumerate((0, 3, 8, 11)):
        policy._queues._queues._open[deployment] += 1
        policy._processes[0].in_flight[number] += 1
        policy.first_token(0, asked(number), deployment, 0.0, None)  # type: ignore[arg-type]
        policy.closed(0, asked(number), deployment, float(4 - number), 101)
    assert policy.decide(0, [asked(9)], 0.0)[0] >= 11


def test_a_cached_prompt_sticks_and_a_new_one_goes_where_least_is_to_compute():
    policy = StickyUntilSaturated("sticky", POOL)
    prefix = tuple(range(10))
    (first,) = policy.decide(0, [asked(0, prefix)], 0.0)
    assert policy.decide(0, [asked(1, prefix)], 0.0) == [first]
    (other,) = policy.decide(0, [asked(2, tuple(range(100, 110)))], 0.0)
    assert other != first


def test_a_saturated_server_loses_its_prompts():
    prefix = tuple(range(10))
    gentle = StickyUntilSaturated("sticky", POOL, max_penalty_s=0.5)
    (first,) = gentle.decide(0, [asked(0, prefix, 100_000)], 0.0)
    assert gentle.decide(0, [asked(1, prefix)], 0.0) != [first]
    for_ever = StickyUntilSaturated("sticky", POOL, max_penalty_s=0.0)
    (first,) = for_ever.decide(0, [asked(0, prefix, 100_000)], 0.0)
    assert for_ever.decide(0, [asked(1, prefix)], 0.0) == [first]


@pytest.mark.parametrize(
    "policy", ["multi-factor", "multi-factor=1,2,0,1", "sticky-until-saturated=2", "least-busy-1.110"]
)
def test_every_rival_answers_everything(policy):
    for workload in ("prompts", "conversations"):
        result = WORLD.run(Run(policy, 20.0, requests=200, workload=workload))
        assert (result.failed, result.e2e_s.size) == (0, 200)


@pytest.mark.parametrize("name", ["multi-factor=1,2", "multi-factor=0,0,0,0", "sticky-until-saturated=-1"])
def test_wrong_figures_are_named(name):
    with pytest.raises(ValueError, match="needs"):
        make_policy(name, AROUND, [], 0)


@pytest.mark.skipif(version("litellm") < "1.110", reason="the rewritten least-busy came with 1.110")
def test_the_rebuilt_least_busy_picks_as_litellm_does():
    theirs, ours = (
        WORLD.run(Run(policy, 40.0, requests=300)) for policy in ("litellm:least-busy", "least-busy-1.110")
    )
    assert (theirs.deployment == ours.deployment).all()
