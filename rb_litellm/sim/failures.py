"""Servers that fail, and what their clients see of it: scripted failures on six servers of one model.

From START_S to END_S attempts on the first servers fail, all or by chance; what follows until JUDGED_S
counts, too. A failed attempt is sent again, twice at most; a stream that breaks off is not. All policies have
LiteLLM's cooldown on top of them, as in a proxy, and meet the same requests.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from rb_litellm.core.servers.streams import Progress
from rb_litellm.sim.engine import TOO_LONG, Fault, Simulation
from rb_litellm.sim.incidents import END_S, JUDGED_S, START_S, cluster
from rb_litellm.sim.policies.policy import HearsCached, Policy, TellsFailures
from rb_litellm.sim.workloads.workload import Request

TIMEOUT_S = 20.0
_FAILED_SHARE, _LEAST, _COOLDOWN_S, _MINUTE_S = 0.5, 5, 5.0, 60.0
"""LiteLLM's defaults: more than half of at least five attempts in a minute, and then out for 5 s."""
_NOT_COUNTED = ("APIConnectionError", TOO_LONG)
"""LiteLLM cools nobody down for these: a stream that breaks off, a prompt that is too long."""


@dataclass(frozen=True)
class Failures:
    """What fails how."""

    name: str
    fault: Fault
    servers: int = 1


SCENES = (
    Failures("refused at once", Fault("ConnectError")),
    Failures("refused, one in three", Fault("ConnectError", 1 / 3)),
    Failures("timeout", Fault("Timeout", after_s=TIMEOUT_S)),
    Failures("timeout, one in ten", Fault("Timeout", 0.1, TIMEOUT_S)),
    Failures("5xx after 2 s, one in three", Fault("InternalServerError", 1 / 3, 2.0)),
    Failures("5xx after 2 s, one in two, on three servers", Fault("InternalServerError", 0.5, 2.0), 3),
    Failures("cut streams, one in three", Fault("APIConnectionError", 1 / 3, None)),
    Failures("cut streams, one in fifty", Fault("APIConnectionError", 0.02, None)),
)


@dataclass(frozen=True, slots=True)
class Seen:
    """What clients saw while a policy went through failures."""

    failed: float
    """Requests that ended in an error."""
    mean_e2e_s: float
    """Of those that were answered."""
    p95_e2e_s: float
    usd_per_1k: float
    """Per 1,000 answers, with what is paid for streams that broke off."""
    attempts: float
    """Per request."""


def run(scene: Failures, policy: Policy, asked: Sequence[Request], seed: int) -> Seen:
    """One policy through one scene."""

    def begin(simulation: Simulation) -> None:
        for server in range(scene.servers):
            simulation.faults[server] = scene.fault

    def end(simulation: Simulation) -> None:
        simulation.faults[:] = [None] * len(simulation.faults)

    cooled = Cooled(policy, sum(tier.instances for tier in cluster().tiers))
    simulation = Simulation(cluster(), cooled, asked, seed, events=[(START_S, begin), (END_S, end)])
    served = [s for s in simulation.run() if START_S <= s.request.arrival_s < JUDGED_S]
    times = np.array([s.e2e_s for s in served if not s.failed])
    (tier,) = cluster().tiers
    usd = [
        (0 if s.failed and not s.lost_tokens else s.request.prompt.input_tokens) * tier.input_usd_per_million
        + (s.lost_tokens if s.failed else s.output_tokens) * tier.output_usd_per_million
        for s in served
    ]
    return Seen(
        sum(s.failed for s in served),
        float(times.mean()),
        float(np.percentile(times, 95)),
        float(np.sum(usd)) / times.size / 1e3,
        float(np.mean([s.attempts for s in served])),
    )


class Cooled:
    """A policy as a proxy runs it: LiteLLM's cooldown takes deployments away before it is asked.

    A policy of ours also stays away from those that the request has failed on, as it does in a proxy. Where
    all would be cooled down, none is.
    """

    def __init__(self, policy: Policy, deployments: int, *, avoids: bool = False) -> None:
        """With `avoids`, any policy that can stay away from those that a request has failed on does."""
        self._policy = policy
        self._avoids = avoids or isinstance(policy, TellsFailures)
        self._deployments = deployments
        self._until_s = [0.0] * deployments
        self._minute = -1
        self._counts = np.zeros((deployments, 2), dtype=np.int64)
        """Answers and failures in this minute."""
        self._tried: dict[int, set[int]] = {}
        self.name, self.workers, self.tick_s = policy.name, policy.workers, policy.tick_s
        self.decision_queue = policy.decision_queue
        if hasattr(policy, "excluded"):
            policy.excluded = self._excluded

    def decide(self, worker: int, batch: Sequence[Request], now: float) -> Sequence[int]:
        """As the policy has it, among those that are left."""
        return self._policy.decide(worker, batch, now)

    def first_token(
        self, worker: int, request: Request, deployment: int, now: float, progress: Progress
    ) -> None:
        """Told to the policy."""
        self._policy.first_token(worker, request, deployment, now, progress)

    def closed(self, worker: int, request: Request, deployment: int, now: float, output_tokens: int) -> None:
        """Counted, and told to the policy."""
        self._count(deployment, 0, now)
        self._tried.pop(request.number, None)
        self._policy.closed(worker, request, deployment, now, output_tokens)

    def failed(self, worker: int, request: Request, deployment: int, now: float, error: str) -> None:
        """Counted, and told to the policy."""
        if error not in _NOT_COUNTED:
            answers, failures = self._count(deployment, 1, now)
            if answers + failures >= _LEAST and failures > _FAILED_SHARE * (answers + failures):
                self._until_s[deployment] = now + _COOLDOWN_S
        if self._avoids:
            self._tried.setdefault(request.number, set()).add(deployment)
        if isinstance(self._policy, TellsFailures):
            self._policy.failed(worker, request, deployment, now, error)
        else:
            self._policy.closed(worker, request, deployment, now, 0)

    def cached(self, worker: int, request: Request, tokens: int) -> None:
        """Told to the policy."""
        if isinstance(self._policy, HearsCached):
            self._policy.cached(worker, request, tokens)

    def tick(self, now: float) -> None:
        """As the policy has it."""
        self._policy.tick(now)

    def _count(self, deployment: int, column: int, now: float) -> tuple[int, int]:
        minute = int(now // _MINUTE_S)
        if minute != self._minute:
            self._minute, self._counts[:] = minute, 0
        self._counts[deployment, column] += 1
        answers, failures = self._counts[deployment].tolist()
        return answers, failures

    def _excluded(self, request: Request, now: float) -> Collection[int]:
        cooled = {n for n, until_s in enumerate(self._until_s) if now < until_s}
        both = cooled | self._tried.get(request.number, set())
        return next((some for some in (both, cooled) if len(some) < self._deployments), ())
