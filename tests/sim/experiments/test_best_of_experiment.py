"""Best of n in the simulator: all answers are paid and waited for, and the judge's truth counts."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np
import pytest

from rb_litellm.core.best_of.rule import BestOfRule
from rb_litellm.core.decision.scoring import Priced
from rb_litellm.core.types import Prompt
from rb_litellm.predictors.registry import PredictionSource
from rb_litellm.sim.experiments.features import best_of
from rb_litellm.sim.experiments.features.judged_answers import QUALITY_USD, as_json
from rb_litellm.sim.policies.routebalance.judged import Judge
from rb_litellm.sim.policies.routebalance.sampling import AnsweredSeveral, FurtherAnswers, Sampling
from rb_litellm.sim.servers.cluster import PAPER_CLUSTER
from rb_litellm.sim.workloads.workload import Request

CLUSTER = replace(PAPER_CLUSTER, tiers=(PAPER_CLUSTER.tier("paper-3b"),))
NUMBER = 40
RULE = BestOfRule(0.9, 0.0, choices=(3,), judge_s=0.5, judge_usd=1e-6)
PERFECT = Judge(1.0, 0.0, 0.5, 1e-6, 0.0)


def asked(right: float) -> list[Request]:
    quality, tokens = np.array([right]), np.array([100.0])
    return [Request(n, 2.0 * n, Prompt(f"{n}", 100), quality, tokens) for n in range(NUMBER)]


def answered(
    right: float, rule: BestOfRule | None, judge: Judge = PERFECT, spread: float = 0.0
) -> AnsweredSeveral:
    truth = FurtherAnswers({"": np.array([0.5])}, 0.0, spread)
    policy = Sampling("p", CLUSTER, PredictionSource(), Priced(0.01, 1e-6), rule, judge, truth)
    return policy.run(asked(right))


def test_without_a_rule_all_have_one_answer() -> None:
    found = answered(1.0, None)
    assert found.answers.tolist() == [1.0] * NUMBER
    assert found.quality.mean() == 1.0


def test_all_answers_are_paid_and_the_input_once() -> None:
    found = answered(0.0, RULE)
    several = found.answers == 3
    assert several.mean() > 0.9
    tier = CLUSTER.tiers[0]
    each = (100 * tier.input_usd_per_million + 300 * tier.output_usd_per_million) / 1e6 + 1e-6
    assert found.usd[several].tolist() == pytest.approx([each] * int(several.sum()))
    # The first is always wrong, each of the others right half the time.
    assert found.quality[several].mean() == pytest.approx(0.75, abs=0.2)
    assert found.e2e_s[several].min() > 0.5 + 99 * tier.tpot_s


def test_the_longest_is_waited_for() -> None:
    assert answered(0.0, RULE, spread=0.6).e2e_s.mean() > 1.15 * answered(0.0, RULE).e2e_s.mean()


def test_a_judge_that_knows_nothing_draws() -> None:
    found = answered(0.0, RULE, Judge(0.5, 0.5, 0.5, 0.0, 0.0))
    assert found.quality[found.answers == 3].mean() == pytest.approx(1 / 3, abs=0.2)


@pytest.mark.parametrize("correlation", [0.0, 0.6])
def test_further_answers_hang_together_as_told(correlation: float) -> None:
    truth = FurtherAnswers({"": np.array([0.4])}, correlation, 0.0)
    random, request = Random(0), asked(0.4)[0]
    drawn = np.array([truth.right(request, 0, 3, random) for _ in range(20_000)], dtype=float)
    assert drawn.mean(axis=0).tolist() == pytest.approx([0.4] * 3, abs=0.02)
    assert np.corrcoef(drawn[:, 1], drawn[:, 2])[0, 1] == pytest.approx(correlation, abs=0.03)


def test_the_report_compares_with_the_best_single_answers() -> None:
    def one(policy: str, price: float, quality: float) -> best_of.Measured:
        return best_of.Measured(policy, price, quality, (quality,), 1.0, 2.0, 0.01, 0.0, 1.0)

    found = [one(best_of.NONE, price, 0.5) for price in QUALITY_USD]
    found += [one(name, price, 0.55) for name in best_of.CASES for price in QUALITY_USD]
    (block,) = best_of.blocks(found)
    assert {row[-1] for row in block.table.rows} == {"+0.0000", "+0.0500"}
    assert all(claim.holds for claim in block.claims)
    assert len(as_json(found)) == len(found)
