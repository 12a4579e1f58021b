"""Best of n: are several answers of one model, of which a judge picks one, worth more than any single one?

Measured as `judged_answers` says.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from rb_litellm.core.best_of.rule import CORRELATION, SPREAD, BestOfRule
from rb_litellm.core.decision.scoring import Priced
from rb_litellm.sim.experiments.features import judged_answers
from rb_litellm.sim.experiments.features.judged_answers import SECOND_USD, Setting
from rb_litellm.sim.policies.routebalance.sampling import AnsweredSeveral, FurtherAnswers, Sampling
from rb_litellm.sim.report.blocks import Block
from rb_litellm.sim.world import WorldFiles
from rb_litellm.spread.where import HERE, Where

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
class Measured(judged_answers.Measured):
    """One policy at one price of quality, over all seeds."""

    several: float
    """Share of the requests of which several answers were asked for,"""
    answers: float
    """and how many of one on average."""


def carry_out(
    files: WorldFiles,
    number: int,
    seeds: Sequence[int],
    where: Where = HERE,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> list[Measured]:
    """Every policy at every price; see `judged_answers.carry_out`."""
    return judged_answers.carry_out(_over_seeds, (NONE, *CASES), files, number, seeds, where, progress)


def blocks(found: Sequence[Measured]) -> list[Block]:
    """A row for each policy and price, and what each judge is worth over the best single answers."""
    own: dict[str, Callable[[Measured], str]] = {
        "several": lambda one: f"{one.several:.0%}",
        "answers": lambda one: f"{one.answers:.2f}",
    }
    claimed = [
        name for name, case in CASES.items() if case.true == case.told and case.correlation == CORRELATION
    ]
    return [judged_answers.block("Best of n", found, own, NONE, "the best single answers", claimed)]


def _over_seeds(setting: Setting, cell: tuple[str, float]) -> Measured:
    name, price = cell
    world = setting.world
    case = CASES.get(name, _Case((1.0, 1.0), (1.0, 1.0)))
    judge = judged_answers.judge(*case.true)
    truth = FurtherAnswers.of(world.train, CORRELATION, SPREAD)
    right, wrong = case.told
    rule = None
    if name != NONE:
        rule = BestOfRule(
            right - wrong,
            case.correlation,
            judge_s=judge.seconds,
            judge_usd=judge.usd,
            judge_usd_per_token=judge.usd_per_token,
        )
    answered: list[AnsweredSeveral] = []
    for seed in setting.seeds:
        policy = Sampling(
            name, world.cluster, world.predictions, Priced(price, SECOND_USD), rule, judge, truth, seed
        )
        answered.append(policy.run(setting.requests(seed)))
    answers = np.concatenate([one.answers for one in answered])
    return Measured(
        **judged_answers.common(cell, answered),
        several=round(float((answers > 1).mean()), 4),
        answers=round(float(answers.mean()), 3),
    )
