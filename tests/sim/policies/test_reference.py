"""What the reference decides otherwise: each policy departs from ours in one thing, and is told by it."""

import numpy as np
import pytest

from rb_litellm.sim.policies.by_name import Surroundings, make_policy
from rb_litellm.sim.policies.policy import REFUSED
from rb_litellm.sim.servers.cluster import PAPER_CLUSTER
from rb_litellm.sim.training import prediction_source
from rb_litellm.sim.workloads.workload import Request
from rb_litellm.sim.world import Run, World
from tests.sim.corpus import TEST, TRAIN

WORLD = World(PAPER_CLUSTER, TRAIN, TEST)


def run(policy, rate=20.0, requests=300):
    return WORLD.run(Run(policy, rate, requests=requests))


def requests(number):
    rows = [n % len(TEST.prompts) for n in range(number)]
    return [
        Request(n, 0.0, TEST.prompts[row], TEST.quality[row], TEST.output_tokens[row])
        for n, row in enumerate(rows)
    ]


def policy(name, its):
    around = Surroundings(PAPER_CLUSTER, TRAIN, prediction_source(None, PAPER_CLUSTER))
    return make_policy(name, around, its, 0)


def test_a_gain_over_the_worst_weighs_more_than_a_share_of_the_best():
    share, gain = run("routebalance-reference:share"), run("routebalance-reference:gain")
    assert gain.figure("mean_e2e_s") > share.figure("mean_e2e_s")
    assert gain.figure("cost_usd_per_1k") > share.figure("cost_usd_per_1k")


def test_where_nobody_keeps_a_strict_limit_the_shortest_queue_serves():
    its = requests(26)
    # A millisecond: first trials are over at once, and all others can be told to be late.
    refusing = policy("routebalance-slo:strict,1", its).decide(0, its, 0.0)
    queueing = policy("routebalance-reference:strict,1", its).decide(0, its, 0.0)
    assert REFUSED in refusing
    assert REFUSED not in queueing
    counts = np.bincount(queueing, minlength=13)
    assert counts.max() - counts.min() <= 1


def test_the_order_of_a_batch_loses_nobody():
    its = requests(20)
    placed = policy("routebalance-reference:possible", its).decide(0, its, 0.0)
    assert len(placed) == 20
    assert REFUSED not in placed


def test_a_wrong_limit_is_named():
    with pytest.raises(ValueError, match="strict,soon"):
        policy("routebalance-reference:strict,soon", [])


def test_an_unknown_departure_is_no_policy():
    with pytest.raises(ValueError, match="unknown policy"):
        policy("routebalance-reference:fastest", [])
