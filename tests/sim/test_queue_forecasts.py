"""Forecasts of a queue on a server that takes its time for prompts: each prompt counts once."""

from statistics import median

import numpy as np

from rb_litellm.core.decision.scoring import PRESETS
from rb_litellm.core.types import Prompt
from rb_litellm.predictors.registry import PredictionSource
from rb_litellm.sim.engine import Served, Simulation
from rb_litellm.sim.policies.routebalance.as_in_proxy import RouteBalance
from rb_litellm.sim.servers.cluster import Cluster, Tier
from rb_litellm.sim.servers.instance import Hardware
from rb_litellm.sim.workloads.workload import Request

PROCESSOR = Hardware(((1, 0.0125), (2, 0.037), (100, 0.6), (2048, 12.0)), 0.0, 10_000_000, max_num_seqs=2)
"""Two slots; a prompt of 100 tokens takes as long as sixteen steps of two answers."""
ROUND_S, ROUNDS, AT_ONCE = 20.0, 12, 6
TOKENS = 48


def asked() -> list[Request]:
    """Rounds of requests that come at once, each after the end of the one before."""
    return [
        Request(
            n, (n // AT_ONCE) * ROUND_S + 0.001 * (n % AT_ONCE), Prompt(input_tokens=100),
            np.array([0.5]), np.array([float(TOKENS)]),
        )
        for n in range(ROUNDS * AT_ONCE)
    ]  # fmt: skip


def test_three_times_as_many_as_slots_are_forecast_where_prefill_takes_long() -> None:
    server = Cluster("one", (Tier("cpu", "m", 1, PROCESSOR, 0.1, 0.1, 0.5, float(TOKENS)),))
    policy = RouteBalance("routebalance", server, PRESETS["balanced"], PredictionSource(), exploration=None)
    served = Simulation(server, policy, asked()).run()
    late = [s for s in served if s.request.number >= ROUNDS // 2 * AT_ONCE]

    def error(of: Served, kind: str) -> float:
        decided_s = of.decided_s - of.request.arrival_s
        measured_s: float = getattr(of, kind) - decided_s
        forecast_s: float = getattr(policy.predicted(of.worker, of.request), kind)
        return abs(forecast_s / measured_s - 1.0)

    assert max(s.e2e_s for s in served) < ROUND_S
    last = [s for s in late if s.request.number % AT_ONCE == AT_ONCE - 1]
    assert median(error(s, "ttft_s") for s in late) < 0.1
    assert median(error(s, "e2e_s") for s in late) < 0.15
    # The five prompts ahead of the last one counted twice: 17%.
    assert median(error(s, "ttft_s") for s in last) < 0.12
