"""What the requests of a key, a team or a model name have cost today, over all workers (`fleet_sums`).

Bounded: MAX_OPEN attempts whose end is awaited; the oldest is forgotten.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import RLock

from rb_litellm.core.types import Outcome
from rb_litellm.litellm_adapter.shared.exchange.fleet_sums import FleetSums

MAX_OPEN = 8192
_DAY_S = 86_400.0


class DaySpend:
    """Of one worker. `lock` guards it; `wall` gives Unix time in s. Days are UTC's."""

    def __init__(self, lock: RLock, wall: Callable[[], float] = time.time) -> None:
        self.sums = FleetSums(lock, "usd", _DAY_S, wall)
        self._lock = lock
        self._open: OrderedDict[Hashable, str] = OrderedDict()

    def spent_usd(self, owner: str) -> float:
        """What its requests have cost today, as far as is known here."""
        return self.sums.sum(owner)

    def sent(self, owner: str, call_id: str, attempt: int) -> None:
        """An attempt of the owner was sent; its end is awaited."""
        with self._lock:
            self._open[call_id, attempt] = owner
            if len(self._open) > MAX_OPEN:
                self._open.popitem(last=False)

    def finished(self, outcome: Outcome) -> None:
        """An attempt is over."""
        with self._lock:
            owner = self._open.pop((outcome.call_id, outcome.attempt), None)
            if owner is not None and outcome.cost_usd is not None and outcome.cost_usd > 0.0:
                self.sums.add(owner, outcome.cost_usd)
