"""The models of the data that answer for the tiers: what predictors are asked for."""

import json
from pathlib import Path

import pytest

from rb_litellm.sim.servers.cluster import PAPER_CLUSTER
from rb_litellm.sim.workloads.workload import STAND_INS
from rb_litellm.sim.world import WorldFiles

FUSED, TASKS = STAND_INS
OWN = tuple(tier.model for tier in PAPER_CLUSTER.tiers)


def graded(folder: Path, name: str, models: tuple[str, ...]) -> Path:
    rows = [
        {"prompt": f"{name} question {n}", "model": model, "quality": 0.5, "output_tokens": 40}
        for n in range(40)
        for model in models
    ]
    file = folder / f"{name}.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    return file


def likes(*files: Path) -> list[str | None]:
    """What the deployments of each tier are taken for."""
    tiers = WorldFiles(files, by_priors=True).load().cluster.tiers
    return [tier.deployments()[0].like for tier in tiers]


@pytest.mark.parametrize("models", [OWN, FUSED, TASKS])
def test_a_tier_is_taken_for_the_model_that_answers_for_it(tmp_path: Path, models: tuple[str, ...]) -> None:
    assert likes(graded(tmp_path, "one", models)) == [*models]


def test_files_of_several_models_leave_a_tier_its_own_name(tmp_path: Path) -> None:
    assert likes(graded(tmp_path, "one", FUSED), graded(tmp_path, "other", TASKS)) == [None] * 4
