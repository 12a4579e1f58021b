"""The environment of a simulation: cluster, prompts and predictions, in which single runs are made.

A run is described by a few plain figures, so that it can be repeated anywhere: in this process or in others.
A world travels there as it was read, files and all.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from rb_litellm.core.decision.scoring import QualityNorm
from rb_litellm.predictors.registry import PredictionSource
from rb_litellm.predictors.trained.model import Predictor
from rb_litellm.sim.engine import Incident, Simulation
from rb_litellm.sim.memory import RememberedPredictions, Trained
from rb_litellm.sim.policies.by_name import Surroundings, make_policy
from rb_litellm.sim.results import Repriced, RunResult
from rb_litellm.sim.servers.cluster import PAPER_CLUSTER, Cluster
from rb_litellm.sim.servers.cluster_file import of_size, of_slots
from rb_litellm.sim.training import known_prompts, prediction_source
from rb_litellm.sim.workloads.conversations import conversations
from rb_litellm.sim.workloads.workload import (
    TRAIN_SHARE,
    Corpus,
    Request,
    Trace,
    arrivals,
    read_corpus,
    requests,
    stretched,
    trace,
)
from rb_litellm.spread.where import HERE, Where
from rb_litellm.spread.work import Failed, Work


@dataclass(frozen=True)
class Run:
    """One run: a policy against a load."""

    policy: str
    rate: float
    """Requests per second."""
    seed: int = 0
    requests: int = 3534
    arrivals: str = "poisson"
    workload: Literal["prompts", "conversations"] = "prompts"
    quality_norm: QualityNorm = "raw"
    deployments: int | None = None
    """Servers, where not as many as the cluster has."""
    slots: int | None = None
    """Requests that each server runs at once, where not as many as the cluster says."""
    workers: int = 1
    gauges_s: float = 0.2
    scoring_s: float | None = None
    """Time of a router's model to score a prompt; None for what was measured."""
    sample_s: float | None = None
    """Keep a timeline of the queues with a sample every so often."""
    incidents: tuple[Incident, ...] = ()
    slo_e2e_s: float | None = None
    """Judge every request by this E2E."""
    repriced: Repriced | None = None
    """Other prices from some moment on; RouteBalance is told as by an operator's edit."""

    def title(self) -> str:
        """What messages call it: what the runs of an experiment mostly differ by."""
        told = [f"{self.policy} at {self.rate:g}/s", f"seed {self.seed}"]
        if self.arrivals != "poisson":
            told.append(f"arrivals {self.arrivals}")
        if self.deployments is not None:
            told.append(f"{self.deployments} deployments")
        return ", ".join(told)


@dataclass(frozen=True)
class World:
    """What all runs share."""

    cluster: Cluster
    train: Corpus
    """Rows that predictors and trained routers may see."""
    test: Corpus
    """Rows that are simulated."""
    predictions: PredictionSource = field(default_factory=PredictionSource)
    trained: Trained = field(default_factory=Trained)
    traces: Mapping[str, Trace] = field(default_factory=dict)
    """Files of arrivals that were read before, by their path."""

    def with_traces(self, runs: Iterable[Run]) -> World:
        """The world with the files that the runs' arrivals come from.

        Raises:
            ValueError: such a file cannot be used.
        """
        paths = {run.arrivals for run in runs if Path(run.arrivals).is_file()}
        return replace(self, traces={path: trace(Path(path)) for path in sorted(paths)})

    def run(self, run: Run) -> RunResult:
        """Carry out one run.

        Raises:
            ValueError: the policy or the arrivals are not usable; says what is allowed.
        """
        cluster = self.cluster if run.deployments is None else of_size(self.cluster, run.deployments)
        cluster = cluster if run.slots is None else of_slots(cluster, run.slots)
        around = Surroundings(
            cluster,
            self.train,
            self.predictions,
            quality_norm=run.quality_norm,
            workers=run.workers,
            gauges_s=run.gauges_s,
            scoring_s=run.scoring_s,
            trained=self.trained,
        )
        asked = self._requests(run)
        policy = make_policy(run.policy, around, asked, run.seed)
        simulation = Simulation(
            cluster,
            policy,
            asked,
            run.seed,
            incidents=run.incidents,
            sample_s=run.sample_s,
            events=()
            if run.repriced is None
            else [(run.repriced.from_s, partial(_tell, policy, run, cluster))],
        )
        started = time.perf_counter()
        served = simulation.run()
        wall_s = time.perf_counter() - started
        return RunResult.of(
            run.policy,
            run.rate,
            run.seed,
            cluster,
            served,
            simulation.now,
            wall_s,
            simulation.timeline,
            simulation.deciding_wall_s,
            run.slo_e2e_s,
            run.repriced,
        )

    def _requests(self, run: Run) -> list[Request]:
        if run.workload == "conversations":
            return conversations(self.test, run.rate, run.requests, run.seed)
        told = self.traces.get(run.arrivals)
        if told is None and Path(run.arrivals).is_file():
            told = trace(Path(run.arrivals))
        if told is not None:
            times, lengths = told
            return requests(self.test, iter(stretched(times, run.rate)), run.requests, run.seed, lengths)
        return requests(self.test, arrivals(run.arrivals, run.rate, run.seed), run.requests, run.seed)


