"""The targets of requests, under the runtime's lock: who steers them, and what workers tell each other.

A controller serves all requests under the same targets of one owner: a key, a team, or, where the settings
set the targets, the model name that clients ask for.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import RLock
from typing import Any

from rb_litellm.core.decision.breakdown import Decision
from rb_litellm.core.targets.book import MAX_OWNERS, TargetBook, Told, name_of
from rb_litellm.core.targets.controller import Standing
from rb_litellm.core.targets.objective import Targeted
from rb_litellm.core.targets.stated import Name, Targets
from rb_litellm.core.types import Outcome
from rb_litellm.state.exchange.gauges import Gauge

MAX_SHOWN = 32
"""Owners whose targets the page and the metrics show, those used last."""
WHOLE = -1
"""In the place of an attempt's number: all calls of a request that may be answered more than once."""
MAX_OWNER = 16
"""Characters of a hashed owner that are shown."""


@dataclass(frozen=True, slots=True)
class Steered:
    """A request that is decided under targets."""

    name: str
    targets: Targets


class GuardedTargets:
    """Of one worker. `lock` guards the book."""

    def __init__(self, lock: RLock) -> None:
        self._lock = lock
        self._book = TargetBook()
        self._owners: OrderedDict[str, str] = OrderedDict()

    def steered(self, targets: Targets, owner: str) -> Steered:
        """What steers a request under these targets of the owner."""
        name = name_of(owner, targets)
        with self._lock:
            if name in self._owners:
                self._owners.move_to_end(name)
            else:
                # Of a hash, as much as tells keys apart.
                hashed = owner.startswith(("key ", "team "))
                self._owners[name] = owner[:MAX_OWNER] if hashed else owner
                if len(self._owners) > MAX_OWNERS:
                    self._owners.popitem(last=False)
        return Steered(name, targets)

    def objective(self, steered: Steered) -> Targeted:
        """By what it is decided now."""
        with self._lock:
            return self._book.objective(steered.name, steered.targets)

    def decided(
        self, steered: Steered, call_id: str, attempt: int, decision: Decision, waited_s: float
    ) -> None:
        """An attempt was sent, so many s after its request had come to the proxy."""
        with self._lock:
            self._book.decided(steered.name, steered.targets, (call_id, attempt), decision, waited_s)

    def judged(self, call_id: str, usd: float, e2e_s: float | None) -> None:
        """A request that could be answered more than once is over; what all its calls cost and took, None
        where it failed or its client has left."""
        with self._lock:
            self._book.finished((call_id, WHOLE), usd, e2e_s)

    def finished(self, outcome: Outcome) -> None:
        """An attempt is over."""
        with self._lock:
            answered = outcome.error is None and outcome.timed
            cost = outcome.cost_usd
            if outcome.error is not None and cost is None:
                cost = 0.0
            e2e_s = outcome.open_s + (outcome.sending_s or 0.0) if answered and not outcome.cut else None
            self._book.finished((outcome.call_id, outcome.attempt), cost, e2e_s)

    def standing(self, steered: Steered) -> dict[Name, Standing]:
        """How the targets of a request stand."""
        with self._lock:
            return self._book.controller(steered.name, steered.targets).standing()

    def shown(self) -> list[dict[str, Any]]:
        """The targets used last and how they stand, as plain JSON values."""
        with self._lock:
            latest = list(self._book)[-MAX_SHOWN:]
            return [
                {
                    "owner": self._owners.get(name, name),
                    "maximise": controller.targets.maximise,
                    "requests": controller.decided_here,
                    "targets": {
                        bound: {key: _rounded(value) for key, value in stands._asdict().items()}
                        for bound, stands in controller.standing().items()
                    },
                }
                for name, controller in reversed(latest)
            ]

    def told(self) -> Mapping[str, Told]:
        """What other workers should know."""
        with self._lock:
            return self._book.told()

    def heard(self, gauges: Sequence[Gauge]) -> None:
        """What they have told."""
        with self._lock:
            self._book.heard({gauge.origin: gauge.targets for gauge in gauges})


def words(standing: Mapping[Name, Standing]) -> str:
    """How targets stand, in one line of a header."""
    return ", ".join(
        f"{name}={stands.present:.4g} of {stands.bound:.4g} {stands.word}"
        + (f", at best {stands.best:.4g}" if stands.word == "infeasible" else "")
        for name, stands in standing.items()
    )


def _rounded(value: Any) -> Any:
    return float(f"{value:.5g}") if isinstance(value, float) else value
