"""The interface of a routing policy in the simulator, and the time that its decisions take."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from rb_litellm.core.servers.streams import Progress
from rb_litellm.sim.workloads.workload import Request

REFUSED = -1
"""In the place of a deployment: the request is sent nowhere."""
HELD = -2
"""The same: the request waits in the router, see `Releases`."""


@dataclass(frozen=True, slots=True)
class DecisionQueue:
    """How decisions pass through a router, and what they cost in time.

    `batch`: whatever has arrived while the last decision was made is decided together.
    `single`: one request after another, each in its turn.
    `concurrent`: each for itself, all at once, as with a scoring service that scales out.
    """

    kind: Literal["batch", "single", "concurrent"] = "batch"
    decision_s: float = 0.0
    """Time of one decision, be it of one request or of a batch."""
    per_request_s: float = 0.0
    """Further time for each request of a batch."""


class Policy(Protocol):
    """A router. Deployments are numbered in the cluster's order; times are simulated seconds."""

    name: str
    decision_queue: DecisionQueue
    workers: int
    """Independent workers; requests are spread over them at random."""
    tick_s: float | None
    """Interval at which `tick` is called; None for never."""

    def decide(self, worker: int, batch: Sequence[Request], now: float) -> Sequence[int]:
        """A deployment, or REFUSED, for every request of the batch."""

    def first_token(
        self, worker: int, request: Request, deployment: int, now: float, progress: Progress
    ) -> None:
        """The request's first token has come; `progress` says from now on how far its answer is."""

    def closed(self, worker: int, request: Request, deployment: int, now: float, output_tokens: int) -> None:
        """The request's answer is complete; with no output tokens, it failed."""

    def tick(self, now: float) -> None:
        """The interval has passed."""


@runtime_checkable
class Releases(Protocol):
    """A policy that holds requests."""

    def released(self, now: float) -> Sequence[tuple[Request, int]]:
        """Requests that were held and are not any longer: their deployments, or REFUSED.

        Asked whenever an answer is complete, and at each tick.
        """


@runtime_checkable
class TellsFailures(Protocol):
    """A policy for which one failure is not as good as another."""

    def failed(self, worker: int, request: Request, deployment: int, now: float, error: str) -> None:
        """An attempt has failed with an exception of this class; called in place of `closed`."""


@runtime_checkable
class HearsCached(Protocol):
    """A policy that learns from what a server says it had cached; those that charge for it tell."""

    def cached(self, worker: int, request: Request, tokens: int) -> None:
        """The answer that is about to be closed had so many tokens of its prompt cached."""


Excluded = Callable[[Request, float], Collection[int]]
"""The deployments to which a request may not go at some time."""


def nobody(request: Request, now: float) -> Collection[int]:
    """All may."""
    return ()


@runtime_checkable
class Levels(Protocol):
    """A policy that chooses more of a request than its deployment."""

    def column(self, request: Request, deployment: int) -> int:
        """Which column of the request's truth is to be there, in place of that of the deployment's tier."""


@runtime_checkable
class AsksForSeveral(Protocol):
    """A policy that asks a server for several answers to one request."""

    def further(self, request: Request, deployment: int) -> Sequence[int]:
        """Lengths of the answers there beside the first, which need no prefill of their own."""


class Oblivious:
    """A base for policies that need no queue of their own and learn from nothing."""

    decision_queue = DecisionQueue()
    workers = 1
    tick_s: float | None = None

    def first_token(
        self, worker: int, request: Request, deployment: int, now: float, progress: Progress
    ) -> None:
        """Not looked at."""

    def closed(self, worker: int, request: Request, deployment: int, now: float, output_tokens: int) -> None:
        """Not looked at."""

    def tick(self, now: float) -> None:
        """Nothing to do."""
