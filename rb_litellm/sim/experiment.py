"""An experiment: policies x rates x seeds over one body of graded data, each run on the same arrivals."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from rb_litellm.core.scoring import QualityNorm
from rb_litellm.predictors.model import Predictor
from rb_litellm.predictors.registry import PredictionSource
from rb_litellm.sim.cluster import Cluster
from rb_litellm.sim.engine import Simulation
from rb_litellm.sim.policies import Surroundings, make_policy
from rb_litellm.sim.results import RunResult
from rb_litellm.sim.routers import SCORING_S
from rb_litellm.sim.workload import Corpus, arrivals, corpus, requests, stand_ins
from rb_litellm.train.dataset import read_dataset


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
    arrivals: str = "poisson"
    predictor: Path | None = None
    """A folder of `routebalance train`; the operator's priors without."""
    quality_norm: QualityNorm = "raw"
    workers: int = 1
    gauges_s: float = 0.2
    scoring_s: float = SCORING_S
    sample_s: float | None = None

    def run(self, on_run: Callable[[RunResult], None] = lambda _: None) -> list[RunResult]:
        """All runs, policy by policy at each rate and seed.

        Raises:
            ValueError: a policy, the arrivals or the data are not usable; says what is allowed.
        """
        around, test = self._surroundings()
        results = []
        for rate in self.rates:
            for seed in self.seeds:
                for policy in self.policies:
                    result = self._one(policy, rate, seed, around, test)
                    results.append(result)
                    on_run(result)
        return results

    def _surroundings(self) -> tuple[Surroundings, Corpus]:
        data = read_dataset(self.data)
        train, test = corpus(data, self.cluster).split()
        if not len(train) or not len(test):
            raise ValueError(
                f"the data hold {len(train)} prompts to train on and {len(test)} to simulate with"
            )
        cluster = with_means(self.cluster, train)
        mapping = dict(zip((t.model for t in cluster.tiers), stand_ins(data, cluster), strict=True))
        predictor = Predictor.load(self.predictor) if self.predictor else None
        return (
            Surroundings(
                cluster=cluster,
                train=train,
                predictions=PredictionSource(predictor, mapping, on_error=_raise),
                quality_norm=self.quality_norm,
                workers=self.workers,
                gauges_s=self.gauges_s,
                scoring_s=self.scoring_s,
            ),
            test,
        )

    def _one(self, name: str, rate: float, seed: int, around: Surroundings, test: Corpus) -> RunResult:
        asked = requests(test, arrivals(self.arrivals, rate, seed), self.requests, seed)
        policy = make_policy(name, around, asked, seed)
        simulation = Simulation(around.cluster, policy, asked, seed, sample_s=self.sample_s)
        started = time.perf_counter()
        served = simulation.run()
        wall_s = time.perf_counter() - started
        return RunResult.of(
            name, rate, seed, around.cluster, served, simulation.now, wall_s, simulation.timeline
        )


def with_means(cluster: Cluster, train: Corpus) -> Cluster:
    """The cluster with each tier's prior quality and length as they are on the training rows."""
    quality: list[float] = np.mean(train.quality, axis=0).tolist()
    tokens: list[float] = np.mean(train.output_tokens, axis=0).tolist()
    tiers = tuple(
        replace(tier, quality=q, output_tokens=n)
        for tier, q, n in zip(cluster.tiers, quality, tokens, strict=True)
    )
    return replace(cluster, tiers=tiers)


def _raise(error: Exception) -> None:
    # In a proxy the request is served from priors; an experiment must not silently measure something else.
    raise error
