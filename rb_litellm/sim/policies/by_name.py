"""Policies by name, as `routebalance simulate --policy NAME` takes them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from rb_litellm.core.decision.exploring.exploration import RECOVERY, ExplorationRule
from rb_litellm.core.decision.scoring import PRESETS, Norm, QualityNorm, Weights
from rb_litellm.core.servers.affinity import AffinityRule
from rb_litellm.core.servers.threads import thread_rule
from rb_litellm.predictors.registry import PredictionSource
from rb_litellm.sim.memory import Trained
from rb_litellm.sim.policies import oracle_bounds
from rb_litellm.sim.policies.baseline_policies import PeakEwma, RoundRobin, ShortestQueue
from rb_litellm.sim.policies.policy import Policy
from rb_litellm.sim.policies.routebalance import controlled, held, reference, targeted
from rb_litellm.sim.policies.routebalance.arms import Arms
from rb_litellm.sim.policies.routebalance.as_in_proxy import RouteBalance
from rb_litellm.sim.policies.routebalance.decoupled import Decoupled
from rb_litellm.sim.policies.routebalance.oracle_predictions import OraclePredictions
from rb_litellm.sim.policies.routers import Classifier, Clusters, ModelChooser, ThenShortestQueue, WinRate
from rb_litellm.sim.rivals import names as rivals
from rb_litellm.sim.servers.cluster import Cluster
from rb_litellm.sim.workloads.workload import Corpus, Request

_ARMS = {
    "static": Arms(learning=False),
    "nobatch": Arms(batching=False),
    "nosequential": Arms(sequential=False),
    "noreckoning": Arms(reckoning=False),
    "noload": Arms(load=False),
    "selfish": Arms(burden=False),
    "window": Arms(window_s=0.1),
    "affinity": Arms(affinity=AffinityRule()),
    "agents": Arms(affinity=thread_rule(300.0), threads=True),
}
_EXPLORATION: dict[str, ExplorationRule | None] = {
    "epsilon": ExplorationRule("epsilon"),
    "thompson": ExplorationRule("thompson"),
    "none": None,
}
_LITELLM = (
    "simple-shuffle",
    "least-busy",
    "latency-based-routing",
    "usage-based-routing-v2",
    "cost-based-routing",
)
_CHOOSERS: dict[str, Callable[[Corpus, Cluster, float, int], ModelChooser]] = {
    "classifier": Classifier,
    "clusters": Clusters,
    "winrate": WinRate,
}
_ROUTER = re.compile(r"(classifier|clusters|winrate)\+jsq(?:=(\d*\.?\d+))?(:serial)?")
NAMES = (
    *(f"routebalance:{preset}" for preset in PRESETS),
    "routebalance:W_Q,W_L,W_C",
    "routebalance:PRESET:paper",
    *(f"routebalance:PRESET[:paper]+{method}" for method in _EXPLORATION),
    *(f"routebalance-{arm}[:PRESET]" for arm in _ARMS),
    "routebalance-priors",
    *controlled.NAMES,
    *held.NAMES,
    *targeted.NAMES,
    *reference.NAMES,
    "decoupled-predictive",
    *(f"litellm:{strategy}" for strategy in _LITELLM),
    "round-robin",
    "jsq",
    "power-of-2",
    "peak-ewma",
    *rivals.NAMES,
    *(f"{router}+jsq[=THRESHOLD][:serial]" for router in _CHOOSERS),
    "oracle",
    *oracle_bounds.NAMES,
)


@dataclass(frozen=True)
class Surroundings:
    """What policies are made from."""

    cluster: Cluster
    train: Corpus
    """Rows that trained routers may see."""
    predictions: PredictionSource
    """What RouteBalance predicts by."""
    quality_norm: QualityNorm = "raw"
    norm: Norm = "absolute"
    workers: int = 1
    gauges_s: float = 0.2
    scoring_s: float | None = None
    """Time of a router's model to score a prompt; None for what was measured."""
    trained: Trained = field(default_factory=Trained)
    """Routers are trained once for all runs, and not by the seed of a run."""


