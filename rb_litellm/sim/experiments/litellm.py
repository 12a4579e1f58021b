"""LiteLLM's own strategies, run by their own code, against the four presets on the same arrivals."""

from __future__ import annotations

from rb_litellm.sim.experiments.measured import Measured, Named, Scale, grid
from rb_litellm.sim.report.blocks import Block, Table, Verdict
from rb_litellm.sim.world import Run

RATES = (12.0, 24.0, 30.0)
PRESETS = ("balanced", "quality", "latency", "cost")
STRATEGIES = (
    "simple-shuffle",
    "least-busy",
    "latency-based-routing",
    "usage-based-routing-v2",
    "cost-based-routing",
)
_FIGURES = ("quality", "mean_e2e_s", "cost_usd_per_1k")


def runs(scale: Scale) -> list[Run]:
    """Presets and strategies at all rates."""
    policies = (*(f"routebalance:{p}" for p in PRESETS), *(f"litellm:{s}" for s in STRATEGIES))
    return grid(policies, RATES, scale)


def blocks(measured: Measured) -> list[Block]:
    """A table of all, and for each strategy the preset that leaves least to wish."""
    return [_table(measured, rate) for rate in RATES] + [_against(measured)]


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


def _against(measured: Measured) -> Block:
    rows, losses = [], []
    for strategy in STRATEGIES:
        for rate in RATES:
            # The preset whose worst figure is best; above zero it is better in all three.
            margins = {p: _margins(measured, p, strategy, rate) for p in PRESETS}
            best = max(PRESETS, key=lambda p: min(margins[p]))
            quality, e2e, cost = margins[best]
            rows.append((strategy, f"{rate:g}/s", best, f"{quality:+.1%}", f"{-e2e:+.1%}", f"{-cost:+.1%}"))
            if min(margins[best]) < 0.0:
                losses.append(f"{strategy} at {rate:g}/s by {-min(margins[best]):.1%}")
    return Block(
        Table(
            "Each strategy against the preset that leaves least to wish",
            ("strategy", "load", "preset", "quality", "mean E2E", "cost"),
            tuple(rows),
            "Medians over the seeds of our figure relative to the strategy's.",
        ),
        (
            Verdict(
                "some preset is better or equal in quality, mean E2E and cost at once",
                "against every strategy at every load" if not losses else "not against " + ", ".join(losses),
                not losses,
            ),
        ),
    )


def _margins(measured: Measured, preset: str, strategy: str, rate: float) -> tuple[float, float, float]:
    """Relative gains in quality, E2E and cost: positive is better."""
    quality, e2e, cost = (
        measured.ratio(f"routebalance:{preset}", f"litellm:{strategy}", f, rate=rate).median for f in _FIGURES
    )
    return quality - 1.0, 1.0 - e2e, 1.0 - cost


EXPERIMENT = Named("litellm", "LiteLLM's own strategies", runs, blocks)
