"""What no request needs to wait for, done a few at a time between requests instead of within them.

A decision is written down and told when its request is on its way: its client waits for the upstream then,
and not for us. What closed attempts teach can wait longer: it is news of something that took seconds, and
learned together, outcomes cost a third each.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial

from rb_litellm.litellm_adapter.shared.upkeep.loop_holds import LOOP_HOLDS

MAX_WAITING = 256
"""Actions that wait; whoever adds one beyond them does them all."""

Action = Callable[[], None]


class DeferredActions:
    """A queue of actions, worked off in order. Guard `add` and `work_off` with the runtime's lock."""

    def __init__(self, within_s: float, guarded: Callable[[Action], None], part: str) -> None:
        """Actions wait at most `within_s`; `guarded` runs one under that lock and lets no exception out.

        `part` is what the watchdog of the event loop calls them.
        """
        self._part = part
        self._within_s = within_s
        self._guarded = guarded
        self._waiting: deque[Action] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        """Who has promised to work the queue off."""

    def add(self, action: Action) -> None:
        """Have `action()` called soon; at once in a thread without an event loop."""
        self._waiting.append(action)
        if len(self._waiting) > MAX_WAITING or not self._promised():
            self.work_off()

    def work_off(self) -> None:
        """Do all that waits."""
        while self._waiting:
            self._waiting.popleft()()

    def _promised(self) -> bool:
        if self._loop is not None and not self._loop.is_closed():
            return True
        try:
            self._loop = asyncio.get_running_loop()
        except RuntimeError:
            self._loop = None
            return False
        self._loop.call_later(self._within_s, self._keep_promise)
        return True

    def _keep_promise(self) -> None:
        self._loop = None
        LOOP_HOLDS.during(self._part, partial(self._guarded, self.work_off))
