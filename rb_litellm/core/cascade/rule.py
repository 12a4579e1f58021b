"""What "i answers, and j again if a judge calls the answer poor" is worth and takes, in expectation.

As in FrugalGPT (https://arxiv.org/abs/2305.05176) and AutoMix (https://arxiv.org/abs/2310.12963), but
priced before the first answer is asked for, as one more candidate beside single deployments. With A and B for
"i" and "j is right", q_i = P(A), q_j = P(B), and a judge that accepts right answers with probability a and
wrong ones with f:

    P(A and B) = q_i q_j + r sqrt(q_i (1 - q_i) q_j (1 - q_j)),  within [max(0, q_i + q_j - 1), min(q_i, q_j)]
    escalated  = (1 - a) q_i + (1 - f) (1 - q_i)
    quality    = a q_i + (1 - a) P(A and B) + (1 - f) (q_j - P(A and B))
    cost       = cost_i + cost_judge + escalated cost_j
    time       = time_i + time_judge + escalated time_j

r says how far a prompt that i gets wrong is hard for j, too: the correlation of being right beyond what the
predictions tell. Assumed: what the judge says depends on whether the answer is right and on nothing else. An
answer that was called poor is replaced, be the second one better or not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rb_litellm.core.types import FloatArray

DEPENDENCE = 0.3
"""Mean correlation of being right beyond the mean of model and task, over the 36 pairs of 9 models of the
LLMRouter grades (0.13 to 0.44; `quality_tasks`, by the lines in docs/cascade.md)."""


@dataclass(frozen=True, slots=True)
class CascadeRule:
    """The judge as it is believed to be, and what it takes."""

    accepts_right: float
    """P(accepted | right)."""
    accepts_wrong: float
    """P(accepted | wrong)."""
    dependence: float = DEPENDENCE
    """Of two models on one prompt, in [0, 1]; 1 where whoever is worse is right only where the other is."""
    judge_s: float = 0.0
    """Seconds that a verdict takes."""
    judge_usd: float = 0.0
    """What a verdict costs beside what it reads,"""
    judge_usd_per_token: float = 0.0
    """and for each token of prompt and answer."""
    judge_most_tokens: float = float("inf")
    """It is shown no more than this many."""

    def __post_init__(self) -> None:
        for name in ("accepts_right", "accepts_wrong", "dependence"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} is {getattr(self, name)!r}; allowed is a number from 0 to 1")

    def escalated(self, first: FloatArray) -> FloatArray:
        """(K,) probability that an answer of this quality (K,) is called poor."""
        share: FloatArray = (1.0 - self.accepts_right) * first + (1.0 - self.accepts_wrong) * (1.0 - first)
        return share

    def quality(self, first: FloatArray, second: FloatArray) -> FloatArray:
        """(K,) quality of what the client gets, by that of both models (K,)."""
        both = both_right(first, second, self.dependence)
        right: FloatArray = self.accepts_right * first + (1.0 - self.accepts_right) * both
        right = right + (1.0 - self.accepts_wrong) * (second - both)
        return right

    def verdict_usd(self, input_tokens: float, output_tokens: FloatArray) -> FloatArray:
        """(K,) what it costs to judge answers of these lengths (K,)."""
        shown = np.minimum(input_tokens + output_tokens, self.judge_most_tokens)
        cost: FloatArray = self.judge_usd + self.judge_usd_per_token * shown
        return cost


def both_right(first: FloatArray, second: FloatArray, dependence: float) -> FloatArray:
    """(K,) probability that both are right, as far as two such probabilities allow it (Frechet's bounds)."""
    spread = np.sqrt(first * (1.0 - first) * second * (1.0 - second))
    # `np.clip` takes three times as long.
    both: FloatArray = np.minimum(first * second + dependence * spread, np.minimum(first, second))
    return np.maximum(both, np.maximum(first + second - 1.0, 0.0))
