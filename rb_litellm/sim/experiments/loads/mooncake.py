"""A trace of long prompts that share their beginnings: is a cached prefix worth what it is taken for?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from rb_litellm.predictors.registry import PredictionSource
from rb_litellm.sim.engine import Served, Simulation
from rb_litellm.sim.policies.baseline_policies import PrefixGate
from rb_litellm.sim.policies.by_name import Surroundings, make_policy
from rb_litellm.sim.policies.policy import Policy
from rb_litellm.sim.policies.routebalance.as_in_proxy import RouteBalance
from rb_litellm.sim.report.blocks import Block, Claim, Table
from rb_litellm.sim.results import RunResult
from rb_litellm.sim.workloads import sharing
from rb_litellm.sim.workloads.workload import Corpus, Request
from rb_litellm.spread.where import HERE, Where
from rb_litellm.spread.work import Work, whole

OURS, SAVING, PLAIN = "routebalance-agents", "routebalance-agents:cost", "routebalance-affinity"
"""With sessions, the same where cost counts for more than time, and without."""
GATES = (1, 2, 4, 8)
"""Requests more than the least busy server has, up to which a prefix is followed."""
OTHERS = (
    SAVING,
    PLAIN,
    "routebalance:balanced",
    "litellm:least-busy",
    *(f"prefix-gate:{gate}" for gate in GATES),
)
_NOTHING = Corpus((), (), np.zeros((0, 1)), np.zeros((0, 1)))
"""No policy here is trained."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One policy on the trace."""

    policy: str
    ttft_p50_s: float
    ttft_p95_s: float
    e2e_mean_s: float
    usd_per_1k: float
    cached_share: float
    """Of all prompt tokens."""
    failed: int
    ttft_error_p50: float | None
    """Median of |forecast - measured| / measured; None where nothing is forecast."""


def carry_out(
    trace: Path,
    requests: int,
    seed: int = 0,
    where: Where = HERE,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> list[Measured]:
    """Every policy on the first requests of the trace. `progress` hears how many are done, and of how many.

    Raises:
        ValueError: the trace cannot be read.
        SpreadError: a policy failed, or `where` cannot be used.
    """
    asked = sharing.requests(trace, requests)
    if not asked:
        raise ValueError(f"trace {trace} holds no request")
    names, done = (OURS, *OTHERS), count(1)
    with where.team(Work(partial(_run, seed=seed), asked)) as team:
        return whole(team.map(names, lambda _: progress(next(done), len(names))))


def as_json(found: list[Measured]) -> list[dict[str, Any]]:
    """One object a policy."""
    return [{name: getattr(one, name) for name in one.__slots__} for one in found]


def blocks(found: list[Measured]) -> list[Block]:
    """The table, and whether ours is ahead of each policy that is not."""
    ours = next(one for one in found if one.policy == OURS)
    rows = tuple(
        (
            one.policy,
            f"{one.ttft_p50_s:.3f}",
            f"{one.ttft_p95_s:.2f}",
            f"{one.e2e_mean_s:.2f}",
            f"{one.usd_per_1k:.3f}",
            f"{one.cached_share:.1%}",
            str(one.failed),
            "" if one.ttft_error_p50 is None else f"{one.ttft_error_p50:.1%}",
        )
        for one in found
    )
    claims = [
        Claim(
            f"lower median TTFT, and cheaper, than {one.policy}",
            f"{ours.ttft_p50_s / one.ttft_p50_s:.3f} of its TTFT, {ours.usd_per_1k / one.usd_per_1k:.3f} of "
            "its cost",
            ours.ttft_p50_s < one.ttft_p50_s and ours.usd_per_1k < one.usd_per_1k,
        )
        for one in found
        if one.policy not in (OURS, SAVING, PLAIN)
    ]
    columns = (
        "policy",
        "TTFT p50 (s)",
        "TTFT p95 (s)",
        "mean E2E (s)",
        "USD per 1,000",
        "cached",
        "failed",
        "TTFT error p50",
    )
    note = (
        "A cached token costs a tenth. `prefix-gate:N` follows the longest prefix among servers with at most "
        "N requests more than the least busy one; it knows all blocks exactly."
    )
    return [Block(Table("Prompts that share their beginnings", columns, rows, note), tuple(claims))]


def _run(asked: list[Request], name: str, seed: int) -> Measured:
    cluster = sharing.cluster()
    policy = _policy(name, asked, seed)
    simulation = Simulation(cluster, policy, asked, seed)
    served = simulation.run()
    result = RunResult.of(name, 1.0, seed, cluster, served, simulation.now, 0.0)
    prompts = sum(s.request.prompt.input_tokens for s in served if not s.failed)
    return Measured(
        policy=name,
        ttft_p50_s=round(float(np.median(result.ttft_s)), 4),
        ttft_p95_s=round(float(np.quantile(result.ttft_s, 0.95)), 4),
        e2e_mean_s=round(float(result.e2e_s.mean()), 4),
        usd_per_1k=round(float(result.cost_usd.mean()) * 1000.0, 4),
        cached_share=round(sum(s.cached_tokens for s in served if not s.failed) / prompts, 4),
        failed=result.failed,
        ttft_error_p50=_error(policy, served),
    )


def _error(policy: Policy, served: Sequence[Served]) -> float | None:
    if not isinstance(policy, RouteBalance):
        return None
    errors = [
        abs(policy.predicted(s.worker, s.request).ttft_s / s.ttft_s - 1.0) for s in served if not s.failed
    ]
    return round(float(np.median(errors)), 4)


def _policy(name: str, asked: list[Request], seed: int) -> Policy:
    kind, _, gate = name.partition(":")
    if kind == "prefix-gate":
        return PrefixGate(sharing.SERVERS, int(gate), seed)
    return make_policy(name, Surroundings(sharing.cluster(), _NOTHING, PredictionSource()), asked, seed)
