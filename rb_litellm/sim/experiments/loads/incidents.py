"""The table of the incidents: RouteBalance beside LiteLLM's strategies and Peak-EWMA with two choices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Any

import numpy as np

from rb_litellm.predictors.registry import PredictionSource
from rb_litellm.sim import incidents
from rb_litellm.sim.incidents import Incident, Judged
from rb_litellm.sim.policies.by_name import Surroundings, make_policy
from rb_litellm.sim.report.blocks import Block, Claim, Table
from rb_litellm.sim.workloads.workload import Corpus
from rb_litellm.spread.where import HERE, Where
from rb_litellm.spread.work import Work, whole

OURS = "routebalance:balanced"
OTHERS = (
    "litellm:simple-shuffle",
    "litellm:least-busy",
    "litellm:latency-based-routing",
    "litellm:usage-based-routing-v2",
    "litellm:cost-based-routing",
    "peak-ewma",
)
EXPLORATIONS = tuple(f"{OURS}+{method}" for method in ("none", "epsilon", "thompson"))
MOST_WORSE = 1.05
_NOTHING = Corpus((), (), np.zeros((0, 1)), np.zeros((0, 1)))
"""No policy here is trained."""


@dataclass(frozen=True)
class Cell:
    """One policy through one incident."""

    incident: str
    policy: str
    seed: int

    def title(self) -> str:
        """What messages call it."""
        return f"{self.incident}, {self.policy}, seed {self.seed}"


def carry_out(
    seeds: Sequence[int],
    where: Where = HERE,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> dict[str, dict[str, list[Judged]]]:
    """Every policy through every incident, once a seed. `progress` hears how many are done, and of how many.

    Raises:
        SpreadError: one of them failed, or `where` cannot be used.
    """
    cells = [
        Cell(incident.name, policy, seed)
        for incident in incidents.incidents()
        for seed in seeds
        # The other ways to explore are shown for comparison only: one seed says enough.
        for policy in (OURS, *(EXPLORATIONS if seed == seeds[0] else ()), *OTHERS)
    ]
    done = count(1)
    with where.team(Work(_run, None, Cell.title)) as team:
        judged = whole(team.map(cells, lambda _: progress(next(done), len(cells))))
    found: dict[str, dict[str, list[Judged]]] = {}
    for cell, made in zip(cells, judged, strict=True):
        found.setdefault(cell.incident, {}).setdefault(cell.policy, []).append(made)
    return found


def _run(_: None, cell: Cell) -> Judged:
    around = Surroundings(incidents.cluster(), _NOTHING, PredictionSource())
    incident = next(one for one in incidents.incidents() if one.name == cell.incident)
    asked = incidents.requests(incident, cell.seed)
    return incidents.run(
        incident, partial(make_policy, cell.policy, around, asked, cell.seed), asked, cell.seed
    )


def as_json(found: dict[str, dict[str, list[Judged]]]) -> list[dict[str, Any]]:
    """One object an incident."""
    rows = []
    for name, its in found.items():
        ours = _mean(its[OURS], "mean_e2e_s")
        best = min(OTHERS, key=lambda policy: _mean(its[policy], "mean_e2e_s"))
        other = _mean(its[best], "mean_e2e_s")
        rows.append(
            {
                "name": name,
                "routebalance_mean_e2e_s": round(ours, 4),
                "best_other": best,
                "best_other_mean_e2e_s": round(other, 4),
                "ratio": round(ours / other, 4),
                "policies": {
                    policy: {
                        figure: round(_mean(judged, figure), 4)
                        for figure in ("mean_e2e_s", "p95_e2e_s", "failed", "quality", "cost_usd_per_1k")
                    }
                    for policy, judged in its.items()
                },
            }
        )
    return rows


def blocks(found: dict[str, dict[str, list[Judged]]]) -> list[Block]:
    """The table, and what it decides."""
    rows = as_json(found)
    columns = ("mean E2E (s)", "routebalance", "best other", "", "ratio", "none", "epsilon", "thompson")
    cells = tuple(
        (
            row["name"],
            f"{row['routebalance_mean_e2e_s']:.2f}",
            f"{row['best_other_mean_e2e_s']:.2f}",
            row["best_other"],
            f"{row['ratio']:.3f}",
            *(f"{row['policies'][policy]['mean_e2e_s']:.2f}" for policy in EXPLORATIONS),
        )
        for row in rows
    )
    worst = max(rows, key=lambda row: row["ratio"])
    better = sum(row["ratio"] < 1.0 for row in rows)
    return [
        Block(
            Table("Twelve incidents", columns, cells, "The last three: RouteBalance exploring otherwise."),
            (
                Claim(
                    "in no incident more than 5% slower than the best of the others",
                    f"at most {worst['ratio']:.3f} ({worst['name']})",
                    worst["ratio"] <= MOST_WORSE,
                ),
                Claim("faster than the best of the others in most", f"in {better} of {len(rows)}",
                      better > len(rows) / 2),
            ),
        )
    ]  # fmt: skip


def _mean(judged: Sequence[Judged], figure: str) -> float:
    return float(np.mean([getattr(one, figure) for one in judged]))


__all__ = ["Incident", "as_json", "blocks", "carry_out"]
