"""A log replayed: the fit, its check, and what other policies would have made of the same arrivals."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from rb_litellm.logs.server_fit import FittedServer, fit_servers
from rb_litellm.logs.spend_logs import LoggedCall
from rb_litellm.predictors.model import Predictor
from rb_litellm.predictors.priors import ModelInfo, prior_quality
from rb_litellm.predictors.registry import PredictionSource
from rb_litellm.replay.check import FitCheck, check_fit
from rb_litellm.replay.cluster import logged_cluster
from rb_litellm.replay.logged import Logged
from rb_litellm.replay.traffic import to_requests
from rb_litellm.sim.cluster import Cluster
from rb_litellm.sim.engine import Simulation
from rb_litellm.sim.policies import Surroundings, make_policy
from rb_litellm.sim.policy import Policy
from rb_litellm.sim.results import RunResult
from rb_litellm.sim.workload import Corpus, Request

AS_LOGGED = Logged.name


@dataclass(frozen=True)
class Change:
    """What is different from the log."""

    without: Sequence[str] = ()
    """Deployments that are left out."""
    prices: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """USD per million input and output tokens, by model or deployment."""
    load: float = 1.0
    """Factor on the rate of arrivals."""


class Replay:
    """One log, fitted once, to be run under any number of policies."""

    def __init__(
        self,
        calls: Sequence[LoggedCall],
        quality: Mapping[str, float] | None = None,
        predictor: Path | None = None,
        models: Mapping[str, str] | None = None,
    ) -> None:
        """`quality` is the mean by model where known; `models` maps models to names of the predictor's.

        Raises:
            ValueError: the log holds no answered call, or `quality` names a model that it does not hold.
            PredictorError: the predictor cannot be used.
        """
        self.calls = [call for call in calls if not call.failed and call.output_tokens > 0]
        self.failed = len(calls) - len(self.calls)
        if not self.calls:
            raise ValueError(f"none of {len(calls)} calls in the log was answered with tokens")
        self.servers: list[FittedServer] = fit_servers(self.calls)
        known = {server.model for server in self.servers}
        if unknown := sorted(set(quality or {}) - known):
            raise ValueError(
                f"quality of {', '.join(unknown)}: no such model; there are {', '.join(sorted(known))}"
            )
        self.quality = {
            model: (quality or {}).get(model, prior_quality(ModelInfo(key=model, model=model)))
            for model in known
        }
        trained = Predictor.load(predictor) if predictor else None
        self._predictions = PredictionSource(trained, models, on_error=_raise)

    def check(self) -> list[FitCheck]:
        """Logged against simulated, under the policy that was in force."""
        cluster, requests = self._scene(Change())
        simulation = Simulation(cluster, Logged(self.calls, cluster), requests)
        return check_fit(self.calls, simulation.run(), self.servers)

    def run(
        self,
        policies: Sequence[str],
        change: Change = Change(),
        seed: int = 0,
        on_run: Callable[[str], None] = lambda _: None,
    ) -> list[RunResult]:
        """Every policy on the same arrivals. `as-logged` repeats the log's own choices.

        Raises:
            ValueError: a policy or a change that cannot be; says what is allowed.
        """
        cluster, requests = self._scene(change)
        results = []
        for name in policies:
            policy = self._policy(name, cluster, requests, change, seed)
            simulation = Simulation(cluster, policy, requests, seed)
            started = time.perf_counter()
            served = simulation.run()
            wall_s = time.perf_counter() - started
            rate = len(requests) / max(requests[-1].arrival_s, 1e-9)
            results.append(RunResult.of(name, round(rate, 4), seed, cluster, served, simulation.now, wall_s))
            on_run(name)
        return results

    def _scene(self, change: Change) -> tuple[Cluster, list[Request]]:
        cluster = logged_cluster(self.servers, self.quality, change.without, change.prices)
        return cluster, to_requests(self.calls, self.servers, cluster, self._predictions, change.load)

    def _policy(
        self, name: str, cluster: Cluster, requests: Sequence[Request], change: Change, seed: int
    ) -> Policy:
        if name == AS_LOGGED:
            if change.without:
                raise ValueError(
                    f"policy {name!r} needs every deployment of the log; --without leaves some out"
                )
            return Logged(self.calls, cluster)
        if "+jsq" in name:
            raise ValueError(f"policy {name!r} is trained on graded answers, which a log does not hold")
        no_rows = np.zeros((0, len(cluster.tiers)))
        surroundings = Surroundings(cluster, Corpus((), (), no_rows, no_rows), self._predictions)
        return make_policy(name, surroundings, requests, seed)


def _raise(error: Exception) -> None:
    raise error
