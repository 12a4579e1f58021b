"""Whether a check that every request calls for is due again, so that most requests need not make it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Throttle:
    """Due every `every_s` seconds of `clock`, and at once in an event loop that was not seen before."""

    def __init__(self, every_s: float, clock: Callable[[], float]) -> None:
        self._every_s = every_s
        self._clock = clock
        self._loop: asyncio.AbstractEventLoop | None = None
        self._last_s = 0.0

    def due(self) -> bool:
        """Whether to check now; the next time is reckoned from there. Needs a running loop."""
        now, loop = self._clock(), asyncio.get_running_loop()
        if loop is self._loop and now - self._last_s < self._every_s:
            return False
        self._loop, self._last_s = loop, now
        return True
