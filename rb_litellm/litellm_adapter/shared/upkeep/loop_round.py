"""What work of ours has taken in the present round of the event loop, so that it does not all meet in one.

A round is all that is ready at once: until it is over, no stream of the worker moves. A decision, a step of a
snapshot and a slice of what was put off are each short. Whatever can wait begins in a round that has room.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import thread_time

ENOUGH_S = 0.001
"""After so much, what can wait begins in a later round."""
PATIENCE = 50
"""Rounds that it waits for at most: a loop that is never idle must not keep it waiting for good."""


class LoopRound:
    """Of the event loop of this process; `clock` gives seconds of the processor."""

    def __init__(self, clock: Callable[[], float] = thread_time) -> None:
        self._clock = clock
        self._loop: asyncio.AbstractEventLoop | None = None
        """The loop that will begin anew; None in a round without work of ours."""
        self.spent_s = 0.0

    @property
    def has_room(self) -> bool:
        """Whether what can wait may begin."""
        return self.spent_s < ENOUGH_S

    def during(self, act: Callable[[], None]) -> None:
        """Call `act()`, and count what it takes."""
        # The round ends before whatever `act` leaves to the next one.
        self._begin()
        began = self._clock()
        try:
            act()
        finally:
            self.spend(self._clock() - began)

    def spend(self, seconds: float) -> None:
        """So much was taken of this round; without an event loop there is none."""
        if self._begin():
            self.spent_s += seconds

    async def room(self) -> None:
        """Wait for the next round that has room."""
        for _ in range(PATIENCE):
            await asyncio.sleep(0)
            if self.has_room:
                return

    def _begin(self) -> bool:
        """Let the round end with the event loop's; False without one."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return False
        if self._loop is not loop:
            self._loop, self.spent_s = loop, 0.0
            loop.call_soon(self._anew)
        return True

    def _anew(self) -> None:
        self._loop, self.spent_s = None, 0.0


LOOP_ROUND = LoopRound()
"""Of this process: all parts of a worker share its event loop."""
