"""What other weights would have chosen: recent decisions scored anew. Nothing is applied.

Each decision is repeated by itself, with the predictions and under the load that it was made with. How other
choices would have changed the load of later requests is not followed; that takes a simulation.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from rb_litellm.core.decision.breakdown import ScoreBreakdown
from rb_litellm.core.decision.scoring import JointScore, Weights
from rb_litellm.core.types import FloatArray
from rb_litellm.telemetry.records.decision_log import Recent

_TIE = 1e-9


@dataclass(slots=True)
class Tally:
    """Sums over choices: how many went to each model, and what was predicted for them."""

    count: int
    models: Counter[str]
    quality: float = 0.0
    e2e_s: float = 0.0
    cost_usd: float = 0.0

    @classmethod
    def empty(cls) -> Tally:
        """Nothing chosen yet."""
        return cls(0, Counter())

    def add(self, model: str, quality: float, e2e_s: float, cost_usd: float) -> None:
        """Count one choice."""
        self.count += 1
        self.models[model] += 1
        self.quality += quality
        self.e2e_s += e2e_s
        self.cost_usd += cost_usd

    def as_json(self) -> dict[str, Any]:
        """Shares and means."""
        n = max(self.count, 1)
        return {
            "share": {model: round(count / n, 4) for model, count in self.models.most_common()},
            **means(self.quality / n, self.e2e_s / n, self.cost_usd / n),
        }


class Choice(NamedTuple):
    """What a decision chose and would have chosen, as rows of its breakdown."""

    decision: Recent
    breakdown: ScoreBreakdown
    made: int
    chosen: int


def means(quality: float, e2e_s: float, cost_usd: float) -> dict[str, float]:
    """Mean figures of a request, as everywhere on the page."""
    return {
        "quality": round(quality, 4),
        "e2e_s": round(e2e_s, 4),
        "cost_usd_per_1k": round(cost_usd * 1000.0, 6),
    }


def weights_of(quality: float, latency: float, cost: float) -> Weights:
    """Weights in these proportions.

    Raises:
        ValueError: one is negative or not finite, or all are 0.
    """
    given = {"quality": quality, "latency": latency, "cost": cost}
    if any(not 0.0 <= amount < math.inf for amount in given.values()):
        raise ValueError(f"weights are {given}; allowed are numbers from 0 up")
    total = quality + latency + cost
    if not 0.0 < total < math.inf:
        raise ValueError(f"weights are {given}; at least one must be greater than 0")
    return Weights(*(min(amount / total, 1.0) for amount in given.values()))


def choice_under(one: Recent, weights: Weights) -> Choice | None:
    """The choice that a decision would have been under other weights; None where nothing was weighed."""
    breakdown = one.breakdown
    made = next((i for i, d in enumerate(one.deployments) if d.id == one.record.deployment), None)
    if breakdown is None or made is None:
        return None
    chosen = _best(breakdown, weights, made)
    if one.deployments[chosen].tier == one.deployments[made].tier:
        # Within a tier load decides, and chance where there are several workers.
        chosen = made
    return Choice(one, breakdown, made, chosen)


def compared(choices: Iterable[Choice | None], weights: Weights) -> dict[str, Any]:
    """All of these decisions under other weights, without those in which nothing was weighed.

    `now` summarises the choices that were made, `then` those under `weights`.
    """
    now, then, changed = Tally.empty(), Tally.empty(), 0
    for choice in choices:
        if choice is None:
            continue
        one, p = choice.decision, choice.breakdown.predictions
        changed += choice.chosen != choice.made
        for tally, row in ((now, choice.made), (then, choice.chosen)):
            tally.add(
                one.deployments[row].group,
                float(p.quality[row]),
                float(p.times.e2e_s[row]),
                float(p.cost_usd[row]),
            )
    return {
        "decisions": now.count,
        "changed": changed,
        "weights": {
            "quality": round(weights.quality, 4),
            "latency": round(weights.latency, 4),
            "cost": round(weights.cost, 4),
        },
        "now": now.as_json(),
        "then": then.as_json(),
    }


def _best(breakdown: ScoreBreakdown, weights: Weights, made: int) -> int:
    """The row with the best score; the chosen one if it is as good as any."""
    of = {"quality": weights.quality, "latency": weights.latency, "cost": weights.cost}
    joint = [term for term in breakdown.terms if term.name in of]
    others = [term for term in breakdown.terms if term.name not in of]
    if len(joint) < len(of) or abs(sum(term.weight for term in joint) - 1.0) > 1e-6:
        # It was decided by another objective, such as one in USD, to whose terms these weights do not apply.
        joint = list(JointScore(weights).terms(breakdown.predictions, breakdown.offered))
    scores: FloatArray = np.zeros(breakdown.allowed.size)
    for term in joint:
        scores = scores + of[term.name] * term.value
    for term in others:
        scores = scores + term.points
    scores = np.where(breakdown.allowed, scores, -np.inf)
    if scores[made] >= scores.max() - _TIE:
        return made
    return int(np.argmax(scores))
