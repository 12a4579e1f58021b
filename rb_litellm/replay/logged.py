"""The policy of the log: every request goes where the log says it went."""

from __future__ import annotations

from collections.abc import Sequence

from rb_litellm.logs.spend_logs import LoggedCall
from rb_litellm.sim.policies.policy import Oblivious
from rb_litellm.sim.servers.cluster import Cluster
from rb_litellm.sim.workloads.workload import Request


class Logged(Oblivious):
    """Replays the choices of a log; needs every deployment of it in the cluster."""

    name = "as-logged"

    def __init__(self, calls: Sequence[LoggedCall], cluster: Cluster) -> None:
        """`calls` are those that the requests were made from, in the same order."""
        number = {tier.name: n for n, tier in enumerate(cluster.tiers)}
        self._chosen = [number[call.deployment] for call in calls]

    def decide(self, worker: int, batch: Sequence[Request], now: float) -> Sequence[int]:
        """As it was."""
        return [self._chosen[request.number] for request in batch]
