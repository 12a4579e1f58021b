"""Tune the weights: search the triangle of (quality, latency, cost), keep the Pareto front, choose its knee.

A coarse grid over the triangle shows the front; from its best point the walk goes on to neighbours at ever
smaller steps. What is best: among the points that meet the wishes, the one nearest to the ideal, which
has the best quality, latency and cost that any such point has, each scaled to its own range. Where no
point meets the limits, the one that misses them least is reported, as a miss.

The chosen point is then run at other loads and seeds, because weights that hold at one load only are luck.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from statistics import fmean
from typing import Any

import numpy as np

from rb_litellm.core.decision.scoring import PRESETS, Weights
from rb_litellm.sim.results import RunResult

COARSE = 0.2
FINER = (0.1, 0.05)
"""Steps of the walk, after the grid."""
MAX_WALK = 6
"""Points from which neighbours are looked at, per step."""

Runner = Callable[[Sequence[str], Sequence[float], Sequence[int]], Sequence[RunResult]]
"""Runs policies at each rate and seed on equal arrivals; results rate by rate, then seed by seed."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the weights must achieve; None wishes nothing."""

    max_p95_s: float | None = None
    """p95 of E2E."""
    max_cost_usd_per_1k: float | None = None
    min_quality: float | None = None


@dataclass(frozen=True, slots=True)
class Point:
    """Weights and what they achieve, as means over the runs they were tried in."""

    weights: Weights
    quality: float
    mean_e2e_s: float
    p95_e2e_s: float
    cost_usd_per_1k: float
    runs: int

    def missed(self, wishes: Wishes) -> list[str]:
        """What is missed, in words; empty where all wishes are met."""
        told = []
        if wishes.max_p95_s is not None and self.p95_e2e_s > wishes.max_p95_s:
            told.append(f"p95 E2E is {self.p95_e2e_s:.2f} s, the limit {wishes.max_p95_s:g} s")
        if wishes.max_cost_usd_per_1k is not None and self.cost_usd_per_1k > wishes.max_cost_usd_per_1k:
            told.append(
                f"cost is {self.cost_usd_per_1k:.4g} USD per 1,000 requests, the limit "
                f"{wishes.max_cost_usd_per_1k:g}"
            )
        if wishes.min_quality is not None and self.quality < wishes.min_quality:
            told.append(f"quality is {self.quality:.3f}, the limit {wishes.min_quality:g}")
        return told

    def miss(self, wishes: Wishes) -> float:
        """By how much the wishes are missed, relative to each, added up; 0 where all are met."""
        missed = 0.0
        if wishes.max_p95_s is not None:
            missed += max(self.p95_e2e_s / wishes.max_p95_s - 1.0, 0.0)
        if wishes.max_cost_usd_per_1k is not None:
            missed += max(self.cost_usd_per_1k / wishes.max_cost_usd_per_1k - 1.0, 0.0)
        if wishes.min_quality is not None:
            missed += max(1.0 - self.quality / wishes.min_quality, 0.0)
        return missed

    def as_json(self) -> dict[str, Any]:
        """Rounded for reading."""
        return {
            "weights": {
                "quality": round(self.weights.quality, 4),
                "latency": round(self.weights.latency, 4),
                "cost": round(self.weights.cost, 4),
            },
            "quality": round(self.quality, 5),
            "mean_e2e_s": round(self.mean_e2e_s, 4),
            "p95_e2e_s": round(self.p95_e2e_s, 4),
            "cost_usd_per_1k": round(self.cost_usd_per_1k, 6),
        }


@dataclass(frozen=True, slots=True)
class Tuned:
    """The outcome of a search."""

    best: Point
    meets: bool
    front: tuple[Point, ...]
    """Points that no other beats in quality, p95 and cost at once, by falling quality."""
    robust: tuple[tuple[float, Point, float], ...]
    """(rate, means over the seeds, share of seeds in which the wishes are met), of the best point."""


