"""Best of n: are several answers of one model, of which a judge picks one, worth more than any single one?

Measured as cascades are: what an answer is worth is its quality in dollars, less its time and its cost, at
several prices of quality, against the best of all prices without it, chosen with hindsight.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count, product
from typing import Any

import numpy as np

from rb_litellm.core.best_of.rule import CORRELATION, SPREAD, BestOfRule
from rb_litellm.core.decision.scoring import Priced
from rb_litellm.sim.experiments.loads.cascade import (
    JUDGE_S,
    JUDGE_TOKENS,
    JUDGE_USD_PER_MILLION,
    OVERHEAD_TOKENS,
    QUALITY_USD,
    RATE,
    SECOND_USD,
    SLACK,
)
from rb_litellm.sim.policies.routebalance.cascading import Judge
from rb_litellm.sim.policies.routebalance.sampling import AnsweredSeveral, FurtherAnswers, Sampling
from rb_litellm.sim.report.blocks import Block, Claim, Table
from rb_litellm.sim.workload import arrivals, requests
from rb_litellm.sim.world import World, WorldFiles
from rb_litellm.spread.where import HERE, Where
from rb_litellm.spread.work import Work, whole

NONE = "single answers"
APART = 0.2


@dataclass(frozen=True, slots=True)
class _Case:
    true: tuple[float, float]
    """Shares of right and of wrong answers that the judge accepts,"""
    told: tuple[float, float]
    """and as the policy is told."""
    correlation: float = CORRELATION
    """As the policy is told; in truth it is CORRELATION."""


CASES: dict[str, _Case] = {
    "judge 0.95 / 0.10": _Case((0.95, 0.1), (0.95, 0.1)),
    "judge 0.90 / 0.40": _Case((0.9, 0.4), (0.9, 0.4)),
    "judge 0.80 / 0.60": _Case((0.8, 0.6), (0.8, 0.6)),
    "judge 0.80 / 0.60, told 0.95 / 0.10": _Case((0.8, 0.6), (0.95, 0.1)),
    f"judge 0.90 / 0.40, told a correlation of {APART:g}": _Case((0.9, 0.4), (0.9, 0.4), APART),
}


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
    several: float
    """Share of the requests of which several answers were asked for,"""
    answers: float
    """and how many of one on average."""

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
    cells, done = list(product((NONE, *CASES), QUALITY_USD)), count(1)
    shared = _Shared(files.load(), tuple(seeds), number)
    with where.team(Work(_over_seeds, shared, str)) as team:
        return whole(team.map(cells, lambda _: progress(next(done), len(cells))))


def as_json(found: Sequence[Measured]) -> list[dict[str, Any]]:
    """One object a policy and price."""
    return [{name: getattr(one, name) for name in one.__slots__} for one in found]


def blocks(found: Sequence[Measured]) -> list[Block]:
    """A row for each policy and price, and what each judge is worth over the best single answers."""
    rows, gains = [], {}
    plain = [one for one in found if one.policy == NONE]
    for one in found:
        price = one.usd_per_quality
        gain = (one.worth(price) - max(other.worth(price) for other in plain)) / (1000.0 * price)
        gains[one.policy, price] = gain
        rows.append(
            (
                one.policy,
                f"{price:g}",
                f"{one.quality:.4f}",
                f"{one.e2e_mean_s:.2f}",
                f"{one.e2e_p95_s:.2f}",
                f"{one.usd_per_1k:.4f}",
                f"{one.several:.0%}",
                f"{one.answers:.2f}",
                f"{one.worth(price):.4f}",
                f"{gain:+.4f}",
            )
        )
    claims = []
    for name, case in CASES.items():
        if case.true == case.told and case.correlation == CORRELATION:
            its = {price: gains[name, price] for price in QUALITY_USD}
            most, least = max(its, key=lambda at: its[at]), min(its, key=lambda at: its[at])
            claims.append(
                Claim(
                    f"{name}: nowhere worth {SLACK:g} of quality less than the best single answers",
                    f"at best {its[most]:+.4f} ({most:g} USD), at worst {its[least]:+.4f} ({least:g} USD)",
                    its[least] > -SLACK,
                )
            )
    columns = (
        "policy", "USD per quality", "quality", "E2E mean (s)", "p95 (s)", "USD/1k", "several", "answers",
        "worth", "over the best single",
    )  # fmt: skip
    note = (
        f"Worth in USD for 1,000 requests: quality less {SECOND_USD:g} USD a second and the cost; what it is "
        "over the best of single answers, chosen in hindsight from all prices, in quality."
    )
    return [Block(Table("Best of n", columns, tuple(rows), note), tuple(claims))]


def _over_seeds(shared: _Shared, cell: tuple[str, float]) -> Measured:
    name, price = cell
    world = shared.world
    case = CASES.get(name, _Case((1.0, 1.0), (1.0, 1.0)))
    per_token = JUDGE_USD_PER_MILLION / 1e6
    fixed_usd = (OVERHEAD_TOKENS + JUDGE_TOKENS) * per_token
    judge = Judge(*case.true, JUDGE_S, fixed_usd, per_token)
    truth = FurtherAnswers.of(world.train, CORRELATION, SPREAD)
    right, wrong = case.told
    rule = None
    if name != NONE:
        rule = BestOfRule(
            right - wrong,
            case.correlation,
            judge_s=JUDGE_S,
            judge_usd=fixed_usd,
            judge_usd_per_token=per_token,
        )
    answered: list[AnsweredSeveral] = []
    for seed in shared.seeds:
        policy = Sampling(
            name, world.cluster, world.predictions, Priced(price, SECOND_USD), rule, judge, truth, seed
        )
        answered.append(
            policy.run(requests(world.test, arrivals("poisson", RATE, seed), shared.number, seed))
        )
    quality, e2e_s, usd, answers = (
        np.concatenate([getattr(one, figure) for one in answered])
        for figure in ("quality", "e2e_s", "usd", "answers")
    )
    return Measured(
        policy=name,
        usd_per_quality=price,
        quality=round(float(quality.mean()), 5),
        quality_by_seed=tuple(round(float(one.quality.mean()), 5) for one in answered),
        e2e_mean_s=round(float(e2e_s.mean()), 4),
        e2e_p95_s=round(float(np.quantile(e2e_s, 0.95)), 4),
        usd_per_1k=round(1000.0 * float(usd.mean()), 6),
        several=round(float((answers > 1).mean()), 4),
        answers=round(float(answers.mean()), 3),
    )
