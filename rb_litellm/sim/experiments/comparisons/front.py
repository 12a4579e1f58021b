"""One deployed stack with its weights swept, against every baseline at every threshold."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rb_litellm.sim.experiments.comparisons.litellm import STRATEGIES
from rb_litellm.sim.experiments.measured import Measured, Named, Scale, grid
from rb_litellm.sim.policies.oracle_bounds import NAMES as ORACLE_BOUNDS
from rb_litellm.sim.report.blocks import Block, Claim, Table
from rb_litellm.sim.report.statistics import Spread
from rb_litellm.sim.world import Run

RATE = 12.0
WEIGHTS = (
    (1.0, 0.0, 0.0),
    (0.95, 0.05, 0.0),
    (0.95, 0.0, 0.05),
    (0.9, 0.1, 0.0),
    (0.9, 0.05, 0.05),
    (0.9, 0.0, 0.1),
    (0.8, 0.2, 0.0),
    (0.8, 0.1, 0.1),
    (0.8, 0.0, 0.2),
    (0.65, 0.35, 0.0),
    (0.65, 0.0, 0.35),
    (0.6, 0.2, 0.2),
    (0.5, 0.5, 0.0),
    (0.5, 0.25, 0.25),
    (0.5, 0.0, 0.5),
    (0.3, 0.7, 0.0),
    (0.3, 0.35, 0.35),
    (0.3, 0.0, 0.7),
    (0.15, 0.85, 0.0),
    (0.15, 0.0, 0.85),
    (0.0, 1.0, 0.0),
    (0.0, 0.5, 0.5),
    (0.0, 0.0, 1.0),
)
ROUTERS = (
    *(f"classifier+jsq={t}" for t in (0.3, 0.5, 0.7, 1.0)),
    *(f"clusters+jsq={t}" for t in (0.25, 0.4, 0.53, 0.7, 0.8, 1.0)),
    *(f"winrate+jsq={t}" for t in (0.3, 0.5, 0.7)),
)
BALANCERS = (*(f"litellm:{s}" for s in STRATEGIES), "jsq", "power-of-2", "round-robin")
QUALITY_GAIN = 0.013
COST_RATIO = 1.02


def runs(scale: Scale) -> list[Run]:
    """The sweep and all baselines at one load."""
    ours = tuple(f"routebalance:{q:g},{e:g},{c:g}" for q, e, c in WEIGHTS)
    return grid((*ours, *ROUTERS, *BALANCERS, *ORACLE_BOUNDS), (RATE,), scale)


def blocks(measured: Measured) -> list[Block]:
    """All points, where the baselines lie, and how much quality there is to find."""
    ours = [p for p in measured.policies() if p.startswith("routebalance")]
    baselines = [p for p in measured.policies() if p not in ours and p not in ORACLE_BOUNDS]
    rows = tuple(
        (
            policy,
            measured.spread(policy, "quality").text(4),
            measured.spread(policy, "mean_e2e_s").text(),
            measured.spread(policy, "cost_usd_per_1k").text(4),
        )
        for policy in (*ours, *baselines)
    )
    best = max(baselines, key=lambda p: measured.spread(p, "quality").median)
    corner = max(ours, key=lambda p: measured.spread(p, "quality").median)
    gain = measured.difference(corner, best, "quality")
    cheapest = min(baselines, key=lambda p: measured.spread(p, "cost_usd_per_1k").median)
    thrifty = min(ours, key=lambda p: measured.spread(p, "cost_usd_per_1k").median)
    cost = measured.ratio(thrifty, cheapest, "cost_usd_per_1k")
    higher = {plane: above(measured, ours, baselines, plane) for plane in ("mean_e2e_s", "cost_usd_per_1k")}
    return [
        Block(
            Table(
                f"Weights swept (quality, latency, cost), at {RATE:g} requests/s",
                ("policy", "quality", "mean E2E (s)", "USD per 1,000"),
                rows,
            ),
            (
                Claim(
                    f"the quality corner has at least +{QUALITY_GAIN} over the best baseline",
                    f"{gain.text(4)} ({corner} against {best})",
                    gain.median >= QUALITY_GAIN,
                ),
                Claim(
                    f"the cost corner costs at most {COST_RATIO} of the cheapest baseline",
                    f"{cost.text(3)} ({thrifty} against {cheapest})",
                    cost.median <= COST_RATIO,
                ),
                *(
                    Claim(
                        f"no baseline lies above the front in quality against {name}",
                        "none" if not over else ", ".join(f"{p} by {by.text(4)}" for p, by in over.items()),
                        not over,
                    )
                    for name, over in (
                        ("mean E2E", higher["mean_e2e_s"]),
                        ("cost", higher["cost_usd_per_1k"]),
                    )
                ),
            ),
        ),
        _oracle_bounds(measured, corner, best),
    ]


_TOLD = {
    "best-model": "the best model alone",
    "kind-known": "each prompt's task known",
    "kind-known:foresight": "the tasks' means over these answers known too",
    "prompt-known": "every answer's quality known",
}


def _oracle_bounds(measured: Measured, corner: str, best: str) -> Block:
    """Quality over that of the best single model: ours, the best baseline's, and what there is."""
    rows = tuple(
        (
            called,
            measured.spread(policy, "quality").text(4),
            measured.difference(policy, ORACLE_BOUNDS[0], "quality").text(4),
        )
        for policy, called in {best: best, corner: corner, **_TOLD}.items()
    )
    reached = measured.difference(corner, "kind-known", "quality")
    return Block(
        Table(
            "How much quality there is",
            ("", "quality", "above the best model"),
            rows,
            "What is known of models is known from the training rows, but for the last two lines: those lie "
            "beyond any router.",
        ),
        (
            Claim(
                "the quality corner finds as much as knowing each prompt's task",
                reached.text(4),
                reached.median >= 0.0,
            ),
        ),
    )


