"""What is sent to a server to measure it, and the bounds of that."""

from __future__ import annotations

from dataclasses import dataclass, replace

_LENGTHS = (32, 128, 512, 1024, 2048, 4096)
_BATCHES = (1, 1, 2, 4, 8, 16, 32, 64)
_LONGER = 1.25
"""A prompt may come out so much longer than planned: words are of different lengths."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Prompts and answers by their tokens."""

    lengths: tuple[int, ...] = _LENGTHS
    """Of prompts that are sent alone, each `repetitions` times, for the first token of an answer."""
    repetitions: int = 3
    first_tokens: int = 4
    """Of the answers to these."""
    batches: tuple[int, ...] = _BATCHES
    """Short prompts that are sent at once, in rising numbers."""
    answer: int = 48
    """Tokens of their answers."""
    short: int = 32
    """Tokens of their prompts."""
    first: int = 128
    """Tokens of the first prompt of all, which warms the server up and tells how long words are."""
    cached: int = 1024
    """Tokens of a prompt that is sent `repetitions` times over."""

    def within(self, context_window: int | None) -> Plan:
        """The same for a server that takes no more tokens than this."""
        if context_window is None:
            return self
        room = (context_window - 2 * self.answer) * 3 // 4
        lengths = tuple(n for n in self.lengths if n <= room) or self.lengths[:1]
        return replace(self, lengths=lengths, cached=min(self.cached, lengths[-1]))

    @property
    def requests(self) -> int:
        """The most that are sent: with a first one, and the largest batch again."""
        return 1 + self.repetitions * (len(self.lengths) + 1) + sum(self.batches) + self.batches[-1]

    @property
    def prompt_tokens(self) -> int:
        """The most that they hold, about."""
        alone = self.repetitions * (sum(self.lengths) + self.cached)
        others = self.short * (sum(self.batches) + self.batches[-1])
        return round(_LONGER * (self.first + alone + others))

    @property
    def answer_tokens(self) -> int:
        """The most that are written."""
        alone = self.repetitions * (len(self.lengths) + 1) * self.first_tokens
        return alone + self.answer * (1 + sum(self.batches) + 2 * self.batches[-1])
