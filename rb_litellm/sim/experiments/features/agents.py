"""Agents' loops: is staying where the cache is, unless moving pays, ahead of always staying and of never?"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import count, product
from typing import Any

import numpy as np

from rb_litellm.predictors.registry import PredictionSource
from rb_litellm.sim.engine import Incident, Simulation
from rb_litellm.sim.failures import Cooled
from rb_litellm.sim.policies.baseline_policies import SessionSticky
from rb_litellm.sim.policies.by_name import Surroundings, make_policy
from rb_litellm.sim.policies.policy import Policy
from rb_litellm.sim.report.blocks import Block, Claim, Table
from rb_litellm.sim.results import RunResult
from rb_litellm.sim.servers.cluster import Cluster
from rb_litellm.sim.workloads import sharing
from rb_litellm.sim.workloads.agent_loops import AgentLoops
from rb_litellm.sim.workloads.workload import Corpus
from rb_litellm.spread.where import HERE, Where
from rb_litellm.spread.work import Work, whole

OURS = "routebalance-agents"
STICKY, FREE = "session-sticky", "routebalance:balanced"
OTHERS = (STICKY, FREE, "routebalance-affinity", "sticky-until-saturated")
SERVERS = 2
RATE = 0.5
"""Turns that begin in a second."""
SCENES: dict[str, tuple[Incident, ...]] = {
    "steady": (),
    "one server slow": (Incident(0, 60.0, 240.0, 4.0),),
    "one server down": (Incident(0, 60.0, 120.0, math.inf),),
}
_NOTHING = Corpus((), (), np.zeros((0, 1)), np.zeros((0, 1)))
"""No policy here is trained."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One policy in one scene, over all seeds."""

    scene: str
    policy: str
    turn_mean_s: float
    """From the first call of a turn to its last answer, tools included."""
    turn_p95_s: float
    call_mean_s: float
    usd_per_turn: float
    cached_share: float
    """Of all prompt tokens."""
    unfinished: int
    """Turns with a call that failed for good."""


def carry_out(
    turns: int,
    seeds: Sequence[int],
    where: Where = HERE,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> list[Measured]:
    """Every policy in every scene, with so many turns for each seed.

    `progress` hears how many are done, and of how many.

    Raises:
        SpreadError: a policy failed, or `where` cannot be used.
    """
    cells, done = list(product(SCENES, (OURS, *OTHERS))), count(1)
    with where.team(Work(partial(_over_seeds, turns=turns), tuple(seeds), ", ".join)) as team:
        return whole(team.map(cells, lambda _: progress(next(done), len(cells))))


def as_json(found: list[Measured]) -> list[dict[str, Any]]:
    """One object a policy and scene."""
    return [{name: getattr(one, name) for name in one.__slots__} for one in found]


def blocks(found: list[Measured]) -> list[Block]:
    """A table for each scene, and whether ours is ahead of staying always, and of never, in time and cost."""
    columns = (
        "policy",
        "turn mean (s)",
        "turn p95 (s)",
        "call mean (s)",
        "USD per turn",
        "cached",
        "unfinished",
    )
    made = []
    for scene in SCENES:
        here = [one for one in found if one.scene == scene]
        ours = next(one for one in here if one.policy == OURS)
        rows = tuple(
            (
                one.policy,
                f"{one.turn_mean_s:.1f}",
                f"{one.turn_p95_s:.1f}",
                f"{one.call_mean_s:.2f}",
                f"{one.usd_per_turn:.4f}",
                f"{one.cached_share:.1%}",
                str(one.unfinished),
            )
            for one in here
        )
        claims = tuple(
            Claim(
                f"{scene}: shorter turns, and no dearer, than {one.policy}",
                f"{ours.turn_mean_s / one.turn_mean_s:.3f} of its time, "
                f"{ours.usd_per_turn / one.usd_per_turn:.3f} of its cost",
                ours.turn_mean_s < one.turn_mean_s and ours.usd_per_turn <= one.usd_per_turn,
            )
            for one in here
            if one.policy in (STICKY, FREE)
        )
        made.append(
            Block(Table(f"Agents' loops: {scene}", columns, rows, "A cached token costs a tenth."), claims)
        )
    return made


def _cluster() -> Cluster:
    """The servers of the Mooncake experiment, fewer of them."""
    cluster = sharing.cluster()
    return replace(cluster, tiers=tuple(replace(tier, instances=SERVERS) for tier in cluster.tiers))


def _over_seeds(seeds: Sequence[int], cell: tuple[str, str], turns: int) -> Measured:
    scene, name = cell
    lasted: list[float] = []
    calls: list[float] = []
    cost = prompts = cached = 0.0
    for seed in seeds:
        cluster = _cluster()
        loops = AgentLoops(RATE, turns, seed)
        # A proxy takes away what fails, whatever strategy it has: without that, a policy that counts open
        # requests finds a dead server idle, sends it all retries, and no turn comes to its end.
        policy = Cooled(_policy(name, seed), SERVERS, avoids=True)
        simulation = Simulation(cluster, policy, loops.first(), seed, SCENES[scene], follow=loops.follow)
        served = simulation.run()
        result = RunResult.of(name, RATE, seed, cluster, served, simulation.now, 0.0)
        lasted.extend(loops.lasted_s.values())
        calls.extend(result.e2e_s.tolist())
        cost += float(result.cost_usd.sum())
        prompts += sum(s.request.prompt.input_tokens for s in served if not s.failed)
        cached += sum(s.cached_tokens for s in served if not s.failed)
    return Measured(
        scene=scene,
        policy=name,
        turn_mean_s=round(float(np.mean(lasted)), 2) if lasted else math.inf,
        turn_p95_s=round(float(np.quantile(lasted, 0.95)), 2) if lasted else math.inf,
        call_mean_s=round(float(np.mean(calls)), 4),
        usd_per_turn=round(cost / (turns * len(seeds)), 5),
        cached_share=round(cached / prompts, 4),
        unfinished=turns * len(seeds) - len(lasted),
    )


def _policy(name: str, seed: int) -> Policy:
    if name == STICKY:
        return SessionSticky(SERVERS, seed)
    return make_policy(name, Surroundings(_cluster(), _NOTHING, PredictionSource()), [], seed)