def above(measured: Measured, ours: Sequence[str], baselines: Sequence[str], price: str) -> dict[str, Spread]:
    """Baselines with more quality than the front has at their price, and by how much.

    Which weights make the front is said by the medians over the seeds. They are then compared seed by seed:
    prompts differ more between seeds than policies do on the same prompts.
    """

    def points(policy: str) -> dict[int, tuple[float, float]]:
        return {r.seed: (r.figure(price), r.figure("quality")) for r in measured.results(policy)}

    def median(policy: str) -> tuple[float, float]:
        return measured.spread(policy, price).median, measured.spread(policy, "quality").median

    medians = {median(policy): policy for policy in ours}
    front = [points(medians[point]) for point in upper_hull(list(medians))]
    over = {}
    for policy in baselines:
        excesses = [
            _excess(sorted(weights[seed] for weights in front), *point)
            for seed, point in points(policy).items()
        ]
        by = Spread.of(excesses)
        if by.median > 1e-9:
            over[policy] = by
    return over


def _excess(front: Sequence[tuple[float, float]], price: float, quality: float) -> float:
    """Quality over what the front, points of (price, quality) by rising price, has at this price."""
    prices, qualities = zip(*front, strict=True)
    # Cheaper or faster than all of ours: above whatever its quality; beyond the last: the last holds.
    return quality - float(np.interp(price, prices, qualities)) if price >= prices[0] else quality


def upper_hull(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The rising part of the upper convex hull of (price, quality), cheapest first.

    Between two of its points lie the mixtures of their weights: a share of requests by the one, the rest by
    the other, which one stack serves as it serves any weights.
    """
    hull: list[tuple[float, float]] = []
    for x, y in sorted(points, key=lambda p: (p[0], -p[1])):
        if hull and y <= hull[-1][1]:
            continue
        while len(hull) > 1 and (hull[-1][1] - hull[-2][1]) * (x - hull[-2][0]) <= (y - hull[-2][1]) * (
            hull[-1][0] - hull[-2][0]
        ):
            hull.pop()
        hull.append((x, y))
    return hull


EXPERIMENT = Named("front", "One stack, its weights swept", runs, blocks)
