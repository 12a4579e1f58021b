"""What "i answers n times, and a judge picks one" is worth and takes, in expectation.

As in BEST-Route (https://arxiv.org/abs/2506.22716), priced before anything is asked for, as one more
candidate beside single answers. Several answers of one model to one prompt are not independent: what is hard
for it once is hard for it again. So with q the probability that one is right, and r the correlation of being
right between two of them, the number of right ones is taken to be beta-binomial:

    none right = product over j < n of ((1 - q) (1 - r) + j r) / (1 - r + j r)

A judge that accepts right answers with probability a and wrong ones with f, picks the right one of a right
and a wrong answer with probability 1/2 + d/2, d = a - f (Youden's index; a tie is drawn). For any n it is
taken to know, with probability d, which are right, and else to draw:

    quality = (1 - d) q + d (1 - none right)
    cost    = cost of the input + n * cost of an answer + the judge, who reads them all
    time    = time until the longest of n answers is there, beside n - 1 more + the judge

Lengths of answers to one prompt are log-normal about the predicted length, with a spread s of their logs.
With Z standard normal and F its distribution function, the longest of n is expected to be

    n * E[F(Z + s)^(n - 1)]

times as long as one. The judge's word depends on whether the answers are right and on nothing else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from rb_litellm.core.types import FloatArray, IntArray

CORRELATION = 0.6
"""Between 0.58 and 0.70, which pass@1, @10 and @100 of Codex-12B on HumanEval come to by the form above (Chen
et al., https://arxiv.org/abs/2107.03374, table 1; docs/best-of-n.md has the lines)."""
SPREAD = 0.3
"""Of the logs of lengths, before any were seen: an assumption, nothing public tells it. It is learned."""
CHOICES = (2, 3, 4)
MOST_CHOICES = 8
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(24)
_CACHED = 256


@dataclass(frozen=True, slots=True)
class BestOfRule:
    """The judge as it is believed to be, what it takes, and how answers of one model hang together."""

    discernment: float
    """How often it knows which answers are right; else it draws."""
    correlation: float = CORRELATION
    """Of being right, between two answers of one model to one prompt; in [0, 1]."""
    length_spread: float = SPREAD
    """Standard deviation of the logs of the lengths of answers to one prompt."""
    choices: tuple[int, ...] = CHOICES
    """How many answers may be asked for."""
    judge_s: float = 0.0
    """Seconds that a verdict takes."""
    judge_usd: float = 0.0
    """What a verdict costs beside what it reads,"""
    judge_usd_per_token: float = 0.0
    """and for each token of prompt and answers."""
    judge_most_tokens: float = math.inf
    """Of the prompt, and of each answer, it is shown no more than this many."""
    longest_tokens: float = math.inf
    """No answer is longer: the client's limit."""
    refused: frozenset[str] = frozenset()
    """Ids of deployments that are not to be asked for several, as they refused it lately."""

    def __post_init__(self) -> None:
        for name in ("discernment", "correlation"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} is {getattr(self, name)!r}; allowed is a number from 0 to 1")
        if not all(2 <= n <= MOST_CHOICES for n in self.choices):
            raise ValueError(f"choices are {self.choices!r}; allowed are numbers from 2 to {MOST_CHOICES}")

    def quality(self, one: FloatArray, n: IntArray) -> FloatArray:
        """(K,) quality of what the client gets of n answers (K,), by that of one (K,)."""
        return self.picked(one, any_right(one, n, self.correlation))

    def picked(self, one: FloatArray, any_right: FloatArray) -> FloatArray:
        """(K,) the same, by the probability (K,) that one of them is right."""
        picked: FloatArray = one + self.discernment * (any_right - one)
        return picked

    @property
    def lengthened(self) -> FloatArray:
        """(MOST_CHOICES + 1,) by their number, how many times longer than one the longest answer is."""
        return _lengthened(round(self.length_spread, 2))

    def longest(self, output_tokens: FloatArray, n: IntArray) -> FloatArray:
        """(K,) expected length of the longest of n answers (K,), by that of one (K,)."""
        longest = output_tokens * self.lengthened[n]
        found: FloatArray = np.minimum(longest, np.maximum(self.longest_tokens, output_tokens))
        return found

    def verdict_usd(self, input_tokens: float, output_tokens: FloatArray, n: IntArray) -> FloatArray:
        """(K,) what it costs to judge n answers (K,) of these lengths (K,)."""
        answers = n.astype(np.float64) * np.minimum(output_tokens, self.judge_most_tokens)
        prompt = min(input_tokens, self.judge_most_tokens)
        cost: FloatArray = self.judge_usd + self.judge_usd_per_token * (prompt + answers)
        return cost


def any_right(one: FloatArray, n: IntArray, correlation: float) -> FloatArray:
    """(K,) probability that at least one of n (K,) answers is right where each is with probability (K,)."""
    if correlation >= 1.0:
        return one
    apart = 1.0 - correlation
    drawn = np.arange(int(n[n.argmax()])) * correlation
    still = ((1.0 - one)[:, None] * apart + drawn) / (apart + drawn)
    found: FloatArray = 1.0 - still.cumprod(axis=1)[np.arange(n.size), n - 1]
    return found


@lru_cache(maxsize=_CACHED)
def _lengthened(spread: float) -> FloatArray:
    return np.array([longest_of(n, spread) if n else 0.0 for n in range(MOST_CHOICES + 1)])


@lru_cache(maxsize=_CACHED)
def longest_of(n: int, spread: float) -> float:
    """How many times longer than one the longest of n is expected to be; by Gauss-Hermite quadrature."""
    below = [0.5 * (1.0 + math.erf((node + spread) / math.sqrt(2.0))) for node in _NODES.tolist()]
    mean = float(np.dot(_WEIGHTS, np.array(below) ** (n - 1))) / math.sqrt(2.0 * math.pi)
    return n * mean
