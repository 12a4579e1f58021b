"""One controller for each owner of targets, and what workers tell each other of them.

Each worker tells the sums of its own requests' excess over each bound; whoever hears moves its prices by what
was added since. So prices follow the fleet's requests, not one worker's, and a worker that ends takes nothing
with it. One that starts takes over the prices of the others.

Bounded: MAX_OWNERS controllers, the least recently used is dropped; MAX_OPEN decisions whose end is awaited;
MAX_TOLD controllers in what a worker tells, those used last.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterator, Mapping
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

from rb_litellm.core.decision.breakdown import Decision, all_of
from rb_litellm.core.targets.controller import Controller, Expected
from rb_litellm.core.targets.objective import Targeted
from rb_litellm.core.targets.stated import NAMES, Targets

MAX_OWNERS = 1024
MAX_OPEN = 8192
MAX_TOLD = 64
MAX_WORKERS = 1024
_JOINING = 50
"""Requests up to which a worker takes over another's prices."""


class Told(NamedTuple):
    """What one worker tells of one controller; by the order of NAMES, 0 where no bound is set."""

    excess: tuple[float, ...]
    """Sums over its own requests since its start."""
    log_prices: tuple[float, ...]


class _Open(NamedTuple):
    name: str
    cost_usd: float
    e2e_s: float
    waited_s: float


@lru_cache(maxsize=MAX_OWNERS)
def name_of(owner: str, targets: Targets) -> str:
    """The name of a controller, the same in every worker: whose targets, and which."""
    return blake2b(repr((owner, targets)).encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def expected_of(decision: Decision, waited_s: float = 0.0) -> Expected:
    """What a decision expects, and the best that any of its candidates promised, after so long a wait."""
    chosen, breakdown = decision.expected, decision.breakdown
    predictions, allowed = breakdown.predictions, breakdown.allowed
    cost, e2e, quality = predictions.cost_usd, predictions.times.e2e_s, predictions.quality
    if not all_of(allowed):
        cost, e2e, quality = cost[allowed], e2e[allowed], quality[allowed]
    its = chosen.cost_usd, chosen.e2e_s + waited_s, chosen.quality
    if not cost.size:
        # Sent all the same, to learn of it.
        return Expected(*its, *its)
    best = cost.item(cost.argmin()), e2e.item(e2e.argmin()) + waited_s, quality.item(quality.argmax())
    return Expected(*its, *best)


class TargetBook:
    """Of one worker. Not thread-safe."""

    def __init__(self) -> None:
        self._controllers: OrderedDict[str, Controller] = OrderedDict()
        self._open: OrderedDict[Hashable, _Open] = OrderedDict()
        self._heard: OrderedDict[str, Mapping[str, Told]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._controllers)

    def __iter__(self) -> Iterator[tuple[str, Controller]]:
        return iter(list(self._controllers.items()))

    def controller(self, name: str, targets: Targets) -> Controller:
        """The controller of that name, made at first use from what others have told of it."""
        found = self._controllers.get(name)
        if found is None:
            found = self._controllers[name] = Controller(targets)
            for told in self._heard.values():
                if name in told:
                    _adopt(found, told[name])
            if len(self._controllers) > MAX_OWNERS:
                self._controllers.popitem(last=False)
        else:
            self._controllers.move_to_end(name)
        return found

    def objective(self, name: str, targets: Targets) -> Targeted:
        """By what a request of these targets is decided now."""
        return self.controller(name, targets).objective

    def decided(
        self, name: str, targets: Targets, attempt: Hashable, decision: Decision, waited_s: float = 0.0
    ) -> None:
        """An attempt was sent; its end is awaited. Its client had waited for so long already."""
        expected = expected_of(decision, waited_s)
        self.controller(name, targets).decided(expected)
        self._open[attempt] = _Open(name, expected.cost_usd, expected.e2e_s, waited_s)
        if len(self._open) > MAX_OPEN:
            self._open.popitem(last=False)

    def finished(self, attempt: Hashable, cost_usd: float | None, e2e_s: float | None) -> None:
        """The attempt is over; None for what was not measured. One that nobody awaits is passed over.

        `e2e_s` is its own time; what its client had waited before is added.
        """
        opened = self._open.pop(attempt, None)
        controller = None if opened is None else self._controllers.get(opened.name)
        if opened is not None and controller is not None:
            seen_s = None if e2e_s is None else e2e_s + opened.waited_s
            controller.finished(opened.cost_usd, opened.e2e_s, cost_usd, seen_s)

    def told(self) -> dict[str, Told]:
        """What the others should know, of the controllers used last."""
        latest = list(self._controllers.items())[-MAX_TOLD:]
        return {
            name: Told(
                tuple(round(controller.excess[bound], 3) for bound in NAMES),
                tuple(round(controller.log_prices.get(bound, 0.0), 3) for bound in NAMES),
            )
            for name, controller in latest
        }

    def heard(self, told: Mapping[str, Mapping[str, Told]]) -> None:
        """What other workers tell anew, by their names; of MAX_WORKERS the longest silent is forgotten."""
        for origin, theirs in told.items():
            before = self._heard.get(origin, {})
            for name, now in theirs.items():
                controller = self._controllers.get(name)
                if controller is None:
                    continue
                if name in before:
                    added = zip(NAMES, now.excess, before[name].excess, strict=True)
                    controller.heard({bound: new - old for bound, new, old in added})
                elif controller.decided_here < _JOINING:
                    _adopt(controller, now)
            self._heard[origin] = dict(theirs)
            self._heard.move_to_end(origin)
            if len(self._heard) > MAX_WORKERS:
                self._heard.popitem(last=False)


def _adopt(controller: Controller, told: Told) -> None:
    controller.adopt(dict(zip(NAMES, told.log_prices, strict=True)))
