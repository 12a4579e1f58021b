"""What each part of RouteBalance buys, left out alone."""

from __future__ import annotations

from rb_litellm.sim.experiments.measured import Measured, Named, Scale, grid
from rb_litellm.sim.report.blocks import Block, Claim, Table
from rb_litellm.sim.world import Run

RATES = (12.0, 30.0, 120.0)
FULL = "routebalance:balanced"
ARMS = {
    FULL: "all parts",
    "routebalance-priors": "means instead of learned quality and length",
    "routebalance-static": "prior latency instead of learned",
    "routebalance-nobatch": "each request decided alone",
    "routebalance-nosequential": "a batch decided on one and the same state",
    "routebalance-noreckoning": "open requests count in full until they end",
    "routebalance-noload": "idle servers assumed",
    "routebalance-selfish": "what others lose by a request is not priced",
    "decoupled-predictive": "model first, then its quickest server",
    "oracle": "true quality and length",
}
_FIGURES = (
    ("mean_e2e_s", 2),
    ("p95_e2e_s", 2),
    ("quality", 3),
    ("cost_usd_per_1k", 4),
    ("max_share_ratio", 2),
)


def runs(scale: Scale) -> list[Run]:
    """All arms at low, usual and high load."""
    return grid(tuple(ARMS), RATES, scale)


def blocks(measured: Measured) -> list[Block]:
    """One table per load."""
    return [_table(measured, rate) for rate in RATES]


def _table(measured: Measured, rate: float) -> Block:
    rows = tuple(
        (
            policy,
            what,
            *(measured.spread(policy, figure, rate=rate).text(digits) for figure, digits in _FIGURES),
        )
        for policy, what in ARMS.items()
    )
    learned = measured.difference(FULL, "routebalance-priors", "quality", rate=rate)
    batch = measured.ratio("routebalance-nobatch", FULL, "mean_e2e_s", rate=rate)
    return Block(
        Table(
            f"Parts left out, at {rate:g} requests/s",
            (
                "policy",
                "what it does without",
                "mean E2E (s)",
                "p95 E2E (s)",
                "quality",
                "USD per 1,000",
                "herding",
            ),
            rows,
            "Herding: the busiest server's share of its tier over the mean share.",
        ),
        (
            Claim("learned predictors raise quality", f"{learned.text(3)}", learned.median > 0.0),
            Claim(
                "deciding without batches costs no E2E worth mentioning (within 2%)",
                f"{batch.text(3)} times the E2E",
                abs(batch.median - 1.0) <= 0.02,
            ),
        ),
    )


EXPERIMENT = Named("ablations", "What each part buys", runs, blocks)
