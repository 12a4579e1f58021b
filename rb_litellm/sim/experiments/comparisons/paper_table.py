"""The paper's table: mean E2E of the presets, the arms and the baselines at 6 to 30 requests/s."""

from __future__ import annotations

from rb_litellm.sim.experiments.measured import Measured, Named, Scale, grid
from rb_litellm.sim.report.blocks import Block, Claim, Table
from rb_litellm.sim.world import Run

RATES = (6.0, 12.0, 18.0, 24.0, 30.0)
PAPER_S: dict[str, dict[float, float]] = {
    "routebalance:balanced": {12.0: 2.4, 30.0: 2.8},
    "decoupled-predictive": {12.0: 3.42, 24.0: 3.50, 30.0: 3.75},
}
"""Mean E2E in s as the paper reports it (arXiv 2606.17949)."""
OURS = ("routebalance:balanced", "routebalance:quality", "routebalance:latency", "routebalance:cost")
ARMS = ("routebalance-static", "decoupled-predictive")
CLASSIFIER = ("classifier+jsq=0.5", "classifier+jsq=0.7", "classifier+jsq=1.0")
"""At the thresholds of the paper; at 1.0 none is likely enough and the likeliest best model is taken."""
SERIAL = "classifier+jsq=1.0:serial"
OTHERS = ("clusters+jsq=0.53", "clusters+jsq=0.8", "winrate+jsq=0.5", "jsq", "round-robin", "oracle")
LEAD = 2.6


def runs(scale: Scale) -> list[Run]:
    """All policies at all rates."""
    return grid((*OURS, *ARMS, *CLASSIFIER, SERIAL, *OTHERS), RATES, scale)


def blocks(measured: Measured) -> list[Block]:
    """The table, the paper beside it, and the lead over the classifier router."""
    return [_table(measured), _beside_the_paper(measured), _lead(measured)]


def _table(measured: Measured) -> Block:
    rows = tuple(
        (
            policy,
            *(measured.spread(policy, "mean_e2e_s", rate=rate).text() for rate in RATES),
            measured.spread(policy, "quality", rate=30.0).text(3),
            measured.spread(policy, "cost_usd_per_1k", rate=30.0).text(4),
        )
        for policy in measured.policies()
    )
    loads = (f"{rate:g}/s" for rate in RATES)
    columns = ("mean E2E (s)", *loads, "quality at 30/s", "USD per 1,000 at 30/s")
    note = (
        "Median [smallest, largest] over the seeds. `=t` is a router's threshold; `serial` scores one prompt "
        "at a time, 65 ms each, the others all at once, 9 ms each."
    )
    return Block(Table("Mean E2E against load", columns, rows, note))


def _beside_the_paper(measured: Measured) -> Block:
    rows = []
    for policy, told in PAPER_S.items():
        for rate, paper_s in told.items():
            ours = measured.spread(policy, "mean_e2e_s", rate=rate)
            apart = ours.median / paper_s - 1.0
            rows.append((policy, f"{rate:g}/s", f"{paper_s:.2f}", ours.text(), f"{100 * apart:+.0f}%"))
    static = {
        rate: measured.ratio("routebalance-static", "routebalance:balanced", "mean_e2e_s", rate=rate)
        for rate in (12.0, 30.0)
    }
    gap = {
        rate: measured.ratio("decoupled-predictive", "routebalance:balanced", "mean_e2e_s", rate=rate)
        for rate in (12.0, 30.0)
    }
    return Block(
        Table(
            "Beside the paper",
            ("policy", "load", "paper (s)", "simulated (s)", "apart"),
            tuple(rows),
            "Answers are as long as the paper's times imply; models and prompts are substitutes: "
            "compare size and order, not the second digit.",
        ),
        (
            Claim(
                "the static latency prior does as well as the learned model (mean E2E within 3%)",
                ", ".join(f"{r.text(3)} at {rate:g}/s" for rate, r in static.items()),
                all(abs(r.median - 1.0) <= 0.03 for r in static.values()),
            ),
            Claim(
                "choosing the model without the price of latency is slower (decoupled over balanced)",
                ", ".join(f"{r.text(2)} at {rate:g}/s" for rate, r in gap.items()) + " (paper: 1.43, 1.34)",
                all(r.low > 1.0 for r in gap.values()),
            ),
        ),
    )


def _lead(measured: Measured) -> Block:
    balanced = "routebalance:balanced"
    rows = [
        (
            policy,
            measured.ratio(policy, balanced, "mean_e2e_s", rate=30.0).text(),
            measured.difference(balanced, policy, "quality", rate=30.0).text(3),
            measured.ratio(policy, balanced, "cost_usd_per_1k", rate=30.0).text(),
        )
        for policy in (*CLASSIFIER, SERIAL)
    ]
    lead = measured.ratio(CLASSIFIER[-1], balanced, "mean_e2e_s", rate=30.0)
    low, high = (measured.spread(SERIAL, "mean_e2e_s", rate=rate) for rate in (12.0, 30.0))
    return Block(
        Table(
            "The classifier router against balanced, at 30 requests/s",
            ("router", "E2E over ours", "our quality minus its", "cost over ours"),
            tuple(rows),
            "Its threshold trades quality for speed; the lead is over the setting that keeps its quality.",
        ),
        (
            Claim(
                f"balanced is at least {LEAD} times faster than the concurrent classifier at full quality",
                f"{lead.text()} times",
                lead.median >= LEAD,
            ),
            Claim(
                "the serial form collapses under load (mean E2E at 30/s at least five times that at 12/s)",
                f"{low.text(1)} s at 12/s, {high.text(1)} s at 30/s",
                high.median >= 5.0 * low.median,
            ),
        ),
    )


EXPERIMENT = Named("paper-table", "The paper's table on its 13 servers", runs, blocks)
