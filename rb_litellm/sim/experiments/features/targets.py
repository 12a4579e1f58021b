"""Targets in place of weights: whether they are kept under six loads, and what quality that leaves.

The rival is the best of a grid of fixed weights that kept the same bounds, chosen with hindsight for each
load and seed. The first SETTLED requests are left out for both.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np

from rb_litellm.sim.engine import Incident
from rb_litellm.sim.experiments.measured import Measured, Named, Scale
from rb_litellm.sim.policies.routebalance.targeted import targets
from rb_litellm.sim.report.blocks import Block, Claim, Table
from rb_litellm.sim.report.statistics import Spread
from rb_litellm.sim.results import Repriced, RunResult
from rb_litellm.sim.workloads.workload import trace
from rb_litellm.sim.world import Run

SETTLED = 500
SLACK = 0.03
LESS_QUALITY = 0.003
BOUNDS = "cost=0.02,p95=6"
BOUNDS_OF_TRACE = "cost=0.12,p95=12"
"""Prompts of the trace are ten times as long."""
CHANGE_S = 60.0
_RATE = 18.0
_LARGE, _LARGEST = 2, 3
"""Tiers of the paper's cluster by number; the servers of the former are 8 to 10."""
_SERVERS = (8, 9, 10)
FIXED = tuple(
    f"routebalance:{round(1.0 - latency - cost, 2):g},{latency:g},{cost:g}"
    for latency, cost in product((0.0, 0.1, 0.2), (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7))
)
"""Beyond these, quality falls below or the cost lies above what any of the bounds allow."""


@dataclass(frozen=True)
class Load:
    """Requests under which targets are to hold."""

    name: str
    like: Run
    bounds: str = BOUNDS

    @property
    def policy(self) -> str:
        """The steered policy."""
        return f"routebalance-targets:{self.bounds}"


def loads(recorded: Path | None, number: int = 3534) -> tuple[Load, ...]:
    """All loads; that of the trace where one is given."""
    lost = tuple(Incident(server, CHANGE_S, 1e9, float("inf")) for server in _SERVERS)
    found = [
        Load("Poisson", Run("", _RATE)),
        Load("bursts (gamma 0.3)", Run("", _RATE, arrivals="gamma:0.3")),
        Load("square wave 30/6", Run("", _RATE, arrivals="square:0.33333,1.66667")),
        Load("14B and 72B twice as dear after a minute",
             Run("", _RATE, repriced=Repriced(CHANGE_S, (_LARGE, _LARGEST), 2.0))),
        Load("14B lost after a minute", Run("", _RATE, incidents=lost)),
        Load("four workers", Run("", _RATE, workers=4)),
    ]  # fmt: skip
    if recorded is not None:
        times, _ = trace(recorded)
        rate = round((len(times) - 1) / times[-1], 3)
        found.append(Load("Azure's trace", Run("", rate, arrivals=str(recorded)), BOUNDS_OF_TRACE))
    return tuple(replace(load, like=replace(load.like, requests=number)) for load in found)


def runs(scale: Scale) -> list[Run]:
    """Targets and every fixed weights under each load."""
    return [
        replace(load.like, policy=policy, seed=seed)
        for load in loads(scale.trace, scale.requests)
        for seed in scale.seeds
        for policy in (load.policy, *FIXED)
    ]


def blocks(measured: Measured) -> list[Block]:
    """A row for each load."""
    rows, late, poor = [], [], []
    for load in _loads_of(measured):
        where = {**vars(load.like)}
        where.pop("policy"), where.pop("seed")
        steered = measured.results(load.policy, **where)
        fixed = {policy: measured.results(policy, **where) for policy in FIXED}
        off = [_off(load, result) for result in steered]
        gains = []
        for n, result in enumerate(steered):
            rivals = [of[n] for of in fixed.values() if max(_off(load, of[n]).values()) <= SLACK]
            best = max((_quality(r) for r in rivals), default=float("nan"))
            gains.append(_quality(result) - best)
        gain = Spread.of(gains)
        spreads = {name: Spread.of([each[name] for each in off]) for name in off[0]}
        rows.append(
            (
                load.name,
                load.bounds,
                *(
                    f"{100 * spread.median:+.1f}% (most {100 * spread.high:+.1f}%)"
                    for spread in spreads.values()
                ),
                Spread.of([_quality(r) for r in steered]).text(4),
                "none keeps them" if np.isnan(gain.median) else gain.text(4),
                str(sum(r.failed for r in steered)),
            )
        )
        late += [f"{load.name}: {n} {100 * s.high:+.1f}%" for n, s in spreads.items() if s.high > SLACK]
        if gain.low < -LESS_QUALITY:
            poor.append(f"{load.name} {gain.low:+.4f}")
    columns = ("load", "targets", "cost", "p95 E2E", "quality", "over the best fixed weights", "failed")
    return [
        Block(
            Table(
                f"Targets, from request {SETTLED} on",
                columns,
                tuple(rows),
                "Cost and p95 relative to their bounds. The best fixed weights are chosen with hindsight "
                f"among {len(FIXED)}, of those that keep both bounds but for {SLACK:.0%}.",
            ),
            (
                Claim(
                    f"no mean cost and no p95 is more than {SLACK:.0%} beyond its bound, in any seed",
                    "none" if not late else "; ".join(late),
                    not late,
                ),
                Claim(
                    f"quality is that of the best fixed weights or more, but for {LESS_QUALITY:g}",
                    "under every load" if not poor else "not under " + "; ".join(poor),
                    not poor,
                ),
            ),
        )
    ]


def _loads_of(measured: Measured) -> list[Load]:
    """The loads that were run, in order."""
    found: dict[Run, Load] = {}
    for run, _ in measured.pairs:
        if targets(run.policy) is not None:
            like = replace(run, policy="", seed=0)
            bounds = run.policy.partition(":")[2]
            found.setdefault(like, Load(_name_of(like), like, bounds))
    return list(found.values())


def _name_of(like: Run) -> str:
    for load in loads(None):
        if replace(load.like, requests=like.requests) == like:
            return load.name
    return "Azure's trace"


def _settled(result: RunResult) -> slice:
    return slice(min(SETTLED, result.e2e_s.size // 2), None)


def _quality(result: RunResult) -> float:
    return float(result.quality[_settled(result)].mean())


def _off(load: Load, result: RunResult) -> dict[str, float]:
    """Cost and p95 beyond their bounds, relative to them."""
    asked = targets(load.policy)
    if asked is None or asked.cost_usd_per_1k is None or asked.e2e_p95_s is None:
        raise ValueError(f"{load.bounds!r} bounds not both cost and time")
    its = _settled(result)
    return {
        "cost": 1000.0 * float(result.cost_usd[its].mean()) / asked.cost_usd_per_1k - 1.0,
        "p95": float(np.quantile(result.e2e_s[its], 0.95)) / asked.e2e_p95_s - 1.0,
    }


EXPERIMENT = Named("targets", "Targets in place of weights", runs, blocks)
