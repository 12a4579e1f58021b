"""Cascades: is a second answer where a judge calls the first one poor worth more than any single model?

Measured as `judged_answers` says.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rb_litellm.core.cascade.rule import DEPENDENCE, CascadeRule
from rb_litellm.core.decision.scoring import Priced
from rb_litellm.sim.experiments.features import judged_answers
from rb_litellm.sim.experiments.features.judged_answers import SECOND_USD, Setting
from rb_litellm.sim.policies.routebalance.cascading import AnsweredTwice, Cascading
from rb_litellm.sim.report.blocks import Block
from rb_litellm.sim.world import WorldFiles
from rb_litellm.spread.where import HERE, Where

NONE = "no second answers"
JUDGES: dict[str, tuple[tuple[float, float], tuple[float, float]]] = {
    "judge 0.95 / 0.10": ((0.95, 0.1), (0.95, 0.1)),
    "judge 0.90 / 0.40": ((0.9, 0.4), (0.9, 0.4)),
    "judge 0.80 / 0.60": ((0.8, 0.6), (0.8, 0.6)),
    "judge 0.80 / 0.60, told 0.95 / 0.10": ((0.8, 0.6), (0.95, 0.1)),
}
"""Shares of right and of wrong answers that a judge accepts: in truth, and as the policy is told."""


@dataclass(frozen=True, slots=True)
class Measured(judged_answers.Measured):
    """One policy at one price of quality, over all seeds."""

    judged: float
    """Share of the requests of which an answer was judged,"""
    escalated: float
    """and of those that were answered twice."""


def carry_out(
    files: WorldFiles,
    number: int,
    seeds: Sequence[int],
    where: Where = HERE,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> list[Measured]:
    """Every policy at every price; see `judged_answers.carry_out`."""
    return judged_answers.carry_out(_over_seeds, (NONE, *JUDGES), files, number, seeds, where, progress)


def blocks(found: Sequence[Measured]) -> list[Block]:
    """A row for each policy and price, and what each judge is worth over the best without one."""
    own: dict[str, Callable[[Measured], str]] = {
        "judged": lambda one: f"{one.judged:.0%}",
        "twice": lambda one: f"{one.escalated:.0%}",
    }
    claimed = [name for name, (true, told) in JUDGES.items() if true == told]
    return [judged_answers.block("Cascades", found, own, NONE, "the best without", claimed)]


def _over_seeds(setting: Setting, cell: tuple[str, float]) -> Measured:
    name, price = cell
    world = setting.world
    true, told = JUDGES.get(name, ((1.0, 1.0), (1.0, 1.0)))
    judge = judged_answers.judge(*true)
    rule = None
    if name != NONE:
        rule = CascadeRule(*told, DEPENDENCE, judge.seconds, judge.usd, judge.usd_per_token)
    answered: list[AnsweredTwice] = []
    for seed in setting.seeds:
        policy = Cascading(
            name, world.cluster, world.predictions, Priced(price, SECOND_USD), rule, judge, seed
        )
        answered.append(policy.run(setting.requests(seed)))
    number = sum(one.quality.size for one in answered)
    return Measured(
        **judged_answers.common(cell, answered),
        judged=round(sum(one.judged for one in answered) / number, 4),
        escalated=round(sum(one.escalated for one in answered) / number, 4),
    )
