"""What was measured: streamed answers, and what those that were open together say of their server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

_FEWEST = 4
"""Pieces of an answer between which its pace is measured."""


@dataclass(frozen=True, slots=True)
class Stream:
    """One streamed answer. Times are in s on one clock for all of them."""

    sent_s: float
    pieces_s: tuple[float, ...]
    """When each piece of text came; there is at least one."""
    input_tokens: int
    output_tokens: int
    cached_tokens: int | None = None
    """Of its prompt, where the server says so."""

    @property
    def ttft_s(self) -> float:
        """Time to first token."""
        return self.pieces_s[0] - self.sent_s

    def tpot_s(self, begin_s: float, end_s: float) -> float | None:
        """Time per output token within a span of time; None where too little of the answer lies in it.

        A piece may be several tokens. Each is taken for as many as the mean.
        """
        within = [at for at in self.pieces_s if begin_s <= at <= end_s]
        if len(within) < _FEWEST or self.output_tokens < _FEWEST:
            return None
        tokens_per_piece = (self.output_tokens - 1) / (len(self.pieces_s) - 1)
        return (within[-1] - within[0]) / ((len(within) - 1) * tokens_per_piece)


def most_at_once(streams: Sequence[Stream]) -> int:
    """The most answers that were being written at one moment."""
    starts = [(s.pieces_s[0], 1) for s in streams]
    ends = [(s.pieces_s[-1], -1) for s in streams]
    running = most = 0
    # Of what happens at one moment the end comes first: it makes room for the start.
    for _, change in sorted(starts + ends):
        running += change
        most = max(most, running)
    return most


def pace_of(streams: Sequence[Stream]) -> float | None:
    """Median time per output token while as many as possible of these answers were written.

    None where the answers are too short to tell. If all of them were written together at some time, that
    time alone counts; else some had to wait for others, and each answer counts whole.
    """
    begin = max(s.pieces_s[0] for s in streams)
    end = min(s.pieces_s[-1] for s in streams)
    together = [s.tpot_s(begin, end) for s in streams]
    whole = [s.tpot_s(s.pieces_s[0], s.pieces_s[-1]) for s in streams]
    for paces in (together, whole):
        known = [pace for pace in paces if pace is not None]
        if known:
            return median(known)
    return None
