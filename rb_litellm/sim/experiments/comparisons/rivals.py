"""Routers of other projects on the same arrivals: evenly, in square waves, and in conversations."""

from __future__ import annotations

from dataclasses import replace

from rb_litellm.sim.experiments.comparisons.front import WEIGHTS, above
from rb_litellm.sim.experiments.measured import Measured, Named, Scale, grid
from rb_litellm.sim.report.blocks import Block, Claim, Table
from rb_litellm.sim.world import Run

PRESETS = tuple(f"routebalance:{name}" for name in ("balanced", "quality", "latency", "cost", "cheapest"))
AFFINITY = "routebalance-affinity"
RIVALS = (
    "multi-factor",
    "multi-factor=0.7,0.1,0.1,0.1",
    "multi-factor=0.1,0.1,0.1,0.7",
    "peak-ewma",
    "sticky-until-saturated",
    "least-busy-1.110",
)
LOADS = {
    "steady 18/s": Run("", 18.0),
    "square wave 30/6": Run("", 18.0, arrivals="square:0.33333,1.66667"),
    "overload wave 40/6": Run("", 23.0, arrivals="square:0.26087,1.73913"),
    "conversations 18/s": Run("", 18.0, workload="conversations"),
}
"""Two are the paper's: requests per second in turn, half a minute each."""
STEADY = LOADS["steady 18/s"]


def runs(scale: Scale) -> list[Run]:
    """Presets and rivals under each load; the sweep of weights once, for the front."""
    every = []
    for load in LOADS.values():
        ours = (*PRESETS, AFFINITY) if load.workload == "conversations" else PRESETS
        settings = grid((*ours, *RIVALS), (load.rate,), scale)
        every += [replace(run, arrivals=load.arrivals, workload=load.workload) for run in settings]
    swept = tuple(f"routebalance:{q:g},{e:g},{c:g}" for q, e, c in WEIGHTS)
    return [*every, *grid(swept, (STEADY.rate,), scale)]


def blocks(measured: Measured) -> list[Block]:
    """A table for each load, each rival against the nearest of our settings, and the front."""
    return [*(_table(measured, name) for name in LOADS), _against(measured), _front(measured)]


def _where(load: Run) -> dict[str, object]:
    return {"arrivals": load.arrivals, "workload": load.workload, "rate": load.rate}


def _ours(load: Run) -> tuple[str, ...]:
    return (*PRESETS, AFFINITY) if load.workload == "conversations" else PRESETS


def _table(measured: Measured, name: str) -> Block:
    load = LOADS[name]
    rows = tuple(
        (
            policy,
            measured.spread(policy, "quality", **_where(load)).text(3),
            measured.spread(policy, "mean_e2e_s", **_where(load)).text(),
            measured.spread(policy, "p95_e2e_s", **_where(load)).text(1),
            measured.spread(policy, "p95_ttft_s", **_where(load)).text(2),
            measured.spread(policy, "cost_usd_per_1k", **_where(load)).text(4),
        )
        for policy in (*_ours(load), *RIVALS)
    )
    columns = (name, "quality", "mean E2E (s)", "p95 E2E (s)", "p95 TTFT (s)", "USD per 1,000")
    return Block(Table(f"Other projects' routers: {name}", columns, rows))


def _against(measured: Measured) -> Block:
    rows, losses = [], []
    for name, load in LOADS.items():
        for rival in RIVALS:
            margins = {p: measured.margins(p, rival, **_where(load)) for p in _ours(load)}
            best = max(margins, key=lambda p: min(margins[p]))
            quality, e2e, cost = margins[best]
            rows.append((rival, name, best, f"{quality:+.1%}", f"{-e2e:+.1%}", f"{-cost:+.1%}"))
            if min(margins[best]) < 0.0:
                losses.append(f"{rival} ({name}) by {-min(margins[best]):.1%}")
    return Block(
        Table(
            "Each rival against the preset nearest to better in all three",
            ("rival", "load", "preset", "quality", "mean E2E", "cost"),
            tuple(rows),
            "Medians over the seeds of our figure relative to the rival's.",
        ),
        (
            Claim(
                "better or equal in quality, mean E2E and cost at once with one of the presets",
                "against every rival under every load" if not losses else "not against " + ", ".join(losses),
                not losses,
            ),
        ),
    )


def _front(measured: Measured) -> Block:
    steady = Measured([(r, result) for r, result in measured.pairs if _is_steady(r)], measured.cluster)
    ours = [p for p in steady.policies() if p.startswith("routebalance")]
    claims, rows = [], []
    for plane, called in (("mean_e2e_s", "mean E2E"), ("cost_usd_per_1k", "cost")):
        over = above(steady, ours, RIVALS, plane)
        rows += [(called, rival, by.text(4)) for rival, by in over.items()]
        claims.append(
            Claim(
                f"no rival lies above the front in quality against {called}",
                "none" if not over else ", ".join(f"{p} by {by.text(4)}" for p, by in over.items()),
                not over,
            )
        )
    columns = ("against", "rival above the front", "quality")
    rows = rows or [("mean E2E, cost", "none", "")]
    return Block(Table("The front of swept weights, steady 18/s", columns, tuple(rows)), tuple(claims))


def _is_steady(run: Run) -> bool:
    return (run.rate, run.arrivals, run.workload) == (STEADY.rate, STEADY.arrivals, STEADY.workload)


EXPERIMENT = Named("rivals", "Routers of other projects", runs, blocks)
