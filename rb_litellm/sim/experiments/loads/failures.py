"""Failures: do they count for what they cost, and never do worse than LiteLLM's cooldown alone?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np

from rb_litellm.core.decision.scoring import PRESETS
from rb_litellm.predictors.registry import PredictionSource
from rb_litellm.sim import failures
from rb_litellm.sim.failures import Failures, Seen
from rb_litellm.sim.incidents import Incident, cluster, requests
from rb_litellm.sim.policies.by_name import Surroundings, make_policy
from rb_litellm.sim.policies.policy import Policy
from rb_litellm.sim.policies.routebalance.arms import Arms
from rb_litellm.sim.policies.routebalance.as_in_proxy import RouteBalance
from rb_litellm.sim.report.blocks import Block, Claim, Table
from rb_litellm.sim.workloads.workload import Corpus
from rb_litellm.spread.where import HERE, Where
from rb_litellm.spread.work import Work, whole

OURS, WITHOUT = "routebalance:balanced", "routebalance:balanced without"
OTHERS = ("litellm:simple-shuffle", "litellm:least-busy", "litellm:latency-based-routing")
_NOISE = 1.02
_NOTHING = Corpus((), (), np.zeros((0, 1)), np.zeros((0, 1)))
"""No policy here is trained."""


@dataclass(frozen=True)
class Cell:
    """One policy through one scene."""

    scene: Failures
    policy: str
    seed: int

    def title(self) -> str:
        """What messages call it."""
        return f"{self.scene.name}, {self.policy}, seed {self.seed}"


def carry_out(
    seeds: Sequence[int],
    where: Where = HERE,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> dict[str, dict[str, Seen]]:
    """Every policy through every scene: means over the seeds.

    `progress` hears how many are done, and of how many.

    Raises:
        SpreadError: one of them failed, or `where` cannot be used.
    """
    policies = (OURS, WITHOUT, *OTHERS)
    cells = [Cell(scene, policy, seed) for scene in failures.SCENES for policy in policies for seed in seeds]
    done = count(1)
    with where.team(Work(_run, None, Cell.title)) as team:
        seen = whole(team.map(cells, lambda _: progress(next(done), len(cells))))
    found: dict[str, dict[str, list[Seen]]] = {}
    for cell, made in zip(cells, seen, strict=True):
        found.setdefault(cell.scene.name, {}).setdefault(cell.policy, []).append(made)
    return {scene: {policy: _mean(its) for policy, its in by.items()} for scene, by in found.items()}


def _run(_: None, cell: Cell) -> Seen:
    asked = requests(Incident("none"), cell.seed)
    return failures.run(cell.scene, _policy(cell, asked), asked, cell.seed)


def _policy(cell: Cell, asked: Sequence[Any]) -> Policy:
    if cell.policy == WITHOUT:
        arms = Arms(failures=False)
        weights = PRESETS["balanced"]
        return RouteBalance(WITHOUT, cluster(), weights, PredictionSource(), arms=arms, seed=cell.seed)
    around = Surroundings(cluster(), _NOTHING, PredictionSource())
    return make_policy(cell.policy, around, asked, cell.seed)


def as_json(found: dict[str, dict[str, Seen]]) -> list[dict[str, Any]]:
    """One object a scene."""
    return [
        {
            "name": scene,
            "policies": {
                policy: {figure: round(getattr(seen, figure), 4) for figure in seen.__slots__}
                for policy, seen in its.items()
            },
        }
        for scene, its in found.items()
    ]


def blocks(found: dict[str, dict[str, Seen]]) -> list[Block]:
    """The table, and what it decides."""
    policies = (OURS, WITHOUT, *OTHERS)
    columns = ("failed / mean E2E (s) / USD per 1,000", "with", "without", *OTHERS)
    cells = tuple(
        (
            scene,
            *(
                f"{its[policy].failed:.1f} / {its[policy].mean_e2e_s:.2f} / {its[policy].usd_per_1k:.4f}"
                for policy in policies
            ),
        )
        for scene, its in found.items()
    )
    more = {scene: its[OURS].failed - its[WITHOUT].failed for scene, its in found.items()}
    slower = {scene: its[OURS].mean_e2e_s / its[WITHOUT].mean_e2e_s for scene, its in found.items()}
    most, slowest = max(more, key=lambda s: more[s]), max(slower, key=lambda s: slower[s])
    return [
        Block(
            Table(
                "Failures, all under LiteLLM's cooldown",
                columns,
                cells,
                "Without: RouteBalance that learns nothing from attempts that fail.",
            ),
            (
                Claim(
                    "nowhere more failed requests than with the cooldown alone",
                    f"{more[most]:+.1f} ({most})",
                    more[most] <= 0.0,
                ),
                Claim(
                    "nowhere more than 2% slower than with it",
                    f"at most {slower[slowest]:.3f} ({slowest})",
                    slower[slowest] <= _NOISE,
                ),
            ),
        )
    ]


def _mean(seen: Sequence[Seen]) -> Seen:
    return Seen(*(float(np.mean([getattr(one, figure) for one in seen])) for figure in Seen.__slots__))
