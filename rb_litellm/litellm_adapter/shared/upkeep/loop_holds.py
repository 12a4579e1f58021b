"""A watchdog of the event loop: for how long work of ours held it without a break, piece by piece.

While it is held, no stream of the worker moves. A piece of work is a decision, a chore, or one exchange; a
coroutine gives the loop free at each wait, so of it the longest stretch between two waits counts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine, Generator
from time import perf_counter
from typing import Any, Generic, TypeVar

from rb_litellm.litellm_adapter.shared.upkeep.loop_round import LOOP_ROUND, LoopRound

MAX_NOTED = 4_096
"""Pieces of work that wait to be told; further ones push out the oldest."""

T = TypeVar("T")


class LoopHolds:
    """What the worker's parts note, and the metrics take once a second. `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float] = perf_counter, loop_round: LoopRound = LOOP_ROUND) -> None:
        self._clock = clock
        self._round = loop_round
        self._noted: deque[tuple[str, float]] = deque(maxlen=MAX_NOTED)

    def during(self, part: str, act: Callable[[], None]) -> None:
        """Call `act()` and note how long it took."""
        began = self._clock()
        try:
            self._round.during(act)
        finally:
            self._noted.append((part, self._clock() - began))

    async def driven(self, part: str, work: Coroutine[Any, Any, T]) -> T:
        """Await the coroutine, and note the longest stretch between two of its waits."""
        stretches = _Stretches(work, self._clock)
        try:
            return await stretches
        finally:
            self._noted.append((part, stretches.longest_s))

    def take(self) -> list[tuple[str, float]]:
        """What was noted since the last call: parts and seconds."""
        return [self._noted.popleft() for _ in range(len(self._noted))]


class _Stretches(Generic[T]):
    """Awaits a coroutine step by step."""

    def __init__(self, work: Coroutine[Any, Any, T], clock: Callable[[], float]) -> None:
        self._work = work
        self._clock = clock
        self.longest_s = 0.0

    def __await__(self) -> Generator[Any, Any, T]:
        error: BaseException | None = None
        while True:
            began = self._clock()
            try:
                waits_for = self._work.send(None) if error is None else self._work.throw(error)
            except StopIteration as end:
                value: T = end.value
                return value
            finally:
                self.longest_s = max(self.longest_s, self._clock() - began)
            error = None
            try:
                yield waits_for
            except BaseException as thrown:  # noqa: BLE001  a cancellation belongs to the coroutine
                error = thrown


LOOP_HOLDS = LoopHolds()
"""Of this process: all parts of a worker share its event loop."""
