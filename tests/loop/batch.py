"""Answers that are written at once slow each other down, all along and not only when they begin."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(eq=False)
class Writing:
    """An answer that is being written."""

    batch: Batch
    tokens: float
    """That come after the first one."""
    done: Callable[[], None]
    left: float = field(init=False)

    def __post_init__(self) -> None:
        self.left = self.tokens

    @property
    def chunks(self) -> int:
        """Of its stream by now, a token in each."""
        self.batch.advance()
        return 1 + int(self.tokens - self.left + 1e-9)


@dataclass
class Batch:
    """What an engine writes at once: with n of them a token takes 1 + growth * (n - 1) times as long."""

    clock: Callable[[], float]
    at: Callable[[float, Callable[[], None]], None]
    tpot_s: float
    growth: float
    now: float = 0.0
    writing: list[Writing] = field(default_factory=list)
    _plans: int = 0

    @property
    def pace_s(self) -> float:
        """Seconds per token, now."""
        return self.tpot_s * (1.0 + self.growth * max(len(self.writing) - 1, 0))

    def write(self, tokens: int, done: Callable[[], None]) -> Writing:
        """Write so many more tokens, then call `done`."""
        self.advance()
        begun = Writing(self, tokens, done)
        self.writing.append(begun)
        self._plan()
        return begun

    def advance(self) -> None:
        """Let the time pass until now."""
        written = (self.clock() - self.now) / self.pace_s
        self.now = self.clock()
        for its in self.writing:
            its.left = max(its.left - written, 0.0)

    def _plan(self) -> None:
        if not self.writing:
            return
        self._plans += 1
        plan = self._plans
        first = min(its.left for its in self.writing)
        self.at(self.now + first * self.pace_s, lambda: self._reached(plan))

    def _reached(self, plan: int) -> None:
        if plan != self._plans:
            return
        self.advance()
        ended = [its for its in self.writing if its.left <= 1e-6]
        self.writing = [its for its in self.writing if its.left > 1e-6]
        self._plan()
        for its in ended:
            its.done()
