"""The decision in two steps, as it is without a joint score: the model first, then its server."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rb_litellm.balancer import RoutingRequest
from rb_litellm.balancing.candidates import model_info
from rb_litellm.core.decision.scoring import JointScore, Weights, score
from rb_litellm.sim.policies.routebalance.as_in_proxy import RouteBalance
from rb_litellm.sim.workloads.workload import Request


class Decoupled(RouteBalance):
    """First the model, by predicted quality and cost; then its quickest server, by predicted latency.

    The same predictions, state and latency model as RouteBalance: what it lacks is the price of latency
    at the moment when the model is chosen.
    """

    def _routing_requests(self, batch: Sequence[Request], now: float) -> list[RoutingRequest]:
        groups = tuple(dict.fromkeys(d.group for d in self._deployments))
        members = [tuple(d for d in self._deployments if d.group == group) for group in groups]
        infos = [model_info(of[0]) for of in members]
        told = self._predictions.predict([r.prompt for r in batch], infos)
        prices = np.array([(of[0].input_usd_per_token, of[0].output_usd_per_token) for of in members])
        input_tokens = np.array([[r.prompt.input_tokens] for r in batch], dtype=np.float64)
        cost = input_tokens * prices[:, 0] + told.output_tokens * prices[:, 1]
        allowed = np.ones(told.quality.shape, dtype=np.bool_)
        scores = score(told.quality, np.zeros_like(cost), cost, allowed, self._weights, self._norm)
        quickest = JointScore(Weights(0.0, 1.0, 0.0))
        return [
            RoutingRequest(request.prompt, members[int(best)], quickest)
            for request, best in zip(batch, scores.argmax(axis=1), strict=True)
        ]
