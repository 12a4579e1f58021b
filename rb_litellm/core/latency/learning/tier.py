"""What the deployments of one tier have in common: how their times grow with load and with prompts.

They run one model on one kind of hardware, so each measurement of one of them teaches the shape of all.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np

from rb_litellm.core.latency.forecast import LatencyCoefficients, LatencyPrior, effective_tokens, ridge_tokens
from rb_litellm.core.latency.learning.growth import doubted_growth, most_growth
from rb_litellm.core.latency.learning.learned import LearnedTimes
from rb_litellm.core.latency.learning.regression import Regression
from rb_litellm.core.latency.learning.total_time import OF_TIER, TotalTime
from rb_litellm.core.types import FloatArray, IntArray, Outcome

RUNNING_UNIT, PREFILL_UNIT = 16.0, 1000.0
"""Units of the regressions' features: 16 running sequences and 1,000 tokens are usual values."""
TPOT: Final = 0
TTFT: Final = 1
Kind = Literal[0, 1]
_PREFILL_DOUBT = 10.0
"""Standard error of the prefill speed that is assumed, as a multiple of it: a processor may be ten times
slower than the hardware that a model of its size usually has. The rest of a first token is about a step."""
_LATEST = 32
"""Answers that are kept."""
_OF_RUNNING = {TPOT: 1, TTFT: 2}
"""Where growth with the running sequences stands among the weights of each."""


@dataclass(slots=True)
class Tier:
    """Regressions of both times, and the rows of the deployments that they are of."""

    tpot: Regression
    """On 1 and the running sequences."""
    ttft: Regression
    """On 1, the effective tokens to be prefilled, and the running sequences."""
    most_ridge_tokens: float
    """See `LatencyPrior`."""
    total: TotalTime = field(default_factory=lambda: TotalTime(OF_TIER))
    rows: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    latest: deque[tuple[int, Outcome]] = field(default_factory=lambda: deque(maxlen=_LATEST))
    """By row: they are learned from once more when it turns out how few requests run at once."""

    @classmethod
    def assumed(cls, prior: LatencyPrior) -> Tier:
        """As its first deployment is assumed to be."""
        growth = prior.tpot_s_per_running * RUNNING_UNIT
        return cls(
            tpot=Regression((prior.tpot_s, growth)),
            ttft=Regression(
                (prior.ttft_s, prior.prefill_s_per_token * PREFILL_UNIT, growth), (1.0, _PREFILL_DOUBT, 1.0)
            ),
            most_ridge_tokens=prior.most_ridge_tokens,
        )

    def shape(self, kind: Kind) -> Regression:
        """Of one kind of time."""
        return self.ttft if kind == TTFT else self.tpot

    @property
    def ridge_tokens(self) -> float:
        """Tokens whose computing takes as long as a lone decode step, as far as both are known."""
        prefill_s_per_token = self.ttft.weights[1] / PREFILL_UNIT
        return ridge_tokens(self.tpot.weights[0], prefill_s_per_token, self.most_ridge_tokens)

    def level(self, kind: Kind) -> float:
        """Log of the idle time."""
        return math.log(self.shape(kind).weights[0])

    @staticmethod
    def tpot_features(beside: float) -> tuple[float, float]:
        """What time per token is regressed on, of an answer that was written beside so many others."""
        return 1.0, beside / RUNNING_UNIT

    def ttft_features(self, outcome: Outcome) -> tuple[float, float, float]:
        """What the time to the first token of an attempt is regressed on."""
        all_tokens = outcome.pending_prefill_tokens + outcome.input_tokens
        tokens = effective_tokens(all_tokens, self.ridge_tokens)
        return 1.0, tokens / PREFILL_UNIT, outcome.in_flight / RUNNING_UNIT

    def slots_changed(self, slots: FloatArray) -> bool:
        """Its deployments (K,) have so many slots now; whether time per token is to be learned anew."""
        # They have the same hardware: what shows where few slots are known is true of all.
        least = slots.min()
        doubt, most = RUNNING_UNIT * doubted_growth(float(least)), RUNNING_UNIT * float(most_growth(least))
        self.ttft.doubt(_OF_RUNNING[TTFT], doubt, most)
        return self.tpot.doubt(_OF_RUNNING[TPOT], doubt, most)

    def adopt(self, times: LearnedTimes) -> None:
        """Take over what another worker has learned of one of them."""
        self.tpot.weights[:] = [times.tpot_s, times.tpot_s_per_running * RUNNING_UNIT]
        self.ttft.weights[:] = [
            times.ttft_s,
            times.prefill_s_per_token * PREFILL_UNIT,
            times.ttft_s_per_running * RUNNING_UNIT,
        ]

    def write(self, kind: Kind, coefficients: LatencyCoefficients, scale: FloatArray) -> None:
        """Write one kind of time of its deployments (K,), which take `scale` (K,) times as long."""
        c, rows, weights = coefficients, self.rows, self.shape(kind).weights
        growth = self._growth(kind, c) * scale
        c.ridge_tokens[rows] = self.ridge_tokens
        if kind == TPOT:
            c.tpot_s[rows] = weights[0] * scale
            c.tpot_s_per_running[rows] = growth
        else:
            c.ttft_s[rows] = weights[0] * scale
            c.prefill_s_per_token[rows] = weights[1] / PREFILL_UNIT * scale
            c.ttft_s_per_running[rows] = growth

    def _growth(self, kind: Kind, coefficients: LatencyCoefficients) -> FloatArray | float:
        """(K,) growth with each running request, as far as the slots of these allow."""
        shape, index = self.shape(kind), _OF_RUNNING[kind]
        growth, usual = shape.weights[index] / RUNNING_UNIT, shape.usual_most[index] / RUNNING_UNIT
        if growth <= usual:
            return growth
        allowed = most_growth(coefficients.slots[self.rows]) * shape.weights[0]
        steep: FloatArray = np.minimum(growth, np.maximum(usual, allowed))
        return steep


