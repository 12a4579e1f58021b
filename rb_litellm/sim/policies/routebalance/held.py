"""RouteBalance that holds what it would refuse, by the queue and the rounds of the proxy.

routebalance-hold:MAX_WAIT_MS,HOLD_S,REQUESTS[,shared]     admission with a hold of so many s and requests
routebalance-hold-slo:E2E_MS,HOLD_S,REQUESTS[,shared]      a strict limit on E2E in place of admission

Simulated requests have no keys. Every QUIET_EVERY-th is taken for one of a quiet key, the others for those of
a key that floods; with `shared`, all are one key's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from rb_litellm.balancer import RoutingRequest
from rb_litellm.core.limits.admission import Admission
from rb_litellm.core.limits.filters import Limits
from rb_litellm.core.limits.hold_queue import Held, HoldQueue
from rb_litellm.core.limits.slo import Slo
from rb_litellm.sim.policies.policy import HELD, REFUSED
from rb_litellm.sim.policies.routebalance.as_in_proxy import RouteBalance
from rb_litellm.sim.workloads.workload import Request

NAMES = (
    "routebalance-hold:MAX_WAIT_MS,HOLD_S,REQUESTS[,shared]",
    "routebalance-hold-slo:E2E_MS,HOLD_S,REQUESTS[,shared]",
)
QUIET_EVERY = 20
ANSWER_TOKENS = 512
"""What an answer counts among a key's tokens, for its length is not known before it is placed."""
WAKE_EVERY_S = 0.005
TICK_S = 0.1
TRIES = 4


class HoldRule(NamedTuple):
    """What is held, and how."""

    limits: Limits
    max_wait_s: float
    max_requests: int
    shared: bool
    """All requests are one key's."""


def rule(name: str) -> HoldRule | None:
    """What a policy of that name holds; None for any other name.

    Raises:
        ValueError: its figures cannot be used.
    """
    kind, _, told = name.partition(":")
    if kind not in ("routebalance-hold", "routebalance-hold-slo"):
        return None
    parts = told.split(",")
    shared = parts[3:] == ["shared"]
    if len(parts) != 3 + shared:
        raise ValueError(f"policy {name!r}: it needs {' or '.join(NAMES)}")
    try:
        limit_s, hold_s, requests = float(parts[0]) / 1000.0, float(parts[1]), int(parts[2])
    except ValueError as error:
        raise ValueError(f"policy {name!r}: {error}") from None
    if kind == "routebalance-hold":
        return HoldRule(Limits(admission=Admission(limit_s)), hold_s, requests, shared)
    return HoldRule(Limits(slo=Slo(e2e_s=limit_s, mode="strict")), hold_s, requests, shared)


def quiet(number: int) -> bool:
    """Whether the request of that number is the quiet key's."""
    return number % QUIET_EVERY == 0


class Holding(RouteBalance):
    """The policy; each worker holds its share."""

    def __init__(self, name: str, hold: HoldRule, *args: Any, **kwargs: Any) -> None:
        super().__init__(name, *args, limits=hold.limits, **kwargs)
        self.tick_s = TICK_S
        self._hold = hold
        self._queues = [HoldQueue() for _ in range(self.workers)]
        self._waiting: dict[Held, Request] = {}
        self._refused: list[tuple[Request, int]] = []
        self._woken_s = [0.0] * self.workers
        self._passed: list[frozenset[int]] = [frozenset()] * self.workers
        self._now_s = 0.0

    def decide(self, worker: int, batch: Sequence[Request], now: float) -> Sequence[int]:
        """Place the batch; what is refused waits, and so does whoever comes after those that wait."""
        self._now_s = now
        if len(self._queues[worker]) and self._hold.limits.slo is None:
            return [self._enter(worker, request, now) for request in batch]
        chosen = super().decide(worker, batch, now)
        return [
            self._enter(worker, request, now) if deployment == REFUSED else deployment
            for request, deployment in zip(batch, chosen, strict=True)
        ]

    def released(self, now: float) -> Sequence[tuple[Request, int]]:
        """Requests that were held and are not any longer: their deployments, or REFUSED."""
        self._now_s = now
        out, self._refused = self._refused, []
        for worker, queue in enumerate(self._queues):
            if not len(queue) or now - self._woken_s[worker] < WAKE_EVERY_S:
                continue
            self._woken_s[worker] = now
            out += [(self._waiting.pop(held), REFUSED) for held in queue.expired(now)]
            out += self._round(worker, queue, now)
        return out

    def _round(self, worker: int, queue: HoldQueue, now: float) -> list[tuple[Request, int]]:
        placed: list[tuple[Request, int]] = []
        # Those that admission refuses are all alike; of those with limits, a round tries some.
        tries, passed = (1, frozenset()) if self._hold.limits.slo is None else (TRIES, self._passed[worker])
        while tries and (held := queue.first(passed)) is not None:
            (deployment,) = super().decide(worker, [self._waiting[held]], now)
            if deployment == REFUSED:
                tries -= 1
                passed |= {held.number}
                continue
            queue.serve(held, now)
            placed.append((self._waiting.pop(held), deployment))
        self._passed[worker] = passed if queue.first(passed) is not None else frozenset()
        return placed

    def _enter(self, worker: int, request: Request, now: float) -> int:
        hold, prompt = self._hold, request.prompt
        owner = "quiet" if quiet(request.number) and not hold.shared else "flood"
        patience_s = hold.max_wait_s
        if hold.limits.slo is not None:
            patience_s = min(patience_s, hold.limits.slo.patience_s)
        held, displaced = self._queues[worker].enter(
            owner,
            0,
            prompt.input_tokens + min(prompt.max_tokens or ANSWER_TOKENS, ANSWER_TOKENS),
            request.arrival_s + patience_s,
            now,
            -(-hold.max_requests // self.workers),
        )
        if displaced is not None:
            self._refused.append((self._waiting.pop(displaced), REFUSED))
        if held is None:
            return REFUSED
        self._waiting[held] = request
        return HELD

    def _routing_requests(self, batch: Sequence[Request], now: float) -> list[RoutingRequest]:
        made = super()._routing_requests(batch, now)
        slo = self._hold.limits.slo
        if slo is None:
            return made
        return [
            replace(r, limits=Limits(slo.after(self._now_s - request.arrival_s)))
            for r, request in zip(made, batch, strict=True)
        ]
