"""How fast one deployment writes now against its forecast, by the answers that it is still writing.

An answer teaches TPOT when it is complete, which on a large model that has just become slow takes half a
minute. What its streams have written since they were last looked at says the same within seconds.

The speed found stands beside what answers have taught and fills in for it. It counts only once three looks
in a row contradict the forecast strongly; and as answers teach the learner the same, it returns to one by
as much, so that nothing is counted twice.

Chunks of a stream are no tokens everywhere. How many tokens a chunk holds is learned from complete
answers, and where that is not steady, streams say nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from rb_litellm.core.pooling import median_with_zero
from rb_litellm.core.streams import Stream

_LEAST_S = 0.75
"""A stream is watched for at least this long,"""
_LEAST_CHUNKS = 4.0
"""and until so many chunks were to be expected, so that a burst is not taken for speed;"""
_MOST_S = 10.0
"""but no longer."""
_LOOKS = 3
"""Looks in a row that must contradict: a long prefill holds all streams up for one or two."""
_OPENS = math.log(1.6)
"""They contradict beyond this ratio,"""
_CLOSES = math.log(1.1)
"""and until it has come back to this one."""
_GAIN = 0.25
_MOST = math.log(8.0)
_FADES = 0.97
"""What is left of the ratio, in log, after a look that saw no stream."""
_LONG_ANSWER = 16
"""Output tokens from which on an answer says how many a chunk holds."""
_KNOWN = 5
"""Answers after which that is known,"""
_STEADY = 0.2
"""if they differ by less than this on average, in log."""


class DecodeSpeed:
    """Of one deployment. Knows no clock: it is looked at in even steps of about a second."""

    __slots__ = ("_answers", "_log_tokens", "_seen", "_speed", "_spread")

    def __init__(self) -> None:
        self._speed: float | None = None
        """Against what answers have taught, while that is contradicted."""
        self._seen: list[float] = []
        """Speeds of the last looks in a row that contradict."""
        self._answers = 0
        self._log_tokens = 0.0
        self._spread = 0.0

    @property
    def factor(self) -> float:
        """TPOT now / TPOT as learned from complete answers; 1 unless streams contradict strongly."""
        return 1.0 if self._speed is None else 1.0 / self._speed

    @property
    def tokens_per_chunk(self) -> float | None:
        """Of its streams; None where it is not known or not steady."""
        if self._answers < _KNOWN or self._spread > _STEADY:
            return None
        return math.exp(self._log_tokens)

    def observe_answer(self, output_tokens: int | None, chunks: int) -> None:
        """A stream of so many chunks is complete."""
        if output_tokens is None or output_tokens < _LONG_ANSWER or not chunks:
            return
        found = math.log(output_tokens / chunks)
        self._answers += 1
        gain = max(0.1, 1.0 / self._answers)
        if self._answers > 1:
            self._spread += gain * (abs(found - self._log_tokens) - self._spread)
        self._log_tokens += gain * (found - self._log_tokens)

    def observe(self, tpot_s: float, streams: Sequence[Stream], now: float) -> None:
        """Learn from the streams that it writes now.

        `tpot_s` is what answers have taught to expect at the present load.
        """
        speed = self._speed_of(tpot_s, streams, now)
        if speed is None:
            if self._speed is not None:
                self._settle(self._speed**_FADES)
        elif self._speed is not None:
            # Speeds are averaged, not times: tokens over seconds, whatever stood still in between.
            self._settle(self._speed + _GAIN * (speed - self._speed))
        else:
            self._doubt(speed)

    def compensate(self, step: float) -> None:
        """What answers have taught of TPOT has moved by `step`, in log: both together stay as they were."""
        if self._speed is not None:
            moved = self._speed * math.exp(step)
            # Answers that say more than streams did have the last word.
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
            # The first of them may hold time from before the change.
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
                # A stream that stands still has written at most a part of a chunk.
                logs.append(math.log(max(chunks, 0.5) * chunk_s / seconds))
        if not logs:
            return None
        # One stream alone may be held up by whoever reads it: it is believed by half.
        return math.exp(min(max(median_with_zero(logs), -_MOST), _MOST))
