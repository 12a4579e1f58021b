"""One worker put together: what its parts share, its books, LiteLLM's callbacks, and what the proxy adds.

Every process has one, whatever Routers and selectors it builds. The proxy's own parts (its endpoints, the
reload of its settings) stand above this file and are added by `add_part`.
"""

from __future__ import annotations

import atexit
import threading
import time
from collections.abc import Callable
from random import Random
from typing import Any, Protocol

from rb_litellm.balancing.beliefs import MAX_STREAMS_PER_STEP
from rb_litellm.config import RouteBalanceSettings
from rb_litellm.litellm_adapter.hosts import host
from rb_litellm.litellm_adapter.lifecycle.accounting import EXPIRE_EVERY_S, Accounting
from rb_litellm.litellm_adapter.lifecycle.callbacks import Lifecycle
from rb_litellm.litellm_adapter.request.waiting.holding import Holding
from rb_litellm.litellm_adapter.runtime import Runtime
from rb_litellm.litellm_adapter.shared.upkeep.gc_tuning import GcTuning
from rb_litellm.litellm_adapter.shared.upkeep.throttle import Throttle
from rb_litellm.litellm_adapter.shared.upkeep.timers import PeriodicTask
from rb_litellm.litellm_adapter.shared.users import Users, take_out

ENSURE_EVERY_S = 1.0


class Part(Protocol):
    """Something that runs beside the requests of a worker."""

    def ensure_started(self) -> None:
        """Run in the current loop, unless it runs already in one that is alive. Cheap; never raises."""


class Worker:
    """See the module. `clock` gives monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, random: Random | None = None) -> None:
        self.runtime = Runtime(clock, random)
        self.holding = Holding(clock, self.runtime.failed)
        self.accounting = Accounting(
            self.runtime,
            lambda kwargs, decision: host.current().record_decision(kwargs, decision),
            self.holding.freed,
        )
        self.callbacks = Lifecycle(self.accounting, self.runtime)
        self._gc_tuning = GcTuning()
        self._housekeeping = PeriodicTask(EXPIRE_EVERY_S, lambda: self.runtime.guarded(self._keep_house))
        self._users = Users()
        self._some_are_gone = False
        self._ensure = Throttle(ENSURE_EVERY_S, clock)
        self._parts: list[Part] = [self.runtime, self._housekeeping]
        self._parts += [make(self) for make in _further]

    def adopt(self, settings: RouteBalanceSettings, router: Any) -> None:
        """Take the process-wide settings of a selector that is being built, and start what they call for."""
        self._users.add(router)
        self.runtime.adopt(settings, router)
        self.ensure_started()

    def left(self, router: Any) -> None:
        """A Router is given up; the last one takes our callback out of LiteLLM's lists."""
        self._users.left(router)
        self._leave_unused()

    def drain(self) -> None:
        """Do now all that was put off, because the process ends. Never raises."""
        self.runtime.guarded(self.accounting.publisher.work_off)
        self.runtime.guarded(self.runtime.learn_now)
        self.runtime.guarded(self._count)

    def named(self) -> Lifecycle:
        """Our callback, for a configuration that names it: it stays in LiteLLM's lists."""
        self._users.named = True
        return self.callbacks

    def ensure_started(self) -> None:
        """Hook in callbacks; start every part where a loop runs. Cheap."""
        import litellm

        if not any(callback is self.callbacks for callback in litellm.callbacks):
            litellm.logging_callback_manager.add_litellm_callback(self.callbacks)
        for part in self._parts:
            part.ensure_started()

    def keep_started(self) -> None:
        """`ensure_started` for every request: in full once a second, in a new loop, or without our callback.

        LiteLLM makes its list of callbacks anew when settings change.
        """
        import litellm

        if self._ensure.due() or self.callbacks not in litellm.callbacks:
            self.ensure_started()

    def _count(self) -> None:
        meter = self.runtime.meter
        while meter is not None and meter.work_off():
            pass

    def _leave_unused(self) -> None:
        # Of what is open, the callback hears the end.
        if self._users.gone and not len(self.runtime.ledger):
            take_out(self.callbacks)

    def _keep_house(self) -> None:
        runtime = self.runtime
        self._leave_unused()
        self.accounting.expire()
        runtime.settle_grades()
        if runtime.catalog.age(runtime.clock()) or self._some_are_gone:
            self._some_are_gone = runtime.forget_gone(self._users.deployments())
        runtime.balancer.beliefs.observe_streams(
            runtime.ledger.streams(MAX_STREAMS_PER_STEP), runtime.clock()
        )
        # By its first decision a worker has loaded what it ever will.
        if runtime.counters.decisions:
            self._gc_tuning.settle()


_further: list[Callable[[Worker], Part]] = []
_worker: Worker | None = None
_creation = threading.Lock()


def add_part(make: Callable[[Worker], Part]) -> None:
    """Give every worker that is made from now on this part, too. Idempotent."""
    if make not in _further:
        _further.append(make)


def worker() -> Worker:
    """The worker of this process, made at first use."""
    global _worker
    with _creation:
        if _worker is None:
            _worker = Worker()
        return _worker


@atexit.register
def _drain() -> None:
    if _worker is not None:
        _worker.drain()
