"""Context windows as servers state them: a request that does not fit into one is not sent there.

A window holds prompt and answer together, so a prompt of n tokens fits with its `max_tokens`, or with one
token where it sets no limit. A prompt is counted by estimate: where it fits nowhere, it goes where it went.
"""

from __future__ import annotations

import math

import numpy as np

from rb_litellm.core.types import BoolArray, FloatArray, IntArray, Prompt


class Windows:
    """Of a growing number of deployments, by row."""

    def __init__(self) -> None:
        self._tokens: FloatArray = np.zeros(0)
        self.any_stated = False
        """Whether there is anything to look at."""

    def add(self) -> None:
        """Add a deployment whose server has stated nothing."""
        self._tokens = np.append(self._tokens, np.inf)

    def forget(self, row: int) -> None:
        """Its deployment is gone: the row is as when it was added."""
        self._tokens[row] = np.inf

    def stated(self, row: int, tokens: int | None) -> None:
        """The server of this deployment states its window, or states none now."""
        self._tokens[row] = math.inf if tokens is None else float(tokens)
        self.any_stated = bool(np.isfinite(self._tokens).any())

    def of(self, rows: IntArray) -> FloatArray:
        """(n,) tokens that the servers of these state; inf where they state nothing."""
        stated: FloatArray = self._tokens[rows]
        return stated

    def fits(self, rows: IntArray, prompt: Prompt) -> BoolArray:
        """(n,) into which of these the prompt fits, as far as is stated."""
        held: BoolArray = self._tokens[rows] >= prompt.input_tokens + (prompt.max_tokens or 1)
        return held
