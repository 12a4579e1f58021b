"""Processor time of the event loop's thread that is spent for us, from where our code is entered to its end.

What our code has others do for it (NumPy, and LiteLLM's filters for an explanation) counts as ours. The
entries are those of `take_time`.
"""

from __future__ import annotations

import functools
import gc
import inspect
import threading
import time
from collections.abc import AsyncIterator, Callable, Generator
from functools import partial
from typing import Any

_CALLBACKS = ("async_", "log_")


class OwnTime:
    """Of the thread that makes it."""

    def __init__(self) -> None:
        self.thread = threading.get_ident()
        self._spent: dict[str, tuple[float, int]] = {}
        self.inside = False
        self.collected_s = 0.0
        """What Python's garbage collector took: it comes upon whoever makes the next object."""
        self._collecting_since: float | None = None
        gc.callbacks.append(self._collect)

    def run(self, name: str, call: Callable[[], Any]) -> Any:
        """`call()`, timed unless it is called from within another entry or by another thread."""
        if self.inside or threading.get_ident() != self.thread:
            return call()
        self.inside, began = True, time.thread_time() - self.collected_s
        try:
            return call()
        finally:
            self.inside = False
            seconds, times = self._spent.get(name, (0.0, 0))
            self._spent[name] = seconds + time.thread_time() - self.collected_s - began, times + 1

    def _collect(self, phase: str, _: dict[str, int]) -> None:
        if threading.get_ident() != self.thread:
            return
        if phase == "start":
            self._collecting_since = time.thread_time()
        elif self._collecting_since is not None:
            self.collected_s += time.thread_time() - self._collecting_since
            self._collecting_since = None

    def take(self) -> dict[str, tuple[float, int]]:
        """Seconds, and how often it was entered, by entry, since the last call."""
        spent, self._spent = self._spent, {}
        return spent

    def timed(self, function: Callable[..., Any], name: str) -> Callable[..., Any]:
        """The function with its time taken, whether it is a plain one, a coroutine's or a generator's."""
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def awaited(*args: Any, **kwargs: Any) -> Any:
                return await _Driven(self, name, function(*args, **kwargs))

            return awaited
        if inspect.isasyncgenfunction(function):

            @functools.wraps(function)
            async def generated(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
                items = function(*args, **kwargs)
                while True:
                    try:
                        item = await _Driven(self, name, items.__anext__())
                    except StopAsyncIteration:
                        return
                    yield item

            return generated

        @functools.wraps(function)
        def called(*args: Any, **kwargs: Any) -> Any:
            return self.run(name, lambda: function(*args, **kwargs))

        return called


class _Driven:
    """Awaits something step by step; the time between two steps is others'."""

    def __init__(self, own: OwnTime, name: str, work: Any) -> None:
        self._own = own
        self._name = name
        self._work = work

    def __await__(self) -> Generator[Any, Any, Any]:
        work = self._work if hasattr(self._work, "throw") else self._work.__await__()
        step: Callable[[], Any] = partial(work.send, None)
        while True:
            try:
                waits_for = self._own.run(self._name, step)
            except StopIteration as end:
                return end.value
            try:
                yield waits_for
                step = partial(work.send, None)
            except BaseException as thrown:  # noqa: BLE001  a cancellation belongs to the coroutine
                step = partial(work.throw, thrown)


def take_time(own: OwnTime) -> None:
    """Take the time wherever LiteLLM, the web server or the event loop enters our code."""
    import fastapi.routing

    from rb_litellm.litellm_adapter.lifecycle.accounting import Accounting
    from rb_litellm.litellm_adapter.lifecycle.callbacks import Lifecycle
    from rb_litellm.litellm_adapter.proxy.endpoints import status_routes
    from rb_litellm.litellm_adapter.runtime import Runtime
    from rb_litellm.litellm_adapter.shared.upkeep.loop_holds import LoopHolds
    from rb_litellm.litellm_adapter.strategy import RouteBalanceSelector

    for method, function in list(vars(Lifecycle).items()):
        # Of a stream that is passed through, most is LiteLLM's.
        if method.startswith(_CALLBACKS) and not inspect.isasyncgenfunction(function):
            setattr(Lifecycle, method, own.timed(function, method))
    for holder, methods in (
        (RouteBalanceSelector, ("select", "select_now", "watch")),
        (Accounting, ("first_token", "closed")),
        (Runtime, ("guarded",)),
        (LoopHolds, ("driven",)),
    ):
        for method in methods:
            setattr(holder, method, own.timed(getattr(holder, method), method))
    status_routes._events = own.timed(status_routes._events, "events")
    during, endpoint = LoopHolds.during, fastapi.routing.run_endpoint_function

    def timed_during(self: LoopHolds, part: str, act: Callable[[], None]) -> None:
        own.run(part, lambda: during(self, part, act))

    async def timed_endpoint(**given: Any) -> Any:
        called = given["dependant"].call
        if not called.__module__.startswith("rb_litellm."):
            return await endpoint(**given)
        return await _Driven(own, called.__name__, endpoint(**given))

    LoopHolds.during = timed_during  # type: ignore[method-assign]
    fastapi.routing.run_endpoint_function = timed_endpoint