def tune(
    run: Runner, wishes: Wishes, rate: float, seeds: Sequence[int], loads: Sequence[float] = (0.75, 1.25)
) -> Tuned:
    """Search at `rate` with the first seed, then try the best at every seed, and at `loads` times the rate.

    Raises:
        ValueError: no seed, or the runner's own complaints.
    """
    if not seeds:
        raise ValueError("tuning needs at least one seed")
    tried: dict[str, Point] = {}

    def visit(candidates: Iterable[Weights]) -> None:
        names = [name for name in dict.fromkeys(map(policy_name, candidates)) if name not in tried]
        for result in run(names, (rate,), seeds[:1]) if names else ():
            tried[result.policy] = _point([result])

    visit([*_grid(COARSE), *(_weights(p.quality, p.latency, p.cost) for p in PRESETS.values())])
    best = choose(list(tried.values()), wishes)
    for step in FINER:
        for _ in range(MAX_WALK):
            visit(_neighbours(best.weights, step))
            better = choose(list(tried.values()), wishes)
            if better.weights == best.weights:
                break
            best = better
    front = pareto(list(tried.values()))
    name = policy_name(best.weights)
    rates = [rate * factor for factor in sorted({1.0, *loads})]
    every = run((name,), rates, seeds)
    robust = []
    for at, its_rate in enumerate(rates):
        results = every[at * len(seeds) : (at + 1) * len(seeds)]
        met = fmean(_point([result]).miss(wishes) == 0.0 for result in results)
        robust.append((its_rate, _point(results), met))
    return Tuned(best, best.miss(wishes) == 0.0, tuple(front), tuple(robust))


def choose(points: Sequence[Point], wishes: Wishes) -> Point:
    """The knee among the points that meet the wishes; without such, the one that misses them least."""
    good = [point for point in points if point.miss(wishes) == 0.0]
    if not good:
        return min(points, key=lambda point: point.miss(wishes))
    figures = np.array([_figures(point) for point in good])
    low, high = figures.min(axis=0), figures.max(axis=0)
    # A point that dominates one within the limits is within them too: their front is on the front of all.
    front = pareto(good)
    away = (np.array([_figures(point) for point in front]) - low) / np.maximum(high - low, 1e-12)
    return front[int(np.argmin(np.square(away).sum(axis=1)))]


def pareto(points: Sequence[Point]) -> list[Point]:
    """Points that no other point beats, one of those that are alike in everything, by falling quality."""
    points = list({_figures(point): point for point in reversed(points)}.values())
    figures = np.array([_figures(point) for point in points])
    front = [
        point
        for point, own in zip(points, figures, strict=True)
        if not ((figures <= own).all(axis=1) & (figures < own).any(axis=1)).any()
    ]
    return sorted(front, key=lambda point: (-point.quality, point.p95_e2e_s))


def policy_name(weights: Weights) -> str:
    """The simulator's name for RouteBalance with these weights."""
    return f"routebalance:{weights.quality:.4g},{weights.latency:.4g},{weights.cost:.4g}"


def _figures(point: Point) -> tuple[float, float, float]:
    # All to be small; times and costs by their logarithm, since a second matters less after ten.
    return (-point.quality, math.log(point.p95_e2e_s), math.log(max(point.cost_usd_per_1k, 1e-9)))


def _point(results: Sequence[RunResult]) -> Point:
    rows = [result.as_json() for result in results]
    parts = [float(part) for part in results[0].policy.removeprefix("routebalance:").split(",")]
    return Point(
        _weights(*parts),
        fmean(row["quality"] for row in rows),
        fmean(row["mean_e2e_s"] for row in rows),
        fmean(row["p95_e2e_s"] for row in rows),
        fmean(row["cost_usd_per_1k"] for row in rows),
        len(rows),
    )


def _grid(step: float) -> list[Weights]:
    count = round(1.0 / step)
    return [
        _weights(q / count, w / count, (count - q - w) / count)
        for q, w in product(range(count + 1), repeat=2)
        if q + w <= count
    ]


def _neighbours(weights: Weights, step: float) -> list[Weights]:
    found = []
    for dq, dl in ((1, 0), (-1, 0), (0, 1), (0, -1), (1, -1), (-1, 1)):
        q, w = weights.quality + dq * step, weights.latency + dl * step
        if q >= -1e-9 and w >= -1e-9 and q + w <= 1.0 + 1e-9:
            found.append(_weights(max(q, 0.0), max(w, 0.0), 1.0 - q - w))
    return found


def _weights(quality: float, latency: float, cost: float) -> Weights:
    """Weights of at most four digits that sum to one in spite of rounding."""
    quality, latency = round(quality, 4), round(latency, 4)
    return Weights(quality, latency, max(0.0, round(1.0 - quality - latency, 4)))
