"""What the experiments on cascades and on best of n share: their judge, and by what they are measured.

What an answer is worth is its quality in dollars, less its time and its cost, at several prices of quality.
All policies place requests in the same way and know the same; some may have answers judged, by judges of
several qualities. What they are compared with is the best of all prices without a judge, chosen with
hindsight for each: so a policy that only moves along the front does not win.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import count, product
from typing import Any, TypeVar

import numpy as np

from rb_litellm.sim.policies.routebalance.judged import Answered, Judge
from rb_litellm.sim.report.blocks import Block, Claim, Table
from rb_litellm.sim.workloads.workload import Request, arrivals, requests
from rb_litellm.sim.world import World, WorldFiles
from rb_litellm.spread.where import Where
from rb_litellm.spread.work import Work, whole

RATE = 6.0
"""Requests per second."""
QUALITY_USD = (0.0001, 0.0003, 0.001, 0.003, 0.01)
SECOND_USD = 1e-5
JUDGE_S, JUDGE_USD_PER_MILLION, JUDGE_TOKENS, OVERHEAD_TOKENS = 0.5, 0.15, 16, 160
"""A verdict's time and price: the paper's 14B tier's, for what it reads and 16 tokens that it writes."""
SLACK = 0.002
"""A judge that is worth less quality than this below the best without one costs nothing worth speaking of."""


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

    def worth(self, usd_per_quality: float) -> float:
        """What 1,000 requests are worth in USD at this price of quality."""
        return 1000.0 * (usd_per_quality * self.quality - SECOND_USD * self.e2e_mean_s) - self.usd_per_1k


Its = TypeVar("Its", bound=Measured)
"""What one experiment measures."""


@dataclass(frozen=True)
class Setting:
    """What all of its policies are measured on."""

    world: World
    seeds: tuple[int, ...]
    number: int

    def requests(self, seed: int) -> Sequence[Request]:
        """Those of one seed."""
        return requests(self.world.test, arrivals("poisson", RATE, seed), self.number, seed)


def judge(accepts_right: float, accepts_wrong: float) -> Judge:
    """One that accepts these shares of right and of wrong answers."""
    per_token = JUDGE_USD_PER_MILLION / 1e6
    return Judge(
        accepts_right, accepts_wrong, JUDGE_S, (OVERHEAD_TOKENS + JUDGE_TOKENS) * per_token, per_token
    )


def carry_out(
    over_seeds: Callable[[Setting, tuple[str, float]], Its],
    policies: Sequence[str],
    files: WorldFiles,
    number: int,
    seeds: Sequence[int],
    where: Where,
    progress: Callable[[int, int], None],
) -> list[Its]:
    """`over_seeds` for every policy and price of quality, with so many requests for each seed.

    `progress` hears how many are done, and of how many.

    Raises:
        ValueError: as `WorldFiles.load`.
        SpreadError: a policy failed, or `where` cannot be used.
    """
    cells, done = list(product(policies, QUALITY_USD)), count(1)
    setting = Setting(files.load(), tuple(seeds), number)
    with where.team(Work(over_seeds, setting, str)) as team:
        return whole(team.map(cells, lambda _: progress(next(done), len(cells))))


def common(cell: tuple[str, float], answered: Sequence[Answered]) -> dict[str, Any]:
    """The figures of `Measured`, of what the requests of each seed got."""
    policy, price = cell
    quality, e2e_s, usd = (
        np.concatenate([getattr(one, figure) for one in answered]) for figure in ("quality", "e2e_s", "usd")
    )
    return {
        "policy": policy,
        "usd_per_quality": price,
        "quality": round(float(quality.mean()), 5),
        "quality_by_seed": tuple(round(float(one.quality.mean()), 5) for one in answered),
        "e2e_mean_s": round(float(e2e_s.mean()), 4),
        "e2e_p95_s": round(float(np.quantile(e2e_s, 0.95)), 4),
        "usd_per_1k": round(1000.0 * float(usd.mean()), 6),
    }


def as_json(found: Sequence[Measured]) -> list[dict[str, Any]]:
    """One object a policy and price."""
    return [asdict(one) for one in found]


def block(
    title: str,
    found: Sequence[Its],
    own: Mapping[str, Callable[[Its], str]],
    unjudged: str,
    best: str,
    claimed: Collection[str],
) -> Block:
    """A row for each policy and price, and what each judge is worth over the best without one.

    `own` are the experiment's own columns; `unjudged` is the policy without a judge, and `best` what the best
    of it at any price is called. For the judges that are `claimed` it is claimed that they cost nothing.
    """
    rows, gains = [], {}
    plain = [one for one in found if one.policy == unjudged]
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
                *(told(one) for told in own.values()),
                f"{one.worth(price):.4f}",
                f"{gain:+.4f}",
            )
        )
    claims = []
    for name in claimed:
        its = {price: gains[name, price] for price in QUALITY_USD}
        most, least = max(its, key=lambda at: its[at]), min(its, key=lambda at: its[at])
        claims.append(
            Claim(
                f"{name}: nowhere worth {SLACK:g} of quality less than {best}",
                f"at best {its[most]:+.4f} ({most:g} USD), at worst {its[least]:+.4f} ({least:g} USD)",
                its[least] > -SLACK,
            )
        )
    columns = (
        "policy", "USD per quality", "quality", "E2E mean (s)", "p95 (s)", "USD/1k", *own, "worth",
        f"over {best}",
    )  # fmt: skip
    note = (
        f"Worth in USD for 1,000 requests: quality less {SECOND_USD:g} USD a second and the cost; what it is "
        f"over {best}, chosen in hindsight from all prices, in quality."
    )
    return Block(Table(title, columns, tuple(rows), note), tuple(claims))
