"""What a probably cached prefix is worth to a decision.

An inference server with a prefix cache need not prefill what it has computed before: the system prompt
that many requests share, the turns of a conversation so far. The saving is worth seconds, no more: what
is cached need not be prefilled, which shortens the predicted time up to a limit, and only where the
deployment is not already busier than its tiers, so that a popular prefix cannot pile up on one server.
Going on with a conversation on another model costs some score: its tone changes, and nothing of it is
cached there. What is cached where is reckoned in `prefix_memory`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rb_litellm.core.types import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class AffinityRule:
    """How much a probably cached prefix may count for."""

    max_bonus_s: float = 0.5
    """Most that is taken off a predicted time."""
    imbalance: float = 2.0
    """No bonus where more requests are in flight than this many above the least busy equal."""
    ttl_s: float = 300.0
    """A prefix that was not used for so long counts as evicted."""
    switch_cost: float = 0.02
    """Score that another model must offer more before a conversation goes on with it."""


@dataclass(slots=True)
class CachedPrefix:
    """What one request would find on each of N deployments; every array has shape (N,)."""

    cached_tokens: FloatArray
    """Tokens of its prompt that are probably cached there."""
    tiers: IntArray
    """Deployments of the same number would do as well: those of one tier."""
    model_switch: FloatArray | None
    """1 where another model would go on with the conversation, 0 else; None outside of conversations."""
    rule: AffinityRule
    block_names: tuple[bytes, ...]
    """Of the prompt's blocks, to be remembered where it is sent."""

    def tokens_to_prefill(
        self, input_tokens: float, prefill_s_per_token: FloatArray, in_flight: FloatArray, offered: BoolArray
    ) -> FloatArray:
        """Tokens (N,) that the deployment has to compute, what is saved bounded and gated by the rule."""
        if not np.count_nonzero(self.cached_tokens):
            return np.full(in_flight.size, input_tokens)
        most = self.rule.max_bonus_s / np.maximum(prefill_s_per_token, 1e-12)
        least = np.full(int(self.tiers.max()) + 1, np.inf)
        np.minimum.at(least, self.tiers[offered], in_flight[offered])
        near = in_flight <= least[self.tiers] + self.rule.imbalance
        # At least one token is always computed: the last one's output is the answer's first.
        saved = np.clip(np.minimum(self.cached_tokens, most), 0.0, max(input_tokens - 1.0, 0.0))
        return np.where(near, input_tokens - saved, input_tokens)
