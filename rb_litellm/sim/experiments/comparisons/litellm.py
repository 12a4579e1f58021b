"""LiteLLM's own strategies, run by their own code, against presets and other weights on the same arrivals."""

from __future__ import annotations

from collections.abc import Sequence

from rb_litellm.sim.experiments.measured import Measured, Named, Scale, grid
from rb_litellm.sim.report.blocks import Block, Claim, Table
from rb_litellm.sim.world import Run

RATES = (12.0, 24.0, 30.0)
PRESETS = ("standard", "balanced", "quality", "latency", "cost", "cheapest")
BETWEEN = ("0.5,0.25,0.25", "0.25,0.5,0.25", "0,0.5,0.5")
"""Further weights of the same stack (quality, latency, cost), between the presets."""
STRATEGIES = (
    "simple-shuffle",
    "least-busy",
    "latency-based-routing",
    "usage-based-routing-v2",
    "cost-based-routing",
)


def runs(scale: Scale) -> list[Run]:
    """Presets and strategies at all rates."""
    ours = (f"routebalance:{weights}" for weights in (*PRESETS, *BETWEEN))
    policies = (*ours, *(f"litellm:{s}" for s in STRATEGIES))
    return grid(policies, RATES, scale)


def blocks(measured: Measured) -> list[Block]:
    """A table of all, and for each strategy the weights that leave least to wish."""
    return [
        *(_table(measured, rate) for rate in RATES),
        _against(measured, PRESETS, "preset"),
        _against(measured, (*PRESETS, *BETWEEN), "weight vector"),
    ]


def _table(measured: Measured, rate: float) -> Block:
    rows = tuple(
        (
            policy,
            measured.spread(policy, "quality", rate=rate).text(3),
            measured.spread(policy, "mean_e2e_s", rate=rate).text(),
            measured.spread(policy, "p95_e2e_s", rate=rate).text(1),
            measured.spread(policy, "cost_usd_per_1k", rate=rate).text(4),
        )
        for policy in measured.policies()
    )
    columns = (f"{rate:g} requests/s", "quality", "mean E2E (s)", "p95 E2E (s)", "USD per 1,000")
    return Block(Table(f"LiteLLM's strategies and the presets at {rate:g}/s", columns, rows))


def _against(measured: Measured, choices: Sequence[str], called: str) -> Block:
    rows, losses = [], []
    for strategy in STRATEGIES:
        for rate in RATES:
            # The one whose worst figure is best; from zero on it is better or equal in all three.
            margins = {
                p: measured.margins(f"routebalance:{p}", f"litellm:{strategy}", rate=rate) for p in choices
            }
            best = max(choices, key=lambda p: min(margins[p]))
            quality, e2e, cost = margins[best]
            rows.append((strategy, f"{rate:g}/s", best, f"{quality:+.1%}", f"{-e2e:+.1%}", f"{-cost:+.1%}"))
            if min(margins[best]) < 0.0:
                losses.append(f"{strategy} at {rate:g}/s by {-min(margins[best]):.1%}")
    return Block(
        Table(
            f"Each strategy against the {called} nearest to better in all three",
            ("strategy", "load", called, "quality", "mean E2E", "cost"),
            tuple(rows),
            "Medians over the seeds of our figure relative to the strategy's.",
        ),
        (
            Claim(
                f"better or equal in quality, mean E2E and cost at once with one of the {called}s",
                "against every strategy at every load" if not losses else "not against " + ", ".join(losses),
                not losses,
            ),
        ),
    )


EXPERIMENT = Named("litellm", "LiteLLM's own strategies", runs, blocks)
