"""One worker process of the proxy, as the simulator has it."""

from __future__ import annotations

from random import Random

from rb_litellm.balancer import Balancer
from rb_litellm.balancing.beliefs import MAX_STREAMS_PER_STEP
from rb_litellm.core.latency.learning.learner import LatencyLearner
from rb_litellm.core.targets.book import TargetBook
from rb_litellm.core.types import Prediction
from rb_litellm.sim.policies.routebalance.arms import Arms, WithoutDeadReckoning, WithoutLoad
from rb_litellm.sim.workloads.workload import Request
from rb_litellm.state.attempt import AttemptKey, LeaseRule
from rb_litellm.state.exchange.peers import Peers
from rb_litellm.state.index import DeploymentIndex
from rb_litellm.state.ledger import Ledger
from rb_litellm.state.reckoning import Reckoner


class Worker:
    """One worker process of the proxy."""

    def __init__(self, name: str, arms: Arms, random: Random) -> None:
        self.name = name
        self.index = DeploymentIndex()
        self.ledger = Ledger(self.index, LeaseRule())
        self.peers = Peers(self.index)
        reckoner: Reckoner = Reckoner(self.index, self.ledger, self.peers)
        if not arms.load:
            reckoner = WithoutLoad(self.index, self.ledger, self.peers)
        elif not arms.reckoning:
            reckoner = WithoutDeadReckoning(self.index, self.ledger, self.peers)
        self.balancer = Balancer(reckoner, LatencyLearner(), random)
        self.book = TargetBook()
        self.predicted: dict[int, Prediction] = {}
        self.told_cached: int | None = None
        self._observed_s = 0.0

    def observe_streams(self, now: float) -> None:
        """See how fast open streams are being written, once a second."""
        if now - self._observed_s >= 0.999:
            self._observed_s = now
            self.balancer.beliefs.observe_streams(self.ledger.streams(MAX_STREAMS_PER_STEP), now)

    def attempt(self, request: Request) -> AttemptKey:
        """The key of the request's next attempt."""
        call = str(request.number)
        return AttemptKey(call, self.ledger.next_attempt(call))
