"""What closed attempts teach, learned a few at a time between requests instead of within them.

An outcome is news of something that took seconds: whether a latency model hears of it now or LEARN_WITHIN_S
later makes no difference to any decision, but a request that learns while its client waits is slower by it.
Learned together, they also cost a third each.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from rb_litellm.core.types import Outcome

LEARN_WITHIN_S = 0.1
MAX_WAITING = 256
"""Outcomes that wait to be learned; whoever adds one beyond them learns them all."""

Lesson = Callable[[Outcome], None]


class Learning:
    """A queue of outcomes, worked off in order. Guard `add` and `work_off` with the runtime's lock."""

    def __init__(self, guarded: Callable[[Callable[[], None]], None]) -> None:
        """`guarded(action)` runs an action under that lock and lets no exception out."""
        self._guarded = guarded
        self._waiting: deque[tuple[Lesson, Outcome]] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        """Who has promised to work the queue off."""

    def add(self, lesson: Lesson, outcome: Outcome) -> None:
        """Have `lesson(outcome)` called soon; at once in a thread without an event loop."""
        self._waiting.append((lesson, outcome))
        if len(self._waiting) > MAX_WAITING or not self._promised():
            self.work_off()

    def work_off(self) -> None:
        """Learn all that waits."""
        while self._waiting:
            lesson, outcome = self._waiting.popleft()
            lesson(outcome)

    def _promised(self) -> bool:
        if self._loop is not None and not self._loop.is_closed():
            return True
        try:
            self._loop = asyncio.get_running_loop()
        except RuntimeError:
            self._loop = None
            return False
        self._loop.call_later(LEARN_WITHIN_S, self._keep_promise)
        return True

    def _keep_promise(self) -> None:
        self._loop = None
        self._guarded(self.work_off)
