"""Levels of effort as candidates: is choosing a level for each request worth more than any one level for all?

What an answer is worth is its quality in dollars, less its time and its cost, at two prices of quality: so
a policy that only moves between more and less effort does not win. Where one level is the best for nearly all
prompts, choosing can but find it. All policies place requests on servers in the same way and differ in the
levels that they may choose.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import count, product
from typing import Any

import numpy as np

from rb_litellm.core.decision.scoring import Priced
from rb_litellm.predictors.registry import PredictionSource
from rb_litellm.sim.engine import Simulation
from rb_litellm.sim.policies.routebalance.leveled import Leveled
from rb_litellm.sim.report.blocks import Block, Claim, Table
from rb_litellm.sim.servers.cluster import PAPER_CLUSTER, Cluster
from rb_litellm.sim.servers.cluster_file import of_slots
from rb_litellm.sim.workloads.reasoning import LEVELS, ReadDifficulty, levels, requests
from rb_litellm.spread.where import HERE, Where
from rb_litellm.spread.work import Work, whole

SERVERS, SLOTS = 4, 32
APART = {"prompts alike": 0.0, "chat and problems": 2.0}
RATES = (1.0, 4.0)
"""Requests per second."""
QUALITY_USD = (0.01, 0.03)
SECOND_USD = 0.0001
FIXED = tuple(f"always {name}" for name in LEVELS)
CHOSEN, BY_MEANS, TOLD_SHORT = "a level for each", "by means alone", "lengths told a third"
POLICIES = (*FIXED, CHOSEN, BY_MEANS, TOLD_SHORT)
SHORT = 1.0 / 3.0
SLACK, SLACK_SHORT = 0.002, 0.01


@dataclass(frozen=True, slots=True)
class Measured:
    """One policy at one rate and one price of quality, over all seeds."""

    prompts: str
    rate: float
    usd_per_quality: float
    policy: str
    worth_usd_per_1k: float
    """Quality less time and cost, in USD for 1,000 requests,"""
    worth_by_seed: tuple[float, ...]
    """and the same for each seed."""
    quality: float
    e2e_mean_s: float
    e2e_p95_s: float
    usd_per_1k: float
    high_share: float
    """Of the requests, at the highest level."""


def carry_out(
    number: int,
    seeds: Sequence[int],
    where: Where = HERE,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> list[Measured]:
    """Every policy at every rate and price, with so many requests for each seed.

    `progress` hears how many are done, and of how many.

    Raises:
        SpreadError: a policy failed, or `where` cannot be used.
    """
    cells, done = list(product(APART, RATES, QUALITY_USD, POLICIES)), count(1)
    with where.team(Work(partial(_over_seeds, number=number), tuple(seeds), str)) as team:
        return whole(team.map(cells, lambda _: progress(next(done), len(cells))))


def as_json(found: Sequence[Measured]) -> list[dict[str, Any]]:
    """One object a policy, rate and price."""
    return [{name: getattr(one, name) for name in one.__slots__} for one in found]


def blocks(found: Sequence[Measured]) -> list[Block]:
    """A row for each policy everywhere, and what choosing is worth over the best level in hindsight."""
    rows, gains, short = [], {}, {}
    for prompts, rate, price in product(APART, RATES, QUALITY_USD):
        at = (prompts, rate, price)
        here = {one.policy: one for one in found if (one.prompts, one.rate, one.usd_per_quality) == at}
        best = max((here[policy] for policy in FIXED), key=lambda one: one.worth_usd_per_1k)
        value = 1000.0 * price
        gains[at] = (here[CHOSEN].worth_usd_per_1k - best.worth_usd_per_1k) / value
        short[at] = (here[TOLD_SHORT].worth_usd_per_1k - here[CHOSEN].worth_usd_per_1k) / value
        rows += [
            (
                prompts,
                f"{rate:g}/s",
                f"{price:g}",
                one.policy,
                f"{one.worth_usd_per_1k:.3f}",
                f"{one.quality:.3f}",
                f"{one.e2e_mean_s:.1f}",
                f"{one.e2e_p95_s:.1f}",
                f"{one.usd_per_1k:.4f}",
                f"{one.high_share:.0%}",
            )
            for one in here.values()
        ]
    mean = float(np.mean(list(gains.values())))
    worst, least = min(gains, key=lambda at: gains[at]), min(short, key=lambda at: short[at])
    columns = (
        "prompts",
        "rate",
        "USD per quality",
        "levels",
        "worth",
        "quality",
        "E2E mean (s)",
        "p95 (s)",
        "USD/1k",
        "high",
    )
    return [
        Block(
            Table(
                "Levels of effort",
                columns,
                tuple(rows),
                f"Worth in USD for 1,000 requests: quality less {SECOND_USD:g} USD a second and the cost.",
            ),
            (
                Claim(
                    "a level for each request is worth more than the best one for all, and nowhere "
                    f"{SLACK:g} of quality less",
                    f"{mean:+.4f} of quality on average, at worst {gains[worst]:+.4f} ({_words(worst)})",
                    mean > 0.0 and gains[worst] > -SLACK,
                ),
                Claim(
                    f"lengths told as a third of what they are cost less than {SLACK_SHORT:g} of quality",
                    f"at worst {short[least]:+.4f} of quality ({_words(least)})",
                    short[least] > -SLACK_SHORT,
                ),
            ),
        )
    ]


def _words(at: tuple[str, float, float]) -> str:
    return f"{at[0]}, {at[1]:g}/s, {at[2]:g} USD"


def _cluster() -> Cluster:
    tier = replace(PAPER_CLUSTER.tier("paper-14b"), instances=SERVERS)
    return of_slots(replace(PAPER_CLUSTER, tiers=(tier,)), SLOTS)


def _over_seeds(seeds: Sequence[int], cell: tuple[str, float, float, str], number: int) -> Measured:
    prompts, rate, price, name = cell
    apart = APART[prompts]
    cluster = _cluster()
    (tier,) = cluster.tiers
    names = (name.removeprefix("always "),) if name in FIXED else LEVELS
    told = SHORT if name == TOLD_SHORT else 1.0
    candidates = [level for d in tier.deployments() for level in levels(d, names, told, apart)]
    worth, quality, e2e, cost, high = [], [], [], [], []
    for seed in seeds:
        predictions = PredictionSource() if name == BY_MEANS else ReadDifficulty(apart)
        policy = Leveled(name, cluster, candidates, predictions, Priced(price, SECOND_USD), LEVELS, seed)
        served = Simulation(cluster, policy, requests(rate, number, seed, apart), seed).run()
        columns = [policy.column(s.request, s.deployment) for s in served]
        right = np.array([s.request.quality[n] for s, n in zip(served, columns, strict=True)])
        times = np.array([s.e2e_s for s in served])
        usd = np.array(
            [
                s.request.prompt.input_tokens * tier.input_usd_per_million / 1e6
                + s.output_tokens * tier.output_usd_per_million / 1e6
                for s in served
            ]
        )
        worth.append(1000.0 * float(np.mean(price * right - SECOND_USD * times - usd)))
        quality.append(right)
        e2e.append(times)
        cost.append(usd)
        high += [n == len(LEVELS) - 1 for n in columns]
    all_s = np.concatenate(e2e)
    return Measured(
        prompts=prompts,
        rate=rate,
        usd_per_quality=price,
        policy=name,
        worth_usd_per_1k=round(float(np.mean(worth)), 5),
        worth_by_seed=tuple(round(one, 5) for one in worth),
        quality=round(float(np.concatenate(quality).mean()), 4),
        e2e_mean_s=round(float(all_s.mean()), 3),
        e2e_p95_s=round(float(np.quantile(all_s, 0.95)), 3),
        usd_per_1k=round(1000.0 * float(np.concatenate(cost).mean()), 5),
        high_share=round(float(np.mean(high)), 4),
    )
