"""What the verdicts of judged shadow evaluation say, and whether they are enough to decide.

Of each weighting: how often what it would have chosen was better than what served, as good or worse, in all
and by kind of prompt, beside the difference in cost. Its net is (wins - losses) / comparisons, those with the
same model on both sides counted as ties. Intervals are confidence sequences: they hold at every moment at
once, so that whoever looks every day and stops when it is enough is wrong no more often than is said.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from rb_litellm.core.types import FloatArray
from rb_litellm.logs.verdicts import Comparison

CONFIDENCE = 0.95
MARGIN = 0.05
"""A net within so much of nothing, on both sides, is no difference."""
FEWEST = 30
"""Comparisons before anything is decided: the sequence's coverage is asymptotic."""
_TIGHTEST = 200
"""Comparisons at which the sequence is about as narrow as it can be for all others."""
_WORTH = {"win": 1.0, "tie": 0.0, "loss": -1.0, "same": 0.0}


def summarise_verdicts(verdicts: Iterable[Comparison], confidence: float = CONFIDENCE) -> dict[str, Any]:
    """The report by weighting."""
    by_candidate: dict[str, list[Comparison]] = defaultdict(list)
    for one in verdicts:
        by_candidate[one.candidate].append(one)
    return {
        "confidence": confidence,
        "margin": MARGIN,
        "candidates": [_candidate(name, some, confidence) for name, some in sorted(by_candidate.items())],
    }


def confidence_sequence(values: FloatArray, confidence: float = CONFIDENCE) -> tuple[float, float, float]:
    """Mean with lower and upper bound, valid however often one looks.

    Asymptotic confidence sequence with the mixture boundary, Waudby-Smith et al. 2021 (arXiv 2103.06476),
    theorem 2.2: mean +- s sqrt(2 (n r^2 + 1) / (n^2 r^2) log(sqrt(n r^2 + 1) / alpha)), r chosen for about
    _TIGHTEST values.
    """
    n, alpha = values.size, 1.0 - confidence
    mean = float(values.mean())
    # Never less spread than if one more verdict each way had come: a few alike verdicts are no proof.
    spread = float(np.sqrt((np.sum((values - mean) ** 2) + 2.0) / (n + 2.0)))
    r2 = (-2.0 * np.log(alpha) + np.log(-2.0 * np.log(alpha) + 1.0)) / _TIGHTEST
    half = spread * np.sqrt(2.0 * (n * r2 + 1.0) / (n * n * r2) * np.log(np.sqrt(n * r2 + 1.0) / alpha))
    return mean, max(mean - half, -1.0), min(mean + half, 1.0)


def decided(low: float, high: float, n: int) -> str:
    """better, worse, equal, or open."""
    if n < FEWEST:
        return "open"
    if low > 0.0:
        return "better"
    if high < 0.0:
        return "worse"
    return "equal" if low > -MARGIN and high < MARGIN else "open"


def _candidate(name: str, verdicts: Sequence[Comparison], confidence: float) -> dict[str, Any]:
    kinds: dict[str, list[Comparison]] = defaultdict(list)
    pairs: dict[tuple[str, str], list[Comparison]] = defaultdict(list)
    for one in verdicts:
        kinds[one.kind].append(one)
        if one.outcome != "same":
            pairs[one.served, one.would].append(one)
    served = float(np.mean([one.served_usd for one in verdicts]))
    would = float(np.mean([one.would_usd for one in verdicts]))
    return {
        "candidate": name,
        **_figures(verdicts, confidence),
        "kinds": [{"kind": kind, **_figures(some, confidence)} for kind, some in sorted(kinds.items())],
        "pairs": [
            {"served": a, "would": b, **_figures(some, confidence)} for (a, b), some in sorted(pairs.items())
        ],
        "served_usd_per_1k": round(served * 1e3, 6),
        "would_usd_per_1k": round(would * 1e3, 6),
        "cost_change": round(would / served - 1.0, 4) if served > 0.0 else None,
        "judge_usd": round(sum(one.judge_usd for one in verdicts), 8),
    }


def _figures(verdicts: Sequence[Comparison], confidence: float) -> dict[str, Any]:
    counts = Counter(one.outcome for one in verdicts)
    values = np.array([_WORTH[one.outcome] for one in verdicts])
    net, low, high = confidence_sequence(values, confidence)
    found = decided(low, high, values.size)
    told: dict[str, Any] = {
        "comparisons": values.size,
        **{name: counts.get(name, 0) for name in ("win", "tie", "loss", "same")},
        "net": round(net, 4),
        "interval": [round(low, 4), round(high, 4)],
        "decided": found,
    }
    if found == "open":
        told["further"] = _further(net, high - low, values.size)
    return told


def _further(net: float, width: float, n: int) -> int:
    """Comparisons still needed, should the net stay as it is: intervals narrow with about the root of n."""
    wanted = max(abs(net), MARGIN)
    return max(int(np.ceil(n * (width / 2.0 / wanted) ** 2)) - n, FEWEST - n, 1)
