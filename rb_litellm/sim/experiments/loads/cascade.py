"""Cascades: is a second answer where a judge calls the first one poor worth more than any single model?

What an answer is worth is its quality in dollars, less its time and its cost, at several prices of quality.
All policies place requests in the same way and know the same; some may have answers judged, by judges of
several qualities, and have poor ones replaced. What they are compared with is the best of all prices without
cascades, chosen with hindsight for each: so a policy that only moves along the front does not win.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count, product
from typing import Any

import numpy as np

from rb_litellm.core.cascade.rule import DEPENDENCE, CascadeRule
from rb_litellm.core.decision.scoring import Priced
from rb_litellm.sim.policies.routebalance.cascading import Answered, Cascading, Judge
from rb_litellm.sim.report.blocks import Block, Claim, Table
from rb_litellm.sim.workload import arrivals, requests
from rb_litellm.sim.world import World, WorldFiles
from rb_litellm.spread.where import HERE, Where
from rb_litellm.spread.work import Work, whole

RATE = 6.0
QUALITY_USD = (0.0001, 0.0003, 0.001, 0.003, 0.01)
SECOND_USD = 1e-5
JUDGE_S, JUDGE_USD_PER_MILLION, JUDGE_TOKENS, OVERHEAD_TOKENS = 0.5, 0.15, 16, 160
"""A verdict's time and price: the paper's 14B tier's, for what it reads and 16 tokens that it writes."""
NONE = "no second answers"
JUDGES: dict[str, tuple[tuple[float, float], tuple[float, float]]] = {
    "judge 0.95 / 0.10": ((0.95, 0.1), (0.95, 0.1)),
    "judge 0.90 / 0.40": ((0.9, 0.4), (0.9, 0.4)),
    "judge 0.80 / 0.60": ((0.8, 0.6), (0.8, 0.6)),
    "judge 0.80 / 0.60, told 0.95 / 0.10": ((0.8, 0.6), (0.95, 0.1)),
}
"""Shares of right and of wrong answers that a judge accepts: in truth, and as the policy is told."""
SLACK = 0.002


@dataclass(frozen=True, slots=True)
class Measured:
    """One policy at one price of quality, over all seeds."""

    policy: str
    usd_per_quality: float
    quality: float
    quality_by_seed: tuple[float, ...]
    e2e_mean_s: float
    e2e_p95_s: float
    usd_per_1k: float
    judged: float
    """Share of the requests of which an answer was judged,"""
    escalated: float
    """and of those that were answered twice."""

    def worth(self, usd_per_quality: float) -> float:
        """What 1,000 requests are worth in USD at this price of quality."""
        return 1000.0 * (usd_per_quality * self.quality - SECOND_USD * self.e2e_mean_s) - self.usd_per_1k


@dataclass(frozen=True)
class _Shared:
    world: World
    seeds: tuple[int, ...]
    number: int


def carry_out(
    files: WorldFiles,
    number: int,
    seeds: Sequence[int],
    where: Where = HERE,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> list[Measured]:
    """Every policy at every price, with so many requests for each seed.

    `progress` hears how many are done, and of how many.

    Raises:
        ValueError: as `WorldFiles.load`.
        SpreadError: a policy failed, or `where` cannot be used.
    """
    cells, done = list(product((NONE, *JUDGES), QUALITY_USD)), count(1)
    shared = _Shared(files.load(), tuple(seeds), number)
    with where.team(Work(_over_seeds, shared, str)) as team:
        return whole(team.map(cells, lambda _: progress(next(done), len(cells))))


def as_json(found: Sequence[Measured]) -> list[dict[str, Any]]:
    """One object a policy and price."""
    return [{name: getattr(one, name) for name in one.__slots__} for one in found]


def blocks(found: Sequence[Measured]) -> list[Block]:
    """A row for each policy and price, and what each judge is worth over the best without one."""
    rows, gains = [], {}
    plain = [one for one in found if one.policy == NONE]
    for one in found:
        price = one.usd_per_quality
        best = max(other.worth(price) for other in plain)
        gain = (one.worth(price) - best) / (1000.0 * price)
        gains[one.policy, price] = gain
        rows.append(
            (
                one.policy,
                f"{price:g}",
                f"{one.quality:.4f}",
                f"{one.e2e_mean_s:.2f}",
                f"{one.e2e_p95_s:.2f}",
                f"{one.usd_per_1k:.4f}",
                f"{one.judged:.0%}",
                f"{one.escalated:.0%}",
                f"{one.worth(price):.4f}",
                f"{gain:+.4f}",
            )
        )
    claims = []
    for name, (true, told) in JUDGES.items():
        if true == told:
            its = {price: gains[name, price] for price in QUALITY_USD}
            most, least = max(its, key=lambda at: its[at]), min(its, key=lambda at: its[at])
            claims.append(
                Claim(
                    f"{name}: nowhere worth {SLACK:g} of quality less than the best without",
                    f"at best {its[most]:+.4f} ({most:g} USD), at worst {its[least]:+.4f} ({least:g} USD)",
                    its[least] > -SLACK,
                )
            )
    columns = (
        "policy", "USD per quality", "quality", "E2E mean (s)", "p95 (s)", "USD/1k", "judged", "twice",
        "worth", "over the best without",
    )  # fmt: skip
    note = (
        f"Worth in USD for 1,000 requests: quality less {SECOND_USD:g} USD a second and the cost; what it is "
        "over the best without cascades, chosen in hindsight from all prices, in quality."
    )
    return [Block(Table("Cascades", columns, tuple(rows), note), tuple(claims))]


def _over_seeds(shared: _Shared, cell: tuple[str, float]) -> Measured:
    name, price = cell
    world = shared.world
    true, told = JUDGES.get(name, ((1.0, 1.0), (1.0, 1.0)))
    per_token = JUDGE_USD_PER_MILLION / 1e6
    fixed_usd = (OVERHEAD_TOKENS + JUDGE_TOKENS) * per_token
    judge = Judge(*true, JUDGE_S, fixed_usd, per_token)
    rule = None if name == NONE else CascadeRule(*told, DEPENDENCE, JUDGE_S, fixed_usd, per_token)
    answered: list[Answered] = []
    for seed in shared.seeds:
        policy = Cascading(
            name, world.cluster, world.predictions, Priced(price, SECOND_USD), rule, judge, seed
        )
        asked = requests(world.test, arrivals("poisson", RATE, seed), shared.number, seed)
        answered.append(policy.run(asked))
    quality, e2e_s, usd = (
        np.concatenate([getattr(one, figure) for one in answered]) for figure in ("quality", "e2e_s", "usd")
    )
    return Measured(
        policy=name,
        usd_per_quality=price,
        quality=round(float(quality.mean()), 5),
        quality_by_seed=tuple(round(float(one.quality.mean()), 5) for one in answered),
        e2e_mean_s=round(float(e2e_s.mean()), 4),
        e2e_p95_s=round(float(np.quantile(e2e_s, 0.95)), 4),
        usd_per_1k=round(1000.0 * float(usd.mean()), 6),
        judged=round(sum(one.judged for one in answered) / quality.size, 4),
        escalated=round(sum(one.escalated for one in answered) / quality.size, 4),
    )
