"""Sensitivity of a decision to its weights: which other weights would have chosen another candidate.

The nearest such weights are a counterfactual explanation of the decision (Wachter et al.,
https://arxiv.org/abs/1711.00399). Given the terms of a decision, every candidate's score is linear in the
weights. So all weights of a grid are scored by one matrix product, and nothing is predicted again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from rb_litellm.core.decision.breakdown import ScoreBreakdown
from rb_litellm.core.types import FloatArray

STEP = 0.05
"""Distance between neighbouring weights of the grid, for weights that sum to one."""
FACTORS = tuple(2.0 ** (n / 2.0) for n in range(-10, 11))
"""Multiples of each price on the grid, for weights that are prices: 1/32 to 32."""


@dataclass(frozen=True, slots=True)
class Flip:
    """The nearest weights of the grid at which another candidate would have been chosen."""

    row: int
    weights: dict[str, float]
    """By the terms' names."""
    distance: float
    """Largest change of a weight, or of its binary logarithm for prices."""


def flips(
    breakdown: ScoreBreakdown, chosen: int, names: Sequence[str] = ("quality", "latency", "cost")
) -> list[Flip]:
    """One flip for each other candidate that some weights of the grid would choose, the nearest first.

    Terms that are not in `names` (penalties, bonuses) keep their weights.
    """
    free = [term for term in breakdown.terms if term.name in names]
    rows = np.flatnonzero(breakdown.allowed)
    if len(rows) < 2 or not free:
        return []
    present = np.array([term.weight for term in free])
    relative = abs(present.sum() - 1.0) < 1e-6 and bool((present <= 1.0).all())
    grid = _simplex(len(free)) if relative else _multiples(present)
    kept = sum((t.points[rows] for t in breakdown.terms if t.name not in names), np.zeros(len(rows)))
    scores = grid @ np.stack([term.value[rows] for term in free]) + kept
    # An equal score does not displace the present choice.
    scores[:, rows == chosen] += 1e-9
    winners = rows[np.argmax(scores, axis=1)]
    if relative:
        distance = np.abs(grid - present).max(axis=1)
    else:
        distance = np.abs(np.log2(np.maximum(grid, 1e-300) / np.maximum(present, 1e-300))).max(axis=1)
    found = []
    for row in np.unique(winners):
        if row != chosen:
            nearest = int(np.argmin(np.where(winners == row, distance, np.inf)))
            weights = {t.name: round(float(w), 10) for t, w in zip(free, grid[nearest], strict=True)}
            found.append(Flip(int(row), weights, float(distance[nearest])))
    return sorted(found, key=lambda flip: flip.distance)


def _simplex(size: int) -> FloatArray:
    """All weights (P, size) that are multiples of STEP and sum to one."""
    parts = round(1.0 / STEP)
    points = [p for p in product(range(parts + 1), repeat=size - 1) if sum(p) <= parts]
    head = np.array(points, dtype=np.float64).reshape(len(points), size - 1)
    return np.concatenate([head, parts - head.sum(axis=1, keepdims=True)], axis=1) / parts


def _multiples(present: FloatArray) -> FloatArray:
    """(P, size) present prices times all combinations of FACTORS; the last stays, since ratios decide."""
    combinations = np.array(list(product(FACTORS, repeat=present.size - 1))).reshape(-1, present.size - 1)
    factors = np.concatenate([combinations, np.ones((len(combinations), 1))], axis=1)
    multiples: FloatArray = present * factors
    return multiples