class Tiers:
    """The tiers of a growing number of deployments, whose rows count from 0 in the order they are added."""

    def __init__(self) -> None:
        self._tiers: list[Tier] = []
        self._numbers: dict[str, int] = {}
        self._number_of: list[int] = []

    def add(self, name: str, prior: LatencyPrior) -> int:
        """Add a deployment of the tier of this name and return its row.

        The first one of a tier says what is assumed of the tier.
        """
        row = len(self._number_of)
        self._number_of.append(-1)
        self.put(row, name, prior)
        return row

    def put(self, row: int, name: str, prior: LatencyPrior) -> None:
        """The deployment at `row`, which has no tier, is of the tier of this name."""
        if (number := self._numbers.get(name)) is None:
            number = self._numbers[name] = len(self._tiers)
            self._tiers.append(Tier.assumed(prior))
        self._number_of[row] = number
        tier = self._tiers[number]
        tier.rows = np.append(tier.rows, row)

    def take_out(self, row: int) -> None:
        """The deployment at `row` is gone; its tier keeps what it has learned."""
        tier = self.of(row)
        tier.rows = tier.rows[tier.rows != row]
        its = [one for one in tier.latest if one[0] != row]
        tier.latest.clear()
        tier.latest.extend(its)

    def number(self, row: int) -> int:
        """The number of the tier of the deployment at `row`; tiers count from 0 in order of appearance."""
        return self._number_of[row]

    def of(self, row: int) -> Tier:
        """The tier of the deployment at `row`."""
        return self._tiers[self._number_of[row]]

    def __getitem__(self, number: int) -> Tier:
        return self._tiers[number]

    def __iter__(self) -> Iterator[Tier]:
        return iter(self._tiers)

    @property
    def rows(self) -> int:
        """How many deployments there are."""
        return len(self._number_of)
