"""The prefix cache of a server: blocks of prompts computed before, kept in memory that nothing else needs.

Blocks are named by the code that makes the prompts: equal names mean equal text up to the block's end.
The least recently used go first when running sequences want the memory (vLLM's automatic prefix caching).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

BLOCK_TOKENS = 64
"""Tokens of one block; the rest of a prompt that fills no block is always computed."""


class PrefixCache:
    """Names of the blocks that are held, the most recently used last."""

    def __init__(self) -> None:
        self._blocks: OrderedDict[int, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._blocks)

    def held(self, prefix: Sequence[int]) -> int:
        """How many leading blocks of the prefix are held; they count as used now."""
        count = self.leading(prefix)
        self.keep(prefix[:count])
        return count

    def leading(self, prefix: Sequence[int]) -> int:
        """How many leading blocks of the prefix are held; looking does not use them."""
        return next((n for n, block in enumerate(prefix) if block not in self._blocks), len(prefix))

    def keep(self, blocks: Sequence[int]) -> None:
        """Hold these blocks from now on."""
        # The end of a chain is given back first: without it the beginning still serves.
        for block in reversed(blocks):
            self._blocks[block] = None
            self._blocks.move_to_end(block)

    def shrink(self, tokens: int) -> None:
        """Give back what does not fit into `tokens` of memory."""
        while len(self._blocks) * BLOCK_TOKENS > max(tokens, 0):
            self._blocks.popitem(last=False)
