"""Bursts: Gamma arrivals and square waves, and why the paper loses there to a router by clusters."""

from __future__ import annotations

from dataclasses import replace

from rb_litellm.sim.experiments.measured import Measured, Named, Scale, grid
from rb_litellm.sim.report.blocks import Block, Claim, Table
from rb_litellm.sim.world import Run

RATE = 18.0
ARRIVALS = ("poisson", "gamma:0.3", "square:0.5,1.5")
BALANCED = "routebalance:balanced"
AS_PAPER = "routebalance-window"
CLUSTERS = ("clusters+jsq=0.25", "clusters+jsq=0.4", "clusters+jsq=0.53", "clusters+jsq=0.8")
OTHERS = (
    "routebalance:latency",
    "classifier+jsq=0.5",
    "classifier+jsq=1.0:serial",
    "jsq",
    "litellm:least-busy",
)


def runs(scale: Scale) -> list[Run]:
    """All policies under each process."""
    policies = (BALANCED, AS_PAPER, *CLUSTERS, *OTHERS)
    return [
        replace(run, arrivals=arrivals) for arrivals in ARRIVALS for run in grid(policies, (RATE,), scale)
    ]


def blocks(measured: Measured) -> list[Block]:
    """E2E under each process, and what a window of the paper's length costs."""
    rows = tuple(
        (
            policy,
            *(measured.spread(policy, "mean_e2e_s", arrivals=a).text() for a in ARRIVALS),
            measured.spread(policy, "p95_e2e_s", arrivals="gamma:0.3").text(),
            measured.spread(policy, "quality", arrivals="gamma:0.3").text(3),
            measured.spread(policy, "cost_usd_per_1k", arrivals="gamma:0.3").text(4),
        )
        for policy in measured.policies()
    )
    columns = ("mean E2E (s)", *ARRIVALS, "p95 E2E, gamma", "quality, gamma", "USD per 1,000, gamma")
    window = measured.difference(AS_PAPER, BALANCED, "mean_e2e_s", arrivals="gamma:0.3")
    claims = [
        Claim(
            "waiting to fill a batch, as the paper's stack does, costs more than the paper's loss of 0.05 s",
            f"{window.text(3)} s",
            window.median > 0.05,
        )
    ]
    for policy in CLUSTERS:
        e2e = {a: measured.ratio(BALANCED, policy, "mean_e2e_s", arrivals=a) for a in ARRIVALS}
        quality = measured.difference(BALANCED, policy, "quality", arrivals="gamma:0.3")
        cost = measured.ratio(BALANCED, policy, "cost_usd_per_1k", arrivals="gamma:0.3")
        claims.append(
            Claim(
                f"balanced is faster than {policy} under all three",
                ", ".join(f"{r.median:.3f} of its E2E ({a})" for a, r in e2e.items())
                + f"; under gamma quality {quality.median:+.3f}, cost {cost.median:.3f} of its",
                all(r.high <= 1.0 for r in e2e.values()),
            )
        )
    return [Block(Table(f"Bursts at {RATE:g} requests/s", columns, rows), tuple(claims))]


EXPERIMENT = Named("bursts", "Bursts", runs, blocks)