def make_policy(name: str, around: Surroundings, requests: Sequence[Request], seed: int) -> Policy:
    """A new policy for one run; only the oracle and its bounds use `requests`.

    Raises:
        ValueError: no policy has that name; says which there are.
    """
    cluster = around.cluster
    deployments = sum(tier.instances for tier in cluster.tiers)
    if (hold := held.rule(name)) is not None:
        return held.Holding(
            name,
            hold,
            cluster,
            PRESETS["balanced"],
            around.predictions,
            quality_norm=around.quality_norm,
            norm=around.norm,
            workers=around.workers,
            gauges_s=around.gauges_s,
            seed=seed,
        )
    departing = reference.reference(name, cluster, around.predictions, around.workers, around.gauges_s, seed)
    if departing is not None:
        return departing
    if name.startswith("routebalance"):
        return _route_balance(name, around, seed)
    if name == "decoupled-predictive":
        balanced = PRESETS["balanced"]
        return Decoupled(
            name, cluster, balanced, around.predictions, quality_norm=around.quality_norm, seed=seed
        )
    if name == "oracle":
        truth = OraclePredictions(cluster, requests)
        return RouteBalance(
            name, cluster, PRESETS["balanced"], truth, quality_norm=around.quality_norm, seed=seed
        )
    if name in oracle_bounds.NAMES:
        return oracle_bounds.OracleBound(name, cluster, around.train, requests, seed)
    if name == "round-robin":
        return RoundRobin(deployments)
    if name == "jsq":
        return ShortestQueue(deployments, seed)
    if name == "peak-ewma":
        return PeakEwma(deployments, seed)
    if name == "power-of-2":
        return ShortestQueue(deployments, seed, samples=2)
    if (theirs := rivals.rival(name, cluster, around.workers, seed)) is not None:
        return theirs
    if name.removeprefix("litellm:") in _LITELLM and name.startswith("litellm:"):
        from rb_litellm.sim.policies.litellm_policies import LiteLLMStrategy

        return LiteLLMStrategy(name.removeprefix("litellm:"), cluster, seed)
    if found := _ROUTER.fullmatch(name):
        kind, threshold = _CHOOSERS[found[1]], float(found[2] or 0.5)
        prices = tuple(tier.output_usd_per_million for tier in cluster.tiers)
        chooser = around.trained.get(
            (found[1], threshold, prices), lambda: kind(around.train, cluster, threshold, 0)
        )
        serial = found[3] is not None
        return ThenShortestQueue(name, chooser, cluster, serial=serial, scoring_s=around.scoring_s, seed=seed)
    raise _unknown(name)


def _route_balance(name: str, around: Surroundings, seed: int) -> RouteBalance:
    weights, arms, predictions = PRESETS["balanced"], Arms(), around.predictions
    shown, norm = name, around.norm
    exploration: ExplorationRule | None = RECOVERY
    targets = targeted.targets(name)
    name, _, method = name.partition("+")
    if method:
        if method not in _EXPLORATION:
            raise _unknown(shown)
        exploration = _EXPLORATION[method]
    if name.endswith(":paper"):
        name, norm = name.removesuffix(":paper"), "paper"
    objective, limits = controlled.controls(name, norm) or (None, None)
    if name == "routebalance-priors":
        predictions = PredictionSource()
    elif name.startswith("routebalance-") and objective is None and targets is None:
        arm, _, preset = name.removeprefix("routebalance-").partition(":")
        if arm not in _ARMS or (preset and preset not in PRESETS):
            raise _unknown(name)
        arms, weights = _ARMS[arm], PRESETS[preset or "balanced"]
    elif name != "routebalance" and objective is None and targets is None:
        weights = _weights(name)
    return RouteBalance(
        shown,
        around.cluster,
        weights,
        predictions,
        quality_norm=around.quality_norm,
        norm=norm,
        exploration=exploration,
        arms=arms,
        workers=around.workers,
        gauges_s=around.gauges_s,
        seed=seed,
        objective=objective,
        limits=limits,
        targets=targets,
    )


def _weights(name: str) -> Weights:
    told = name.removeprefix("routebalance:")
    if told in PRESETS:
        return PRESETS[told]
    parts = told.split(",")
    if len(parts) == 3:
        try:
            return Weights(*map(float, parts))
        except ValueError as error:
            raise ValueError(f"policy {name!r}: {error}") from None
    raise _unknown(name)


def _unknown(name: str) -> ValueError:
    return ValueError(f"unknown policy {name!r}; there are {', '.join(NAMES)}")
