"""Levels of effort in the simulator: the truth is the same for all policies, and the chosen level counts."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from rb_litellm.balancing.candidates import model_info
from rb_litellm.cli.measure.experiment import experiment
from rb_litellm.core.decision.scoring import Priced
from rb_litellm.sim.engine import Simulation
from rb_litellm.sim.experiments.features import efforts
from rb_litellm.sim.policies.routebalance.leveled import Leveled
from rb_litellm.sim.servers.cluster import PAPER_CLUSTER
from rb_litellm.sim.workloads.reasoning import LEVELS, ReadDifficulty, levels, requests

CLUSTER = replace(PAPER_CLUSTER, tiers=(PAPER_CLUSTER.tier("paper-14b"),))
DEPLOYMENTS = CLUSTER.tiers[0].deployments()


def policy(usd_per_quality: float, names: tuple[str, ...] = LEVELS) -> Leveled:
    candidates = [level for one in DEPLOYMENTS for level in levels(one, names)]
    return Leveled("p", CLUSTER, candidates, ReadDifficulty(), Priced(usd_per_quality, 1e-4), LEVELS)


def chosen(usd_per_quality: float) -> list[int]:
    routed = policy(usd_per_quality)
    served = Simulation(CLUSTER, routed, requests(2.0, 120, 5)).run()
    columns = [routed.column(one.request, one.deployment) for one in served]
    for one, column in zip(served, columns, strict=True):
        assert one.output_tokens == one.request.output_tokens[column]
    return columns


def test_the_dearer_quality_is_the_more_effort_is_spent() -> None:
    little, much = np.mean(chosen(0.0)), np.mean(chosen(1.0))
    assert little == LEVELS.index("low")
    assert much > 1.5


def test_higher_levels_answer_better_and_longer() -> None:
    asked = requests(1.0, 2000, 0)
    quality = np.array([one.quality for one in asked]).mean(axis=0)
    tokens = np.array([one.output_tokens for one in asked]).mean(axis=0)
    assert list(quality) == sorted(quality)
    assert list(tokens) == sorted(tokens)
    stated = levels(DEPLOYMENTS[0])
    assert [one.quality for one in stated] == pytest.approx(quality, abs=0.05)
    assert [one.output_tokens for one in stated] == pytest.approx(tokens, rel=0.1)


@pytest.mark.parametrize("apart", [0.0, 2.0])
def test_predictions_are_calibrated(apart: float) -> None:
    asked = requests(1.0, 4000, 1, apart)
    infos = [model_info(level) for level in levels(DEPLOYMENTS[0], apart=apart)]
    told = ReadDifficulty(apart).predict([one.prompt for one in asked], infos)
    assert told.quality.mean(axis=0) == pytest.approx(
        np.array([one.quality for one in asked]).mean(axis=0), abs=0.03
    )
    assert told.output_tokens.mean(axis=0) == pytest.approx(
        np.array([one.output_tokens for one in asked]).mean(axis=0), rel=0.1
    )


def test_the_experiment_says_what_a_choice_is_worth(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(efforts, "APART", {"chat and problems": 2.0})
    monkeypatch.setattr(efforts, "RATES", (1.0,))
    monkeypatch.setattr(efforts, "QUALITY_USD", (0.01,))
    line = ["efforts", "--requests", "60", "--seeds", "1", "--json", "--quiet", "--jobs", "1"]
    done = CliRunner().invoke(experiment, line)
    assert done.exit_code == 0, done.output
    told = json.loads(done.output)
    assert {one["policy"] for one in told["policies"]} == set(efforts.POLICIES)
    assert len(told["claims"]) == 2
