"""Turns: whoever looks at what a worker has done is served one after another, in slices.

However many ask at once, and however much they ask for, the loop that serves requests goes round between
two slices, and none begins in a round that has other work of ours. A thread would not do: it holds the
interpreter for as long as a slice and longer.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from time import thread_time
from typing import TypeVar

from rb_litellm.litellm_adapter.shared.upkeep.loop_round import LOOP_ROUND, LoopRound

SLICE_S = 0.0005
"""No item is begun in a slice that has taken so long; a decision is written in 50 to 250 microseconds."""
_T = TypeVar("_T")
_R = TypeVar("_R")


class Turns:
    """Those who come wait in the order in which they came."""

    def __init__(self, clock: Callable[[], float] = thread_time, loop_round: LoopRound = LOOP_ROUND) -> None:
        """`clock` gives seconds of the processor."""
        self._turn = asyncio.Lock()
        self._clock = clock
        self._round = loop_round

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """A turn for what takes a slice by itself."""
        async with self._turn:
            yield
            await asyncio.sleep(0)

    async def each(self, items: Iterable[_T], do: Callable[[_T], _R]) -> list[_R]:
        """`do` of each item, in slices of SLICE_S."""
        async with self.one():
            done, began = [], self._clock()
            for item in items:
                done.append(do(item))
                if self._clock() >= began + SLICE_S:
                    self._round.spend(self._clock() - began)
                    await self._round.room()
                    began = self._clock()
            self._round.spend(self._clock() - began)
            return done

    async def step(self, do: Callable[[], _R]) -> _R:
        """`do` in a round that has room, in no order: whoever needs one takes it within a turn."""
        await self._round.room()
        began = self._clock()
        try:
            return do()
        finally:
            self._round.spend(self._clock() - began)
