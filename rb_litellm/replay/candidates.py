"""Policies tried on the arrivals of a log, each for itself, so that many can be tried at once elsewhere."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from rb_litellm.core.types import FloatArray
from rb_litellm.predictors.registry import PredictionSource
from rb_litellm.sim.engine import Simulation
from rb_litellm.sim.policies.by_name import Surroundings, make_policy
from rb_litellm.sim.policies.policy import Policy
from rb_litellm.sim.results import RunResult
from rb_litellm.sim.servers.cluster import Cluster
from rb_litellm.sim.workloads.workload import Corpus, Request


@dataclass(frozen=True)
class Candidate:
    """A policy at a multiple of the logged load."""

    policy: str
    load: float = 1.0
    seed: int = 0

    def title(self) -> str:
        """What messages call it."""
        return f"{self.policy} at {self.load:g} times the logged load, seed {self.seed}"


@dataclass(frozen=True)
class Traffic:
    """The requests of a log before a cluster. It holds nothing else of the log, and can be sent elsewhere."""

    cluster: Cluster
    requests: Sequence[Request]
    predictions: PredictionSource

    def run(self, candidate: Candidate) -> RunResult:
        """The requests, decided by the candidate.

        Raises:
            ValueError: a policy that there is not, or that a log has not enough for.
        """
        requests = self.requests
        if candidate.load != 1.0:
            requests = [replace(one, arrival_s=one.arrival_s / candidate.load) for one in requests]
        return self.run_policy(self._policy(candidate, requests), candidate, requests)

    def run_policy(self, policy: Policy, candidate: Candidate, requests: Sequence[Request]) -> RunResult:
        """The same with a policy that is there already."""
        simulation = Simulation(self.cluster, policy, requests, candidate.seed)
        started = time.perf_counter()
        served = simulation.run()
        wall_s = time.perf_counter() - started
        return RunResult.of(
            candidate.policy,
            mean_rate(requests),
            candidate.seed,
            self.cluster,
            served,
            simulation.now,
            wall_s,
        )

    def _policy(self, candidate: Candidate, requests: Sequence[Request]) -> Policy:
        if "+jsq" in candidate.policy:
            raise ValueError(
                f"policy {candidate.policy!r} is trained on graded answers, which a log does not hold"
            )
        no_rows: FloatArray = np.zeros((0, len(self.cluster.tiers)))
        around = Surroundings(self.cluster, Corpus((), (), no_rows, no_rows), self.predictions)
        return make_policy(candidate.policy, around, requests, candidate.seed)


def mean_rate(requests: Sequence[Request]) -> float:
    """Requests per second, from the first to the last."""
    return round(len(requests) / max(requests[-1].arrival_s, 1e-9), 4)
