"""RouteBalance on deployments with levels of effort: the level of each request is part of the decision."""

from __future__ import annotations

from collections.abc import Sequence

from rb_litellm.core.decision.scoring import PRESETS, Objective
from rb_litellm.core.fleet import Deployment
from rb_litellm.predictors.registry import PredictionSource
from rb_litellm.sim.policies.routebalance.as_in_proxy import RouteBalance
from rb_litellm.sim.servers.cluster import Cluster
from rb_litellm.sim.workloads.workload import Request


class Leveled(RouteBalance):
    """`candidates` are levels of the cluster's deployments, in any number for each."""

    def __init__(
        self,
        name: str,
        cluster: Cluster,
        candidates: Sequence[Deployment],
        predictions: PredictionSource,
        objective: Objective,
        columns: Sequence[str],
        seed: int = 0,
    ) -> None:
        """`columns` names the levels as the requests' truth has them."""
        super().__init__(name, cluster, PRESETS["balanced"], predictions, objective=objective, seed=seed)
        self._deployments = tuple(candidates)
        self._columns = {level: n for n, level in enumerate(columns)}

    def column(self, request: Request, deployment: int) -> int:
        """Which column of the request's truth its level is."""
        return self._columns[self._efforts[request.number]]
