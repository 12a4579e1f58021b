"""What no request needs to wait for, done a few at a time between requests instead of within them.

A decision is written down and told when its request is on its way: its client waits for the upstream then,
and not for us. What closed attempts teach can wait longer: it is news of something that took seconds, and
learned together, outcomes cost a third each.

After fifty answers at once there is much to do at once. It is done in slices, and the event loop goes round
between two of them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from time import thread_time

from rb_litellm.litellm_adapter.shared.upkeep.loop_holds import LOOP_HOLDS

MAX_WAITING = 1_024
"""Actions that wait. Whoever adds one beyond them does the oldest: nothing is lost, and the order is kept."""
SLICE_S = 0.0004
"""No action begins in a slice that has taken so long."""

Action = Callable[[], None]


class DeferredActions:
    """A queue of actions, done in order. Guard `add`, `marked` and `work_off` with the runtime's lock."""

    def __init__(
        self,
        within_s: float,
        guarded: Callable[[Action], None],
        part: str,
        clock: Callable[[], float] = thread_time,
    ) -> None:
        """The first slice comes after `within_s`. `guarded` runs an action under that lock and lets no
        exception out: the next one is done whatever becomes of this.

        `part` is what the watchdog of the event loop calls them; `clock` gives seconds of the processor.
        """
        self._part = part
        self._within_s = within_s
        self._guarded = guarded
        self._clock = clock
        self._waiting: deque[Action] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        """Who has promised to work the queue off,"""
        self._promise: asyncio.Handle | None = None
        """by this."""
        self._in_slices = False
        """Whether the next slice is due as soon as the loop comes round."""

    def add(self, action: Action) -> None:
        """Have `action()` called soon; at once in a thread without an event loop."""
        self._waiting.append(action)
        if not self._promised():
            self.work_off()
        elif len(self._waiting) > MAX_WAITING:
            self._guarded(self._next)

    def marked(self) -> asyncio.Future[None] | None:
        """Done when all is done that waits now; None if it is. Await it without the lock.

        The first slice comes at once. Needs a running loop.
        """
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            # Nobody knows when another loop will come to it.
            self.work_off()
        if not self._waiting:
            return None
        mark: asyncio.Future[None] = loop.create_future()
        self._waiting.append(lambda: _reach(loop, mark))
        if not self._in_slices:
            if self._promise is not None:
                self._promise.cancel()
            self._go_on(loop)
        return mark

    def work_off(self) -> None:
        """Do all that waits, now."""
        while self._waiting:
            self._guarded(self._next)

    def _promised(self) -> bool:
        if self._loop is not None and not self._loop.is_closed():
            return True
        try:
            self._loop = loop = asyncio.get_running_loop()
        except RuntimeError:
            self._loop = None
            return False
        self._in_slices = False
        self._promise = loop.call_later(self._within_s, self._keep_promise, loop)
        return True

    def _keep_promise(self, loop: asyncio.AbstractEventLoop) -> None:
        LOOP_HOLDS.during(self._part, self._slice)
        # Under the lock: what another thread adds is either seen here, or done by itself.
        self._guarded(lambda: self._go_on(loop))

    def _go_on(self, loop: asyncio.AbstractEventLoop) -> None:
        self._in_slices = bool(self._waiting)
        self._loop = loop if self._waiting else None
        self._promise = loop.call_soon(self._keep_promise, loop) if self._waiting else None

    def _slice(self) -> None:
        ends = self._clock() + SLICE_S
        self._guarded(self._next)
        while self._waiting and self._clock() < ends:
            self._guarded(self._next)

    def _next(self) -> None:
        # Under the lock: another thread may have done the last one.
        if self._waiting:
            self._waiting.popleft()()


def _reach(loop: asyncio.AbstractEventLoop, mark: asyncio.Future[None]) -> None:
    if asyncio._get_running_loop() is loop:
        _done(mark)
    elif not loop.is_closed():
        loop.call_soon_threadsafe(_done, mark)


def _done(mark: asyncio.Future[None]) -> None:
    # Who waited for it may have been cancelled.
    if not mark.done():
        mark.set_result(None)
