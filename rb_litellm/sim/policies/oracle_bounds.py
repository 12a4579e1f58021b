"""Oracle bounds: how much quality a router could gain, from choosers that know what a router has to guess.

    best-model           nothing of the prompt: the model with the best mean on the training rows, for all
    kind-known           the task of each prompt: the model with the task's best training mean
    kind-known:foresight the task, and the tasks' means over the very answers that are simulated
    prompt-known         the quality of every answer

A router reaches the second if it recognises every kind of prompt and has learned from the training rows. No
router can know the third; it bounds all that choose by kind. Each joins the shortest queue of its model, as
the other quality routers do; of equally good models it takes the cheapest.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rb_litellm.core.types import FloatArray
from rb_litellm.sim.policies.baseline_policies import TierQueues
from rb_litellm.sim.policies.policy import Oblivious
from rb_litellm.sim.servers.cluster import Cluster
from rb_litellm.sim.workloads.workload import Corpus, Request

NAMES = ("best-model", "kind-known", "kind-known:foresight", "prompt-known")


class OracleBound(Oblivious):
    """The model is known beforehand for each request."""

    def __init__(
        self, name: str, cluster: Cluster, train: Corpus, requests: Sequence[Request], seed: int = 0
    ) -> None:
        """Raises ValueError: `name` is none of NAMES."""
        self.name = name
        self._queues = TierQueues(cluster, seed)
        by_price = np.argsort([tier.output_usd_per_million for tier in cluster.tiers], kind="stable")
        best = by_price[_worth(name, train, requests)[:, by_price].argmax(axis=1)]
        self._tiers = {r.number: int(tier) for r, tier in zip(requests, best, strict=True)}

    def decide(self, worker: int, batch: Sequence[Request], now: float) -> Sequence[int]:
        """The model as it is known, the deployment by its queue."""
        return [self._queues.join(self._tiers[request.number]) for request in batch]

    def closed(self, worker: int, request: Request, deployment: int, now: float, output_tokens: int) -> None:
        """One fewer in that queue."""
        self._queues.leave(deployment)


def _worth(name: str, train: Corpus, requests: Sequence[Request]) -> FloatArray:
    """(R, M) the quality of each model for each request, as far as this bound knows it."""
    truth = np.array([request.quality for request in requests])
    overall: FloatArray = train.quality.mean(axis=0)
    if name == "best-model":
        return np.broadcast_to(overall, truth.shape)
    if name == "prompt-known":
        return truth
    tasks = [request.task for request in requests]
    if name == "kind-known":
        means = _means(train.tasks, train.quality)
    elif name == "kind-known:foresight":
        means = _means(tasks, truth)
    else:
        raise ValueError(f"unknown oracle bound {name!r}; there are {', '.join(NAMES)}")
    # A kind that the training rows lack is judged as any prompt.
    return np.array([means.get(task, overall) for task in tasks])


def _means(tasks: Sequence[str], quality: FloatArray) -> dict[str, FloatArray]:
    """Mean quality (M,) of each task."""
    of = np.array(tasks)
    return {task: quality[of == task].mean(axis=0) for task in dict.fromkeys(tasks)}
