"""Prefix affinity: what a probably cached prefix of the prompt is worth to a decision.

An inference server with a prefix cache (automatic prefix caching in vLLM, RadixAttention in SGLang,
https://arxiv.org/abs/2312.07104) need not prefill tokens that it has computed before: a system prompt that
many requests share, or the turns of a conversation so far. The saving enters the score as time:

    saved tokens = min(cached tokens, max_bonus / prefill time per token, input tokens - 1)

It counts only on a deployment with at most `imbalance` requests more in flight than the least busy of its
tier. Without that bound, all requests with a popular prefix would pile up on one server.

A cached token costs less, too, where it has a price of its own. So going on with a conversation elsewhere is
charged with the cache that it loses, in seconds and in dollars. `switch_cost` is what a move to another model
must gain in score beyond that, for those to whom the tone of the answers matters. `prefix_memory` estimates
what was sent where, `keeping` how much of that is still cached.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rb_litellm.core.types import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class AffinityRule:
    """How much a cached prefix may count for: bounded, because the cache is estimated and not observed."""

    max_bonus_s: float = 0.5
    """The most that is taken off a predicted time."""
    imbalance: float = 2.0
    """No bonus on a deployment with this many more requests in flight than the least busy of its tier."""
    ttl_s: float = 300.0
    """A prefix that was not used for this long counts as evicted."""
    switch_cost: float = 0.0
    """How much more score another model must offer before a conversation moves to it."""


@dataclass(slots=True)
class CachedPrefix:
    """What is probably cached of one prompt on each of N deployments; every array has shape (N,)."""

    cached_tokens: FloatArray
    """Tokens of its prompt that are probably cached there."""
    tiers: IntArray
    """Number of each deployment's tier: those with the same number serve equally well."""
    model_switch: FloatArray | None
    """1 where the conversation would move to another model, else 0; None outside of conversations."""
    rule: AffinityRule
    block_names: tuple[bytes, ...]
    """Hashes of the prompt's blocks, to be remembered for the deployment that is chosen."""
    seen_tokens: FloatArray | None = None
    """Tokens of its prompt that were sent there before, kept or not; None where that is not known."""
    seen_s: FloatArray | None = None
    """Seconds since they were sent there last."""

    def tokens_to_prefill(
        self, input_tokens: float, prefill_s_per_token: FloatArray, in_flight: FloatArray, offered: BoolArray
    ) -> FloatArray:
        """Tokens (N,) of the prompt that each deployment has to compute; the rule bounds what is saved."""
        if not np.count_nonzero(self.cached_tokens):
            return np.full(in_flight.size, input_tokens)
        most = self.rule.max_bonus_s / np.maximum(prefill_s_per_token, 1e-12)
        least = np.full(int(self.tiers.max()) + 1, np.inf)
        np.minimum.at(least, self.tiers[offered], in_flight[offered])
        near = in_flight <= least[self.tiers] + self.rule.imbalance
        # The last token is always computed: its output is the first token of the answer.
        saved = np.clip(np.minimum(self.cached_tokens, most), 0.0, max(input_tokens - 1.0, 0.0))
        return np.where(near, input_tokens - saved, input_tokens)
