"""A small chore done once in a while in whatever event loop runs, so that it does not hang on traffic."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from rb_litellm.litellm_adapter.shared.upkeep.loop_holds import LOOP_HOLDS


class PeriodicTask:
    """Calls `chore()` every `every_s` seconds in one loop. A chore must not raise."""

    def __init__(self, every_s: float, chore: Callable[[], None], part: str = "chores") -> None:
        """`part` is what the watchdog of the event loop calls it."""
        self._every_s = every_s
        self._part = part
        self._chore = chore
        self._loop: asyncio.AbstractEventLoop | None = None

    def ensure_started(self) -> None:
        """Tick in the running loop, unless another that is alive does it. Nothing without a loop."""
        if self._loop is not None and not self._loop.is_closed():
            return
        try:
            self._loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        self._loop.call_later(self._every_s, self._tick, self._loop)

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        if loop is self._loop:
            loop.call_later(self._every_s, self._tick, loop)
            LOOP_HOLDS.during(self._part, self._chore)
