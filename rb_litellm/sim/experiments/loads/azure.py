"""A production trace end to end: its own arrivals and lengths, as recorded and at higher rates."""

from __future__ import annotations

from dataclasses import replace

from rb_litellm.sim.experiments.measured import Measured, Named, Scale, grid
from rb_litellm.sim.report.blocks import Block, Claim, Table
from rb_litellm.sim.workloads.workload import trace
from rb_litellm.sim.world import Run

FASTER = (1.0, 4.0)
"""Multiples of the trace's own rate."""
POLICIES = (
    "routebalance:balanced",
    "routebalance-selfish",
    "routebalance:latency",
    "litellm:simple-shuffle",
    "litellm:least-busy",
    "litellm:latency-based-routing",
    "classifier+jsq=0.5",
    "clusters+jsq=0.53",
    "jsq",
)


def runs(scale: Scale) -> list[Run]:
    """The whole trace; prompts and qualities differ from seed to seed, arrivals and lengths do not.

    Raises:
        ValueError: no trace was given.
    """
    if scale.trace is None:
        raise ValueError("this experiment replays a trace: give --trace FILE, of rows with arrival_s")
    times, _ = trace(scale.trace)
    number = len(times) if scale.requests >= 3534 else scale.requests
    own_rate = (len(times) - 1) / times[-1]
    every = grid(POLICIES, [round(own_rate * f, 3) for f in FASTER], scale)
    return [replace(run, requests=number, arrivals=str(scale.trace)) for run in every]


def blocks(measured: Measured) -> list[Block]:
    """A table for each rate."""
    rates = sorted({run.rate for run, _ in measured.pairs})
    return [_table(measured, rate) for rate in rates]


def _table(measured: Measured, rate: float) -> Block:
    rows = tuple(
        (
            policy,
            measured.spread(policy, "quality", rate=rate).text(3),
            measured.spread(policy, "mean_e2e_s", rate=rate).text(),
            measured.spread(policy, "p95_e2e_s", rate=rate).text(1),
            measured.spread(policy, "p95_ttft_s", rate=rate).text(2),
            measured.spread(policy, "cost_usd_per_1k", rate=rate).text(4),
            str(sum(r.failed for r in measured.results(policy, rate=rate))),
        )
        for policy in measured.policies()
    )
    requests = measured.pairs[0][0].requests
    worst = max(
        measured.ratio("routebalance:balanced", p, "mean_e2e_s", rate=rate).median
        for p in ("litellm:simple-shuffle", "litellm:least-busy")
    )
    columns = (f"{rate:.1f} requests/s", "quality", "mean E2E (s)", "p95 E2E (s)", "p95 TTFT (s)")
    return Block(
        Table(
            f"{requests:,} requests of the trace at {rate:.1f}/s",
            (*columns, "USD per 1,000", "failed"),
            rows,
        ),
        (
            Claim(
                "balanced is at least as fast as LiteLLM's shuffle and least-busy",
                f"at most {worst:.3f} of their mean E2E",
                worst <= 1.0,
            ),
        ),
    )


EXPERIMENT = Named("azure", "A production trace", runs, blocks)
