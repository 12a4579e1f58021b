"""An event loop whose clock jumps to the next timer as soon as nothing is left to do.

Servers and clients that run in it, connected by real sockets, take no time but what they wait for. So what is
measured of a mock server is what it was made to take, whatever else the machine does.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")
_DELIVERY_S = 0.001
"""Real time that a message between two sockets of this process may take."""


class _Selector(selectors.DefaultSelector):
    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            return super().select(None)
        ready = super().select(0.0 if timeout <= 0.0 else _DELIVERY_S)
        if not ready and timeout > 0.0:
            self.now += timeout
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """See above."""

    def __init__(self) -> None:
        self._clock = _Selector()
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.now


def run(work: Coroutine[Any, Any, _T]) -> _T:
    """What the coroutine returns, in virtual time."""
    loop = VirtualTimeLoop()
    try:
        return loop.run_until_complete(work)
    finally:
        loop.close()
