"""An experiment: policies x rates x seeds over one body of graded data, each run on the same arrivals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from rb_litellm.sim.results import RunResult
from rb_litellm.sim.servers.cluster import Cluster
from rb_litellm.sim.world import Run, WorldFiles, run_all
from rb_litellm.spread.where import HERE, Where
from rb_litellm.spread.work import Failed


@dataclass(frozen=True)
class Experiment:
    """What to simulate."""

    cluster: Cluster
    data: Sequence[Path]
    policies: Sequence[str]
    rates: Sequence[float]
    """Requests per second."""
    seeds: Sequence[int]
    requests: int
    like: Run = field(default_factory=lambda: Run("", 1.0))
    """All else of every run."""
    predictor: Path | None = None
    """A folder of `routebalance train`; the default predictor without,"""
    by_priors: bool = False
    """unless the operator's priors alone are to be used."""

    def runs(self) -> list[Run]:
        """All runs, policy by policy at each rate and seed."""
        return [
            replace(self.like, policy=policy, rate=rate, seed=seed, requests=self.requests)
            for rate in self.rates
            for seed in self.seeds
            for policy in self.policies
        ]

    def run(
        self, on_run: Callable[[RunResult | Failed], None] = lambda _: None, where: Where = HERE
    ) -> list[RunResult | Failed]:
        """Carry all of them out.

        Raises:
            ValueError: the data or `where` are not usable; says what is allowed.
        """
        files = WorldFiles(tuple(self.data), self.cluster, self.predictor, self.by_priors)
        return run_all(files, self.runs(), where, on_run)
