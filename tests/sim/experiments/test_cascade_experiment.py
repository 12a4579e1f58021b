"""Cascades in the simulator: whatever is judged and answered twice is paid, and the judge's truth counts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rb_litellm.core.cascade.rule import CascadeRule
from rb_litellm.core.decision.scoring import Priced
from rb_litellm.core.types import Prompt
from rb_litellm.predictors.registry import PredictionSource
from rb_litellm.sim.experiments.features import cascade
from rb_litellm.sim.experiments.features.judged_answers import QUALITY_USD, as_json
from rb_litellm.sim.policies.routebalance.cascading import AnsweredTwice, Cascading
from rb_litellm.sim.policies.routebalance.judged import Judge
from rb_litellm.sim.servers.cluster import PAPER_CLUSTER
from rb_litellm.sim.workloads.workload import Request

CLUSTER = replace(PAPER_CLUSTER, tiers=(PAPER_CLUSTER.tier("paper-3b"), PAPER_CLUSTER.tier("paper-72b")))
NUMBER = 60


def asked(right: bool) -> list[Request]:
    """The small model is right on all prompts or on none, the large one on all."""
    quality, tokens = np.array([float(right), 1.0]), np.array([100.0, 100.0])
    return [Request(n, 0.5 * n, Prompt(f"{n}", 100), quality, tokens) for n in range(NUMBER)]


def answered(right: bool, rule: CascadeRule | None, judge: Judge) -> AnsweredTwice:
    policy = Cascading("p", CLUSTER, PredictionSource(), Priced(0.01, 1e-6), rule, judge)
    return policy.run(asked(right))


RULE = CascadeRule(0.95, 0.05, 0.0, 0.5, 1e-6)
PERFECT = Judge(1.0, 0.0, 0.5, 1e-6, 0.0)


def test_without_a_rule_nobody_is_judged() -> None:
    found = answered(True, None, PERFECT)
    assert (found.judged, found.escalated) == (0, 0)


def test_right_answers_are_kept_and_the_verdict_is_paid_in_time_and_money() -> None:
    found = answered(True, RULE, PERFECT)
    assert (found.judged, found.escalated) == (NUMBER, 0)
    assert found.quality.mean() == 1.0
    small = CLUSTER.tiers[0]
    each = (100 * small.input_usd_per_million + 100 * small.output_usd_per_million) / 1e6 + 1e-6
    assert found.usd.tolist() == pytest.approx([each] * NUMBER)
    assert found.e2e_s.min() > 0.5 + 99 * small.tpot_s


def test_wrong_answers_are_replaced_and_both_are_paid() -> None:
    found = answered(False, RULE, PERFECT)
    # But for trials, which are answered once.
    assert NUMBER - 2 <= found.judged == found.escalated
    assert found.quality.mean() == 1.0
    large = CLUSTER.tiers[1]
    assert (
        np.median(found.usd) > (100 * large.input_usd_per_million + 100 * large.output_usd_per_million) / 1e6
    )
    assert np.median(found.e2e_s) > 0.5 + 99 * (CLUSTER.tiers[0].tpot_s + large.tpot_s)


def test_what_the_judge_does_counts_and_not_what_is_told_of_it() -> None:
    found = answered(False, RULE, replace(PERFECT, accepts_wrong=1.0))
    assert (found.judged, found.escalated, found.quality.mean()) == (NUMBER, 0, 0.0)


def test_the_report_compares_with_the_best_price_without_cascades() -> None:
    def one(policy: str, price: float, quality: float, usd: float) -> cascade.Measured:
        return cascade.Measured(policy, price, quality, (quality,), 1.0, 2.0, usd, 0.0, 0.0)

    found = [one(cascade.NONE, price, 0.5, 0.01) for price in QUALITY_USD]
    # One price's choice happens to be better at all others.
    found[0] = one(cascade.NONE, QUALITY_USD[0], 0.6, 0.01)
    found += [one(name, price, 0.65, 0.01) for name in cascade.JUDGES for price in QUALITY_USD]
    (block,) = cascade.blocks(found)
    told = {(row[0], row[1]): row[-1] for row in block.table.rows}
    assert told["judge 0.95 / 0.10", "0.01"] == "+0.0500"
    assert told[cascade.NONE, "0.01"] == "-0.1000"
    assert all(claim.holds for claim in block.claims)
    assert len(as_json(found)) == len(found)
