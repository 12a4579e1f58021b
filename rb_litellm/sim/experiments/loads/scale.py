"""Scale: more deployments, more workers, staler gauges; load grows with the deployments."""

from __future__ import annotations

from dataclasses import replace

from rb_litellm.sim.experiments.measured import Measured, Named, Scale
from rb_litellm.sim.report.blocks import Block, Claim, Table
from rb_litellm.sim.report.statistics import spread
from rb_litellm.sim.world import Run

SIZES = (13, 128, 1000)
WORKERS = (1, 4, 16)
GAUGES_S = (0.2, 1.0)
RATE_EACH = 30.0 / 13.0
"""Requests per second and deployment."""
SECONDS_EACH = {13: 120.0, 128: 40.0, 1000: 10.0}
"""Simulated seconds: larger clusters see as many requests in less."""


def runs(scale: Scale) -> list[Run]:
    """Sizes x workers x ages of the gauges; the queue balancer, which sees every queue exactly, beside it."""
    every = []
    share = scale.requests / 3534.0
    for size in SIZES:
        rate = RATE_EACH * size
        number = max(int(rate * SECONDS_EACH[size] * share), 50)
        for seed in scale.seeds:
            every.append(Run("jsq", rate, seed, number, deployments=size))
            ours = Run("routebalance:balanced", rate, seed, number, deployments=size)
            every += [
                replace(ours, workers=workers, gauges_s=gauges_s)
                for workers in WORKERS
                for gauges_s in (GAUGES_S if workers > 1 else GAUGES_S[:1])
            ]
    return every


def blocks(measured: Measured) -> list[Block]:
    """One table of all, and what staleness does."""
    groups: dict[Run, list[int]] = {}
    for n, (run, _) in enumerate(measured.pairs):
        groups.setdefault(_without_seed(run), []).append(n)
    rows = []
    for run, members in groups.items():
        results = [measured.pairs[n][1] for n in members]
        ours = run.policy.startswith("routebalance")
        rows.append(
            (
                f"{run.policy}, {run.deployments} deployments",
                f"{run.workers}" if ours else "-",
                f"{run.gauges_s:g}" if ours and run.workers > 1 else "-",
                spread(results, "mean_e2e_s").text(),
                spread(results, "p95_e2e_s").text(),
                spread(results, "max_share_ratio").text(),
                spread(results, "decision_us").text(0),
            )
        )

    def e2e(size: int, workers: int) -> float:
        return measured.spread(
            "routebalance:balanced", "mean_e2e_s", deployments=size, workers=workers, gauges_s=0.2
        ).median

    def cost_us(size: int) -> float:
        return measured.spread("routebalance:balanced", "decision_us", deployments=size, workers=1).median

    stale = {size: e2e(size, 16) / e2e(size, 1) for size in SIZES}
    growth = cost_us(SIZES[-1]) / cost_us(SIZES[0])
    return [
        Block(
            Table(
                "Deployments, workers and the age of their gauges",
                ("", "workers", "gauges (s)", "mean E2E (s)", "p95 E2E (s)", "herding", "us per decision"),
                tuple(rows),
                "2.3 requests/s for each deployment. Herding: the busiest server's share of its tier over "
                "the mean share. Decisions are timed as this process ran them, batches shared out.",
            ),
            (
                Claim(
                    "sixteen workers with gauges of 0.2 s cost at most 5% of mean E2E over one",
                    ", ".join(f"{100 * (r - 1):+.1f}% at {size}" for size, r in stale.items()),
                    max(stale.values()) <= 1.05,
                ),
                Claim(
                    f"a decision's cost grows less than the deployments ({SIZES[-1] // SIZES[0]} times)",
                    f"{growth:.1f} times",
                    growth < SIZES[-1] / SIZES[0],
                ),
            ),
        )
    ]


def _without_seed(run: Run) -> Run:
    return replace(run, seed=0)


EXPERIMENT = Named("scale", "Deployments, workers, stale gauges", runs, blocks)
