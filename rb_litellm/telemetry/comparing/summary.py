"""A summary of recent decisions: where traffic went, its quality, latency and cost, and alternatives."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from rb_litellm.telemetry.comparing.whatif import means
from rb_litellm.telemetry.records.decision import DecisionRecord
from rb_litellm.telemetry.records.decision_log import Recent


def summarise(recent: Sequence[Recent], baseline: str | None) -> dict[str, Any]:
    """Figures of the given decisions (newest first); None where nothing is known.

    `chosen` and `random` are predictions for the same requests: for the choice that was made, and for a
    candidate drawn at random, as by a balancer without information. `baseline` is the prediction for the
    configured model. `measured` is the outcome.
    """
    records = [one.record for one in recent]
    joint = [r for r in records if r.prediction is not None]
    models, deployments = Counter(r.model for r in records), Counter(r.deployment for r in records)
    span_s = records[0].at_s - records[-1].at_s if len(records) > 1 else 0.0
    with_baseline = [r for r in joint if r.baseline is not None]
    return {
        "decisions": len(records),
        "span_s": round(span_s, 1),
        "share": _shares(models, len(records)),
        "deployments": _shares(deployments, len(records)),
        "reasons": dict(Counter(r.reason for r in records)),
        "chosen": _mean(
            (r.prediction.quality, r.prediction.e2e_s, r.prediction.cost_usd) for r in joint if r.prediction
        ),
        "random": _mean(filter(None, (one.at_random() for one in recent))),
        "baseline": None
        if baseline is None
        else {
            "model": baseline,
            "decisions": len(with_baseline),
            **_optional(
                _mean(
                    (r.baseline.quality, r.baseline.e2e_s, r.baseline.cost_usd)
                    for r in with_baseline
                    if r.baseline
                )
            ),
        },
        "measured": _measured(records),
        "decision_ms": _quantiles([r.duration_s * 1e3 for r in records]),
    }


def _measured(records: Iterable[DecisionRecord]) -> dict[str, Any]:
    over = [r.outcome for r in records if r.outcome is not None]
    good = [o for o in over if o.error is None]
    ttft = [o.ttft_s for o in good if o.ttft_s is not None]
    cost = [o.cost_usd for o in good if o.cost_usd is not None]
    return {
        "answered": len(good),
        "failed": len(over) - len(good),
        "e2e_s": _quantiles([o.open_s for o in good]),
        "ttft_s": _quantiles(ttft),
        "cost_usd_per_1k": round(1000.0 * sum(cost) / len(cost), 6) if cost else None,
    }


def _mean(figures: Iterable[tuple[float, float, float]]) -> dict[str, float] | None:
    rows = list(figures)
    if not rows:
        return None
    quality, e2e_s, cost_usd = np.mean(np.array(rows, dtype=np.float64), axis=0).tolist()
    return means(quality, e2e_s, cost_usd)


def _optional(figures: dict[str, float] | None) -> dict[str, float]:
    return figures or {}


def _quantiles(values: Sequence[float]) -> dict[str, float] | None:
    if not values:
        return None
    low, high = np.quantile(np.array(values), [0.5, 0.95]).tolist()
    return {"mean": round(float(np.mean(values)), 4), "p50": round(low, 4), "p95": round(high, 4)}


def _shares(counts: Counter[str], total: int) -> dict[str, float]:
    return {name: round(count / max(total, 1), 4) for name, count in counts.most_common()}
