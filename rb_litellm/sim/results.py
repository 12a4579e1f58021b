"""Figures of a run: what the requests got, what it cost, and how the cluster was used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from rb_litellm.core.types import FloatArray, IntArray
from rb_litellm.sim.engine import Served, Timeline
from rb_litellm.sim.servers.cluster import Cluster, Tier


@dataclass(frozen=True)
class Repriced:
    """From `from_s` on, `tiers` (by number) cost `factor` times as much."""

    from_s: float
    tiers: tuple[int, ...]
    factor: float


@dataclass(frozen=True)
class RunResult:
    """One run. Arrays have one entry per answered request, in order of arrival; times in s."""

    policy: str
    rate: float
    seed: int
    failed: int
    e2e_s: FloatArray
    ttft_s: FloatArray
    quality: FloatArray
    cost_usd: FloatArray
    tier: IntArray
    deployment: IntArray
    number: IntArray
    """Of the request, from 0 on."""
    tiers: tuple[str, ...]
    sim_s: float
    wall_s: float
    timeline: Timeline | None = None
    deciding_wall_s: float = 0.0
    """Real time of all decisions, for what one costs."""
    slo_e2e_s: float | None = None
    """The E2E by which requests are judged."""
    instances: tuple[int, ...] = ()
    """Deployments of each tier, numbered tier by tier."""

    @classmethod
    def of(
        cls,
        policy: str,
        rate: float,
        seed: int,
        cluster: Cluster,
        served: Sequence[Served],
        sim_s: float,
        wall_s: float,
        timeline: Timeline | None = None,
        deciding_wall_s: float = 0.0,
        slo_e2e_s: float | None = None,
        repriced: Repriced | None = None,
    ) -> RunResult:
        """Figures of what became of all requests."""
        tier_of = [n for n, tier in enumerate(cluster.tiers) for _ in range(tier.instances)]
        whole = [s for s in served if not s.failed]
        tiers = np.array([tier_of[s.deployment] for s in whole], dtype=np.int64)
        prices = np.array([_prices(tier) for tier in cluster.tiers]) / 1e6
        tokens = np.array(
            [
                (s.request.prompt.input_tokens - s.cached_tokens, s.cached_tokens, s.output_tokens)
                for s in whole
            ],
            dtype=np.float64,
        ).reshape(-1, 3)
        cost_usd = (tokens * prices[tiers]).sum(axis=1)
        if repriced is not None:
            later = np.array([s.decided_s >= repriced.from_s for s in whole])
            cost_usd[later & np.isin(tiers, repriced.tiers)] *= repriced.factor
        return cls(
            policy=policy,
            rate=rate,
            seed=seed,
            failed=len(served) - len(whole),
            e2e_s=np.array([s.e2e_s for s in whole]),
            ttft_s=np.array([s.ttft_s for s in whole]),
            quality=np.array([s.request.quality[t] for s, t in zip(whole, tiers, strict=True)]),
            cost_usd=cost_usd,
            tier=tiers,
            deployment=np.array([s.deployment for s in whole], dtype=np.int64),
            number=np.array([s.request.number for s in whole], dtype=np.int64),
            tiers=tuple(tier.name for tier in cluster.tiers),
            instances=tuple(tier.instances for tier in cluster.tiers),
            sim_s=sim_s,
            wall_s=wall_s,
            timeline=timeline,
            deciding_wall_s=deciding_wall_s,
            slo_e2e_s=slo_e2e_s,
        )

    def figure(self, name: str) -> float:
        """One number of `as_json`."""
        return float(self._figures[name])

    def as_json(self) -> dict[str, Any]:
        """A row of `routebalance simulate --json`."""
        return dict(self._figures)

    @cached_property
    def _figures(self) -> dict[str, Any]:
        count = max(self.e2e_s.size, 1)
        shares = np.bincount(self.tier, minlength=len(self.tiers)) / count
        return {
            "policy": self.policy,
            "rate": self.rate,
            "seed": self.seed,
            "mean_e2e_s": round(float(self.e2e_s.mean()), 4),
            "p50_e2e_s": round(float(np.quantile(self.e2e_s, 0.5)), 4),
            "p95_e2e_s": round(float(np.quantile(self.e2e_s, 0.95)), 4),
            "p50_ttft_s": round(float(np.quantile(self.ttft_s, 0.5)), 4),
            "p95_ttft_s": round(float(np.quantile(self.ttft_s, 0.95)), 4),
            "quality": round(float(self.quality.mean()), 5),
            "cost_usd_per_1k": round(float(self.cost_usd.mean()) * 1000.0, 6),
            "tier_share": {name: round(float(s), 4) for name, s in zip(self.tiers, shares, strict=True)},
            "failed": self.failed,
            **self._attained(),
            "requests_per_s": round(count / self.sim_s, 3),
            "decision_us": round(self.deciding_wall_s / count * 1e6, 1),
            "max_share_ratio": round(self._max_share_ratio(), 3),
            "speed": round(self.sim_s / max(self.wall_s, 1e-9), 1),
        }

    def _attained(self) -> dict[str, float]:
        """Share of all requests that were answered within the limit, and how many of them in a second."""
        if self.slo_e2e_s is None:
            return {}
        share = float((self.e2e_s <= self.slo_e2e_s).sum()) / (self.e2e_s.size + self.failed)
        return {"slo_attainment": round(share, 4), "goodput_per_s": round(share * self.rate, 3)}

    def _max_share_ratio(self) -> float:
        """The busiest deployment's share of its tier over the mean share there: herding, at least 1.

        Tiers with too little traffic to tell (below ten requests a deployment) are left out.
        """
        worst = 1.0
        every = np.bincount(self.deployment, minlength=sum(self.instances))
        for counts in np.split(every, np.cumsum(self.instances)[:-1]):
            if counts.size and counts.sum() >= 10 * counts.size:
                worst = max(worst, float(counts.max() / counts.mean()))
        return worst


def _prices(tier: Tier) -> tuple[float, float, float]:
    """Of a million input tokens, cached ones, and output tokens."""
    cached = tier.cached_usd_per_million
    per_input = tier.input_usd_per_million
    return per_input, per_input if cached is None else cached, tier.output_usd_per_million
