"""In which order answers in one piece were served that were sent together.

Requests that are sent within a tenth of a second of each other come to a server in any order, and an answer
in one piece does not show when it began. Nor does its end: a long answer that began first may end last, and
by ends alone it would have waited for all the others.

So the order is told when all of them have ended. An answer began as long before its end as one of its length
takes, and a stream as long before its first token. That depends on how many run at a time, so each number of
slots has an order of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from rb_litellm.core.types import FloatArray, Outcome

TOGETHER_S = 0.1
"""Requests sent within this time may overtake each other on their way."""
MAX_KEPT = 64
"""Ends that are remembered of a server, each until all that were sent with it have ended: the latest ones."""
PATIENCE, PATIENCE_S = 10.0, 30.0
"""Others are waited for until so many times as long as it took itself has passed since its end, or so many
seconds."""


@dataclass
class Ended:
    """An attempt that is over, and was sent together with others."""

    row: int
    """For the caller."""
    outcome: Outcome
    sent_s: float
    ended_s: float
    compute_began_s: Callable[[], FloatArray]
    """See `began_s`."""
    missing: int
    """Answers that were sent with it and have not ended."""
    asks: bool
    """Whether somebody wants to know its order."""
    before: FloatArray = field(default_factory=lambda: np.zeros(1), init=False)
    """(C,) how many of those that have ended began before it, or one 0 for all as long as none has."""

    @cached_property
    def began_s(self) -> FloatArray:
        """(C,) when its server began it, with each number of slots."""
        return self.compute_began_s()

    @property
    def patient_until_s(self) -> float:
        """When it has waited for the others long enough."""
        return self.ended_s + max(PATIENCE * (self.ended_s - self.sent_s), PATIENCE_S)

    def was_with(self, other: Ended) -> bool:
        """Whether it was sent together with another, and was not over by then."""
        near = abs(self.sent_s - other.sent_s) <= TOGETHER_S
        return near and self.sent_s <= other.ended_s and other.sent_s <= self.ended_s

    def followed_by(self, other: Ended) -> None:
        """Another one that was sent with it has ended, too.

        Of two that would have begun at one moment the first to end was first.
        """
        self.missing -= other.outcome.choices
        other.missing -= self.outcome.choices
        if self.asks or other.asks:
            later = other.began_s >= self.began_s
            self.before = self.before + other.outcome.choices * ~later
            other.before = other.before + self.outcome.choices * later


class SentTogether:
    """The latest ends of each server. Not thread-safe."""

    def __init__(self) -> None:
        self._kept: dict[int, list[Ended]] = {}

    def forget(self, rows: Collection[int]) -> None:
        """What served at these rows is gone: its ends wait for nobody."""
        for server, kept in list(self._kept.items()):
            self._kept[server] = left = [its for its in kept if its.row not in rows]
            if not left:
                del self._kept[server]

    def ended(self, server: int, its: Ended) -> list[Ended]:
        """One more is over. Returns those that wait no longer: nobody is missing, or too many, or for too
        long."""
        kept = self._kept.pop(server, [])
        for other in kept:
            if its.was_with(other):
                other.followed_by(its)
        kept.append(its)
        waits = [0 < each.missing < MAX_KEPT and its.ended_s <= each.patient_until_s for each in kept]
        left = [each for each, still in zip(kept, waits, strict=True) if still]
        if left:
            self._kept[server] = left[-MAX_KEPT:]
        return [each for each, still in zip(kept, waits, strict=True) if not still] + left[:-MAX_KEPT]
