"""Turns: whoever looks at what a worker has done is served one after another, in slices.

However many ask at once, and however much they ask for, the loop that serves requests goes round between
two slices. A thread would not do: it holds the interpreter for as long as a slice and longer.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import TypeVar

SLICE = 16
"""Items that are worked on before the loop goes round; a decision is written in some 50 microseconds."""
_T = TypeVar("_T")
_R = TypeVar("_R")


class Turns:
    """Those who come wait in the order in which they came."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """A turn for what takes a slice by itself."""
        async with self._turn:
            yield
            await asyncio.sleep(0)

    async def each(self, items: Iterable[_T], do: Callable[[_T], _R]) -> list[_R]:
        """`do` of each item, SLICE of them at a time."""
        async with self.one():
            done = []
            for number, item in enumerate(items, 1):
                done.append(do(item))
                if number % SLICE == 0:
                    await asyncio.sleep(0)
            return done
