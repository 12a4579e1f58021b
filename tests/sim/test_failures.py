"""Servers that fail in the simulator: each kind is what it says, and counting failures is worth something."""

from dataclasses import replace

import numpy as np
import pytest

from rb_litellm.core.decision.scoring import PRESETS
from rb_litellm.core.types import Prompt
from rb_litellm.predictors.registry import PredictionSource
from rb_litellm.sim.engine import Fault, Simulation
from rb_litellm.sim.failures import SCENES, TIMEOUT_S, Cooled, run
from rb_litellm.sim.incidents import Incident, cluster, requests
from rb_litellm.sim.policies.baseline_policies import RoundRobin
from rb_litellm.sim.policies.policy import Oblivious
from rb_litellm.sim.policies.routebalance.arms import Arms
from rb_litellm.sim.policies.routebalance.as_in_proxy import RouteBalance
from rb_litellm.sim.workloads.workload import Request

ASKED = requests(Incident("none"), 0)
FAILS = "ConnectError"


def ours(workers=1, **arms):
    return RouteBalance(
        "ours", cluster(), PRESETS["balanced"], PredictionSource(), arms=Arms(**arms), workers=workers
    )


def one(fault):
    """What becomes of one request whose first server fails so, and whose second one is well."""
    request = Request(0, 0.0, Prompt("Why?", 50), np.array([0.5]), np.array([100.0]))
    simulation = Simulation(cluster(), RoundRobin(6), [request])
    simulation.faults[0] = fault
    (served,) = simulation.run()
    return served


def test_a_refused_request_is_sent_elsewhere_at_once():
    served = one(Fault(FAILS))
    assert (served.attempts, served.deployment, served.failed) == (2, 1, False)
    assert served.e2e_s < TIMEOUT_S


def test_a_timeout_is_sent_elsewhere_after_its_limit():
    assert one(Fault("Timeout", after_s=TIMEOUT_S)).e2e_s > TIMEOUT_S


def test_a_stream_that_breaks_off_is_paid_for_and_not_sent_again():
    served = one(Fault("APIConnectionError", after_s=None))
    assert (served.attempts, served.failed, served.lost_tokens) == (1, True, 50)


@pytest.mark.parametrize(
    ("input_tokens", "output_tokens", "written"),
    [(400, 100, 100), (450, 100, 50), (500, 100, None), (10_000, 1, None)],
)
def test_what_a_server_cannot_hold_is_cut_or_refused_once(input_tokens, output_tokens, written):
    """As vLLM does with its context window; a trace may hold such rows."""
    small = replace(cluster().tiers[0].hardware, kv_tokens=500)
    servers = replace(cluster(), tiers=(replace(cluster().tiers[0], hardware=small),))
    request = Request(0, 0.0, Prompt("Why?", input_tokens), np.array([0.5]), np.array([float(output_tokens)]))
    usual = Request(1, 0.0, Prompt("Why?", 50), np.array([0.5]), np.array([10.0]))
    policy = RouteBalance("ours", servers, PRESETS["balanced"], PredictionSource())
    served, after = Simulation(servers, policy, [request, usual]).run()
    assert (served.attempts, served.failed) == (1, written is None)
    assert served.output_tokens == (written or 0)
    assert not after.failed


class Noting(Oblivious):
    """Notes who may be chosen, and chooses the first of them."""

    name = "noting"

    def __init__(self):
        self.excluded = None

    def decide(self, worker, batch, now):
        return [min(set(range(6)) - set(self.excluded(r, now))) for r in batch]


def test_the_cooldown_is_litellms():
    """More than half of at least five attempts in a minute, and then nothing for 5 s."""
    policy = Noting()
    cooled = Cooled(policy, 6)
    request = ASKED[0]
    for n in range(4):
        cooled.failed(0, request, 0, 10.0 + n, "InternalServerError")
        assert cooled.decide(0, [request], 13.0) == [0]
    cooled.failed(0, request, 0, 14.0, "InternalServerError")
    assert cooled.decide(0, [request], 18.9) == [1]
    assert cooled.decide(0, [request], 19.1) == [0]


def test_a_stream_that_breaks_off_cools_nobody_down():
    cooled = Cooled(Noting(), 6)
    for n in range(9):
        cooled.failed(0, ASKED[0], 0, float(n), "APIConnectionError")
    assert cooled.decide(0, [ASKED[0]], 9.0) == [0]


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
def test_counting_failures_is_never_worse_than_the_cooldown_alone(scene):
    counted, alone = run(scene, ours(), ASKED, 0), run(scene, ours(failures=False), ASKED, 0)
    assert counted.failed <= alone.failed
    assert counted.mean_e2e_s <= 1.02 * alone.mean_e2e_s
    assert counted.usd_per_1k <= 1.02 * alone.usd_per_1k


def test_workers_count_failures_together():
    scene = next(scene for scene in SCENES if scene.name == "cut streams, one in three")
    together = run(scene, ours(workers=4), ASKED, 0)
    alone = run(scene, ours(workers=4, failures=False), ASKED, 0)
    assert together.failed < 0.5 * alone.failed
