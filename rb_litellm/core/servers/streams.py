"""Streams that are being written: how many chunks of each have come, and since when it is observed."""

from __future__ import annotations

import math
from typing import Protocol


class Progress(Protocol):
    """Progress of one stream. It may be read at any time, from any thread, and never falls."""

    @property
    def chunks(self) -> int:
        """Number of chunks that have come so far."""

    @property
    def latest_s(self) -> float:
        """When the latest of them came, on the ledger's clock; -inf where that is not known."""


class Chunks:
    """What the code which passes a stream on counts and times for each chunk."""

    __slots__ = ("chunks", "latest_s")

    def __init__(self) -> None:
        self.chunks = 0
        self.latest_s = -math.inf


class Stream:
    """A stream that has begun, observed since `now` (monotonic s)."""

    __slots__ = ("_before", "_since_s", "deployment", "progress", "sent_to")

    def __init__(self, deployment: str, progress: Progress, now: float, sent_to: int | None = None) -> None:
        """`sent_to` as in `Outcome`."""
        self.deployment = deployment
        self.sent_to = sent_to
        self.progress = progress
        self.watch(now)

    def watch(self, now: float) -> None:
        """Begin a new observation window."""
        self._since_s, self._before = now, self.progress.chunks

    def window(self, now: float) -> tuple[float, int]:
        """Seconds since the window began, and chunks that have come since."""
        return now - self._since_s, self.progress.chunks - self._before
