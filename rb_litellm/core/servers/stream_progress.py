"""How fast one deployment writes now against its forecast, from the streams that are still open.

An answer teaches TPOT when it is complete. On a large model that has just become slow, that takes half a
minute. The chunks that its open streams have written since they were last observed say the same within
seconds:

    speed = median over streams of (chunks * tokens per chunk * TPOT as learned / seconds)

The median includes a one, because a single stream may be held up by its reader. The speed counts only after
three observations in a row contradict the forecast by more than a factor of 1.6, as a long prefill holds all
streams up for one or two. Then it follows as an EWMA with a gain of 0.25 until it is back within a factor of
1.1 (hysteresis). As answers teach the learner the same change, the correction is reduced by as much, so that
nothing counts twice.

A chunk is not one token everywhere. Tokens per chunk are learned from complete answers. Where they are not
steady, streams are not used.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from rb_litellm.core.latency.learning.pooling import median_with_zero
from rb_litellm.core.servers.streams import Stream

_LEAST_S = 0.75
"""A stream is observed for at least this long,"""
_LEAST_CHUNKS = 4.0
"""and for the time in which this many chunks are expected, so that a burst is not taken for speed,"""
_MOST_S = 10.0
"""but never for longer than this."""
_LOOKS = 3
"""Observations in a row that must contradict the forecast."""
_OPENS = math.log(1.6)
"""An observation contradicts the forecast beyond this ratio."""
_CLOSES = math.log(1.1)
"""The correction ends within this ratio."""
_GAIN = 0.25
_MOST = math.log(8.0)
_FADES = 0.97
"""Share of the correction, in log, that is left after an observation without streams."""
_LONG_ANSWER = 16
"""Least output tokens of an answer from which tokens per chunk are learned."""
_KNOWN = 5
"""Tokens per chunk are known after this many answers,"""
_STEADY = 0.2
"""and steady if the answers differ by less than this on average, in log."""


class DecodeSpeed:
    """Decode speed of one deployment. Call `observe` about once a second; it has no clock of its own."""

    __slots__ = ("_answers", "_log_tokens", "_seen", "_speed", "_spread")

    def __init__(self) -> None:
        self._speed: float | None = None
        """Relative to TPOT as learned from answers; None unless streams contradict that."""
        self._seen: list[float] = []
        """Speeds of the last observations in a row that contradict the forecast."""
        self._answers = 0
        self._log_tokens = 0.0
        self._spread = 0.0

    @property
    def factor(self) -> float:
        """TPOT now / TPOT as learned from complete answers; 1 unless streams strongly contradict that."""
        return 1.0 if self._speed is None else 1.0 / self._speed

    @property
    def tokens_per_chunk(self) -> float | None:
        """Tokens per chunk of its streams; None where it is unknown or not steady."""
        if self._answers < _KNOWN or self._spread > _STEADY:
            return None
        return math.exp(self._log_tokens)

    def observe_answer(self, output_tokens: int | None, chunks: int) -> None:
        """Learn tokens per chunk from a complete stream."""
        if output_tokens is None or output_tokens < _LONG_ANSWER or not chunks:
            return
        found = math.log(output_tokens / chunks)
        self._answers += 1
        gain = max(0.1, 1.0 / self._answers)
        if self._answers > 1:
            self._spread += gain * (abs(found - self._log_tokens) - self._spread)
        self._log_tokens += gain * (found - self._log_tokens)

    def observe(self, tpot_s: float, streams: Sequence[Stream], now: float) -> None:
        """Learn from the open streams. `tpot_s` is TPOT as learned from answers, at the present load."""
        speed = self._speed_of(tpot_s, streams, now)
        if speed is None:
            if self._speed is not None:
                self._settle(self._speed**_FADES)
        elif self._speed is not None:
            # Speeds are averaged, not times: a stream that stood still has a speed of nearly zero.
            self._settle(self._speed + _GAIN * (speed - self._speed))
        else:
            self._doubt(speed)

    def compensate(self, step: float) -> None:
        """TPOT as learned from answers has moved by `step`, in log: reduce the correction by as much."""
        if self._speed is not None:
            moved = self._speed * math.exp(step)
            # Where answers moved it by more than streams did, the correction ends.
            self._settle(moved if (moved - 1.0) * (self._speed - 1.0) > 0.0 else 1.0)

    def _doubt(self, speed: float) -> None:
        log = math.log(speed)
        if abs(log) < _OPENS:
            self._seen.clear()
            return
        if self._seen and (self._seen[-1] - 1.0) * (speed - 1.0) < 0.0:
            self._seen.clear()
        self._seen.append(speed)
        if len(self._seen) == _LOOKS:
            # The first of them may include time before the change.
            self._speed = sum(self._seen[1:]) / (_LOOKS - 1)
            self._seen.clear()

    def _settle(self, speed: float) -> None:
        self._speed = speed if abs(math.log(speed)) > _CLOSES else None

    def _speed_of(self, tpot_s: float, streams: Sequence[Stream], now: float) -> float | None:
        tokens = self.tokens_per_chunk
        if tokens is None:
            return None
        chunk_s = tpot_s * tokens
        enough_s = min(max(_LEAST_S, _LEAST_CHUNKS * chunk_s), _MOST_S)
        logs = []
        for stream in streams:
            seconds, chunks = stream.window(now)
            if seconds >= enough_s:
                stream.watch(now)
                # A stream without a chunk has written at most a part of one.
                logs.append(math.log(max(chunks, 0.5) * chunk_s / seconds))
        if not logs:
            return None
        # A single stream may be held up by its reader: with the zero, it counts by half.
        return math.exp(min(max(median_with_zero(logs), -_MOST), _MOST))