@dataclass(frozen=True)
class WorldFiles:
    """Where a world comes from."""

    data: tuple[Path, ...]
    cluster: Cluster = PAPER_CLUSTER
    predictor: Path | None = None
    """A folder of `routebalance train`; the default predictor without,"""
    by_priors: bool = False
    """unless the operator's priors alone are to be used."""

    def load(self) -> World:
        """Read everything.

        Prompts are parted by their ids; where a predictor comes along that says which prompts it has
        seen, those are kept out of the simulated part as well.

        Raises:
            ValueError: data or predictor are not usable; says why.
        """
        everything = read_corpus(self.data, self.cluster)
        train, test = everything.split()
        predictor = Predictor.load(self.predictor) if self.predictor else None
        if self.predictor:
            test = test.without(known_prompts(self.predictor))
        test = test.fitting(self.cluster)
        if not len(train) or not len(test):
            models = ", ".join(everything.models) or "all models"
            raise ValueError(
                f"the data hold {len(train)} prompts to train on and {len(test)} to simulate with; needed "
                f"are both. Prompts with a quality of {models} count; {TRAIN_SHARE:.0%} of them, chosen by "
                "their text, are kept for training"
            )
        cluster = with_means(self.cluster, train)
        source = PredictionSource() if self.by_priors else prediction_source(predictor, cluster)
        return World(cluster, train, test, RememberedPredictions(source))


def _tell(policy: Any, run: Run, cluster: Cluster, simulation: Simulation) -> None:
    """The policy's deployments cost what the run says from now on, if it takes such news."""
    assert run.repriced is not None
    if not hasattr(policy, "replace_deployment"):
        return
    facts = [deployment for tier in cluster.tiers for deployment in tier.deployments()]
    for number, tier in enumerate(simulation.tier_of):
        if tier in run.repriced.tiers:
            old = facts[number]
            dearer = replace(
                old,
                input_usd_per_token=old.input_usd_per_token * run.repriced.factor,
                output_usd_per_token=old.output_usd_per_token * run.repriced.factor,
            )
            policy.replace_deployment(number, dearer)


def run_all(
    files: WorldFiles,
    runs: Sequence[Run],
    where: Where = HERE,
    on_run: Callable[[RunResult | Failed], None] = lambda _: None,
) -> list[RunResult | Failed]:
    """Carry out all runs; outcomes in the order of `runs`.

    Raises:
        ValueError: as `WorldFiles.load`, or `where` cannot be used.
    """
    work = Work(World.run, files.load().with_traces(runs), Run.title)
    with where.team(work) as team:
        return team.map(runs, on_run)


def with_means(cluster: Cluster, train: Corpus) -> Cluster:
    """The cluster with each tier's prior quality and length as they are on the training rows, and the model
    that answers them there."""
    quality: list[float] = np.mean(train.quality, axis=0).tolist()
    tokens: list[float] = np.mean(train.output_tokens, axis=0).tolist()
    answering = train.models or [None] * len(cluster.tiers)
    tiers = tuple(
        replace(tier, quality=q, output_tokens=n, like=model)
        for tier, q, n, model in zip(cluster.tiers, quality, tokens, answering, strict=True)
    )
    return replace(cluster, tiers=tiers)
