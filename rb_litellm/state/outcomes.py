"""The latest outcomes: predicted and measured figures side by side, for calibration."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from rb_litellm.core.types import Outcome

MAX_OUTCOMES = 2_048
"""Outcomes kept by a worker; older ones are dropped."""


class OutcomeRing:
    """The last `capacity` outcomes, oldest first. Appending and iterating are thread-safe."""

    def __init__(self, capacity: int = MAX_OUTCOMES) -> None:
        if capacity < 1:
            raise ValueError(f"capacity is {capacity}; allowed is 1 or more")
        self._ring: deque[Outcome] = deque(maxlen=capacity)
        self.total = 0
        """Number of outcomes ever added."""

    def add(self, outcome: Outcome) -> None:
        """Keep an outcome, and drop the oldest at the bound."""
        self._ring.append(outcome)
        self.total += 1

    def __iter__(self) -> Iterator[Outcome]:
        return iter(tuple(self._ring))

    def __len__(self) -> int:
        return len(self._ring)
