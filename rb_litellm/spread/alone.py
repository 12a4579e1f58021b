"""Every cell in this process, one after the other: what all other ways must be the same as."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic

from rb_litellm.spread.work import Cell, Failed, Result, Shared, Work


class Alone(Generic[Shared, Cell, Result]):
    """A team of one."""

    def __init__(self, work: Work[Shared, Cell, Result]) -> None:
        self._work = work

    def map(
        self, cells: Sequence[Cell], on_done: Callable[[Result | Failed], None] = lambda _: None
    ) -> list[Result | Failed]:
        """See `Team.map`."""
        outcomes: list[Result | Failed] = []
        for cell in cells:
            outcomes.append(self._work.attempt(cell))
            on_done(outcomes[-1])
        return outcomes
