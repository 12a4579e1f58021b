"""Answers that are being written: how many chunks of each have come, and since when one is looking."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Of one stream. Read at any time, from any thread; never falls."""

    @property
    def chunks(self) -> int:
        """Chunks of the answer that have come so far."""


class Chunks:
    """A progress that whoever passes a stream on adds to, chunk by chunk."""

    __slots__ = ("chunks",)

    def __init__(self) -> None:
        self.chunks = 0


class Stream:
    """A stream that has begun, watched since `now` (monotonic s)."""

    __slots__ = ("_before", "_since_s", "deployment", "progress")

    def __init__(self, deployment: str, progress: Progress, now: float) -> None:
        self.deployment = deployment
        self.progress = progress
        self.watch(now)

    def watch(self, now: float) -> None:
        """Begin a new window."""
        self._since_s, self._before = now, self.progress.chunks

    def window(self, now: float) -> tuple[float, int]:
        """Seconds since the window began, and chunks that have come in them."""
        return now - self._since_s, self.progress.chunks - self._before
