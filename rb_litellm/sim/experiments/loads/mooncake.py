"""A trace of long prompts that share their beginnings: is a cached prefix worth what it is taken for?

Which of two equal servers a conversation begins on moves the cost of a whole run by a tenth of a percent. So
with several seeds each but 0 moves every arrival by up to MOVED_S, and policies are compared seed by seed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
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
MOVED_S = 0.1
_NOTHING = Corpus((), (), np.zeros((0, 1)), np.zeros((0, 1)))
"""No policy here is trained."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One policy on the trace, or the means of several runs of it."""

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
    seed: int = 0
    """0 for the arrivals of the trace."""


def carry_out(
    trace: Path,
    requests: int,
    seeds: Sequence[int] = (0,),
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
    runs, done = [(name, seed) for name in (OURS, *OTHERS) for seed in seeds], count(1)
    with where.team(Work(_run, asked)) as team:
        return whole(team.map(runs, lambda _: progress(next(done), len(runs))))


def as_json(found: list[Measured]) -> list[dict[str, Any]]:
    """One object a policy."""
    return [{name: getattr(one, name) for name in one.__slots__} for one in found]


def blocks(found: list[Measured]) -> list[Block]:
    """The table, and whether ours is ahead of each policy that is not."""
    by_policy: dict[str, list[Measured]] = {}
    for one in found:
        by_policy.setdefault(one.policy, []).append(one)
    rows = tuple(_row(runs) for runs in by_policy.values())
    claims = [
        _claim(by_policy[ours], runs)
        for ours in (OURS, SAVING)
        for name, runs in by_policy.items()
        if name not in (OURS, SAVING, PLAIN)
    ]
    columns = (
        "policy",
        "TTFT p50 (s)",
        "TTFT p95 (s)",
        "mean E2E (s)",
        "USD per 1,000",
        "its deviation",
        "cached",
        "failed",
        "TTFT error p50",
    )
    note = (
        "A cached token costs a tenth. `prefix-gate:N` follows the longest prefix among servers with at most "
        "N requests more than the least busy one; it knows all blocks exactly."
    )
    return [Block(Table("Prompts that share their beginnings", columns, rows, note), tuple(claims))]


def _row(runs: list[Measured]) -> tuple[str, ...]:
    def mean(of: Callable[[Measured], float]) -> float:
        return float(np.mean([of(one) for one in runs]))

    errors = [one.ttft_error_p50 for one in runs if one.ttft_error_p50 is not None]
    return (
        runs[0].policy,
        f"{mean(lambda one: one.ttft_p50_s):.3f}",
        f"{mean(lambda one: one.ttft_p95_s):.2f}",
        f"{mean(lambda one: one.e2e_mean_s):.2f}",
        f"{mean(lambda one: one.usd_per_1k):.3f}",
        f"{np.std([one.usd_per_1k for one in runs], ddof=1):.3f}" if len(runs) > 1 else "",
        f"{mean(lambda one: one.cached_share):.1%}",
        str(sum(one.failed for one in runs)),
        f"{np.mean(errors):.1%}" if errors else "",
    )


def _claim(ours: list[Measured], theirs: list[Measured]) -> Claim:
    ratio = np.mean([one.ttft_p50_s / other.ttft_p50_s for one, other in zip(ours, theirs, strict=True)])
    dearer = [one.usd_per_1k - other.usd_per_1k for one, other in zip(ours, theirs, strict=True)]
    mean, error = float(np.mean(dearer)), 0.0
    if len(dearer) > 1:
        error = float(np.std(dearer, ddof=1)) / len(dearer) ** 0.5
    return Claim(
        f"{ours[0].policy}: lower median TTFT, and cheaper, than {theirs[0].policy}",
        f"{ratio:.3f} of its TTFT, {mean:+.4f} USD per 1,000 requests (standard error {error:.4f})",
        bool(ratio < 1.0 and mean + error < 0.0),
    )


def _run(asked: list[Request], run: tuple[str, int]) -> Measured:
    name, seed = run
    asked = _moved(asked, seed)
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
        seed=seed,
    )


def _moved(asked: list[Request], seed: int) -> list[Request]:
    if not seed:
        return asked
    by_s = np.random.default_rng(seed).uniform(0.0, MOVED_S, len(asked)).tolist()
    moved = [
        replace(request, arrival_s=request.arrival_s + s) for request, s in zip(asked, by_s, strict=True)
    ]
    return sorted(moved, key=lambda request: request.arrival_s)


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
