"""What routing by predicted quality would have earned on graded prompts, and at what cost.

    best single   the one model with the highest mean quality on these prompts, for all of them
    argmax        for each prompt the model with the highest predicted quality
    oracle        for each prompt the model with the highest measured quality
    curve         for each prompt the best of (1 - w) q + w (1 - cost / max cost), for w from 0 to 1

Only prompts with labels of all models count, so that all ways are judged by the same answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from rb_litellm.core.types import FloatArray, IntArray
from rb_litellm.train.data.dataset import DataError, Dataset

WEIGHTS = 101
RESAMPLES = 1000


@dataclass(frozen=True)
class _Ways:
    """What each way of routing earned, prompt by prompt."""

    single: FloatArray
    """(P, M) quality of every model."""
    single_cost: FloatArray | None
    argmax: FloatArray
    oracle: FloatArray
    curve: FloatArray
    """(W, P) quality at each weight of cost."""
    curve_cost: FloatArray | None


def routing_report(
    data: Dataset, predicted: FloatArray, prices: Mapping[str, float] | None, seed: int = 0
) -> dict[str, Any]:
    """Routing over the models of `data` by `predicted` quality (P, M), as `evaluate --json` prints it.

    `prices` are USD per million tokens, by model. A request costs its input tokens, and its output tokens
    where the data have them for every answer.

    Raises:
        DataError: a price is missing.
    """
    usable = np.flatnonzero(np.isfinite(data.quality).all(axis=1) & np.isfinite(predicted).all(axis=1))
    if not usable.size or len(data.models) < 2:
        return {"prompts": int(usable.size), "models": list(data.models)}
    cost = _costs(data, prices, usable)
    ways = _ways(data.quality[usable], predicted[usable], cost)
    everything = np.ones((1, usable.size))
    random = np.random.default_rng(seed)
    resampled = random.multinomial(usable.size, np.full(usable.size, 1.0 / usable.size), RESAMPLES)
    figures = _figures(ways, everything)
    spread = _figures(ways, resampled.astype(np.float64))
    best = int(ways.single.mean(axis=0).argmax())
    report: dict[str, Any] = {
        "prompts": int(usable.size),
        "models": list(data.models),
        "best_single": data.models[best],
        **{name: _rounded(values[0]) for name, values in figures.items()},
        "ci95": {name: _interval(values) for name, values in spread.items()},
    }
    if ways.curve_cost is not None:
        report["cost_counts"] = "input and output" if _has_lengths(data, usable) else "input"
        report["curve"] = [
            {"cost_weight": round(w, 4), "quality": _rounded(q), "cost_usd_per_1k": _rounded(c * 1e3)}
            for w, q, c in zip(
                np.linspace(0.0, 1.0, WEIGHTS),
                ways.curve.mean(axis=1),
                ways.curve_cost.mean(axis=1),
                strict=True,
            )
        ]
    return report


def _costs(data: Dataset, prices: Mapping[str, float] | None, rows: IntArray) -> FloatArray | None:
    if prices is None:
        return None
    missing = sorted(set(data.models) - set(prices))
    if missing:
        raise DataError(f"--prices has no price for {', '.join(missing)}; it needs one for each model")
    tokens = np.array([data.prompts[i].input_tokens for i in rows], dtype=np.float64)[:, None]
    if _has_lengths(data, rows):
        tokens = tokens + data.output_tokens[rows]
    return np.asarray(tokens * np.array([prices[m] for m in data.models]) / 1e6)


def _has_lengths(data: Dataset, rows: IntArray) -> bool:
    return bool(np.isfinite(data.output_tokens[rows]).all())


def _ways(quality: FloatArray, predicted: FloatArray, cost: FloatArray | None) -> _Ways:
    each = np.arange(len(quality))
    argmax = quality[each, predicted.argmax(axis=1)]
    curve, curve_cost = argmax[None, :], None
    if cost is not None:
        curve, curve_cost = curve_of(quality, predicted, cost)
    return _Ways(quality, cost, argmax, quality.max(axis=1), curve, curve_cost)


def curve_of(quality: FloatArray, predicted: FloatArray, cost: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Quality and cost (W, P) of the prompts at each weight of cost; what is given is (P, M)."""
    each = np.arange(len(quality))
    saved = 1.0 - cost / np.maximum(cost.max(axis=1, keepdims=True), 1e-12)
    weights = np.linspace(0.0, 1.0, WEIGHTS)
    chosen = np.stack([((1.0 - w) * predicted + w * saved).argmax(axis=1) for w in weights])
    return quality[each, chosen], cost[each, chosen]


def _figures(ways: _Ways, counts: FloatArray) -> dict[str, FloatArray]:
    """Every figure for B weightings of the prompts, counts (B, P) -> (B,)."""
    shares = counts / counts.sum(axis=1, keepdims=True)
    single = shares @ ways.single
    best = single.argmax(axis=1)
    each = np.arange(len(shares))
    figures = {
        "best_single_quality": single[each, best],
        "argmax_quality": shares @ ways.argmax,
        "oracle_quality": shares @ ways.oracle,
    }
    figures["gain"] = figures["argmax_quality"] - figures["best_single_quality"]
    if ways.curve_cost is None or ways.single_cost is None:
        return {**figures, "cost_ratio_at_best_single_quality": np.full(len(shares), np.nan)}
    costs, qualities = shares @ ways.curve_cost.T, shares @ ways.curve.T
    single_costs = shares @ ways.single_cost
    reached = np.array(
        [cost_at(q, c, level) for q, c, level in zip(qualities, costs, single[each, best], strict=True)]
    )
    paid = single_costs[each, best]
    # Of what costs nothing there is no share.
    figures["cost_ratio_at_best_single_quality"] = np.where(
        paid > 0.0, reached / np.maximum(paid, 1e-300), np.nan
    )
    figures["curve_area"] = np.array(
        [
            area(q, c, low, high)
            for q, c, low, high in zip(
                qualities, costs, single_costs.min(axis=1), single_costs.max(axis=1), strict=True
            )
        ]
    )
    return figures


def cost_at(quality: FloatArray, cost: FloatArray, level: float) -> float:
    """The lowest cost at which the curve (W,) reaches `level` of quality, NaN where it never does.

    Between two points lies what sending part of the requests by either would give.
    """
    order = np.argsort(cost, kind="stable")
    best = np.maximum.accumulate(quality[order])
    cost = cost[order]
    at = int(np.searchsorted(best, level))
    if at == len(best):
        return float("nan")
    if at == 0:
        return float(cost[0])
    share = (level - best[at - 1]) / (best[at] - best[at - 1])
    return float(cost[at - 1] + share * (cost[at] - cost[at - 1]))


def area(quality: FloatArray, cost: FloatArray, low: float, high: float) -> float:
    """Mean over costs from `low` to `high` of the best quality that the curve (W,) has for that cost."""
    order = np.argsort(cost, kind="stable")
    best, cost = np.maximum.accumulate(quality[order]), cost[order]
    if high <= low:
        return float(best[-1])
    at = np.linspace(low, high, 201)
    return float(np.mean(np.interp(at, cost, best)))


def _interval(values: FloatArray) -> list[float] | None:
    finite = values[np.isfinite(values)]
    if not finite.size:
        return None
    low, high = np.quantile(finite, [0.025, 0.975])
    return [round(float(low), 5), round(float(high), 5)]


def _rounded(value: float) -> float | None:
    return round(float(value), 6) if np.isfinite(value) else None
