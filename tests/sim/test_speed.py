"""How many times faster than real time one core simulates the paper's cluster; `-s` prints it."""

from __future__ import annotations

from collections.abc import Callable
from time import process_time
from typing import Any

from rb_litellm.bench.decisions.picks import use_compiled_loops
from rb_litellm.bench.latency import _requests
from rb_litellm.core.compiled.in_use import IN_USE
from rb_litellm.core.decision.scoring import PRESETS
from rb_litellm.predictors.registry import PredictionSource
from rb_litellm.sim.engine import Simulation
from rb_litellm.sim.policies.baseline_policies import RoundRobin
from rb_litellm.sim.policies.policy import Policy
from rb_litellm.sim.policies.routebalance.as_in_proxy import RouteBalance
from rb_litellm.sim.servers.cluster import PAPER_CLUSTER

REQUESTS, RATE = 2000, 30.0


class Timed(RouteBalance):
    """Adds up the processor time that decisions and what is learned of answers take."""

    deciding_s = learning_s = 0.0

    def decide(self, *args: Any) -> Any:
        chosen, took_s = _timed(super().decide, *args)
        self.deciding_s += took_s
        return chosen

    def first_token(self, *args: Any) -> None:
        self.learning_s += _timed(super().first_token, *args)[1]

    def closed(self, *args: Any) -> None:
        self.learning_s += _timed(super().closed, *args)[1]


def _timed(action: Callable[..., Any], *args: Any) -> tuple[Any, float]:
    began = process_time()
    return action(*args), process_time() - began


def simulated(policy: Policy) -> tuple[float, float]:
    """Seconds that were simulated, and of the processor."""
    asked = _requests("poisson", RATE, 0, REQUESTS, PAPER_CLUSTER)
    simulation = Simulation(PAPER_CLUSTER, policy, asked)
    _, took_s = _timed(simulation.run)
    return simulation.now, took_s


def test_a_simulation_is_much_faster_than_real_time():
    loops = "numba" if use_compiled_loops() else "NumPy"
    policy = Timed("routebalance", PAPER_CLUSTER, PRESETS["balanced"], PredictionSource())
    try:
        passed_s, took_s = simulated(policy)
    finally:
        IN_USE.loops = None
    parts_s = policy.deciding_s, policy.learning_s, took_s - policy.deciding_s - policy.learning_s
    deciding, learning, rest = (f"{1e3 * part / REQUESTS:.2f} ms" for part in parts_s)
    print(f"\n{loops}: {passed_s / took_s:.0f} times real time; of a request {deciding} decide, "
          f"{learning} learn, {rest} are the servers' and the clock's")  # fmt: skip
    idle_s, alone_s = simulated(RoundRobin(sum(tier.instances for tier in PAPER_CLUSTER.tiers)))
    print(f"servers alone, each in its turn: {idle_s / alone_s:.0f} times real time")
    assert passed_s > 2.0 * took_s
