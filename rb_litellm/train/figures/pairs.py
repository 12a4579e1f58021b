"""Routing between two models as RouteLLM judges it (arXiv 2406.18665): strong, weak, share of strong calls.

With a share of the calls sent to the strong model, those that a router thinks gain the most,

    gap recovered    (quality reached - weak) / (strong - weak)
    APGR             its mean over all shares from 0 to 1: 0.5 by chance, more the better the router
    CPT(x)           the least share of strong calls at which x of the gap is recovered

RouteLLM takes ten thresholds and straight lines between them; here every prompt is a threshold. Prompts that
the router cannot tell apart gain what they would gain on average in random order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from rb_litellm.core.types import FloatArray, IntArray

RESAMPLES = 200
FEWEST = 20
"""Prompts that both models answered; pairs with fewer are not judged."""
LEVELS = {"cpt_50": 0.5, "cpt_80": 0.8}
"""Shares of the gap, which by chance take just as great shares of the calls."""


@dataclass(frozen=True, slots=True)
class PairCurve:
    """The gap recovered at growing shares of strong calls, for B weightings of the prompts."""

    share: FloatArray
    """(B, K + 1) from 0 to 1."""
    recovered: FloatArray
    """(B, K + 1) from 0 to 1, between them anything; NaN where there is no gap."""

    def apgr(self) -> FloatArray:
        """(B,) area under each curve."""
        steps = np.diff(self.share, axis=1)
        return np.asarray((steps * (self.recovered[:, 1:] + self.recovered[:, :-1]) / 2.0).sum(axis=1))

    def cpt(self, level: float) -> FloatArray:
        """(B,) least share of strong calls that recovers `level` of the gap, on straight lines."""
        reached = self.recovered >= level
        at = reached.argmax(axis=1)
        each = np.arange(len(at))
        before = np.maximum(at - 1, 0)
        low, high = self.recovered[each, before], self.recovered[each, at]
        start, end = self.share[each, before], self.share[each, at]
        part = (level - low) / np.where(high > low, high - low, 1.0)
        return np.where(reached.any(axis=1), start + np.clip(part, 0.0, 1.0) * (end - start), np.nan)


def pair_curve(strong: FloatArray, weak: FloatArray, gain: FloatArray, counts: FloatArray) -> PairCurve:
    """The curve over P prompts with measured qualities and the predicted `gain` of the strong model.

    `counts` (B, P) says how often each prompt counts in each of B weightings.
    """
    order = np.argsort(-gain, kind="stable")
    ranked = gain[order]
    ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    weights = counts[:, order]
    total = weights.sum(axis=1, keepdims=True)
    called = np.cumsum(weights, axis=1)[:, ends] / total
    gained = np.cumsum(weights * (strong - weak)[order], axis=1)[:, ends] / total
    gap = gained[:, -1:]
    recovered = np.divide(gained, gap, out=np.full_like(gained, np.nan), where=gap > 0.0)
    nothing = np.zeros((len(counts), 1))
    return PairCurve(np.concatenate([nothing, called], axis=1), np.concatenate([nothing, recovered], axis=1))


def pair_reports(
    models: Sequence[str], quality: FloatArray, predicted: FloatArray, seed: int = 0
) -> list[dict[str, Any]]:
    """The figures of each two models, from measured and predicted qualities (P, M), NaN where there is none.

    The strong one of two is the one with the higher mean on the prompts that both answered.
    """
    prompts = len(quality)
    # The same resamples of prompts for all pairs; of those that both have not answered, none counts.
    drawn = np.ones((1 + RESAMPLES, prompts))
    drawn[1:] = np.random.default_rng(seed).multinomial(prompts, np.full(prompts, 1.0 / prompts), RESAMPLES)
    found = []
    for one, other in combinations(range(len(models)), 2):
        both = np.isfinite(quality[:, [one, other]]) & np.isfinite(predicted[:, [one, other]])
        rows: IntArray = np.flatnonzero(both.all(axis=1))
        means = quality[rows].mean(axis=0) if rows.size else quality[0]
        if rows.size < FEWEST or means[one] == means[other]:
            continue
        strong, weak = (one, other) if means[one] > means[other] else (other, one)
        curve = pair_curve(
            quality[rows, strong],
            quality[rows, weak],
            predicted[rows, strong] - predicted[rows, weak],
            drawn[:, rows],
        )
        figures = {"apgr": curve.apgr(), **{name: curve.cpt(level) for name, level in LEVELS.items()}}
        found.append(
            {
                "strong": models[strong],
                "weak": models[weak],
                "prompts": int(rows.size),
                "gap": round(float(means[strong] - means[weak]), 4),
                "apgr_random": 0.5,
                **{name: round(float(values[0]), 4) for name, values in figures.items()},
                "ci95": {name: _interval(values[1:]) for name, values in figures.items()},
            }
        )
    return found


def _interval(values: FloatArray) -> list[float] | None:
    finite = values[np.isfinite(values)]
    if not finite.size:
        return None
    return [round(float(bound), 4) for bound in np.quantile(finite, [0.025, 0.975])]
